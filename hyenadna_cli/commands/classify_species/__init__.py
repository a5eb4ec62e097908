"""`hyenadna classify-species`: which genome does this stretch of DNA come from?"""

from __future__ import annotations

import typer

from hyenadna_cli.commands.classify_species import evaluate, manifest, predict, train
from hyenadna_cli.commands.options.help_text import GroupedCommand, HelpfulGroup

app = typer.Typer(help="Recognise the species that DNA comes from.", cls=HelpfulGroup)
app.command("train", cls=GroupedCommand)(train.train)
app.command("evaluate", cls=GroupedCommand)(evaluate.evaluate)
app.command("manifest", cls=GroupedCommand)(manifest.manifest)
app.command("predict", cls=GroupedCommand)(predict.predict)


@app.callback()
def _classify_species() -> None:
    """Recognise the species that DNA comes from."""
