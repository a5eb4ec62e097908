"""The verbs of `hyenadna`: what each does in a line, and its module, imported when it is asked for.

`--help` and `--version` import none of them, and a command none of the others.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from hyenadna_cli.commands.options.help_text import GroupedCommand, HelpfulGroup

VERBS_BY_JOB = {
    "Embed and score": {
        "embed": "Embed sequences, regions or alleles as vectors.",
        "score-variants": "Score the alleles of a VCF.",
        "mutagenize": "Score every SNV of a region.",
        "background": "Score random SNVs as a background to rank others in.",
        "predict": "Predict the labels of sequences with a tuned model.",
        "generate": "Sample DNA from a model, freely or after prompts.",
    },
    "Train": {
        "finetune": "Train a model on labelled sequences and evaluate it.",
        "prompt-tune": "Learn a prompt for a task; the model stays unchanged.",
        "classify-species": "Recognise the species that DNA comes from.",
        "pretrain": "Train a model to predict the next nucleotide.",
    },
    "Measure": {
        "perplexity": "Measure how well a model predicts each base.",
        "benchmark": "Measure time and memory against plain PyTorch.",
        "plot": "Draw what other commands wrote.",
    },
    "Models": {"models": "List, download, convert, export, average and check models."},
    "Pipelines": {
        "merge": "Merge the outputs of the shards of a run.",
        "doctor": "Show what this machine offers, and check a known answer.",
    },
}
"""In the order of `--help`. `score-variants` is the function `score_variants` of the module
`commands.score_variants`; a verb with verbs of its own is the `app` of its module."""

VERBS = {name: summary for of_job in VERBS_BY_JOB.values() for name, summary in of_job.items()}


class VerbGroup(HelpfulGroup):
    """The root of the command line."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()  # type: ignore[assignment]  # nothing is added to it

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs by what they are for, without importing them."""
        width = max(map(len, VERBS))
        for job, verbs in VERBS_BY_JOB.items():
            with formatter.section(job):
                formatter.write_dl([(name.ljust(width), text) for name, text in verbs.items()])


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
