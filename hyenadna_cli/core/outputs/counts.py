"""What a run has counted by status, and how that is said and stored at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(kw_only=True, slots=True)
class Counts:
    """What became of the records of one run."""

    command: str
    results: frozenset[str] = frozenset({"OK"})
    """Statuses of what has its full result."""
    by_status: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    """The name of the first of each status."""
    n_bases: int = 0
    latest: str = ""
    """The record whose parts are being counted."""
    figures: dict[str, float] = field(default_factory=dict)
    """Further results over all records."""
    letters_where: str = ""
    """Where replaced letters were counted, for the line about them."""
    started: float = field(default_factory=time.monotonic)

    def add(self, name: str, status: str, n_bases: int) -> None:
        """Count one record that was written."""
        self.count(name, status)
        self.n_bases += n_bases

    def add_part(self, name: str, n_bases: int) -> None:
        """Count bases of a record that was written in parts, one after the other; all are OK."""
        if name != self.latest:
            self.count(name, "OK")
            self.latest = name
        self.n_bases += n_bases

    def count(self, name: str, status: str, n: int = 1) -> None:
        """Count `n` of one status."""
        self.by_status[status] = self.by_status.get(status, 0) + n
        self.first.setdefault(status, name)

    @property
    def n_counted(self) -> int:
        """All of them."""
        return sum(self.by_status.values())

    @property
    def n_skipped(self) -> int:
        """Those without a full result."""
        return sum(n for status, n in self.by_status.items() if status not in self.results)

    def skipped(self) -> str | None:
        """How many have no full result and why, in words; None if there are none."""
        kinds = (
            f"{n:,} {status} (first: {self.first[status]})"
            for status, n in self.by_status.items()
            if status not in self.results
        )
        return f"{self._skipped()}: {', '.join(kinds)}" if self.n_skipped else None

    def _skipped(self) -> str:
        return f"{self.n_skipped:,} of {self.n_counted:,} records without a full result"

    def summary(self, seconds: float) -> str:
        """What was done, in words."""
        figures = "".join(
            f", {value:.6g} {name.replace('_', ' ')}" for name, value in self.figures.items()
        )
        return (
            f"{self.n_counted:,} records, {self.n_bases:,} bases in {seconds:.1f} s, "
            f"{self.by_status.get('OK', 0):,} OK{figures}"
        )

    def totals(self) -> dict[str, object]:
        """Counts, for `--stats`."""
        return {
            "records": self.n_counted,
            "bases": self.n_bases,
            "status": self.by_status,
            **self.figures,
        }

    def rate(self, seconds: float) -> dict[str, float]:
        """What was done per second, for `--stats`."""
        return {"bases_per_second": round(self.n_bases / max(seconds, 1e-9), 1)}


@dataclass(kw_only=True, slots=True)
class AlleleCounts(Counts):
    """What became of the alleles of one run; a record without ALT counts as one NO_ALT."""

    results: frozenset[str] = frozenset({"OK", "OK_EDGE"})
    # Windows overlap, and each letter is counted as often as it was read.
    letters_where: str = ", in all windows together"
    n_records: int = 0
    n_ref_agree: int = 0
    n_ref_mismatch: int = 0
    """Records whose REF was compared with the FASTA."""
    without_percentile: Counter[str] = field(default_factory=Counter)
    """Scored alleles that --background gives no percentile, by the reason."""

    def add_record(self, place: str, statuses: Sequence[str], *, ref_agrees: bool | None) -> None:
        """Count the alleles of one record."""
        self.n_records += 1
        self.n_ref_agree += ref_agrees is True
        self.n_ref_mismatch += ref_agrees is False
        for status in statuses:
            self.count(place, status)

    def _skipped(self) -> str:
        return f"{self.n_skipped:,} of {self.n_counted:,} alleles without scores"

    def summary(self, seconds: float) -> str:
        """What was done, in words."""
        records = f"{self.n_records:,} records, " if self.n_records else ""
        at_edge = self.by_status.get("OK_EDGE", 0)
        edge = f" ({at_edge:,} of them with less context than asked for)" if at_edge else ""
        n_scored = self.n_counted - self.n_skipped
        return (
            f"{records}{n_scored:,} of {self.n_counted:,} alleles scored{edge} in {seconds:.1f} s"
        )

    def totals(self) -> dict[str, object]:
        """Counts, for `--stats`."""
        return {
            "records": self.n_records,
            "alleles": self.n_counted,
            "status": self.by_status,
            "ref_agree": self.n_ref_agree,
            "ref_mismatch": self.n_ref_mismatch,
            **({"without_percentile": no} if (no := self.without_percentile) else {}),
        }

    def rate(self, seconds: float) -> dict[str, float]:
        """Alleles scored per second, for `--stats`."""
        return {"alleles_per_second": round(self.n_counted / max(seconds, 1e-9), 1)}

    def plan(self) -> dict[str, int]:
        """What would be done, for `--dry-run`."""
        return {
            "records": self.n_records,
            "alleles": self.n_counted,
            **{f"status_{status}": n for status, n in self.by_status.items()},
            "ref_agree": self.n_ref_agree,
            "ref_mismatch": self.n_ref_mismatch,
        }
