"""k-mers of many sequences at once: what the baseline counts and the leakage report compares."""

# N bases of all sequences one after the other, K k-mers without N

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_K = 31
"""Two bits per base in 64."""

_N_CODE = 4
_CODE_OF_LETTER = np.full(256, _N_CODE, dtype=np.uint8)
_CODE_OF_LETTER[np.frombuffer(b"ACGTacgt", dtype=np.uint8)] = [0, 1, 2, 3, 0, 1, 2, 3]


@dataclass(frozen=True, slots=True)
class Kmers:
    """Every k-mer without N of a list of sequences, in order."""

    rows_K: NDArray[np.int64]
    """Index of the sequence each belongs to."""
    values_K: NDArray[np.uint64]
    """Two bits per base, A C G T = 0 1 2 3, the first base highest."""


def base_codes(sequence: str) -> NDArray[np.uint8]:
    """A, C, G, T as 0 to 3 and N as 4."""
    codes: NDArray[np.uint8] = _CODE_OF_LETTER[np.frombuffer(sequence.encode("ascii"), np.uint8)]
    return codes


def kmers_of(sequences: Sequence[str], k: int, *, is_canonical: bool) -> Kmers:
    """The k-mers of sequences; `is_canonical`: each as the smaller of itself and its other strand.

    Memory: about 40 bytes per base. Raises ValueError if k is not from 1 to 31.
    """
    if not 1 <= k <= MAX_K:
        raise ValueError(f"k must be from 1 to {MAX_K}, got {k}")
    # An N between two sequences keeps k-mers from reaching over.
    codes_N = base_codes("N".join(sequences))
    lengths = np.fromiter(map(len, sequences), np.int64, count=len(sequences))
    rows_N = np.repeat(np.arange(len(sequences)), lengths + 1)[: len(codes_N)]
    n_windows = len(codes_N) - k + 1
    if n_windows < 1:
        return Kmers(np.zeros(0, np.int64), np.zeros(0, np.uint64))
    is_n = np.concatenate([[0], np.cumsum(codes_N == _N_CODE)])
    whole_K = np.flatnonzero(is_n[k:] == is_n[:-k])
    two_bits_N = (codes_N & 3).astype(np.uint64)
    values = np.zeros(n_windows, dtype=np.uint64)
    for offset in range(k):
        values <<= np.uint64(2)
        values |= two_bits_N[offset : offset + n_windows]
    if is_canonical:
        other = np.zeros(n_windows, dtype=np.uint64)
        for offset in reversed(range(k)):
            other <<= np.uint64(2)
            other |= np.uint64(3) - two_bits_N[offset : offset + n_windows]
        values = np.minimum(values, other)
    return Kmers(rows_N[whole_K], values[whole_K])


def canonical_columns(k: int) -> NDArray[np.int64]:
    """For each of the 4^k k-mers its column, 0 and up, where both strands share one."""
    values = np.arange(4**k, dtype=np.int64)
    other, rest = np.zeros_like(values), values
    for _ in range(k):
        other, rest = (other << 2) | (3 - (rest & 3)), rest >> 2
    _, columns = np.unique(np.minimum(values, other), return_inverse=True)
    return columns.astype(np.int64)


def mixed(values_K: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A fixed bijection of 64-bit numbers that scatters neighbours (the mixer of SplitMix64)."""
    z = values_K + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
