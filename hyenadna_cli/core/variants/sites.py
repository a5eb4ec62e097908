"""The variants of a run: which records there are, and what becomes of their alleles."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from hyenadna_cli.core.inference.batching import BatchLimits, Done
from hyenadna_cli.core.inference.chosen_model import ChosenModel
from hyenadna_cli.core.io.vcf import VcfRecord
from hyenadna_cli.core.outputs.counts import AlleleCounts
from hyenadna_cli.core.outputs.journal import Journal
from hyenadna_cli.core.outputs.provenance import Setting
from hyenadna_cli.core.variants.alleles import Site
from hyenadna_cli.core.variants.chunks import AlleleScore, ScoreSettings
from hyenadna_cli.core.variants.scoring import score
from hyenadna_cli.core.variants.source import VariantSource

Scored = tuple[VcfRecord, Site, list[AlleleScore]]
"""A record, what is known of it, and one score for each of its alleles."""


@dataclass(frozen=True, slots=True)
class Sites:
    """The records of a source that are read, and how."""

    source: VariantSource
    selected: range | None
    """0-based; None for all."""
    settings: ScoreSettings
    check_ref: Literal["e", "w", "x"]
    """Where REF is not the FASTA's: an error, a status, left out."""
    max_allele_length: int

    def __iter__(self) -> Iterator[tuple[VcfRecord, Site]]:
        """The records with what is known of their alleles. Raises InputFileError."""
        for record, site in self.source.sites(
            layout=self.settings.layout,
            max_allele_length=self.max_allele_length,
            selected=self.selected,
        ):
            if self.check_ref == "e" and site.ref_agrees is False:
                raise self.source.explain_mismatch(record)
            yield record, site

    def keeps(self, site: Site) -> bool:
        """Whether a record is written."""
        return site.ref_agrees is not False or self.check_ref != "x"

    def check_first(self) -> None:
        """With --check-ref e, raise InputFileError at the first wrong REF of a file: now, not at
        record 90,000 of a run.
        """
        if self.check_ref == "e" and self.source.scan is not None:
            for _ in self:
                pass

    def described(self) -> dict[str, Setting]:
        """What shapes the rows, for provenance."""
        return {
            **self.settings.described(),
            "check_ref": self.check_ref,
            "max_allele_len": self.max_allele_length,
        }

    def plan(self) -> dict[str, int]:
        """How many alleles there are of each status, for `--dry-run`."""
        counts = AlleleCounts(command="")
        for record, site in self:
            statuses = [status or "TO_SCORE" for status in site.statuses] or ["NO_ALT"]
            counts.add_record(record.place, statuses, ref_agrees=site.ref_agrees)
        return counts.plan()

    def score(
        self, model: ChosenModel, *, limits: BatchLimits, journal: Journal
    ) -> Iterator[Done[Scored]]:
        """Score all records: one `Done` per batch, counting records."""
        pending: deque[tuple[VcfRecord, Site]] = deque()

        def sites() -> Iterator[Site]:
            for record, site in self:
                pending.append((record, site))
                yield site

        for done in score(
            model.load(),
            sites(),
            self.source.genome,
            self.settings,
            limits=limits,
            journal=journal,
        ):
            yield Done(done.n_bases, [(*pending.popleft(), alleles) for alleles in done.rows])
