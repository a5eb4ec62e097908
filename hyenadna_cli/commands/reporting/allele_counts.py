"""The account that score-variants and mutagenize give of their alleles at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import typer

from hyenadna_cli.commands.reporting.counts import Ledger


@dataclass(kw_only=True, slots=True)
class AlleleAccount(Ledger):
    """What became of the alleles of one run; a record without ALT counts as one NO_ALT."""

    n_records: int = 0
    n_ref_agree: int = 0
    n_ref_mismatch: int = 0
    """Records whose REF was compared with the FASTA."""

    def add(self, place: str, statuses: Sequence[str], *, ref_agrees: bool | None) -> None:
        """Count one record."""
        self.n_records += 1
        self.n_ref_agree += ref_agrees is True
        self.n_ref_mismatch += ref_agrees is False
        for status in statuses:
            self.count(place, status)

    def is_result(self, status: str) -> bool:
        """Whether an allele of this status has scores."""
        return status in ("OK", "OK_EDGE")

    def totals(self) -> dict[str, object]:
        """Counts, for `--stats`."""
        return {
            "records": self.n_records,
            "alleles": self.n_counted,
            "status": self.counts,
            "ref_agree": self.n_ref_agree,
            "ref_mismatch": self.n_ref_mismatch,
        }

    def rate(self, seconds: float) -> dict[str, float]:
        """Alleles in a second."""
        return {"alleles_per_second": round(self.n_counted / max(seconds, 1e-9), 1)}

    def print_plan(self, **more: int) -> None:
        """`--dry-run`: what would be done, on stdout."""
        rows = {
            "records": self.n_records,
            "alleles": self.n_counted,
            **{f"status_{status}": count for status, count in self.counts.items()},
            "ref_agree": self.n_ref_agree,
            "ref_mismatch": self.n_ref_mismatch,
            **more,
        }
        for name, value in rows.items():
            typer.echo(f"{name}\t{value}")

    def summary(self, seconds: float) -> str:
        """What was done, in words."""
        records = f"{self.n_records:,} records, " if self.n_records else ""
        n_scored = self.n_counted - self.n_skipped
        at_edge = self.counts.get("OK_EDGE", 0)
        edge = f" ({at_edge:,} of them at contig ends)" if at_edge else ""
        return (
            f"{records}{n_scored:,} of {self.n_counted:,} alleles scored{edge} in {seconds:.1f} s"
        )

    def skipped(self, kinds: str) -> str:
        """How many have no scores."""
        return f"{self.n_skipped:,} of {self.n_counted:,} alleles without scores: {kinds}"

    @property
    def letters_where(self) -> str:
        """Windows overlap, and each letter is counted as often as it was read."""
        return ", in all windows together"
