"""What a run has counted by status, and what it says and writes about that at the end."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hyenadna_cli.commands.reporting.stats import write_stats
from hyenadna_cli.errors import SkippedRecordsError

if TYPE_CHECKING:
    from hyenadna_cli.commands.options.model import ChosenModel
    from hyenadna_cli.commands.reporting.record_run import Destination
    from hyenadna_cli.core.dna.sequence import LetterCounts
    from hyenadna_cli.core.outputs.provenance import Provenance

log = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Ledger(ABC):
    """Counts by status, of records or of alleles."""

    command: str
    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    """The name of the first of each status."""
    started: float = field(default_factory=time.monotonic)

    def count(self, name: str, status: str, n: int = 1) -> None:
        """Count `n` of one status."""
        self.counts[status] = self.counts.get(status, 0) + n
        self.first.setdefault(status, name)

    @property
    def n_counted(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def n_skipped(self) -> int:
        """Those without a full result."""
        return sum(n for status, n in self.counts.items() if not self.is_result(status))

    @abstractmethod
    def is_result(self, status: str) -> bool:
        """Whether a status means that there is a full result."""

    @abstractmethod
    def totals(self) -> dict[str, object]:
        """Counts, for `--stats`."""

    @abstractmethod
    def rate(self, seconds: float) -> dict[str, float]:
        """What was done in a second, for `--stats`."""

    @abstractmethod
    def summary(self, seconds: float) -> str:
        """What was done, in words."""

    @abstractmethod
    def skipped(self, kinds: str) -> str:
        """How many have no full result, in words, `kinds` at the end."""

    @property
    def letters_where(self) -> str:
        """Where replaced letters were counted, for the line about them."""
        return ""

    def close(
        self,
        destination: Destination,
        made_by: Provenance,
        *,
        model: ChosenModel,
        letters: LetterCounts,
    ) -> None:
        """Write manifest and statistics of the finished output, and say what was done.

        `letters` were replaced in what was read. Raises SkippedRecordsError with `--strict`.
        """
        from hyenadna_cli.core.outputs import provenance

        seconds = time.monotonic() - self.started
        if not destination.is_stream:
            provenance.write_manifest(
                destination.path,
                made_by,
                rows=self.counts,
                shard=destination.shard,
                seconds=seconds,
            )
        if destination.stats is not None:
            entries = {
                "command": self.command,
                "output": destination.output,
                "shard": destination.shard,
                **self.totals(),
                "letters_read_as_n": letters.n_ambiguous,
                "letters_read_as_t": letters.n_uracil,
                "seconds": round(seconds, 3),
                **self.rate(seconds),
                "device": model.run.device_name,
                "model": model.identity(),
                "settings": made_by.settings,
            }
            write_stats(destination.stats, entries)
        self._say(destination, seconds, letters)

    def _say(self, destination: Destination, seconds: float, letters: LetterCounts) -> None:
        where = self.letters_where
        if letters.n_ambiguous:
            log.info("%s IUPAC ambiguity codes were read as N%s", f"{letters.n_ambiguous:,}", where)
        if letters.n_uracil:
            log.info("%s U were read as T%s", f"{letters.n_uracil:,}", where)
        skipped = self._skipped() if self.n_skipped else None
        if skipped is not None:
            log.warning("%s", skipped)
        target = "" if destination.output == "-" else f" -> {destination.output}"
        log.info("%s: %s%s", self.command, self.summary(seconds), target)
        if skipped is not None and destination.strict:
            raise SkippedRecordsError(f"{skipped} (--strict)")

    def _skipped(self) -> str:
        return self.skipped(
            ", ".join(
                f"{count:,} {status} (first: {self.first[status]})"
                for status, count in self.counts.items()
                if not self.is_result(status)
            )
        )
