"""Tables of labelled sequences (CSV, TSV, Parquet) to rows; columns are found by their names.

| column | read as |
|---|---|
| `sequence`, `seq`, `dna` | the bases, in reading direction |
| `chrom`, `chr`, `contig`, `region`, `seqname` | contig of `start` to `end`, 0-based half-open |
| `chr_no` | contig number from 0, the last one X, as in HyenaDNA's chromatin tables |
| `strand` | `+` or `-`; `.` or empty is `+` |
| `name`, `id` | name of the row |
| `split` | train, valid (val, validation, dev) or test |
| `label`, `labels`, `target`, `class`, `y`, all `y_...` | the label(s), unless others are named |

Without any of the label names, every other column is a label, except those that pandas makes of
row numbers (`Unnamed: 0`, `index`). A row with both a sequence and
coordinates is read from its sequence; its coordinates serve the report on leakage.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Split
from hyenadna_cli.core.dna.coordinates import Interval, Strand, to_one_based
from hyenadna_cli.core.dna.sequence import LetterCounts, LetterError, clean
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.labelled_cells import table_lines
from hyenadna_cli.errors import InputFileError

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
}
"""What people call the three splits."""

_SEQUENCE = ("sequence", "seq", "dna")
_CONTIG = ("chrom", "#chrom", "chr", "contig", "region", "seqname")
_CONTIG_NUMBER = "chr_no"
_NAME = ("name", "id")
_LABEL = ("label", "labels", "target", "class", "y")
_ROW_NUMBERS = re.compile(r"unnamed: \d+|index|level_\d+|__index_level_\d+__")
"""What pandas calls the index of a frame."""
_OTHER = ("start", "end", "strand", "split", "length", "")
_STRANDS: dict[str, Strand] = {"+": "+", "-": "-", ".": "+", "": "+"}
_N_AUTOSOMES = 22
CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
"""Tabs, line breaks and the like, which break the tables that names and labels are written to."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row as read: where it stands, its bases or where they are, and its label texts."""

    path: str
    line: int
    """1-based; in a FASTA the number of the record."""
    name: str
    """Tabs, line breaks and the like are read as a blank."""
    sequence: str | None
    """Upper case A, C, G, T, N in reading direction; None: fetch `interval`."""
    interval: Interval | None
    labels: tuple[str, ...] | NDArray[np.uint8] | NDArray[np.float32]
    """One text for each label column, or (T,) numbers; empty if the file has none."""
    split: Split | None

    def __post_init__(self) -> None:
        if CONTROL.search(self.name):
            object.__setattr__(self, "name", CONTROL.sub(" ", self.name))

    def error(self, problem: str) -> InputFileError:
        """An error about this row."""
        return InputFileError(self.path, problem, line=self.line)


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The label columns of a table, and its rows, which are read as they are asked for."""

    label_columns: tuple[str, ...]
    rows: Iterator[LabelRow]
    left_out: tuple[str, ...] = ()
    """Columns that would be labels if they were not named as row numbers are."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the columns stand; None where a table has no such column."""

    sequence: int | None
    contig: int | None
    contig_number: int | None
    start: int | None
    end: int | None
    strand: int | None
    name: int | None
    split: int | None
    labels: tuple[int, ...]
    label_names: tuple[str, ...]
    left_out: tuple[str, ...]
    n_columns: int

    @property
    def has_coordinates(self) -> bool:
        has_contig = self.contig is not None or self.contig_number is not None
        return has_contig and self.start is not None and self.end is not None


def read_label_table(
    path: Path | str,
    *,
    contigs: ContigNames | None,
    letters: LetterCounts,
    label_columns: Sequence[str] = (),
) -> LabelTable:
    """Open a table (plain, gzip, bgzip); `contigs` are those of the FASTA, if there is one.

    The header is read at once. Raises InputFileError, also while rows are read, naming the line:
    columns missing or unclear, wrong number of cells, letters that are not IUPAC codes, coordinates
    outside the FASTA, a split that is none.
    """
    lines = table_lines(path)
    header = next(lines, None)
    if header is None:
        raise InputFileError(path, "is empty: a table of labelled sequences needs a header line")
    columns = _find_columns(path, header[1], label_columns)
    if columns.sequence is None and contigs is None:
        raise InputFileError(path, "has coordinates and no sequences; give the genome with --fasta")
    rows = (_row(path, line, cells, columns, contigs, letters) for line, cells in lines)
    return LabelTable(columns.label_names, rows, columns.left_out)


def _find_columns(path: Path | str, header: list[str], label_columns: Sequence[str]) -> _Columns:
    lowered = [cell.lower() for cell in header]
    if len(set(header)) < len(header):
        raise InputFileError(path, "two columns have the same name", line=1)

    def first(*names: str) -> int | None:
        return next((lowered.index(name) for name in names if name in lowered), None)

    labels, left_out = _label_columns(path, header, lowered, label_columns)
    columns = _Columns(
        sequence=first(*_SEQUENCE),
        contig=first(*_CONTIG),
        contig_number=first(_CONTIG_NUMBER),
        start=first("start"),
        end=first("end"),
        strand=first("strand"),
        name=first(*_NAME),
        split=first("split"),
        labels=labels,
        label_names=tuple(header[index].removeprefix("y_") for index in labels),
        left_out=left_out,
        n_columns=len(header),
    )
    if columns.sequence is None and not columns.has_coordinates:
        raise InputFileError(
            path,
            f"has the columns {', '.join(header[:8])}; needs a header line with `sequence`, "
            "or with `chrom`, `start` and `end`",
            line=1,
        )
    return columns


def _label_columns(
    path: Path | str, header: list[str], lowered: list[str], label_columns: Sequence[str]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Where the labels stand, and the names of columns left out as row numbers."""
    if label_columns:
        if missing := [name for name in label_columns if name not in header]:
            raise InputFileError(
                path, f"has no column {missing[0]!r} (it has {', '.join(header[:8])})", line=1
            )
        return tuple(header.index(name) for name in label_columns), ()
    for name in _LABEL:
        if name in lowered:
            return (lowered.index(name),), ()
    if prefixed := tuple(i for i, name in enumerate(lowered) if name.startswith("y_")):
        return prefixed, ()
    not_labels = {*_SEQUENCE, *_CONTIG, _CONTIG_NUMBER, *_NAME, *_OTHER}
    others = [index for index, name in enumerate(lowered) if name not in not_labels]
    labels = tuple(index for index in others if not _ROW_NUMBERS.fullmatch(lowered[index]))
    return labels, tuple(header[index] for index in others if index not in labels)


def _row(
    path: Path | str,
    line: int,
    cells: list[str],
    columns: _Columns,
    contigs: ContigNames | None,
    letters: LetterCounts,
) -> LabelRow:
    try:
        if len(cells) != columns.n_columns:
            raise ValueError(f"has {len(cells)} cells; the header has {columns.n_columns}")
        interval = _interval(cells, columns, contigs) if columns.has_coordinates else None
        sequence = None
        if columns.sequence is not None:
            sequence = checked_bases(cells[columns.sequence], letters)
        name = cells[columns.name] if columns.name is not None else ""
        if not name and columns.sequence is None:
            assert interval is not None
            name = f"{interval.contig}:{interval.start}-{interval.end}"
        return LabelRow(
            path=str(path),
            line=line,
            name=name or f"row_{line}",
            sequence=sequence,
            interval=interval,
            labels=tuple(cells[index] for index in columns.labels),
            split=checked_split(cells[columns.split]) if columns.split is not None else None,
        )
    except LetterError as error:
        raise InputFileError(
            path, f"{error} (base {to_one_based(error.position):,} of the sequence)", line=line
        ) from None
    except ValueError as error:
        raise InputFileError(path, str(error), line=line) from None


def checked_bases(text: str, letters: LetterCounts) -> str:
    """Upper case A, C, G, T, N. Raises LetterError, or ValueError for an empty sequence."""
    cleaned = clean(text)
    letters.add(cleaned)
    if not cleaned.sequence:
        raise ValueError("the sequence is empty")
    return cleaned.sequence.upper()


def checked_split(text: str) -> Split:
    """The split that a word names. Raises ValueError for any other word."""
    split = SPLIT_NAMES.get(text.lower())
    if split is None:
        raise ValueError(f"split {text!r} is none of train, valid, test")
    return split


def _interval(cells: list[str], columns: _Columns, contigs: ContigNames | None) -> Interval:
    assert columns.start is not None
    assert columns.end is not None
    strand = cells[columns.strand] if columns.strand is not None else ""
    contig = _contig(cells, columns)
    return checked_interval(contig, cells[columns.start], cells[columns.end], strand, contigs)


def checked_interval(
    name: str, start_text: str, end_text: str, strand: str, contigs: ContigNames | None
) -> Interval:
    """0-based half-open as in the file, inside the FASTA where there is one.

    Raises ValueError for coordinates or a strand that are none, or outside the FASTA.
    """
    start, end = _coordinate("start", start_text), _coordinate("end", end_text)
    if start >= end:
        raise ValueError(f"start {start:,} is not before end {end:,} (0-based, half-open)")
    if strand not in _STRANDS:
        raise ValueError(f"strand {strand!r} is none of + - .")
    if contigs is None and CONTROL.search(name):
        raise ValueError(f"the contig {name!r} has a tab or a line break in it")
    contig = name if contigs is None else contigs.holding(name, end)
    return Interval(contig, start, end, _STRANDS[strand])


def _contig(cells: list[str], columns: _Columns) -> str:
    if columns.contig is not None:
        return cells[columns.contig]
    assert columns.contig_number is not None
    number = _coordinate(_CONTIG_NUMBER, cells[columns.contig_number])
    return f"chr{to_one_based(number)}" if number < _N_AUTOSOMES else "chrX"


def _coordinate(column: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{column} {text!r} is not a whole number from 0 up")
    return int(text)
