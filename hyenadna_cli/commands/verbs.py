"""The verbs of `hyenadna`: what each does in a line, and its module, imported when it is asked for.

`--help` and `--version` import none of them, and a command none of the others.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from hyenadna_cli.commands.options.groups import GroupedCommand

VERBS = {
    "embed": "Embed sequences, or the regions of a BED or GTF file, as vectors.",
    "generate": "Sample DNA from a model, freely or after prompts.",
    "finetune": "Train a model on labelled sequences, and judge it.",
    "perplexity": "Measure how well a model predicts each base.",
    "predict": "Predict the labels of sequences with a tuned model.",
    "pretrain": "Train a model to predict the next nucleotide.",
    "prompt-tune": "Teach a model a task by what precedes its input.",
    "mutagenize": "Score every SNV of a region.",
    "score-variants": "Score the alleles of a VCF.",
    "background": "Score random SNVs, to rank others among.",
    "merge": "Put the outputs of all shards of a run together.",
    "benchmark": "Measure time and memory against the plain form.",
    "doctor": "Tell what this machine has, and check a known answer.",
    "classify-species": "Tell species apart by stretches of their DNA.",
    "models": "List, download, convert, average and check models.",
    "plot": "Draw what other commands wrote.",
}
"""In the order of `--help`. `score-variants` is the function `score_variants` of the module
`commands.score_variants`; a verb with verbs of its own is the `app` of its module."""


class VerbGroup(TyperGroup):
    """The root of the command line."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()  # type: ignore[assignment]  # nothing is added to it

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of verbs without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


class _Commands(Mapping[str, Any]):
    """Verbs by name, each built when it is first looked at."""

    def __getitem__(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


@functools.cache
def _command(name: str) -> Any:
    within = name.replace("-", "_")
    module = importlib.import_module(f"hyenadna_cli.commands.{within}")
    if (app := getattr(module, "app", None)) is None:
        app = typer.Typer()
        app.command(name, cls=GroupedCommand)(getattr(module, within))
    # Completion is installed for the program, not for each verb; help is plain text throughout.
    app._add_completion = False
    app.rich_markup_mode = None
    return typer.main.get_command(app)
