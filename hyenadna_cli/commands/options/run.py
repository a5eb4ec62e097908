"""How a run goes about its work and what it says meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hyenadna_cli.commands.options import shared as opt


@dataclass(frozen=True, kw_only=True, slots=True)
class Verbosity:
    """How much is said on stderr; the options take effect when they are read."""

    HEADING: ClassVar[str] = "Run"

    verbose: opt.VerboseOption = 0
    quiet: opt.QuietOption = False


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """Whether to run at all, and how much is said on stderr."""

    HEADING: ClassVar[str] = "Run"

    dry_run: opt.DryRunOption = False
    verbose: opt.VerboseOption = 0
    quiet: opt.QuietOption = False
