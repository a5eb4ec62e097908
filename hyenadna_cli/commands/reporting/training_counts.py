"""What a training command has done by its end, for `--stats`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hyenadna_cli.commands.reporting.stats import write_stats

if TYPE_CHECKING:
    from hyenadna_cli.commands.options.training import RunDirectory
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.training.loop import StepReport


@dataclass(kw_only=True, slots=True)
class TrainingAccount:
    """Steps and bases of this start of a run: a resumed run counts from where it went on."""

    command: str
    n_steps: int = 0
    n_bases: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, report: StepReport) -> None:
        """Count one optimiser step."""
        self.n_steps += 1
        self.n_bases += report.n_bases

    def close(
        self,
        run_directory: RunDirectory,
        made_by: Provenance,
        *,
        split_sizes: Mapping[str, int],
        device: str | None,
        model: Mapping[str, str | None] | None,
    ) -> None:
        """Write the statistics of the finished run, where they are asked for. Raises OutputError.

        `split_sizes` are rows or, where windows are drawn from contigs, bases. `device` and `model`
        are None where there is none.
        """
        if run_directory.stats is None:
            return
        seconds = max(time.monotonic() - self.started, 1e-9)
        entries = {
            "command": self.command,
            "output": str(run_directory.output),
            "status": dict(split_sizes),
            "steps": self.n_steps,
            "bases": self.n_bases,
            "seconds": round(seconds, 3),
            "bases_per_second": round(self.n_bases / seconds, 1),
            "device": device,
            "model": None if model is None else dict(model),
            "settings": made_by.settings,
        }
        write_stats(run_directory.stats, entries)
