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

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from hyenadna_cli.ops.cpu.lanes import COMPLEX, LANES, load_lanes, pair, store_lanes

POINT = 2 * LANES
"""Numbers in a point of the buffer."""

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


@numba.njit
def times(a, re, im):
    """A complex register times a complex scalar."""
    return pair(a.re * re - a.im * im, a.re * im + a.im * re)


@numba.njit
def _turned_difference(a, b):
    """-i * (a - b)."""
    return pair(a.im - b.im, b.re - a.re)


@numba.njit
def _dft2(a):
    return a[0] + a[1], a[0] - a[1]


@numba.njit
def _dft3(a):
    total, difference = a[1] + a[2], _turned_difference(a[1], a[2])
    middle = pair(a[0].re - total.re * np.float32(0.5), a[0].im - total.im * np.float32(0.5))
    s = np.float32(np.sqrt(3) / 2)
    turned = pair(difference.re * s, difference.im * s)
    return a[0] + total, middle + turned, middle - turned


@numba.njit
def _dft4(a):
    even, odd = a[0] + a[2], a[1] + a[3]
    difference, turned = a[0] - a[2], _turned_difference(a[1], a[3])
    return even + odd, difference + turned, even - odd, difference - turned


@numba.njit
def _dft5(a):
    c1, c2 = np.float32(np.cos(2 * np.pi / 5)), np.float32(np.cos(4 * np.pi / 5))
    s1, s2 = np.float32(np.sin(2 * np.pi / 5)), np.float32(np.sin(4 * np.pi / 5))
    t1, t2 = a[1] + a[4], a[2] + a[3]
    d1, d2 = _turned_difference(a[1], a[4]), _turned_difference(a[2], a[3])
    m1 = pair(a[0].re + t1.re * c1 + t2.re * c2, a[0].im + t1.im * c1 + t2.im * c2)
    m2 = pair(a[0].re + t1.re * c2 + t2.re * c1, a[0].im + t1.im * c2 + t2.im * c1)
    q1 = pair(d1.re * s1 + d2.re * s2, d1.im * s1 + d2.im * s2)
    q2 = pair(d1.re * s2 - d2.re * s1, d1.im * s2 - d2.im * s1)
    return a[0] + t1 + t2, m1 + q1, m2 + q2, m2 - q2, m1 - q1


@numba.njit
def dft8(a):
    """The transform of 8 points."""
    h = np.float32(np.sqrt(0.5))
    e = _dft4((a[0], a[2], a[4], a[6]))
    o = _dft4((a[1], a[3], a[5], a[7]))
    o1 = pair((o[1].re + o[1].im) * h, (o[1].im - o[1].re) * h)
    o2 = pair(o[2].im, o[2].re)
    o3 = pair((o[3].im - o[3].re) * h, (o[3].re + o[3].im) * h)
    return (
        e[0] + o[0],
        e[1] + o1,
        pair(e[2].re + o2.re, e[2].im - o2.im),
        pair(e[3].re + o3.re, e[3].im - o3.im),
        e[0] - o[0],
        e[1] - o1,
        pair(e[2].re - o2.re, e[2].im + o2.im),
        pair(e[3].re - o3.re, e[3].im + o3.im),
    )


@intrinsic(prefer_literal=True)
def load_points(_, x, first, step, radix, re_at):
    """`radix` (a literal) points, the first at `first`, `step` numbers apart.

    `re_at` is 0, or LANES to exchange real and imaginary parts: an inverse transform is a forward
    one between two exchanges, so that all arithmetic here serves both directions.
    """
    n_points = radix.literal_value

    def generate(context, builder, signature, arguments):
        x_type = signature.args[0]
        x, first, step, _, re_at = arguments
        lanes = ir.Constant(first.type, LANES)
        points = []
        for _number in range(n_points):
            point = cgutils.create_struct_proxy(COMPLEX)(context, builder)
            re_index = builder.add(first, re_at)
            im_index = builder.sub(builder.add(first, lanes), re_at)
            point.re = load_lanes(context, builder, x_type, x, re_index)
            point.im = load_lanes(context, builder, x_type, x, im_index)
            points.append(point._getvalue())
            first = builder.add(first, step)
        return context.make_tuple(builder, signature.return_type, points)

    points = types.UniTuple(COMPLEX, n_points)
    return points(x, types.intp, types.intp, radix, types.intp), generate


@intrinsic
def store_points(_, x, first, step, points, re_at):
    """Write points as `load_points` reads them."""

    def generate(context, builder, signature, arguments):
        x_type = signature.args[0]
        x, first, step, points, re_at = arguments
        lanes = ir.Constant(first.type, LANES)
        for number in range(len(signature.args[3])):
            value = builder.extract_value(points, number)
            point = cgutils.create_struct_proxy(COMPLEX)(context, builder, value)
            store_lanes(context, builder, x_type, x, builder.add(first, re_at), point.re)
            im_index = builder.sub(builder.add(first, lanes), re_at)
            store_lanes(context, builder, x_type, x, im_index, point.im)
            first = builder.add(first, step)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, points, types.intp), generate


@numba.njit
def _turn1(a, w, t):
    return times(a, w[t], w[t + 1])


@numba.njit
def _turn2(a, w, t):
    return a[0], _turn1(a[1], w, t)


@numba.njit
def _turn3(a, w, t):
    return a[0], _turn1(a[1], w, t), _turn1(a[2], w, t + 2)


@numba.njit
def _turn4(a, w, t):
    return a[0], _turn1(a[1], w, t), _turn1(a[2], w, t + 2), _turn1(a[3], w, t + 4)


@numba.njit
def _turn5(a, w, t):
    return (
        a[0],
        _turn1(a[1], w, t),
        _turn1(a[2], w, t + 2),
        _turn1(a[3], w, t + 4),
        _turn1(a[4], w, t + 6),
    )


@numba.njit
def _turn8(a, w, t):
    return (
        a[0],
        _turn1(a[1], w, t),
        _turn1(a[2], w, t + 2),
        _turn1(a[3], w, t + 4),
        _turn1(a[4], w, t + 6),
        _turn1(a[5], w, t + 8),
        _turn1(a[6], w, t + 10),
        _turn1(a[7], w, t + 12),
    )


def _passes(radix, dft, turn):
    """A forward and an inverse pass over groups of radix * width points."""
    n_factors = 2 * (radix - 1)

    def forward_pass(x, start, n_groups, width, w, t):
        step = POINT * width
        for group in range(n_groups):
            first = start + group * radix * step
            for j in range(width):
                points = load_points(x, first + POINT * j, step, radix, 0)
                points = turn(dft(points), w, t + n_factors * j)
                store_points(x, first + POINT * j, step, points, 0)

    def inverse_pass(x, start, n_groups, width, w, t):
        step = POINT * width
        for group in range(n_groups):
            first = start + group * radix * step
            for j in range(width):
                points = load_points(x, first + POINT * j, step, radix, LANES)
                points = dft(turn(points, w, t + n_factors * j))
                store_points(x, first + POINT * j, step, points, LANES)

    # Numba tells compiled functions apart by their names and by numbers that each process counts
    # anew. Code of several processes meets in the cache: of two passes with one name and number
    # the linker would take the same for both, whatever their radix.
    for function in (forward_pass, inverse_pass):
        function.__name__ = function.__qualname__ = f"{function.__name__}{radix}"
    return numba.njit(forward_pass), numba.njit(inverse_pass)


_forward2, _inverse2 = _passes(2, _dft2, _turn2)
_forward3, _inverse3 = _passes(3, _dft3, _turn3)
_forward4, _inverse4 = _passes(4, _dft4, _turn4)
_forward5, _inverse5 = _passes(5, _dft5, _turn5)
_forward8, _inverse8 = _passes(8, dft8, _turn8)


@numba.njit
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
            _forward8(x, start, n_groups, width, twiddles, t)
        elif radix == 4:
            _forward4(x, start, n_groups, width, twiddles, t)
        elif radix == 2:
            _forward2(x, start, n_groups, width, twiddles, t)
        elif radix == 3:
            _forward3(x, start, n_groups, width, twiddles, t)
        else:
            _forward5(x, start, n_groups, width, twiddles, t)
        n_groups *= radix


@numba.njit
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
            _inverse8(x, start, n_groups, width, twiddles, t)
        elif radix == 4:
            _inverse4(x, start, n_groups, width, twiddles, t)
        elif radix == 2:
            _inverse2(x, start, n_groups, width, twiddles, t)
        elif radix == 3:
            _inverse3(x, start, n_groups, width, twiddles, t)
        else:
            _inverse5(x, start, n_groups, width, twiddles, t)
        width *= radix
