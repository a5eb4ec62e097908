"""The account that score-variants and mutagenize give of their alleles at the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from hyenadna_cli.commands._stats import write_stats
from hyenadna_cli.errors import SkippedRecordsError

if TYPE_CHECKING:
    from hyenadna_cli.commands._account import Destination
    from hyenadna_cli.commands._loading import ChosenModel
    from hyenadna_cli.core.provenance import Provenance
    from hyenadna_cli.core.sequence import LetterCounts

log = logging.getLogger(__name__)

_SCORED = ("OK", "OK_EDGE")


@dataclass(kw_only=True, slots=True)
class AlleleAccount:
    """What became of the alleles of one run."""

    command: str
    counts: dict[str, int] = field(default_factory=dict)
    """Alleles per status; a record without ALT counts as one NO_ALT."""
    first: dict[str, str] = field(default_factory=dict)
    """The first record of each status."""
    n_records: int = 0
    n_ref_agree: int = 0
    n_ref_mismatch: int = 0
    """Records whose REF was compared with the FASTA."""
    started: float = field(default_factory=time.monotonic)

    def add(self, place: str, statuses: Sequence[str], *, ref_agrees: bool | None) -> None:
        """Count one record."""
        self.n_records += 1
        self.n_ref_agree += ref_agrees is True
        self.n_ref_mismatch += ref_agrees is False
        for status in statuses:
            self.counts[status] = self.counts.get(status, 0) + 1
            self.first.setdefault(status, place)

    def add_many(self, place: str, status: str, count: int) -> None:
        """Count alleles of one status, whose REF is the FASTA's by construction."""
        self.counts[status] = self.counts.get(status, 0) + count
        self.first.setdefault(status, place)

    @property
    def n_alleles(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def n_scored(self) -> int:
        """Alleles with scores."""
        return sum(self.counts.get(status, 0) for status in _SCORED)

    def close(
        self,
        destination: Destination,
        made_by: Provenance,
        *,
        model: ChosenModel,
        letters: LetterCounts,
    ) -> None:
        """Write manifest and statistics of the finished output, and say what was done.

        `letters` were replaced in the windows, each counted as often as it was read.
        Raises SkippedRecordsError with `--strict`.
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
                **self.totals(),
                "letters_read_as_n": letters.n_ambiguous,
                "letters_read_as_t": letters.n_uracil,
                "seconds": round(seconds, 3),
                "alleles_per_second": round(self.n_alleles / max(seconds, 1e-9), 1),
                "device": model.run.device_name,
                "model": model.identity(),
                "settings": made_by.settings,
            }
            write_stats(destination.stats, entries)
        self._say(destination, seconds, letters)
        if self.n_scored < self.n_alleles and destination.strict:
            raise SkippedRecordsError(f"{self._skipped()} (--strict)")

    def totals(self) -> dict[str, object]:
        """Counts, for `--stats`."""
        return {
            "records": self.n_records,
            "alleles": self.n_alleles,
            "status": self.counts,
            "ref_agree": self.n_ref_agree,
            "ref_mismatch": self.n_ref_mismatch,
        }

    def print_plan(self, **more: int) -> None:
        """`--dry-run`: what would be done, on stdout."""
        rows = {
            "records": self.n_records,
            "alleles": self.n_alleles,
            **{f"status_{status}": count for status, count in self.counts.items()},
            "ref_agree": self.n_ref_agree,
            "ref_mismatch": self.n_ref_mismatch,
            **more,
        }
        for name, value in rows.items():
            typer.echo(f"{name}\t{value}")

    def _say(self, destination: Destination, seconds: float, letters: LetterCounts) -> None:
        if letters.n_ambiguous:
            log.info(
                "%s IUPAC ambiguity codes were read as N, in all windows together",
                f"{letters.n_ambiguous:,}",
            )
        if letters.n_uracil:
            log.info("%s U were read as T, in all windows together", f"{letters.n_uracil:,}")
        if self.n_scored < self.n_alleles:
            log.warning("%s", self._skipped())
        target = "" if destination.output == "-" else f" -> {destination.output}"
        edge = self.counts.get("OK_EDGE", 0)
        log.info(
            "%s: %s%s of %s alleles scored%s in %.1f s%s",
            self.command, f"{self.n_records:,} records, " if self.n_records else "",
            f"{self.n_scored:,}", f"{self.n_alleles:,}",
            f" ({edge:,} of them at contig ends)" if edge else "", seconds, target,
        )  # fmt: skip

    def _skipped(self) -> str:
        kinds = ", ".join(
            f"{count:,} {status} (first: {self.first[status]})"
            for status, count in self.counts.items()
            if status not in _SCORED
        )
        n_skipped = self.n_alleles - self.n_scored
        return f"{n_skipped:,} of {self.n_alleles:,} alleles without scores: {kinds}"
