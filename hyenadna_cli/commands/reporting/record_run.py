"""Where record-wise commands write, and the account they give at the end.

check -> (--resume: done already?) -> rows, counted -> manifest, --stats, one line, --strict
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.reporting.counts import Ledger
from hyenadna_cli.commands.reporting.progress import track
from hyenadna_cli.commands.reporting.stops import on_signals
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import DeviceMemoryError, OutputError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.commands.options.model import ChosenModel
    from hyenadna_cli.core.inference.batching import Batcher, Done
    from hyenadna_cli.core.inference.run_plan import RunPlan
    from hyenadna_cli.core.io.records import RecordSource, StrandChoice
    from hyenadna_cli.core.outputs.journal import Journal
    from hyenadna_cli.core.outputs.provenance import Provenance, Setting

log = logging.getLogger(__name__)

Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """The output of a run and the options about it, as given."""

    output: opt.OutputOption = "-"
    force: opt.ForceOption = False
    resume: opt.ResumeOption = False
    max_time: opt.MaxTimeOption = None
    """Seconds."""
    tmp_dir: opt.TmpDirOption = None
    """Already in use: `atomic.scratch_directory`."""
    shard: opt.ShardOption = None
    strict: opt.StrictOption = False
    stats: opt.StatsOption = None
    no_version: opt.NoVersionOption = False

    @property
    def is_stream(self) -> bool:
        """Whether the output is stdout, a pipe or a device."""
        return atomic.is_stream(self.output)

    @property
    def path(self) -> Path:
        """The output as a path."""
        return Path(self.output)

    def check(self) -> None:
        """Refuse what cannot be, before any work: OutputError, or UsageError for a bad --shard."""
        if self.shard is not None:
            from hyenadna_cli.core.outputs.shards import Shard

            Shard.parse(self.shard)
        if not self.is_stream:
            atomic.check_output(self.path, overwrite=self.force or self.resume)
        if self.stats is not None:
            atomic.check_output(self.stats, overwrite=True)

    def select(self, source: RecordSource) -> range | None:
        """The records of this shard; None for all. Raises UsageError for a shard of a stream."""
        from hyenadna_cli.core.outputs.shards import Shard, shard_range

        if self.shard is None:
            return None
        shard = Shard.parse(self.shard)
        if source.lengths is None:
            raise UsageError(f"--shard {shard} needs a file; stdin and pipes can be read only once")
        return shard_range(source.lengths, shard)

    def made_by(
        self, model: ChosenModel, source: RecordSource, settings: Mapping[str, Setting]
    ) -> Provenance:
        """The provenance of this run's output."""
        from hyenadna_cli.core.outputs import provenance

        return provenance.collect(
            command=["hyenadna", *sys.argv[1:]],
            settings={**settings, **model.settings()},
            inputs=source.inputs,
            model=model.identity(),
            device=model.run.device_name,
            reproducible=self.no_version,
        )

    @contextmanager
    def journal(self, made_by: Provenance) -> Iterator[Journal]:
        """What this run keeps of its finished blocks; nothing for what cannot be read again.

        Raises OutputError if another run writes this output, and as `open_journal` does.
        """
        from hyenadna_cli.core.outputs.journal import NO_JOURNAL, open_journal
        from hyenadna_cli.core.outputs.provenance import library_versions

        if self.is_stream or any(file.size is None for file in made_by.inputs):
            yield NO_JOURNAL
            return
        entries = made_by.as_json()
        identity = {
            **{name: entries.get(name) for name in ("model", "settings")},
            "inputs": {file.path: _size_and_time(file.path) for file in made_by.inputs},
            "libraries": library_versions(),
            "shard": self.shard,
        }
        with open_journal(self.path, identity, resume=self.resume, overwrite=self.force) as journal:
            yield journal

    def is_done(self, made_by: Provenance, *, beside: Path | None = None) -> bool:
        """Whether `--resume` finds the finished output of a run like this one, and `beside`.

        Raises OutputError if there is an output, but of another run, and no `--force`.
        """
        from hyenadna_cli.core.outputs.journal import journal_path
        from hyenadna_cli.core.outputs.provenance import manifest_difference

        if not self.resume or self.is_stream or not self.path.exists():
            return False
        difference = manifest_difference(self.path, made_by, shard=self.shard)
        if difference is None and beside is not None and not beside.exists():
            log.info("%s is complete already; %s is missing", self.output, beside)
            return False
        if difference is None:
            log.info("%s is complete already; nothing to do", self.output)
            journal_path(self.path).unlink(missing_ok=True)
            return True
        # A run that was killed after its output and before its manifest leaves its journal too.
        if not self.force and not journal_path(self.path).exists():
            raise OutputError(f"{self.output} exists and {difference}; --force replaces it")
        return False


@dataclass(kw_only=True, slots=True)
class Account(Ledger):
    """What became of the records of one run."""

    results: frozenset[str] = frozenset({"OK"})
    """Statuses of records that have their full result."""
    n_bases: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    """Further results over all records."""

    def add(self, name: str, status: str, n_bases: int) -> None:
        """Count one record that was written."""
        self.count(name, status)
        self.n_bases += n_bases

    def is_result(self, status: str) -> bool:
        """Whether a record of this status has its full result."""
        return status in self.results

    def totals(self) -> dict[str, object]:
        """Counts, for `--stats`."""
        return {
            "records": self.n_counted,
            "bases": self.n_bases,
            "status": self.counts,
            **self.figures,
        }

    def rate(self, seconds: float) -> dict[str, float]:
        """Bases in a second."""
        return {"bases_per_second": round(self.n_bases / max(seconds, 1e-9), 1)}

    def summary(self, seconds: float) -> str:
        """What was done, in words."""
        figures = "".join(
            f", {value:.6g} {name.replace('_', ' ')}" for name, value in self.figures.items()
        )
        return (
            f"{self.n_counted:,} records, {self.n_bases:,} bases in {seconds:.1f} s, "
            f"{self.counts.get('OK', 0):,} OK{figures}"
        )

    def skipped(self, kinds: str) -> str:
        """How many have no full result."""
        return f"{self.n_skipped:,} of {self.n_counted:,} records without a full result: {kinds}"


def write_rows(
    batches: Iterable[Done[Row]],
    write: Callable[[Row], None],
    *,
    destination: Destination,
    n_bases: int | None,
    label: str,
) -> None:
    """Hand every row to `write`, with a progress bar over `n_bases`.

    A signal ends this after the current batch with InterruptedRunError, so that the writer around
    it leaves nothing behind.
    """
    with on_signals(destination.max_time) as stop:
        for done in track(batches, total=n_bases, label=label, size_of=lambda done: done.n_bases):
            # Rows may be as large as a batch: none is kept while the next batch is computed.
            while done.rows:
                write(done.rows.pop(0))
            if stop():
                is_stream = destination.is_stream
                raise stop.error(f"{'an incomplete' if is_stream else 'no'} output was written")


def print_plan(plan: RunPlan) -> None:
    """`--dry-run`: what would be done, on stdout."""
    for name, value in (
        ("records", plan.n_records),
        ("bases", plan.n_bases),
        ("windows", plan.n_windows),
        ("batches", plan.n_batches),
        ("peak_memory_mb", -(-plan.peak_bytes // 1_000_000)),
    ):
        typer.echo(f"{name}\t{value}")


def print_plan_of_records(
    source: RecordSource,
    selected: range | None,
    model: ChosenModel,
    batcher: Batcher,
    strand: StrandChoice,
) -> None:
    """`--dry-run` of a command that reads each record along one strand or both."""
    from hyenadna_cli.core.inference.run_plan import plan_run

    lengths = source.measured_lengths(selected)
    n_strands = 2 if strand == "both" else 1
    print_plan(plan_run(lengths, config=model.config, batcher=batcher, n_strands=n_strands))


@contextmanager
def exit_code_when_out_of_memory(code: int) -> Iterator[None]:
    """Give DeviceMemoryError the exit code of `--oom-exit-code`."""
    try:
        yield
    except DeviceMemoryError as error:
        error.exit_code = code
        raise


def _size_and_time(path: str) -> list[int]:
    """Bytes, and nanoseconds since 1970 of the last change."""
    status = Path(path).stat()
    return [status.st_size, status.st_mtime_ns]
