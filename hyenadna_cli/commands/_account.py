"""Where record-wise commands write, and the account they give at the end.

check -> (--resume: done already?) -> rows, counted -> manifest, --stats, one line, --strict
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from hyenadna_cli.commands import _options as opt
from hyenadna_cli.commands._progress import track
from hyenadna_cli.commands._stats import write_stats
from hyenadna_cli.commands._stop import on_signals
from hyenadna_cli.core import atomic
from hyenadna_cli.errors import DeviceMemoryError, OutputError, SkippedRecordsError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.commands._loading import ChosenModel
    from hyenadna_cli.core.batching import Batcher, Done
    from hyenadna_cli.core.journal import Journal
    from hyenadna_cli.core.plan import RunPlan
    from hyenadna_cli.core.provenance import Provenance, Setting
    from hyenadna_cli.core.records import RecordSource, StrandChoice
    from hyenadna_cli.core.sequence import LetterCounts

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
            from hyenadna_cli.core.shards import Shard

            Shard.parse(self.shard)
        if not self.is_stream:
            atomic.check_output(self.path, overwrite=self.force or self.resume)
        if self.stats is not None:
            atomic.check_output(self.stats, overwrite=True)

    def select(self, source: RecordSource) -> range | None:
        """The records of this shard; None for all. Raises UsageError for a shard of a stream."""
        from hyenadna_cli.core.shards import Shard, shard_range

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
        from hyenadna_cli.core import provenance

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
        from hyenadna_cli.core.journal import NO_JOURNAL, open_journal
        from hyenadna_cli.core.provenance import library_versions

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

    def is_done(self, made_by: Provenance) -> bool:
        """Whether `--resume` finds the finished output of a run like this one.

        Raises OutputError if there is an output, but of another run, and no `--force`.
        """
        from hyenadna_cli.core.journal import journal_path

        if not self.resume or self.is_stream or not self.path.exists():
            return False
        difference = _difference(self.path, made_by, shard=self.shard)
        if difference is None:
            log.info("%s is complete already; nothing to do", self.output)
            journal_path(self.path).unlink(missing_ok=True)
            return True
        # A run that was killed after its output and before its manifest leaves its journal too.
        if not self.force and not journal_path(self.path).exists():
            raise OutputError(f"{self.output} exists and {difference}; --force replaces it")
        return False


@dataclass(kw_only=True, slots=True)
class Account:
    """What became of the records of one run."""

    command: str
    counts: dict[str, int] = field(default_factory=dict)
    """Records per status."""
    first: dict[str, str] = field(default_factory=dict)
    """The name of the first record of each status."""
    results: frozenset[str] = frozenset({"OK"})
    """Statuses of records that have their full result."""
    n_bases: int = 0
    started: float = field(default_factory=time.monotonic)

    def add(self, name: str, status: str, n_bases: int) -> None:
        """Count one record that was written."""
        self.counts[status] = self.counts.get(status, 0) + 1
        self.first.setdefault(status, name)
        self.n_bases += n_bases

    @property
    def n_records(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def n_skipped(self) -> int:
        """Records without a full result."""
        return sum(n for status, n in self.counts.items() if status not in self.results)

    def close(
        self,
        destination: Destination,
        made_by: Provenance,
        *,
        model: ChosenModel,
        letters: LetterCounts,
        totals: Mapping[str, float] | None = None,
    ) -> None:
        """Write manifest and statistics of the finished output, and say what was done.

        `totals` are further results over all records. Raises SkippedRecordsError with `--strict`.
        """
        from hyenadna_cli.core import provenance

        seconds = time.monotonic() - self.started
        if not destination.is_stream:
            provenance.write_manifest(
                destination.path, made_by, rows=self.counts, shard=destination.shard,
                seconds=seconds,
            )  # fmt: skip
        if destination.stats is not None:
            entries = {
                "command": self.command,
                "output": destination.output,
                "shard": destination.shard,
                "records": self.n_records,
                "bases": self.n_bases,
                "status": self.counts,
                "letters_read_as_n": letters.n_ambiguous,
                "letters_read_as_t": letters.n_uracil,
                **(totals or {}),
                "seconds": round(seconds, 3),
                "bases_per_second": round(self.n_bases / max(seconds, 1e-9), 1),
                "device": model.run.device_name,
                "model": model.identity(),
                "settings": made_by.settings,
            }
            write_stats(destination.stats, entries)
        self._say(destination, seconds, letters, totals or {})
        if self.n_skipped and destination.strict:
            raise SkippedRecordsError(f"{self._skipped()} (--strict)")

    def _say(
        self,
        destination: Destination,
        seconds: float,
        letters: LetterCounts,
        totals: Mapping[str, float],
    ) -> None:
        if letters.n_ambiguous:
            log.info("%s IUPAC ambiguity codes were read as N", f"{letters.n_ambiguous:,}")
        if letters.n_uracil:
            log.info("%s U were read as T", f"{letters.n_uracil:,}")
        if self.n_skipped:
            log.warning("%s", self._skipped())
        results = "".join(
            f", {value:.6g} {name.replace('_', ' ')}" for name, value in totals.items()
        )
        target = "" if destination.output == "-" else f" -> {destination.output}"
        log.info(
            "%s: %s records, %s bases in %.1f s, %s OK%s%s",
            self.command, f"{self.n_records:,}", f"{self.n_bases:,}", seconds,
            f"{self.counts.get('OK', 0):,}", results, target,
        )  # fmt: skip

    def _skipped(self) -> str:
        kinds = ", ".join(
            f"{count:,} {status} (first: {self.first[status]})"
            for status, count in self.counts.items()
            if status not in self.results
        )
        return f"{self.n_skipped:,} of {self.n_records:,} records without a full result: {kinds}"


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
    from hyenadna_cli.core.plan import plan_run

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


def _difference(output: Path, made_by: Provenance, *, shard: str | None) -> str | None:
    """How a finished output differs from what this run would make; None if it does not."""
    manifest = output.with_name(f"{output.name}.manifest.json")
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        with output.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        is_whole = found["output"]["sha256"] == sha256
    except (OSError, ValueError, KeyError, TypeError):
        return f"has no readable manifest {manifest.name} to tell how it was made"
    if not is_whole:
        return f"is not the file that {manifest.name} describes"
    wanted = {**made_by.as_json(), "shard": shard}
    for name in ("model", "settings", "inputs", "shard"):
        if found.get(name) != wanted.get(name):
            return f"was made with other {name}"
    return None
