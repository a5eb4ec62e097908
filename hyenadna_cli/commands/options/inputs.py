"""The sequences that a run over records reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.io.records import RecordSource, StrandChoice


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordFiles:
    """Sequences, or regions of a genome, and the strand that is read."""

    HEADING: ClassVar[str] = "Input"

    fasta: opt.FastaOption
    bed: opt.BedOption = None
    strand: opt.StrandOption = None
    contig_map: opt.ContigMapOption = "exact"
    rename_chrs: opt.RenameChrsOption = None

    @property
    def strand_choice(self) -> StrandChoice:
        """`--strand`, or its default. Raises UsageError for the strands of a BED without one."""
        return choose_strand(self.strand, has_regions=self.bed is not None, named="--bed")

    def open(self) -> RecordSource:
        """The records; a context manager. Raises UsageError and InputFileError."""
        from hyenadna_cli.core.io.records import RecordSource

        return RecordSource(
            self.fasta, bed=self.bed, contig_map=self.contig_map, rename_chrs=self.rename_chrs
        )


def choose_strand(strand: StrandChoice | None, *, has_regions: bool, named: str) -> StrandChoice:
    """The default of --strand: that of each region where there are regions, else +."""
    if strand == "bed" and not has_regions:
        raise UsageError(f"--strand bed needs {named}; use +, - or both")
    return strand or ("bed" if has_regions else "+")
