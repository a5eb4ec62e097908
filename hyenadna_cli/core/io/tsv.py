"""Tables as tab-separated text: one header line, no comment lines, UTF-8.

A path is written whole or not at all; `.gz` and `.bgz` are BGZF, which gzip and tabix read.
Standard output ("-"), pipes and devices are written as the rows come.

Floating-point numbers have 9 significant digits, which is enough to restore every float32.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol

import numpy as np

from hyenadna_cli.core.outputs.atomic import is_stream, output_error, replace_on_success

Cell = str | int | float | np.integer | np.floating

_BUFFER_BYTES = 1 << 20


class _Sink(Protocol):
    """What rows are written to."""

    def write(self, data: bytes, /) -> object: ...
    def close(self) -> None: ...


class TsvWriter:
    """Write rows to `output`, a path or "-".

    A context manager: the header is written on entry, the file appears when the block succeeds.
    Raises OutputError if the output exists and `overwrite` is false, or cannot be written.
    BrokenPipeError passes through: the reader of the stream has had enough.
    """

    def __init__(self, output: str, *, columns: Sequence[str], overwrite: bool) -> None:
        self._output = output
        self._columns = tuple(columns)
        self._overwrite = overwrite

    def __enter__(self) -> TsvWriter:
        with ExitStack() as stack:
            if self._output == "-":
                sys.stdout.flush()  # what was printed before comes first
                self._sink = sys.stdout.buffer
                # Flushed here: at the interpreter's exit nobody can answer for a closed pipe.
                stack.push(self._on_success(sys.stdout.buffer.flush))
            elif is_stream(self._output):
                with self._refusals():
                    self._sink = stream = stack.enter_context(Path(self._output).open("wb"))
                stack.push(self._on_success(stream.flush))
            else:
                path = Path(self._output)
                scratch = stack.enter_context(replace_on_success(path, overwrite=self._overwrite))
                file = stack.enter_context(scratch.open("wb", buffering=_BUFFER_BYTES))
                self._sink = self._compressed(file, stack) if _is_bgzf(path) else file
            self.write_row(self._columns)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

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
        with self._refusals():
            self._sink.write(f"{line}\n".encode())

    def _compressed(self, file: BinaryIO, stack: ExitStack) -> _Sink:
        from Bio import bgzf  # plain text needs no Biopython

        writer: _Sink = bgzf.BgzfWriter(fileobj=file)
        stack.push(self._on_success(writer.close))  # writes the end-of-file block
        return writer

    def _on_success(self, finish: Callable[[], object]) -> Callable[..., None]:
        """`finish` as an exit callback that does nothing when the block has failed."""

        def on_exit(kind: type[BaseException] | None, *_: object) -> None:
            if kind is None:
                with self._refusals():
                    finish()

        return on_exit

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """A refused write is about the output, except that a closed pipe is no error."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            name = "standard output" if self._output == "-" else self._output
            raise output_error(name, error) from error


def _is_bgzf(path: Path) -> bool:
    return path.suffix in {".gz", ".bgz"}


def _cell_text(value: Cell) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.9g}"
    return str(value)
