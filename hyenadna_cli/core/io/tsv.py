"""Tables as tab-separated text: one header line, no comment lines, UTF-8.

A path is written whole or not at all; `.gz` and `.bgz` are BGZF, which gzip and tabix read.
Standard output ("-"), pipes and devices are written as the rows come.

Floating-point numbers have 9 significant digits, which is enough to restore every float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from numbers import Integral
from typing import TYPE_CHECKING, TypeAlias

from hyenadna_cli.core.outputs.atomic import has_suffix, is_stream
from hyenadna_cli.core.outputs.sinks import Writer, open_sink
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    import numpy as np

Cell: TypeAlias = "str | int | float | np.integer | np.floating"

TABLE_SUFFIXES = (".tsv", ".txt", ".tsv.gz", ".txt.gz", ".tsv.bgz", ".txt.bgz")
"""What a table may be called."""
SHORT_TABLE_SUFFIXES = TABLE_SUFFIXES[:4]
"""Those that messages name."""
BEDGRAPH_SUFFIXES = (".bedgraph", ".bg", ".bedgraph.gz", ".bg.gz")
BIGWIG_SUFFIXES = (".bw", ".bigwig")


def check_table_name(output: str, *, writer: str) -> None:
    """Raises UsageError if `output` is neither called like a table nor a stream."""
    if not (has_suffix(output, TABLE_SUFFIXES) or is_stream(output)):
        suffixes = " ".join(SHORT_TABLE_SUFFIXES)
        raise UsageError(f"-o {output}: {writer} writes TSV; use one of {suffixes}")


class TsvWriter(Writer):
    """Write rows to `output`, a path or "-".

    A context manager: the header is written on entry, the file appears when the block succeeds.
    Raises OutputError if the output exists and `overwrite` is false, or cannot be written.
    BrokenPipeError passes through: the reader of the stream has had enough.
    """

    def __init__(self, output: str, *, columns: Sequence[str], overwrite: bool) -> None:
        self._output = output
        self._columns = tuple(columns)
        self._overwrite = overwrite

    def _open(self, stack: ExitStack) -> None:
        is_bgzip = has_suffix(self._output, (".gz", ".bgz")) and not is_stream(self._output)
        self._sink = stack.enter_context(
            open_sink(self._output, overwrite=self._overwrite, is_bgzip=is_bgzip)
        )
        self.write_row(self._columns)

    def write_row(self, values: Sequence[Cell]) -> None:
        """Write one row.

        Raises ValueError if the number of values is not that of the columns, or if a text has a tab
        or a line break in it.
        """
        if len(values) != len(self._columns):
            raise ValueError(f"expected {len(self._columns)} values, got {len(values)}")
        line = "\t".join([_cell_text(value) for value in values])
        if line.count("\t") != len(values) - 1 or "\n" in line or "\r" in line:
            raise ValueError(f"a tab or line break in a cell would break the table: {line!r}")
        # Bytes of an input that are not UTF-8 leave as they came.
        self._sink.write(f"{line}\n".encode("utf-8", "surrogateescape"))


def _cell_text(value: Cell) -> str:
    # Integral takes NumPy's integers in, whose name would load NumPy.
    if isinstance(value, (str, int, Integral)):
        return str(value)
    return f"{value:.9g}"
