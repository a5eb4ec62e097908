"""One run of a training: its processes joined, its directory claimed, its steps shown and counted.

started -> reports of core, followed to their end or to a stop -> statistics
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hyenadna_cli.commands.options.training import RunDirectory
from hyenadna_cli.commands.reporting.progress import track
from hyenadna_cli.commands.reporting.provenance import made_by
from hyenadna_cli.commands.reporting.stops import StopRequest, on_signals
from hyenadna_cli.core.outputs.stats import write_stats

if TYPE_CHECKING:
    from hyenadna_cli.core.machine.runtime import Runtime
    from hyenadna_cli.core.outputs.provenance import Provenance, Setting
    from hyenadna_cli.core.tasks.finetuning.comparison import Doing
    from hyenadna_cli.core.training.distributed import World
    from hyenadna_cli.core.training.loop import StepReport

log = logging.getLogger(__name__)


AnyStep = TypeVar("AnyStep", "StepReport", "Doing")
Result = TypeVar("Result")


@dataclass(kw_only=True, slots=True)
class TrainingRun:
    """One start of a training: a resumed run counts from where it went on."""

    command: str
    directory: RunDirectory
    inputs: Sequence[Path | str]
    settings: Mapping[str, Setting]
    model: Mapping[str, str | None] | None
    """Identity of the model that the run begins with."""
    runtime: Runtime | None
    """None where nothing is computed on a device."""
    n_context: int = 1
    """Processes that share each sequence."""
    agreed: Mapping[str, object] = field(default_factory=dict)
    """What the processes under torchrun must have in common, beside inputs and settings."""
    n_steps: int = 0
    n_bases: int = 0
    began: float = field(default_factory=time.monotonic)
    is_main: bool = True
    """Whether this process writes the files."""
    made_by: Provenance = field(init=False)
    stop: StopRequest = field(init=False)
    world: World = field(init=False)

    def __post_init__(self) -> None:
        from hyenadna_cli.core.outputs.locks import run_files
        from hyenadna_cli.core.outputs.restarts import check_apart

        check_apart(
            [("--stats", self.directory.stats)], [*self.inputs, *run_files(self.directory.output)]
        )
        self.made_by = made_by(
            inputs=self.inputs,
            settings=self.settings,
            model=self.model,
            device=self._device_name,
            no_version=self.directory.no_version,
        )

    @property
    def _device_name(self) -> str | None:
        return None if self.runtime is None else self.runtime.device_name

    @property
    def _agreed(self) -> Mapping[str, object]:
        from hyenadna_cli.core.training.run_identity import made_from

        directory = {"-o": str(self.directory.output), "--resume": self.directory.resume}
        return {**directory, **self.settings, **made_from(self.made_by), **self.agreed}

    @contextmanager
    def started(self, *, parts: Sequence[Path] = (), is_shared: bool = True) -> Iterator[None]:
        """From here on signals are requests to stop, and the directory is this run's.

        `parts` are run directories inside it; `is_shared`: processes under torchrun train together.
        Raises OutputError, also if another run has the directory.
        """
        from hyenadna_cli.core.training import distributed, run_directory

        run_directory.keeps_seconds.set(not self.directory.no_version)
        assert self.runtime is not None
        joined = (
            distributed.joined(self.runtime.device, n_context=self.n_context, agreed=self._agreed)
            if is_shared
            else None
        )
        with (
            on_signals(self.directory.seconds_left) as self.stop,
            joined or nullcontext(distributed.World()) as self.world,
            self.directory.claimed(self.made_by, parts=parts, is_main=self.world.is_main),
        ):
            self.is_main = self.world.is_main
            self.world.wait()
            yield

    def going_on(self, work: Callable[[], Result]) -> Result:
        """What `work` gives, which trains; --resume with --force starts over from another run.

        Raises OtherRunError or NoCheckpointError without --force.
        """
        from hyenadna_cli.core.training.run_directory import NoCheckpointError, OtherRunError

        try:
            return work()
        except (OtherRunError, NoCheckpointError) as error:
            if not (self.directory.resume and self.directory.force):
                raise
            log.warning("starting over, as --force asks for: %s", error)
        self.directory = replace(self.directory, resume=False)
        return work()

    def follow(
        self,
        steps: Iterable[AnyStep],
        *,
        total: int | None,
        label: str,
        describe: Callable[[AnyStep], str],
        is_done: Callable[[], bool],
    ) -> None:
        """Show and count every step; say what validations found.

        Raises InterruptedRunError, saying how far it came, if the run is not done after them.
        """
        last = "before the first step"
        for step in track(steps, total=total, label=label, describe=describe):
            self.n_steps += 1
            self.n_bases += step.n_bases
            last = step.reached
            if step.is_validated:
                log.info("%s", describe(step))
        # Of several processes, not all need have got the signal.
        self.world.wait()
        if not is_done():
            raise self.stop.error(f"{last}; --resume goes on from there")

    def close(self, split_sizes: Mapping[str, int]) -> None:
        """Write the statistics of the finished run, where they are asked for. Raises OutputError.

        `split_sizes` are rows or, where windows are drawn from contigs, bases.
        """
        if self.directory.stats is None or not self.is_main:
            return
        seconds = max(time.monotonic() - self.began, 1e-9)
        entries = {
            "command": self.command,
            "output": str(self.directory.output),
            "status": dict(split_sizes),
            "steps": self.n_steps,
            "bases": self.n_bases,
            "seconds": round(seconds, 3),
            "bases_per_second": round(self.n_bases / seconds, 1),
            "device": self._device_name,
            "model": None if self.model is None else dict(self.model),
            "settings": self.made_by.settings,
        }
        write_stats(self.directory.stats, entries)
