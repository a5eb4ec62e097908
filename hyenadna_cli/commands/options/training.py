"""Options that mean the same in commands which train."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from hyenadna_cli.commands.options.output import (
    ForceOption,
    MaxTimeOption,
    NoVersionOption,
    ResumeOption,
    StatsOption,
)
from hyenadna_cli.core.outputs.provenance import Provenance

PresetOption = Annotated[
    str | None,
    typer.Option("--preset", metavar="paper", help="The published recipe; what differs is said."),
]
PretrainPresetOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="paper|paper-2x128|...",
        help="A published recipe: paper (tiny-1k), or paper-2x128, -2x256, -4x128, -4x256, -8x256 "
        "(blocks x channels); what differs is said.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDirectory:
    """Where a training run writes, and the options about it."""

    HEADING: ClassVar[str] = "Output"

    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", help="Directory of the run, and in the end of what it trained."
        ),
    ]
    max_time: MaxTimeOption = None
    """Seconds, or None."""
    force: ForceOption = False
    resume: ResumeOption = False
    stats: StatsOption = None
    no_version: NoVersionOption = False
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float | None:
        """Of --max-time, which the reading of the inputs counts for too."""
        return None if self.max_time is None else self.began + self.max_time - time.monotonic()

    def check(self) -> None:
        """Refuse a directory, or --stats, that this run may not write. Raises OutputError."""
        from hyenadna_cli.core.outputs import atomic, locks

        if self.stats is not None:
            atomic.check_output(self.stats, overwrite=True)
        locks.check_run_dir(self.output, force=self.force, resume=self.resume)

    def claimed(
        self, made_by: Provenance, *, parts: Sequence[Path] = (), is_main: bool = True
    ) -> AbstractContextManager[None]:
        """The directory, made and kept from other runs; see `locks.claimed_run_dir`."""
        from hyenadna_cli.core.outputs import locks
        from hyenadna_cli.core.training.run_identity import starts_over

        restart = (is_main or not self.force) and starts_over(  # all refuse, one deletes
            [self.output, *parts], made_by, resume=self.resume, force=self.force
        )
        return locks.claimed_run_dir(self.output, restart=restart, parts=parts, is_main=is_main)
