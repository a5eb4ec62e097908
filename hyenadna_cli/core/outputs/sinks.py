"""Where output bytes go: a file that appears whole or not at all, stdout, a pipe or a device.

BGZF (bgzip) is written in Python, so that a full disk or a closed pipe is an error here and not a
line printed by a C library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from hyenadna_cli.core.outputs.atomic import is_stream, output_error, replace_on_success

_BUFFER_BYTES = 1 << 20


class Sink:
    """What bytes are written to; made by `open_sink`."""

    def __init__(self, output: str, raw: BinaryIO, *, is_bgzip: bool) -> None:
        self._output = output
        self._raw = raw
        self._bgzip = None
        if is_bgzip:
            from Bio import bgzf  # plain text needs no Biopython

            self._bgzip = bgzf.BgzfWriter(fileobj=_Borrowed(raw))

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raises OutputError, or BrokenPipeError if nobody reads any more."""
        with _refusals_about(self._output):
            if self._bgzip is None:
                self._raw.write(data)
            else:
                self._bgzip.write(data)

    def finish(self) -> None:
        """Write what is buffered, and the end mark of bgzip."""
        with _refusals_about(self._output):
            if self._bgzip is not None:
                self._bgzip.close()
            self._raw.flush()


class Writer:
    """A context manager: its output appears when the block succeeds."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def _open(self, stack: ExitStack) -> None:
        """Open what is written to, and write what is known before the first row."""
        raise NotImplementedError


@contextmanager
def open_sink(
    output: str,
    *,
    overwrite: bool,
    is_bgzip: bool,
    before_visible: Callable[[Path], None] | None = None,
) -> Iterator[Sink]:
    """A sink for `output`, a path or "-"; the file appears when the block succeeds.

    `before_visible` is given the complete file where it lies until then; streams have none.
    Raises OutputError if the output exists and `overwrite` is false, or cannot be written.
    """
    if output == "-":
        sys.stdout.flush()  # what was printed before comes first
        with _filled(Sink(output, sys.stdout.buffer, is_bgzip=is_bgzip)) as sink:
            yield sink
    elif is_stream(output):
        with _opened(output) as raw, _filled(Sink(output, raw, is_bgzip=is_bgzip)) as sink:
            yield sink
    else:
        with replace_on_success(Path(output), overwrite=overwrite) as scratch:
            with (
                scratch.open("wb", buffering=_BUFFER_BYTES) as raw,
                _filled(Sink(output, raw, is_bgzip=is_bgzip)) as sink,
            ):
                yield sink
            if before_visible is not None:
                before_visible(scratch)


@contextmanager
def _filled(sink: Sink) -> Iterator[Sink]:
    yield sink
    sink.finish()


@contextmanager
def _opened(stream: str) -> Iterator[BinaryIO]:
    with _refusals_about(stream):
        raw = Path(stream).open("wb")  # noqa: SIM115  closed below, where a refusal is ours
    try:
        yield raw
    finally:
        with _refusals_about(stream):
            raw.close()


class _Borrowed:
    """A file that is not to be closed by who writes to it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw

    def write(self, data: bytes) -> None:
        self._raw.write(data)

    def flush(self) -> None:
        self._raw.flush()

    def close(self) -> None:
        self._raw.flush()


@contextmanager
def _refusals_about(output: str) -> Iterator[None]:
    """A refused write is about the output, except that a closed pipe is not an error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        name = "standard output" if output == "-" else output
        raise output_error(name, error) from error
