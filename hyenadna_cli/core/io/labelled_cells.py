"""Tables as lines of cells: CSV, TSV and Parquet.

| table | cells |
|---|---|
| TSV | what stands between two tabs; quotes around all of it are taken off |
| CSV, commas or semicolons | as RFC 4180, but no cell goes on in the next line |
| Parquet | as text; a missing value is empty, a list of texts reads `a;b;`, an empty list `-` |

A line is a row, whatever its quotes say: a stray quote would hide all rows up to the next one.
"""

from __future__ import annotations

import codecs
import csv
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TextIO

from hyenadna_cli.core.io.streams import open_text
from hyenadna_cli.errors import InputFileError


def table_lines(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """The line number (1-based) and the cells of every line that is not blank, the header first.

    Raises InputFileError for what is not a table: text in UTF-16, a quote that its line does not
    close, damaged Parquet.
    """
    if Path(path).suffix.lower() == ".parquet":
        yield from _parquet_lines(path)
        return
    # The module's limit is for all readers, and 128 kB is less than a long sequence.
    csv.field_size_limit(sys.maxsize)
    with open_text(path) as text:
        first, start = _first_line(path, text), 1
        while first and not first.strip():
            first, start = next(text, ""), start + 1
        delimiter = "\t" if "\t" in first else max((",", ";"), key=first.count)
        # Spreadsheets say in a line of its own what separates the cells.
        if first[:4].lower() == "sep=" and len(first.rstrip("\n")) == 5:
            delimiter, first, start = first[4], next(text, ""), start + 1
        for number, line in enumerate(chain([first], text), start=start):
            try:
                cells = _cells(line.rstrip("\n"), delimiter)
            except csv.Error:
                problem = 'its quotes (") do not pair; a cell has to end on the line it begins on'
                raise InputFileError(path, problem, line=number) from None
            if any(cells):
                yield number, cells


def _first_line(path: Path | str, text: TextIO) -> str:
    try:
        first = next(text, "").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if not error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise
        first = "\0"
    if "\0" in first:
        raise InputFileError(path, f"is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {path} > NEW")
    return first


def _cells(line: str, delimiter: str) -> list[str]:
    """Raises csv.Error for quotes that do not pair, except in TSV, where they may stand alone."""
    if delimiter != "\t":
        cells = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        return [cell.strip() for cell in cells]
    return [_unquoted(cell.strip()) for cell in line.split("\t")]


def _unquoted(cell: str) -> str:
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"').strip() if is_quoted else cell


def _parquet_lines(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise InputFileError(path, "is Parquet; reading that needs pyarrow") from None
    number = 1
    try:
        with parquet.ParquetFile(path) as file:
            yield number, file.schema_arrow.names
            for batch in file.iter_batches():
                for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    number += 1
                    yield number, [_text(value) for value in values]
    except FileNotFoundError:
        raise InputFileError(path, "no such file") from None
    except ArrowException as error:
        raise InputFileError(path, f"is not valid Parquet: {error}") from error


def _text(value: object) -> str:
    """A value of Parquet as a cell would have it."""
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return listed(value) or str(value)
    return str(value)


def listed(names: Sequence[str]) -> str | None:
    """Labels as one text: `a;b;`, so that one alone is a list too; `-` for none.

    None if there is a name that cannot stand so.
    """
    if any(";" in name or not name.strip() for name in names):
        return None
    return "".join(f"{name};" for name in names) or "-"
