"""The one run over records: what every command does around the rows that it computes.

made by -> (--resume: done already?) -> journal -> rows, written and counted
        -> manifest, --stats, one line of account, --strict
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

import typer

from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.reporting import provenance
from hyenadna_cli.commands.reporting.progress import Pace, track
from hyenadna_cli.commands.reporting.stops import on_signals
from hyenadna_cli.core.outputs.counts import Counts
from hyenadna_cli.core.outputs.stats import write_stats
from hyenadna_cli.errors import DeviceMemoryError, SkippedRecordsError

if TYPE_CHECKING:
    from hyenadna_cli.core.dna.sequence import LetterCounts
    from hyenadna_cli.core.inference.batching import Batcher, Done
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.io.records import RecordSource
    from hyenadna_cli.core.io.tsv import Cell
    from hyenadna_cli.core.outputs.journal import Journal
    from hyenadna_cli.core.outputs.provenance import Provenance, Setting

log = logging.getLogger(__name__)

_TIMED_SECONDS = 1.0
"""Of batches after the first one, for an estimate."""

Row = TypeVar("Row")
Writer = AbstractContextManager[Callable[[Row], None]]
"""Opens the output; what it gives writes one row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordRun:
    """One run over records, with everything at hand but its rows and the weights."""

    label: str
    """What the progress bar says: `embedding`."""
    destination: Destination
    model: ChosenModel
    inputs: Sequence[str]
    """The files read."""
    settings: Mapping[str, Setting]
    """What shapes the rows, besides the model and where it runs."""
    counts: Counts
    letters: LetterCounts
    """Letters replaced in what is read; counted while it is."""
    n_bases: int | None
    """How much there is to do; None if that shows only once it is read."""
    unit: str = "bases"
    """What is counted."""
    beside: Path | None = None
    """A second output, without which the run is not complete."""
    plan: Mapping[str, int] | None = None
    """What `--dry-run` prints; None for a run that is one."""

    @classmethod
    def of_source(
        cls,
        source: RecordSource,
        selected: range | None,
        batcher: Batcher,
        *,
        label: str,
        destination: Destination,
        model: ChosenModel,
        settings: Mapping[str, Setting],
        counts: Counts,
        beside: Path | None = None,
        plan: Mapping[str, int] | None = None,
    ) -> Self:
        """The run over the selected records of a source, read in the batcher's windows."""
        return cls(
            label=label,
            destination=destination,
            model=model,
            inputs=source.inputs,
            settings={**settings, **source.settings, **batcher.settings()},
            counts=counts,
            letters=source.letters,
            n_bases=source.n_bases(selected),
            beside=beside,
            plan=plan,
        )

    def write(
        self,
        rows: Callable[[Journal], Iterable[Done[Row]]],
        *,
        writer: Callable[[Provenance, bool], Writer[Row]],
        count: Callable[[Row], None],
        finish: Callable[[], None] = lambda: None,
    ) -> None:
        """Compute, write and count all rows, unless an earlier run has, and give the account.

        With a `plan`, print it and write nothing. Where processes share each sequence, all compute
        and the first one does the rest.

        `writer` gets what made the output and whether it may replace a file; `finish` follows the
        last row. Raises UsageError for a file that would be written over, OutputError,
        InterruptedRunError, and SkippedRecordsError with --strict.
        """
        from hyenadna_cli.core.outputs import restarts

        to = self.destination
        files = (("-o", to.output), ("--metrics", self.beside), ("--stats", to.stats))
        restarts.check_apart(files, [*self.inputs, *self.model.source.files])
        if self.plan is not None:
            self._print_plan(self.plan, rows)
            return
        made_by = self._provenance()
        is_done = self._is_main and restarts.is_done(to.as_output(), made_by, beside=self.beside)
        if self._any(is_done):
            return
        if not self._is_main:
            self._follow(rows)
            return
        with restarts.journal_of(to.as_output(), made_by) as journal:
            batches = rows(self._shared(journal))
            # What --resume finds is of this run: `restarts` has refused all else.
            is_own = to.resume and self.beside is not None
            overwrite = to.force or journal.is_resumed or is_own
            with writer(made_by, overwrite) as write:
                self._write_rows(batches, write, count)
            finish()
            self._close(made_by)

    @property
    def _is_main(self) -> bool:
        return self.model.context is None or self.model.context.rank == 0

    def _any(self, mine: bool) -> bool:
        """Whether it is so in any process that shares the sequences."""
        context = self.model.context
        return mine if context is None else context.any(mine, self.model.run.device)

    def _shared(self, journal: Journal) -> Journal:
        from hyenadna_cli.core.inference.shared_journal import SharedJournal

        context = self.model.context
        return (
            journal if context is None else SharedJournal(journal, context, self.model.run.device)
        )

    def _follow(self, rows: Callable[[Journal], Iterable[Done[Row]]]) -> None:
        """Compute what the first process writes."""
        from hyenadna_cli.core.outputs.journal import NO_JOURNAL

        with on_signals(self.destination.max_time) as stop:
            for done in rows(self._shared(NO_JOURNAL)):
                done.rows.clear()
                if self._any(stop()):
                    raise stop.error("no output was written")

    def _print_plan(
        self, plan: Mapping[str, int], rows: Callable[[Journal], Iterable[Done[Row]]]
    ) -> None:
        """`plan`, and from timed batches the seconds of the whole run; a stream is not timed."""
        from hyenadna_cli.core.outputs.journal import NO_JOURNAL

        if self._is_main:
            # First, for those whose machine turns out to be too small for a batch.
            for name, value in plan.items():
                typer.echo(f"{name}\t{math.ceil(value)}")
        pace = Pace()
        if self.n_bases is not None:
            try:
                for done in rows(NO_JOURNAL):
                    pace.add(done.n_bases)
                    if self._any(pace.seconds >= _TIMED_SECONDS):
                        break
            except DeviceMemoryError as error:
                if self.model.context is not None:
                    raise  # the other processes wait for this one
                log.warning("not timed: %s", error)
        if self._is_main:
            seconds = pace.estimate(self.n_bases or 0)
            typer.echo(f"estimated_seconds\t{'.' if seconds is None else math.ceil(seconds)}")

    def _provenance(self) -> Provenance:
        return provenance.made_by(
            settings={**self.settings, **self.model.settings()},
            inputs=self.inputs,
            model=self.model.identity(),
            device=self.model.run.device_name,
            no_version=self.destination.no_version,
        )

    def _write_rows(
        self,
        batches: Iterable[Done[Row]],
        write: Callable[[Row], None],
        count: Callable[[Row], None],
    ) -> None:
        """A signal ends this after the current batch, so that the writer leaves nothing behind."""
        to = self.destination
        with on_signals(to.max_time) as stop:
            for done in track(
                batches,
                total=self.n_bases,
                label=self.label,
                size_of=lambda done: done.n_bases,
                command=self.counts.command,
                unit=self.unit,
            ):
                # Rows may be as large as a batch: none is kept while the next batch is computed.
                while done.rows:
                    row = done.rows.pop(0)
                    write(row)
                    count(row)
                if self._any(stop()):
                    kept = "an incomplete" if to.is_stream else "no"
                    raise stop.error(f"{kept} output was written")

    def _close(self, made_by: Provenance) -> None:
        """Write manifest and statistics of the finished output, and say what was done."""
        from hyenadna_cli.core.outputs.provenance import write_manifest

        to, counts = self.destination, self.counts
        seconds = time.monotonic() - counts.started
        if not to.is_stream:
            write_manifest(to.path, made_by, rows=counts.by_status, shard=to.shard, seconds=seconds)
        if to.stats is not None:
            entries = {
                "command": counts.command,
                "output": to.output,
                "shard": to.shard,
                **counts.totals(),
                "letters_read_as_n": self.letters.n_ambiguous,
                "letters_read_as_t": self.letters.n_uracil,
                "seconds": round(seconds, 3),
                **counts.rate(seconds),
                "device": self.model.run.device_name,
                "model": self.model.identity(),
                "settings": made_by.settings,
            }
            write_stats(to.stats, entries)
        self._say(seconds)

    def _say(self, seconds: float) -> None:
        counts, letters, where = self.counts, self.letters, self.counts.letters_where
        if letters.n_ambiguous:
            log.info("%s IUPAC ambiguity codes were read as N%s", f"{letters.n_ambiguous:,}", where)
        if letters.n_uracil:
            log.info("%s U were read as T%s", f"{letters.n_uracil:,}", where)
        skipped = counts.skipped()
        if skipped is not None:
            log.warning("%s", skipped)
        to = self.destination
        target = "" if to.output == "-" else f" -> {to.output}"
        log.info("%s: %s%s", counts.command, counts.summary(seconds), target)
        if skipped is not None and to.strict:
            raise SkippedRecordsError(f"{skipped} (--strict)")


def table_writer(
    output: str, columns: Sequence[str], cells_of: Callable[[Row], Iterable[Sequence[Cell]]]
) -> Callable[[Provenance, bool], Writer[Row]]:
    """A `writer` of TSV; `cells_of` gives the lines of one row."""

    @contextmanager
    def opened(_: Provenance, overwrite: bool) -> Iterator[Callable[[Row], None]]:
        from hyenadna_cli.core.io.tsv import TsvWriter

        with TsvWriter(output, columns=columns, overwrite=overwrite) as table:

            def write(row: Row) -> None:
                for cells in cells_of(row):
                    table.write_row(cells)

            yield write

    return opened
