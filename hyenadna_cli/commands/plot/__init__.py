"""`hyenadna plot`: pictures of what other commands wrote, each with its table beside it."""

from __future__ import annotations

import typer

from hyenadna_cli.commands.options.help_text import GroupedCommand, HelpfulGroup
from hyenadna_cli.commands.plot import (
    dependencies,
    embeddings,
    filters,
    mutagenesis,
    perplexity,
    species,
    training,
)

app = typer.Typer(help="Draw what other commands wrote.", cls=HelpfulGroup)
app.command("training", cls=GroupedCommand)(training.training)
app.command("embeddings", cls=GroupedCommand)(embeddings.embeddings)
app.command("perplexity", cls=GroupedCommand)(perplexity.perplexity)
app.command("species", cls=GroupedCommand)(species.species)
app.command("mutagenesis", cls=GroupedCommand)(mutagenesis.mutagenesis)
app.command("dependencies", cls=GroupedCommand)(dependencies.dependencies)
app.command("filters", cls=GroupedCommand)(filters.filters)


@app.callback()
def _plot() -> None:
    """Draw what other commands wrote; every picture has its table beside it."""
