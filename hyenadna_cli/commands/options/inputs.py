"""The sequences that a run over records reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hyenadna_cli.core.config.choices import ContigMap, StrandChoice
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.config.choices import StrandChoice
    from hyenadna_cli.core.io.records import RecordSource


FastaOption = Annotated[
    str,
    typer.Option(
        "--fasta",
        metavar="FILE|-",
        help="FASTA, FASTQ, GenBank or 2bit, plain, gzip, bgzip; for regions an indexed FASTA.",
    ),
]
ContigMapOption = Annotated[
    ContigMap,
    typer.Option("--contig-map", help="auto: also match chr1 with 1 and chrM with MT."),
]
StrandOption = Annotated[
    StrandChoice | None,
    typer.Option("--strand", help="Strand to read; default bed where regions have one, else +."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordFiles(RegionFile):
    """Sequences, or regions of a genome, and the strand that is read."""

    HEADING: ClassVar[str] = "Input"

    fasta: FastaOption
    strand: StrandOption = None

    @property
    def strand_choice(self) -> StrandChoice:
        """`--strand`, or its default. Raises UsageError for the strands of regions without one."""
        return choose_strand(self.strand, has_regions=self.path is not None, named="--bed or --gtf")

    def open(self) -> RecordSource:
        """The records; a context manager. Raises UsageError and InputFileError."""
        from hyenadna_cli.core.io.records import RecordSource

        return RecordSource(
            self.fasta,
            bed=self.bed,
            gtf=self.gtf,
            feature=self.feature,
            contig_map=self.contig_map,
            rename_chrs=self.rename_chrs,
        )


def choose_strand(strand: StrandChoice | None, *, has_regions: bool, named: str) -> StrandChoice:
    """The default of --strand: that of each region where there are regions, else +."""
    if strand == "bed" and not has_regions:
        raise UsageError(f"--strand bed needs {named}; use +, - or both")
    return strand or ("bed" if has_regions else "+")
