"""What record-wise commands read: whole records of a file, or regions of a genome.

    FASTA, FASTQ, GenBank, 2bit -------------------------> Record
    indexed FASTA + BED or GTF --(contig names, checks)--> Record

Everything that can be checked without a model is checked when the source is opened: all regions
against the FASTA, or every record of a file. What can be read only once (stdin, a pipe) is checked
as it is read. Memory grows by 8 bytes per record. Records of more than a few million bases lie in a
temporary file (`core.io.long_sequences`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import chain, islice
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import ContigMap, StrandChoice
from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.sequence import Bases, LetterCounts, reverse_complement
from hyenadna_cli.core.io.bed import Region
from hyenadna_cli.core.io.fasta import Genome, SequenceFile
from hyenadna_cli.core.io.long_sequences import PIECE, StoredSequence
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.io.streams import STDIN, Input
from hyenadna_cli.errors import InputFileError, UsageError


class Record(NamedTuple):
    """A sequence and where it comes from; `start` and `end` are 0-based half-open."""

    name: str
    chrom: str
    """The contig as the file of regions names it; the record's name without one."""
    start: int
    end: int
    strand: Literal["+", "-", "."]
    """As given; "." where none is."""
    sequence: Bases
    """Plus strand; A, C, G, T and N in the file's case."""
    columns: tuple[str, ...] = ()
    """What the file of regions says besides, as many as `RecordSource.columns`."""

    def strands(self, choice: StrandChoice) -> tuple[Strand, ...]:
        """The strands to read, plus first."""
        if choice == "both":
            return ("+", "-")
        if choice == "bed":
            return ("-",) if self.strand == "-" else ("+",)
        return (choice,)

    def read(self, strand: Strand, start: int, end: int) -> str:
        """The bases from `start` to `end` of one strand, in its reading direction, 5' to 3'."""
        if strand == "+":
            return self.sequence[start:end]
        length = len(self.sequence)
        return reverse_complement(self.sequence[length - end : length - start])


def strand_label(record: Record, choice: StrandChoice) -> str:
    """What outputs say about the strand that was read: "+", "-" or "both"."""
    return "both" if choice == "both" else record.strands(choice)[0]


class RecordSource:
    """Records of `fasta`, or of its regions: those of `bed`, or what `gtf` has of `feature`.

    "-" is stdin for one of the files; features are those of `core.io.gtf`.

    A context manager. Raises InputFileError for whatever is wrong with the files, UsageError for
    options that do not go together.
    """

    def __init__(
        self,
        fasta: str,
        *,
        bed: str | None = None,
        gtf: str | None = None,
        feature: str | None = None,
        contig_map: ContigMap = "exact",
        rename_chrs: Path | None = None,
    ) -> None:
        self._regions_in = given = RegionFile(
            fasta=fasta,
            bed=bed,
            gtf=gtf,
            feature=feature,
            contig_map=contig_map,
            rename_chrs=rename_chrs,
        )
        if given.path is None and (contig_map != "exact" or rename_chrs is not None):
            raise UsageError(
                "--contig-map and --rename-chrs are about the contig names of --bed and --gtf"
            )
        if given.path is not None and fasta == STDIN:
            raise UsageError("--bed and --gtf need an indexed FASTA file; --fasta - is a stream")
        self._stack = ExitStack()
        self._letters = LetterCounts()
        self._genome: Genome | None = None
        self._stream: Iterator[Region] | None = None
        self._columns = given.titles
        if given.path is None:
            self._file = SequenceFile(fasta)
            if not self._file.reads_once:
                self.lengths = np.array(self._file.lengths(), dtype=np.int64)
            return
        with self._stack as stack:
            self._genome = stack.enter_context(Genome(fasta))
            self._file_of_regions = Input(given.path)
            self._contigs = given.contigs(self._genome.lengths)
            if not self._file_of_regions.reads_once:
                regions = given.read(self._contigs, self._file_of_regions)
                self.lengths = np.fromiter(self._measured(regions), np.int64)
            self._stack = stack.pop_all()

    _regions_in = RegionFile()
    """Names no file, unless a BED or a GTF is given."""

    lengths: NDArray[np.int64] | None = None
    """Bases of every record; None for a stream, whose records are known only once read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the BED's columns after the 6th: those of its header line, else column7, ...

        Of a GTF, `core.io.gtf.COLUMNS`. Of a BED that is a stream, its first region is read
        for this; later ones may not have more.
        """
        if self._genome is not None and self._file_of_regions.reads_once:
            self._regions()
        return self._columns

    @property
    def inputs(self) -> list[str]:
        """The files read, for provenance."""
        return self._regions_in.inputs

    @property
    def settings(self) -> Mapping[str, str]:
        """Which regions of the files are read, for provenance."""
        return self._regions_in.settings

    @property
    def letters(self) -> LetterCounts:
        """Letters replaced in everything read so far."""
        return self._letters if self._genome is None else self._genome.letters

    def known_lengths(self, selected: range | None = None) -> NDArray[np.int64] | None:
        """Bases of the selected records; None for a stream."""
        if self.lengths is None or selected is None:
            return self.lengths
        return self.lengths[selected.start : selected.stop]

    def measured_lengths(self, selected: range | None = None) -> NDArray[np.int64]:
        """Bases of the selected records. A stream is read for this, and so used up."""
        lengths = self.known_lengths(selected)
        if lengths is not None:
            return lengths
        return np.fromiter((len(record.sequence) for record in self.read(selected)), np.int64)

    def n_bases(self, selected: range | None = None) -> int | None:
        """Bases of the selected records together; None for a stream."""
        lengths = self.known_lengths(selected)
        return None if lengths is None else int(lengths.sum())

    def _measured(self, regions: Iterable[Region]) -> Iterator[int]:
        """The bases of regions, whose contigs are checked; their columns are noted by the way."""
        for region in regions:
            if self._genome is not None:
                self._genome.check(region.interval.contig)
            for index in range(len(self._columns), len(region.columns)):
                title = "".join(region.titles[index : index + 1])
                self._columns += (title if title not in ("", ".") else f"column{index + 7}",)
            yield region.interval.length

    def read(self, selected: range | None = None) -> Iterator[Record]:
        """The records in input order: all of them, or the contiguous 0-based range `selected`.

        A stream can be read once only.
        """
        first, last = (0, None) if selected is None else (selected.start, selected.stop)
        if self._genome is None:
            for entry in islice(self._file.read(self._letters), first, last):
                yield Record(entry.name, entry.name, 0, len(entry.sequence), ".", entry.sequence)
            return
        for region in islice(self._regions(), first, last):
            yield self._of_region(region, self._genome)

    def _regions(self) -> Iterator[Region]:
        source = self._file_of_regions
        if not source.reads_once:
            return self._regions_in.read(self._contigs, source, is_first=False)
        if self._stream is None:
            regions = self._regions_in.read(self._contigs, source)
            ahead = list(islice(self._stack.enter_context(closing(regions)), 1))
            list(self._measured(ahead))
            self._stream = chain(ahead, regions)
        return self._stream

    def _of_region(self, region: Region, genome: Genome) -> Record:
        interval = region.interval
        n_missing = len(self._columns) - len(region.columns)
        if n_missing < 0:
            problem = f"has {-n_missing} column(s) more than the first region"
            raise InputFileError(self._file_of_regions.path, problem, line=region.line)
        return Record(
            name=region.name,
            chrom=region.chrom,
            start=interval.start,
            end=interval.end,
            strand=interval.strand if region.has_strand else ".",
            sequence=_fetched(interval, genome),
            columns=region.columns + ("",) * n_missing,
        )


def _fetched(interval: Interval, genome: Genome) -> Bases:
    """The bases of a region on the plus strand; those of a long one are not held."""
    if interval.length <= PIECE:
        return genome.fetch(interval)
    stored = StoredSequence()
    for start in range(interval.start, interval.end, PIECE):
        end = min(start + PIECE, interval.end)
        stored.append(genome.fetch(Interval(interval.contig, start, end)))
    return stored
