"""BED to regions, line by line: 0-based half-open in the file as in the program.

| column | read as |
|---|---|
| 1-3 | contig, start, end; required; tabs, or spaces in a line without tabs |
| 4 | name; `.` or none: `chrom:start-end`, 0-based as in the file |
| 5 | score, ignored |
| 6 | strand `+` or `-`; `.` or none: no strand, read as `+` |
| 7 and on | kept as text; called as in the header line |

Blank lines and lines starting with `#`, `track` or `browser` are skipped. The header line is the
last `#` line before the first region that has as many columns.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import InputFileError

_SKIPPED_WORDS = ("track", "browser")
_STRANDS: dict[str, Strand] = {"+": "+", "-": "-", ".": "+", "": "+"}


class Region(NamedTuple):
    """One line of a BED file; a tuple, as there may be millions."""

    chrom: str
    """The contig as the BED names it; `interval.contig` is the FASTA's name."""
    interval: Interval
    """Strand "+" where the BED gives none."""
    name: str
    has_name: bool
    has_strand: bool
    columns: tuple[str, ...]
    """The 7th column and all after it."""
    line: int
    """1-based."""
    titles: tuple[str, ...] = ()
    """What the header line calls `columns`; empty without one."""


def read_regions(source: Input, *, contigs: ContigNames) -> Generator[Region]:
    """Stream a BED file (plain, gzip, bgzip, "-" for stdin), each line checked on the FASTA.

    Raises InputFileError naming the line: fewer than 3 columns, start or end no whole number,
    start >= end, contig not in the FASTA, end past the contig, bad strand, a NUL byte; as
    `Input.open_text`.
    """
    headers: dict[int, list[str]] = {}
    titles: tuple[str, ...] | None = None
    with source.open_text() as text:
        for number, line in enumerate(text, start=1):
            first_word = line.split(maxsplit=1)[:1]
            if not first_word or first_word[0] in _SKIPPED_WORDS:
                continue
            if "\0" in line:
                raise InputFileError(source.path, "holds a NUL byte", line=number)
            if first_word[0][0] == "#":
                header = _columns(line.lstrip().removeprefix("#"))
                headers[len(header)] = header
                continue
            try:
                columns = _columns(line)
                if titles is None:
                    titles = tuple(headers.get(len(columns), ())[6:])
                region = _region(columns, contigs, number, titles)
            except ValueError as error:
                raise InputFileError(source.path, str(error), line=number) from None
            yield region


def _columns(line: str) -> list[str]:
    # A name may hold spaces where tabs separate the columns.
    return [column.strip() for column in line.split("\t")] if "\t" in line else line.split()


def _region(columns: list[str], contigs: ContigNames, line: int, titles: tuple[str, ...]) -> Region:
    if len(columns) < 3:
        raise ValueError(f"has {len(columns)} column(s); a BED line needs chrom, start and end")
    chrom, start_text, end_text = columns[:3]
    start, end = _coordinate("start", start_text), _coordinate("end", end_text)
    if start >= end:
        raise ValueError(f"start {start:,} is not before end {end:,} (0-based, half-open)")
    contig = contigs.holding(chrom, end)
    name, _score, strand = (*columns[3:6], "", "", "")[:3]
    has_name = name not in ("", ".")
    if strand not in _STRANDS:
        raise ValueError(f"strand {strand!r} is none of + - . (column 6)")
    return Region(
        chrom=chrom,
        interval=Interval(contig, start, end, _STRANDS[strand]),
        name=name if has_name else f"{chrom}:{start}-{end}",
        has_name=has_name,
        has_strand=strand in ("+", "-"),
        columns=tuple(columns[6:]),
        line=line,
        titles=titles,
    )


def _coordinate(column: str, text: str) -> int:
    # int() alone would also read "1_000" and " 7 ".
    if not (text.isascii() and text.removeprefix("-").isdigit()):
        raise ValueError(f"{column} {text!r} is not a whole number")
    if text.startswith("-"):
        raise ValueError(f"{column} {text} is negative; BED counts from 0")
    return int(text)
