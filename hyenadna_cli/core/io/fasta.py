"""FASTA: regions of an indexed genome, and whole records of a stream.

    indexed FASTA -> Genome.fetch(Interval) -> sequence
    FASTA, FASTQ, GenBank, 2bit -> SequenceFile.read -> FastaRecord, long ones in pieces

Every sequence that leaves here is cleaned: A, C, G, T, N in the file's case, on the plus strand.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TextIO

import numpy as np
from Bio import BiopythonParserWarning, SeqIO
from Bio.Seq import UndefinedSequenceError
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import Interval, to_one_based
from hyenadna_cli.core.dna.sequence import Bases, Cleaned, LetterCounts, LetterError, clean
from hyenadna_cli.core.io.fasta_index import open_indexed
from hyenadna_cli.core.io.long_sequences import Piece, StoredSequence, fasta_pieces
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.core.io.twobit import read_twobit
from hyenadna_cli.errors import InputFileError

_PIECE = 4_000_000


class Genome:
    """An indexed FASTA (plain or bgzip), read region by region: no contig is ever held whole.

    A context manager. One process, one Genome: a forked copy shares its file position.
    A missing index is built for the run in a temporary directory, never beside the FASTA.
    Raises InputFileError if the file is missing, empty, truncated, not FASTA, plain gzip, or
    does not fit its index.

    >>> import hyenadna_cli as hd
    >>> with hd.Genome("test_data/tiny.fa") as genome:
    ...     genome.lengths["chrM"], genome.fetch(hd.Interval("chrM", 0, 10))
    (2500, 'AGGATAGAGC')
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.letters = LetterCounts()
        """Letters replaced in everything fetched so far."""
        self._fasta = open_indexed(Input(self.path))
        self.lengths = self._fasta.lengths
        """Bases of each contig, in file order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; fetching is over."""
        self._fasta.close()

    def check(self, contig: str) -> None:
        """Raise InputFileError now, not at the first fetch, if the index does not fit a contig."""
        try:
            self._fasta.check(contig)
        except (OSError, ValueError) as error:
            raise self._unfit(contig) from error

    def fetch(self, interval: Interval) -> str:
        """The bases of `interval` on the PLUS strand whatever its strand, cleaned, case kept.

        Raises ValueError if the interval is not inside a contig, InputFileError at a letter
        that is not an IUPAC code.
        """
        cleaned = self._read(interval)
        self.letters.add(cleaned)
        return cleaned.sequence

    def letters_at(self, interval: Interval) -> str:
        """As `fetch`, with IUPAC codes as the file has them."""
        self.fetch(interval)
        return self._letters(interval)

    def peek(self, interval: Interval) -> str:
        """As `fetch`, without counting the letters that were replaced."""
        return self._read(interval).sequence

    def _read(self, interval: Interval) -> Cleaned:
        if interval.contig not in self.lengths:
            raise ValueError(f"{self.path} has no contig {interval.contig!r}")
        if interval.end > self.lengths[interval.contig]:
            raise ValueError(
                f"{interval} is past the end of {interval.contig} in {self.path} "
                f"({self.lengths[interval.contig]:,} bp)"
            )
        try:
            return clean(self._letters(interval))
        except LetterError as error:
            position = to_one_based(interval.start + error.position)
            raise InputFileError(
                self.path, f"{interval.contig}, position {position:,}: {error}"
            ) from None

    def _letters(self, interval: Interval) -> str:
        if interval.length == 0:
            return ""
        try:
            letters = self._fasta.fetch(interval.contig, interval.start, interval.end)
        except (OSError, ValueError) as error:
            raise self._unfit(interval) from error
        if len(letters) != interval.length:
            raise self._unfit(interval)
        return letters

    def _unfit(self, place: Interval | str) -> InputFileError:
        return InputFileError(
            self.path,
            f"{place} cannot be read: the file is damaged or its index is out of date "
            f"(renew it with: samtools faidx {self.path})",
        )


def acgt_runs(genome: Genome, contig: str, *, max_gap: int) -> list[Interval]:
    """The stretches of a contig left when every run of more than `max_gap` N is cut out.

    In contig order; each starts and ends with a base other than N. IUPAC codes are N here.
    """
    starts: list[NDArray[np.int64]] = []
    ends: list[NDArray[np.int64]] = []
    # A contig of no bases is not fetched; that its index is right is still to be seen.
    genome.check(contig)
    length = genome.lengths[contig]
    for piece_start in range(0, length, _PIECE):
        piece = Interval(contig, piece_start, min(piece_start + _PIECE, length))
        letters = np.frombuffer(genome._read(piece).sequence.encode("ascii"), dtype=np.uint8)
        is_base = (letters | 0x20) != ord("n")
        # A base with an N, or the end of the piece, on its left (right) starts (ends) a run.
        edges = np.flatnonzero(np.diff(is_base, prepend=False, append=False)) + piece_start
        starts.append(edges[::2])
        ends.append(edges[1::2])
    if not starts:
        return []
    return _joined(contig, np.concatenate(starts), np.concatenate(ends), max_gap=max_gap)


def _joined(
    contig: str,
    starts: NDArray[np.int64],
    ends: NDArray[np.int64],
    *,
    max_gap: int,
) -> list[Interval]:
    """Runs in order, those at most `max_gap` apart joined (a piece's end cuts none: gap 0)."""
    if len(starts) == 0:
        return []
    is_cut = starts[1:] - ends[:-1] > max_gap
    first = np.concatenate([starts[:1], starts[1:][is_cut]])
    last = np.concatenate([ends[:-1][is_cut], ends[-1:]])
    return [
        Interval(contig, start, end)
        for start, end in zip(first.tolist(), last.tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class FastaRecord:
    """A whole sequence of a file: plus strand, cleaned, case kept."""

    name: str
    """The first word of the header (GenBank: the accession with its version)."""
    sequence: Bases


class SequenceFile(Input):
    """Whole records of FASTA, FASTQ, GenBank or 2bit, told by content; "-" is stdin.

    gzip and bgzip are read too (not of 2bit). One record is in memory at a time, and of FASTA and
    2bit a few million bases; an empty file has no records; names may repeat. Reading raises
    InputFileError for a file that is missing, truncated, damaged or none of these, at a NUL byte in
    a header, and at a letter that is not an IUPAC code.
    """

    def read(self, letters: LetterCounts) -> Iterator[FastaRecord]:
        """Stream the records; what was replaced is added to `letters`.

        Raises OutputError where the temporary file of a long record finds no place.
        """
        stored: StoredSequence | None = None
        for name, cleaned, is_last in self._cleaned():
            letters.add(cleaned)
            if is_last and stored is None:
                yield FastaRecord(name, cleaned.sequence)
                continue
            stored = stored or StoredSequence()
            stored.append(cleaned.sequence)
            if is_last:
                yield FastaRecord(name, stored)
                stored = None

    def lengths(self) -> list[int]:
        """The bases of each record in order, for planning; sequences are not kept.

        Everything that `read` would raise about the file is raised here; ValueError for what reads
        once.
        """
        if self.reads_once:
            raise ValueError(f"{self.path} can be read only once: its records cannot be counted")
        lengths, length = [], 0
        for _, cleaned, is_last in self._cleaned():
            length += len(cleaned.sequence)
            if is_last:
                lengths.append(length)
                length = 0
        return lengths

    def _cleaned(self) -> Iterator[tuple[str, Cleaned, bool]]:
        """Name, letters, and whether the record ends with them."""
        for name, sequence, start, is_last in self._named():
            try:
                cleaned = clean(sequence)
            except LetterError as error:
                position = to_one_based(start + error.position)
                problem = f"record {name}, position {position:,}: {error}"
                if self.kind == "FASTQ" and error.letter == ".":
                    problem += f" (N of old sequencers; sed '2~4y/./N/' {self.path} replaces it)"
                raise InputFileError(self.path, problem) from None
            yield name, cleaned, is_last

    def _named(self) -> Iterator[Piece]:
        """Name, in place of the header, and sequence as it stands."""
        n_records = 0
        try:
            with self.open_text(past_blank_lines=True) as text:
                if self.kind == "empty":
                    return
                for title, sequence, start, is_last in self._parsed(text):
                    n_records += start == 0
                    words = title.split(None, 1)
                    if not words:
                        raise InputFileError(self.path, f"record number {n_records:,} has no name")
                    if "\0" in title:
                        problem = f"the header of record number {n_records:,} holds a NUL byte"
                        raise InputFileError(self.path, problem)
                    yield words[0], sequence, start, is_last
        except _FormatError as error:
            raise InputFileError(self.path, str(error)) from error.__cause__
        if n_records == 0:
            raise InputFileError(self.path, "is truncated: it begins well but holds no record")

    def _parsed(self, text: TextIO) -> Iterator[Piece]:
        match self.kind:
            case "FASTA":
                return fasta_pieces(text)
            case "FASTQ":
                return _fastq(text)
            case "GenBank":
                return _genbank(text)
            case "2bit":
                if self.reads_once or self.compression != "none":
                    raise _FormatError("is 2bit, which is read from an uncompressed file only")
                return _twobit(Path(self.path))
        raise _FormatError(
            "is not FASTA, FASTQ, GenBank or 2bit: it starts with none of their marks"
        )


class _FormatError(Exception):
    """What is wrong with a file; who opened it says which."""


def _fastq(text: TextIO) -> Iterator[Piece]:
    try:
        for title, sequence, _quality in FastqGeneralIterator(text):
            yield title, sequence, 0, True
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise _FormatError(f"is not valid FASTQ: {error}") from error


class _GenBankText:
    """Lines of GenBank; Biopython passes over all between records, an indented record too."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self.read = text.read
        self._is_between = True

    def readline(self) -> str:
        line = self._text.readline()
        if line.strip():
            if self._is_between and not line.startswith("LOCUS       "):
                problem = f"{line.rstrip()[:40]!r} is where a record should start (LOCUS)"
                raise _FormatError(f"is not valid GenBank: {problem}")
            self._is_between = line.startswith("//")
        return line


def _genbank(text: TextIO) -> Iterator[Piece]:
    records = SeqIO.parse(_GenBankText(text), "genbank")
    while True:
        # Entered anew for each record: between two of them the caller's filters apply.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BiopythonParserWarning)
            for cut_off in ("Premature end of file", "Expected sequence length"):
                warnings.filterwarnings("error", cut_off, BiopythonParserWarning)
            try:
                record = next(records, None)
                if record is None:
                    return
                title = record.id or ""
                sequence = str(record.seq)
            except UndefinedSequenceError:
                raise _FormatError(f"record {title} has no sequence") from None
            except UnicodeDecodeError:
                raise
            except (ValueError, BiopythonParserWarning) as error:
                raise _FormatError(f"is not valid GenBank: {error}") from error
        yield title, sequence, 0, True


def _twobit(path: Path) -> Iterator[Piece]:
    try:
        with path.open("rb") as file:
            yield from read_twobit(file)
    except ValueError as error:
        raise _FormatError(f"is damaged or truncated 2bit ({error})") from error
