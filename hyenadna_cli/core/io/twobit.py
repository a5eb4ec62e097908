"""2bit: the packed genomes of UCSC, record by record.

Biopython's reader is not used: of records that share a name it keeps the last, and the numbers of a
damaged file make it loop, or give other bases, where here they are checked against the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.long_sequences import PIECE, Piece

_SIGNATURE = 0x1A412743
_LETTERS = np.frombuffer(b"TCAG", np.uint8)
_FOUR_BASES = _LETTERS[(np.arange(256)[:, None] >> np.array([6, 4, 2, 0])) & 3]
"""The letters that each byte packs."""
_LOWER = 0x20


def read_twobit(file: BinaryIO) -> Iterator[Piece]:
    """The pieces of each record, in the order of the index; lower case is soft-masked.

    `file` can be sought. Raises ValueError for what is not whole and right.
    """
    reader = _Reader(file, "<", os.fstat(file.fileno()).st_size)
    if reader.number() != _SIGNATURE:
        reader = _Reader(file, ">", reader.size)
        file.seek(4)
    if version := reader.number():
        raise ValueError(f"version {version} is not supported, only 0")
    n_records = reader.number()
    reader.reserved()
    places = []
    for _ in range(n_records):
        name = reader.take(reader.take(1)[0]).decode("ascii")
        places.append((name, reader.number()))
    for name, offset in places:
        file.seek(offset)
        try:
            for letters, start, is_last in _sequence(reader):
                yield name, letters, start, is_last
        except ValueError as error:
            raise ValueError(f"record {name}: {error}") from None


@dataclass(frozen=True, slots=True)
class _Reader:
    """The numbers of a file, none of which reaches past its end."""

    file: BinaryIO
    order: str
    """Of bytes."""
    size: int

    def take(self, n_bytes: int) -> bytes:
        # What a damaged file claims to hold is not reserved before it is known to be there.
        self.expect(n_bytes)
        return self.file.read(n_bytes)

    def expect(self, n_bytes: int) -> None:
        if n_bytes > self.size - self.file.tell():
            raise ValueError("the file ends early")

    def numbers(self, count: int) -> NDArray[np.int64]:
        return np.frombuffer(self.take(4 * count), f"{self.order}u4").astype(np.int64)

    def number(self) -> int:
        return int(self.numbers(1)[0])

    def reserved(self) -> None:
        if self.number() != 0:
            raise ValueError("a reserved field is not 0")


def _sequence(reader: _Reader) -> Iterator[tuple[str, int, bool]]:
    """Letters in pieces, with the place of the first, and whether they are the last."""
    length = reader.number()
    n_blocks, masked = _blocks(reader, length), _blocks(reader, length)
    reader.reserved()
    reader.expect(-(-length // 4))
    for start in range(0, max(length, 1), PIECE):
        end = min(start + PIECE, length)
        packed = np.frombuffer(reader.take(-(-(end - start) // 4)), np.uint8)
        letters = _FOUR_BASES[packed].reshape(-1)[: end - start]
        for first, last in _within(n_blocks, start, end):
            letters[first:last] = ord("N")
        for first, last in _within(masked, start, end):
            letters[first:last] |= _LOWER
        yield str(letters.tobytes(), "ascii"), start, end == length


def _within(blocks: NDArray[np.int64], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of blocks from `start` to `end`, counted from `start`."""
    starts, ends = blocks
    here = slice(np.searchsorted(ends, start, side="right"), np.searchsorted(starts, end))
    return [*(np.clip(blocks[:, here], start, end) - start).T.tolist()]


def _blocks(reader: _Reader, length: int) -> NDArray[np.int64]:
    """Starts and ends of stretches of a sequence, 0-based half-open, in order and apart."""
    count = reader.number()
    starts, sizes = reader.numbers(count), reader.numbers(count)
    ends = starts + sizes
    if (starts[1:] < ends[:-1]).any() or (ends > length).any():
        raise ValueError(f"its blocks overlap, or reach past its {length:,} bases")
    return np.stack([starts, ends])
