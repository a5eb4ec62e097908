"""Regions of a genome as they are given: a BED, or the features of a GTF."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hyenadna_cli.core.config.choices import ContigMap
from hyenadna_cli.core.config.flags import CONTIG_MAP, Flag
from hyenadna_cli.core.io import gtf
from hyenadna_cli.core.io.bed import Region, read_regions
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionFile:
    """A file of regions, if there is one, and how it names the contigs of `fasta`.

    Raises UsageError for what does not go together.
    """

    fasta: str | None = None
    bed: Annotated[
        str | None, Flag("--bed", "Regions (BED: 0-based, half-open).", metavar="FILE|-")
    ] = None
    gtf: Annotated[
        str | None, Flag("--gtf", "Regions by gene (GTF), with --feature.", metavar="FILE|-")
    ] = None
    feature: Annotated[
        str | None,
        Flag(
            "--feature",
            "gene, transcript, exon, cds, promoter:-400:100, tss:-500:500 (around the start of a "
            "gene or transcript), splice:-200:200.",
            metavar="KIND[:FROM:TO]",
        ),
    ] = None
    contig_map: Annotated[ContigMap, CONTIG_MAP] = "exact"
    rename_chrs: Annotated[
        Path | None,
        Flag(
            "--rename-chrs", "Table of two columns: contig name in BED or GTF, name in the FASTA."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.bed is not None and self.gtf is not None:
            raise UsageError("--bed and --gtf exclude each other")
        if (self.gtf is None) != (self.feature is None):
            raise UsageError("--gtf and --feature go together, as in --feature promoter:-400:100")
        if self.feature is not None:
            try:
                gtf.Feature.parse(self.feature)
            except ValueError as error:
                raise UsageError(f"--feature {error}") from None

    @property
    def path(self) -> str | None:
        """The file of regions; None: there is none."""
        return self.gtf if self.bed is None else self.bed

    @property
    def inputs(self) -> list[str]:
        """The files read, for provenance."""
        names = (self.fasta, self.path, self.rename_chrs)
        return [str(name) for name in names if name is not None]

    @property
    def settings(self) -> dict[str, str]:
        """For provenance."""
        return {} if self.feature is None else {"feature": self.feature}

    @property
    def titles(self) -> tuple[str, ...]:
        """The columns that every region has."""
        return () if self.gtf is None else gtf.COLUMNS

    def contigs(self, lengths: Mapping[str, int]) -> ContigNames:
        """The FASTA's contigs (bp), under the names in the file. Raises InputFileError."""
        return ContigNames.choose(lengths, self.contig_map, self.rename_chrs)

    def read(
        self, contigs: ContigNames, source: Input | None = None, *, is_first: bool = True
    ) -> Generator[Region]:
        """The regions in the file's order. `source`: the file, if it is open; `is_first`: of its
        readings, which says what was clipped. Raises InputFileError.
        """
        assert self.path is not None
        source = source or Input(self.path)
        if self.feature is None:
            return read_regions(source, contigs=contigs)
        feature = gtf.Feature.parse(self.feature)
        return gtf.read_features(source, feature, contigs=contigs, is_first=is_first)
