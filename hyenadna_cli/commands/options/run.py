"""How a run goes about its work and what it says meanwhile."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer


def _set_verbose(count: int) -> int:
    if count:
        logging.getLogger().setLevel(logging.DEBUG)
    return count


def _set_quiet(is_quiet: bool) -> bool:
    if is_quiet:
        logging.getLogger().setLevel(logging.ERROR)
    return is_quiet


DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Check the inputs, print the plan, and stop.")
]
VerboseOption = Annotated[
    int,
    typer.Option(
        "-v",
        "--verbose",
        count=True,
        callback=_set_verbose,
        show_default=False,
        help="Say more on stderr.",
    ),
]
QuietOption = Annotated[
    bool, typer.Option("-q", "--quiet", callback=_set_quiet, help="Errors only on stderr.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verbosity:
    """How much is said on stderr; the options take effect when they are read."""

    HEADING: ClassVar[str] = "Run"

    verbose: VerboseOption = 0
    quiet: QuietOption = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Whether to run at all, and how much is said on stderr."""

    HEADING: ClassVar[str] = "Run"

    dry_run: DryRunOption = False
    verbose: VerboseOption = 0
    quiet: QuietOption = False
