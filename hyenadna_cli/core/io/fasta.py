"""FASTA: regions of an indexed genome, and whole records of a stream.

    indexed FASTA -> Genome.fetch(Interval) -> sequence
    FASTA, FASTQ, GenBank, 2bit -> read_records -> FastaRecord

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
from Bio.SeqIO.FastaIO import SimpleFastaParser
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import Interval, to_one_based
from hyenadna_cli.core.dna.sequence import Cleaned, LetterCounts, LetterError, clean
from hyenadna_cli.core.io.fasta_index import open_indexed, quiet_htslib
from hyenadna_cli.core.io.streams import (
    as_text,
    compression_of,
    head_past_blank_lines,
    open_input,
    reads_once,
)
from hyenadna_cli.errors import InputFileError

_PIECE = 4_000_000
_TWOBIT_MAGIC = (b"\x43\x27\x41\x1a", b"\x1a\x41\x27\x43")


class Genome:
    """An indexed FASTA (plain or bgzip), read region by region: no contig is ever held whole.

    A context manager. One process, one Genome: a forked copy shares its file position.
    A missing index is built for the run in a temporary directory, never beside the FASTA.
    Raises InputFileError if the file is missing, empty, truncated, not FASTA, plain gzip, or
    does not fit its index.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.letters = LetterCounts()
        """Letters replaced in everything fetched so far."""
        self._fasta = open_indexed(self.path)
        self.lengths: dict[str, int] = dict(
            zip(self._fasta.references, self._fasta.lengths, strict=True)
        )
        """Bases of each contig, in file order."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; fetching is over."""
        self._fasta.close()

    def fetch(self, interval: Interval) -> str:
        """The bases of `interval` on the PLUS strand whatever its strand, cleaned, case kept.

        Raises ValueError if the interval is not inside a contig, InputFileError at a letter
        that is no IUPAC code.
        """
        cleaned = self._read(interval)
        self.letters.add(cleaned)
        return cleaned.sequence

    def _read(self, interval: Interval) -> Cleaned:
        if interval.contig not in self.lengths:
            raise ValueError(f"{self.path} has no contig {interval.contig!r}")
        if interval.end > self.lengths[interval.contig]:
            raise ValueError(
                f"{interval} is past the end of {interval.contig} in {self.path} "
                f"({self.lengths[interval.contig]:,} bp)"
            )
        if interval.length == 0:
            return clean("")
        try:
            with quiet_htslib():
                letters = self._fasta.fetch(interval.contig, interval.start, interval.end)
        except (OSError, ValueError) as error:
            raise self._unfit(interval) from error
        if len(letters) != interval.length:
            raise self._unfit(interval)
        try:
            return clean(letters)
        except LetterError as error:
            position = to_one_based(interval.start + error.position)
            raise InputFileError(
                self.path, f"{interval.contig}, position {position:,}: {error}"
            ) from None

    def _unfit(self, interval: Interval) -> InputFileError:
        return InputFileError(
            self.path,
            f"{interval} cannot be read: the file is damaged or its index is out of date "
            f"(renew it with: samtools faidx {self.path})",
        )


def acgt_runs(genome: Genome, contig: str, *, max_gap: int) -> list[Interval]:
    """The stretches of a contig left when every run of more than `max_gap` N is cut out.

    In contig order; each starts and ends with a base other than N. IUPAC codes are N here.
    """
    starts: list[NDArray[np.int64]] = []
    ends: list[NDArray[np.int64]] = []
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
    sequence: str


def read_records(path: Path | str, *, letters: LetterCounts) -> Iterator[FastaRecord]:
    """Stream FASTA, FASTQ, GenBank or 2bit, told by content; gzip, bgzip and "-" too (not 2bit).

    One record is in memory at a time; what was replaced is added to `letters`; names may repeat.
    An empty file has no records. Raises InputFileError for a file that is missing, truncated,
    damaged or none of these, and at a letter that is no IUPAC code.
    """
    for name, sequence in _raw_records(path):
        cleaned = _cleaned(path, name, sequence)
        letters.add(cleaned)
        yield FastaRecord(name, cleaned.sequence)


def record_lengths(path: Path | str) -> list[int]:
    """The bases of each record of a file in its order, for planning; sequences are not kept.

    Everything that `read_records` would raise, letters included, is raised here.
    Raises ValueError for stdin and pipes, which would be used up.
    """
    if reads_once(path):
        raise ValueError(f"{path} can be read only once, so its records cannot be counted first")
    return [len(_cleaned(path, name, sequence).sequence) for name, sequence in _raw_records(path)]


def _cleaned(path: Path | str, name: str, sequence: str) -> Cleaned:
    try:
        return clean(sequence)
    except LetterError as error:
        position = to_one_based(error.position)
        raise InputFileError(path, f"record {name}, position {position:,}: {error}") from None


def _raw_records(path: Path | str) -> Iterator[tuple[str, str]]:
    with open_input(path) as stream:
        head = head_past_blank_lines(stream)
        if not head:
            return
        with as_text(stream, path) as text:
            titled: Iterator[tuple[str, str]]
            if head.startswith(b">"):
                titled = SimpleFastaParser(text)
            elif head.startswith(b"@"):
                titled = _fastq(text, path)
            elif head.startswith(b"LOCUS"):
                titled = _genbank(text, path)
            elif head.startswith(_TWOBIT_MAGIC):
                titled = _twobit(path)
            else:
                raise InputFileError(
                    path, "is not FASTA, FASTQ, GenBank or 2bit: it starts with none of their marks"
                )
            n_records = 0
            for n_records, (title, sequence) in enumerate(titled, start=1):
                if not title.split():
                    raise InputFileError(path, f"record number {n_records:,} has no name")
                yield title.split()[0], sequence
        if n_records == 0:
            raise InputFileError(path, "is truncated: it begins well but holds no record")


def _fastq(text: TextIO, path: Path | str) -> Iterator[tuple[str, str]]:
    try:
        for title, sequence, _quality in FastqGeneralIterator(text):
            yield title, sequence
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise InputFileError(path, f"is not valid FASTQ: {error}") from error


def _genbank(text: TextIO, path: Path | str) -> Iterator[tuple[str, str]]:
    records = SeqIO.parse(text, "genbank")
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
                raise InputFileError(path, f"record {title} has no sequence") from None
            except UnicodeDecodeError:
                raise
            except (ValueError, BiopythonParserWarning) as error:
                raise InputFileError(path, f"is not valid GenBank: {error}") from error
        yield title, sequence


def _twobit(path: Path | str) -> Iterator[tuple[str, str]]:
    if reads_once(path) or compression_of(path) != "none":
        raise InputFileError(path, "is 2bit, which is read from an uncompressed file only")
    try:
        # Opened here: Biopython would leave a file open that it finds to be damaged.
        with Path(path).open("rb") as file:
            for record in SeqIO.parse(file, "twobit"):
                if len(record) == 0:
                    # Biopython reads a length past the end of the file as 0.
                    raise InputFileError(path, f"is truncated: record {record.id} is empty")
                yield record.id or "", str(record.seq)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise InputFileError(path, f"is damaged or truncated 2bit ({error})") from error
