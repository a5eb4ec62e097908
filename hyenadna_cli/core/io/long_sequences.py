"""Sequences too long to be held: read in pieces, and kept in a file from which windows are read.

FASTA -> fasta_pieces -> Piece, Piece, ... -> StoredSequence -> [start:end]
"""

from __future__ import annotations

import os
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import TextIO

from hyenadna_cli.core.outputs.atomic import scratch_directory
from hyenadna_cli.errors import OutputError

PIECE = 4_000_000
"""Letters, line ends among them. A record that is not longer is a single piece."""
_BLOCK = 1 << 16


Piece = tuple[str, str, int, bool]
"""Consecutive letters of a record: its header, the letters as they stand in the file, how many of
the record come before them, whether they are its last."""


def fasta_pieces(text: TextIO) -> Iterator[Piece]:
    """The records of a FASTA, as Biopython's SimpleFastaParser reads them.

    That one joins all lines of a record; here little more than `PIECE` letters are in memory.
    """
    title, start = None, 0
    # What stands before the first header is not read.
    for part, is_last in islice(_parts(text), 1, None):
        if title is None:
            title, _, part = part.partition("\n")
            title = title.rstrip()
        letters = part.replace("\n", "")
        if not letters.isalpha():
            letters = "".join([line.rstrip() for line in part.split("\n")]).replace(" ", "")
        yield title, letters, start, is_last
        start += len(letters)
        if is_last:
            title, start = None, 0


def _parts(text: TextIO) -> Iterator[tuple[str, bool]]:
    """Text between the marks of records, and whether the record ends with it."""
    waiting: list[str] = []
    n_waiting, line_end = 0, "\n"
    while block := text.read(_BLOCK):
        block = line_end + block
        # A line end waits for what follows it, which may be the mark of a record.
        line_end = "\n" if block[-1] == "\n" else ""
        *ended, rest = block.removesuffix("\n").split("\n>")
        if ended:
            ended[0] = "".join([*waiting, ended[0]])
            waiting, n_waiting = [], 0
            for part in ended:
                yield part, True
        waiting.append(rest)
        n_waiting += len(rest)
        if n_waiting >= PIECE:
            yield "".join(waiting), False
            waiting, n_waiting = [], 0
    yield "".join(waiting), True


class StoredSequence:
    """A sequence in a temporary file, which vanishes with it; sliced and counted as a string is."""

    def __init__(self) -> None:
        """Raises OutputError, as `append` does, where there is no place for the file."""
        self._length = 0
        self._counts: Counter[str] = Counter()
        try:
            self._file = tempfile.TemporaryFile(dir=scratch_directory.get())  # noqa: SIM115
        except OSError as error:
            raise _no_place(error) from error
        weakref.finalize(self, self._file.close)

    def append(self, letters: str) -> None:
        """Add letters (ASCII) at the end."""
        try:
            self._file.write(letters.encode("ascii"))
            self._file.flush()
        except OSError as error:
            raise _no_place(error) from error
        self._length += len(letters)
        self._counts.update({letter: letters.count(letter) for letter in "Nn"})

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, window: slice) -> str:
        start, end, step = window.indices(self._length)
        if step != 1:
            raise ValueError("every letter of a window is read")
        return os.pread(self._file.fileno(), max(0, end - start), start).decode("ascii")

    def count(self, letter: str) -> int:
        """How often a letter occurs; N and n alone are counted."""
        if letter not in ("N", "n"):
            raise ValueError(f"{letter!r} is not counted")
        return self._counts[letter]


def _no_place(error: OSError) -> OutputError:
    directory = scratch_directory.get() or tempfile.gettempdir()
    return OutputError(
        f"{directory}: cannot keep a record of more than {PIECE:,} bases there "
        f"({error.strerror or error}); TMPDIR or --tmp-dir names another directory"
    )
