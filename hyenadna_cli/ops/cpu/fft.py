"""Complex Fourier transforms along positions, LANES channels at a time, in cache.

A transform of n points is done in place on a flat float32 buffer: point p is LANES real parts at
2 * LANES * p, then LANES imaginary parts. Forward passes decimate in frequency and inverse ones in
time, so that spectra stay in the order in which the forward passes leave them and nothing is ever
reordered. Every size is c * 2**k with c in 1, 3, 5, 9, 15 and k >= 3; the last pass, over 8
neighbouring points, is left to the caller, who fuses it with what is done to the spectrum.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.ops.cpu.lanes import part
from hyenadna_cli.ops.cpu.points import transform_pass

_ODD = (1, 3, 5, 9, 15)

_BLOCK_POINTS = 256
"""Points of a block: 32 KB with 16 lanes."""


class Transform(NamedTuple):
    """The passes of a transform of one length, but for the last."""

    length: int
    radices: NDArray[np.int64]
    """Of the passes, in forward order."""
    offsets: NDArray[np.int64]
    """Where the twiddle factors of each pass begin."""
    twiddles: NDArray[np.float32]
    """Of each pass: for each j, those of outputs 1 ... radix - 1, as (re, im)."""
    n_first: int
    """Passes over all points; what they cut apart fits into a core's first cache."""
    n_blocks: int
    """How many blocks that is."""


@functools.lru_cache(maxsize=64)
def transform(length: int) -> Transform:
    """Plan the passes of `length` points, a number that `good_size` gives (or 1)."""
    radices = []
    rest = length // 8
    for prime in (5, 3):
        while rest and rest % prime == 0:
            radices.append(prime)
            rest //= prime
    while rest > 1:
        # 2 * 8 and 2 * 2 cost a pass more than 4 * 4 and 4.
        radix = 4 if rest in (4, 16) else 2 if rest == 2 else 8
        radices.append(radix)
        rest //= radix
    tables, offsets, n_points = [np.zeros(0)], [], length
    for radix in radices:
        n_points //= radix
        turns = np.outer(np.arange(n_points), np.arange(1, radix)) / (n_points * radix)
        offsets.append(sum(table.size for table in tables))
        tables.append(np.stack([np.cos(2 * np.pi * turns), -np.sin(2 * np.pi * turns)], -1).ravel())
    n_first = 0
    while length // math.prod(radices[:n_first]) > _BLOCK_POINTS:
        n_first += 1
    n_blocks = math.prod(radices[:n_first])
    return Transform(
        length,
        np.array(radices, dtype=np.int64),
        np.array(offsets, dtype=np.int64),
        np.concatenate(tables).astype(np.float32),
        n_first,
        n_blocks,
    )


def frequencies(length: int) -> NDArray[np.int64]:
    """Which frequency stands where after a forward transform, the last pass included."""
    order = np.zeros(length, dtype=np.int64)
    positions, step, n_points = np.arange(length), 1, length
    for radix in [*transform(length).radices.tolist(), 8] if length > 1 else []:
        n_points //= radix
        order += step * (positions // n_points)
        positions %= n_points
        step *= radix
    return order


def good_size(minimum: int) -> int:
    """The smallest length >= `minimum` that a transform can have."""
    sizes = []
    for odd in _ODD:
        power = 8
        while odd * power < minimum:
            power *= 2
        sizes.append(odd * power)
    return min(sizes)


@part
def forward(x, start, plan, first, last, length):
    """Passes `first` to `last` of a transform, over `length` points from number `start` on.

    All of them over the whole are a transform but for the last pass; those from `first` on may be
    done over one block of what the passes before have cut apart after the other.
    """
    radices, offsets, twiddles = plan.radices, plan.offsets, plan.twiddles
    n_groups, width = 1, length
    for number in range(first, last):
        radix, t = radices[number], offsets[number]
        width //= radix
        if radix == 8:
            transform_pass(x, start, n_groups, width, twiddles, t, 8, 0)
        elif radix == 4:
            transform_pass(x, start, n_groups, width, twiddles, t, 4, 0)
        elif radix == 2:
            transform_pass(x, start, n_groups, width, twiddles, t, 2, 0)
        elif radix == 3:
            transform_pass(x, start, n_groups, width, twiddles, t, 3, 0)
        else:
            transform_pass(x, start, n_groups, width, twiddles, t, 5, 0)
        n_groups *= radix


@part
def inverse(x, start, plan, first, last, length):
    """Undo `forward`, without dividing by the length; the last pass is undone already."""
    radices, offsets, twiddles = plan.radices, plan.offsets, plan.twiddles
    n_groups = 1
    for number in range(first, last):
        n_groups *= radices[number]
    width = length // n_groups
    for number in range(last - 1, first - 1, -1):
        radix, t = radices[number], offsets[number]
        n_groups //= radix
        if radix == 8:
            transform_pass(x, start, n_groups, width, twiddles, t, 8, 1)
        elif radix == 4:
            transform_pass(x, start, n_groups, width, twiddles, t, 4, 1)
        elif radix == 2:
            transform_pass(x, start, n_groups, width, twiddles, t, 2, 1)
        elif radix == 3:
            transform_pass(x, start, n_groups, width, twiddles, t, 3, 1)
        else:
            transform_pass(x, start, n_groups, width, twiddles, t, 5, 1)
        width *= radix
