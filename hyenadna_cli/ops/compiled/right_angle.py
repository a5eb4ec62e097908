"""The long convolution as compiled loops over LANES channels, in blocks that stay in cache.

With N >= L points, w[n] = exp(i pi n / 2N), F the transform of length N, and K = F(w k):

    conv(u) = Re( conj(w) F^-1( K F(w u) ) )

The terms that a transform of length N wraps around come back times i, in the imaginary part. So a
causal convolution needs N >= L points instead of the usual 2 L, and no separation of real spectra.
Its adjoint is the same with conj(K). (Right-angle convolution.)

Long transforms are cut as N = n_rows * n_columns, position n = row * n_columns + column:

    columns   read the signal, times w; transform each column; write the work buffer
    rows      twiddle, transform, times the spectrum of the filter, and back, a row at a time
    columns   back; skip term and gate on the way to the output

so that each number passes through memory three times. Signals are channels-last: position t of
sequence b is `width` neighbouring numbers at b * batch_step + t * step.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.ops.compiled.fft import (
    POINT,
    Transform,
    dft8,
    forward,
    frequencies,
    good_size,
    inverse,
    load_points,
    store_points,
    times,
    transform,
)
from hyenadna_cli.ops.compiled.lanes import (
    LANES,
    load,
    load_some,
    pair,
    splat,
    store,
    store_some,
)

_ROW_POINTS = 2_048
"""Up to this many points are one row: 256 KB with 16 lanes, which a core's cache holds."""

TILE = 8
"""Columns that are gathered together, so that memory is read in runs of half a kilobyte."""


class Plan(NamedTuple):
    """How N points are cut and turned."""

    n_points: int
    n_rows: int
    n_columns: int
    of_columns: Transform
    """Along a column, of n_rows points."""
    of_rows: Transform
    """Along a row, of n_columns points."""
    column_turns: NDArray[np.float32]
    """w at the first position of each row, as (re, im)."""
    row_turns: NDArray[np.float32]
    """For each row: w of the column times the twiddle factor between the two steps."""


class Signal(NamedTuple):
    """A channels-last signal; of a single number if it is not there."""

    data: NDArray[np.float32]
    batch_step: int
    step: int


@functools.lru_cache(maxsize=8)
def plan(n_positions: int) -> Plan:
    """The plan for signals of this length."""
    n_points = good_size(n_positions)
    n_rows = 1
    if n_points > _ROW_POINTS:
        # The power of two nearest to the square root; what is left has the odd factors.
        n_rows = 8
        while n_rows * n_rows * 2 <= n_points and n_points % (16 * n_rows) == 0:
            n_rows *= 2
    n_columns = n_points // n_rows
    rows, columns = np.arange(n_rows), np.arange(n_columns)
    column_turn = np.exp(0.5j * np.pi * rows / n_rows)
    # Exact integers before the division: float64 angles of a million turns would lose digits.
    wrapped = np.outer(frequencies(n_rows), columns) % n_points
    row_turn = np.exp(1j * np.pi / n_points * (0.5 * columns - 2.0 * wrapped))
    return Plan(
        n_points,
        n_rows,
        n_columns,
        transform(n_rows),
        transform(n_columns),
        _as_pairs(column_turn),
        _as_pairs(row_turn),
    )


def _as_pairs(values: NDArray[np.complex128]) -> NDArray[np.float32]:
    return np.stack([values.real, values.imag], axis=-1).astype(np.float32).ravel()


@numba.njit
def _read(data, index, width):
    if width == LANES:
        return load(data, index)
    return load_some(data, index, width)


@numba.njit(nogil=True, cache=True)
def columns_forward(plan, a, b, sequence, channel, width, n_positions, x, first, last, scratch):
    """Columns `first` to `last` of the signal a * b, turned and transformed, to the buffer x."""
    # Fields are read once: each access to one inside a loop would count references.
    n_rows, row_points, turns = plan.n_rows, plan.n_columns, plan.column_turns
    a_data, a_start, a_step = a.data, sequence * a.batch_step + channel, a.step
    b_data, b_start, b_step = b.data, sequence * b.batch_step + channel, b.step
    has_b = b_data.size > 1
    zero = splat(np.float32(0))
    for start in range(first, last, TILE):
        n_columns = min(TILE, last - start)
        for row in range(n_rows):
            re, im = turns[2 * row], turns[2 * row + 1]
            for column in range(n_columns):
                position = row * row_points + start + column
                value = zero
                if position < n_positions:
                    value = _read(a_data, a_start + position * a_step, width)
                    if has_b:
                        value = value * _read(b_data, b_start + position * b_step, width)
                at = POINT * (column * n_rows + row)
                store(scratch, at, value * re)
                store(scratch, at + LANES, value * im)
        if n_rows > 1:
            for column in range(n_columns):
                _transform_column(plan, scratch, POINT * column * n_rows)
        for row in range(n_rows):
            for column in range(n_columns):
                at = POINT * (column * n_rows + row)
                to = POINT * (row * row_points + start + column)
                store(x, to, load(scratch, at))
                store(x, to + LANES, load(scratch, at + LANES))


@numba.njit
def _transform_column(plan, scratch, start):
    forward(scratch, start, plan.of_columns)
    for point in range(0, plan.n_rows, 8):
        at = start + POINT * point
        store_points(scratch, at, POINT, dft8(load_points(scratch, at, POINT, 8, 0)), 0)


@numba.njit(nogil=True, cache=True)
def columns_inverse(
    plan, x, skip, a, b, gate, out, sequence, channel, width, n_positions, first, last, scratch
):
    """Columns `first` to `last` of the buffer back to the signal `out`.

    out = (conv + skip * a * b) * gate; without skip, b or gate where these are not there.
    """
    n_rows, row_points, turns = plan.n_rows, plan.n_columns, plan.column_turns
    a_data, a_start, a_step = a.data, sequence * a.batch_step + channel, a.step
    b_data, b_start, b_step = b.data, sequence * b.batch_step + channel, b.step
    gate_data, gate_start, gate_step = gate.data, sequence * gate.batch_step + channel, gate.step
    out_data, out_start, out_step = out.data, sequence * out.batch_step + channel, out.step
    has_skip, has_b, has_gate = skip.size > 0, b_data.size > 1, gate_data.size > 1
    skip_lanes = load_some(skip, channel, width) if has_skip else splat(np.float32(0))
    for start in range(first, last, TILE):
        n_columns = min(TILE, last - start)
        for row in range(n_rows):
            for column in range(n_columns):
                at = POINT * (column * n_rows + row)
                of = POINT * (row * row_points + start + column)
                store(scratch, at, load(x, of))
                store(scratch, at + LANES, load(x, of + LANES))
        if n_rows > 1:
            for column in range(n_columns):
                _restore_column(plan, scratch, POINT * column * n_rows)
        for row in range(n_rows):
            re, im = turns[2 * row], turns[2 * row + 1]
            for column in range(n_columns):
                position = row * row_points + start + column
                if position >= n_positions:
                    break
                at = POINT * (column * n_rows + row)
                value = load(scratch, at) * re + load(scratch, at + LANES) * im
                if has_skip:
                    read = _read(a_data, a_start + position * a_step, width)
                    if has_b:
                        read = read * _read(b_data, b_start + position * b_step, width)
                    value = value + skip_lanes * read
                if has_gate:
                    value = value * _read(gate_data, gate_start + position * gate_step, width)
                if width == LANES:
                    store(out_data, out_start + position * out_step, value)
                else:
                    store_some(out_data, out_start + position * out_step, width, value)


@numba.njit
def _restore_column(plan, scratch, start):
    for point in range(0, plan.n_rows, 8):
        at = start + POINT * point
        store_points(scratch, at, POINT, dft8(load_points(scratch, at, POINT, 8, LANES)), LANES)
    inverse(scratch, start, plan.of_columns)


@numba.njit
def _turn_row(plan, x, row, scale):
    """Multiply a row by its turns; by their conjugates for a negative `scale`."""
    turns, row_points = plan.row_turns, plan.n_columns
    re_scale, im_scale = abs(scale), scale
    for point in range(row * row_points, (row + 1) * row_points):
        at = POINT * point
        value = pair(load(x, at), load(x, at + LANES))
        value = times(value, turns[2 * point] * re_scale, turns[2 * point + 1] * im_scale)
        store(x, at, value.re)
        store(x, at + LANES, value.im)


@numba.njit(nogil=True, cache=True)
def rows_forward(plan, x, first, last):
    """Rows to the spectrum, divided by the number of points as the inverse needs it."""
    for row in range(first, last):
        _turn_row(plan, x, row, np.float32(1 / plan.n_points))
        start = POINT * row * plan.n_columns
        forward(x, start, plan.of_rows)
        for point in range(0, plan.n_columns, 8):
            at = start + POINT * point
            store_points(x, at, POINT, dft8(load_points(x, at, POINT, 8, 0)), 0)


@numba.njit
def _times_conjugate(a, k, sign):
    """The product a k, or a conj(k) where sign is -1."""
    im = k.im * sign
    return pair(a.re * k.re - a.im * im, a.re * im + a.im * k.re)


@numba.njit
def _filtered8(a, k, sign):
    return (
        _times_conjugate(a[0], k[0], sign),
        _times_conjugate(a[1], k[1], sign),
        _times_conjugate(a[2], k[2], sign),
        _times_conjugate(a[3], k[3], sign),
        _times_conjugate(a[4], k[4], sign),
        _times_conjugate(a[5], k[5], sign),
        _times_conjugate(a[6], k[6], sign),
        _times_conjugate(a[7], k[7], sign),
    )


@numba.njit
def _swapped8(a):
    return (
        pair(a[0].im, a[0].re),
        pair(a[1].im, a[1].re),
        pair(a[2].im, a[2].re),
        pair(a[3].im, a[3].re),
        pair(a[4].im, a[4].re),
        pair(a[5].im, a[5].re),
        pair(a[6].im, a[6].re),
        pair(a[7].im, a[7].re),
    )


@numba.njit(nogil=True, cache=True)
def rows_filtered(plan, x, spectrum, k_start, first, last):
    """Rows to the spectrum, times that of the filter (from number `k_start` on), and back."""
    for row in range(first, last):
        _turn_row(plan, x, row, np.float32(1))
        start = POINT * row * plan.n_columns
        forward(x, start, plan.of_rows)
        for point in range(0, plan.n_columns, 8):
            at = start + POINT * point
            points = dft8(load_points(x, at, POINT, 8, 0))
            k = load_points(spectrum, k_start + at, POINT, 8, 0)
            points = dft8(_swapped8(_filtered8(points, k, np.float32(1))))
            store_points(x, at, POINT, points, LANES)
        inverse(x, start, plan.of_rows)
        _turn_row(plan, x, row, np.float32(-1))


@numba.njit(nogil=True, cache=True)
def filter_spectrum(plan, taps, channel, width, n_positions, scratch, spectrum):
    """The spectrum of one group of channels, plan.n_points points."""
    nothing = Signal(np.zeros(1, np.float32), 0, 0)
    columns = plan.n_columns
    columns_forward(
        plan, taps, nothing, 0, channel, width, n_positions, spectrum, 0, columns, scratch
    )
    rows_forward(plan, spectrum, 0, plan.n_rows)


@numba.njit(nogil=True, cache=True)
def convolve(
    plan, u, spectrum, k_start, skip, gate, out, sequence, channel, width, n_positions, scratch, x
):
    """One sequence of one group of channels."""
    nothing = Signal(np.zeros(1, np.float32), 0, 0)
    columns = plan.n_columns
    columns_forward(plan, u, nothing, sequence, channel, width, n_positions, x, 0, columns, scratch)
    rows_filtered(plan, x, spectrum, k_start, 0, plan.n_rows)
    columns_inverse(
        plan, x, skip, u, nothing, gate, out, sequence, channel, width, n_positions,
        0, columns, scratch,
    )  # fmt: skip


@numba.njit
def _rows_adjoint(plan, x, y, spectrum, total_spectrum):
    """Of inputs x and gradients y of outputs: x to the convolution, y to the gradient of inputs.

    Adds conj(X) Y, the spectrum of the filter's gradient, to the total.
    """
    for row in range(plan.n_rows):
        start = POINT * row * plan.n_columns
        for buffer in (x, y):
            _turn_row(plan, buffer, row, np.float32(1))
            forward(buffer, start, plan.of_rows)
        for point in range(0, plan.n_columns, 8):
            at = start + POINT * point
            inputs = dft8(load_points(x, at, POINT, 8, 0))
            gradients = dft8(load_points(y, at, POINT, 8, 0))
            store_points(
                total_spectrum, at, POINT,
                _sum8(
                    load_points(total_spectrum, at, POINT, 8, 0),
                    _filtered8(gradients, inputs, np.float32(-1)),
                ),
                0,
            )  # fmt: skip
            k = load_points(spectrum, at, POINT, 8, 0)
            points = dft8(_swapped8(_filtered8(inputs, k, np.float32(1))))
            store_points(x, at, POINT, points, LANES)
            points = dft8(_swapped8(_filtered8(gradients, k, np.float32(-1))))
            store_points(y, at, POINT, points, LANES)
        for buffer in (x, y):
            inverse(buffer, start, plan.of_rows)
            _turn_row(plan, buffer, row, np.float32(-1))


@numba.njit
def _sum8(a, b):
    return (
        a[0] + b[0],
        a[1] + b[1],
        a[2] + b[2],
        a[3] + b[3],
        a[4] + b[4],
        a[5] + b[5],
        a[6] + b[6],
        a[7] + b[7],
    )


@numba.njit
def _rows_inverse(plan, x):
    """Spectrum to rows, divided by the number of points."""
    for row in range(plan.n_rows):
        start = POINT * row * plan.n_columns
        for point in range(0, plan.n_columns, 8):
            at = start + POINT * point
            store_points(x, at, POINT, dft8(load_points(x, at, POINT, 8, LANES)), LANES)
        inverse(x, start, plan.of_rows)
        _turn_row(plan, x, row, np.float32(-1 / plan.n_points))


@numba.njit(nogil=True, cache=True)
def adjoint(
    plan, u, taps, skip, gate, d_y, d_u, d_gate, d_taps, d_skip,
    channel, width, n_batch, n_positions, scratch, x, y, spectrum, total_spectrum,
):  # fmt: skip
    """The gradients of one group of channels, from the gradient d_y of the gated output."""
    nothing = Signal(np.zeros(1, np.float32), 0, 0)
    no_skip = np.zeros(0, np.float32)
    columns = plan.n_columns
    columns_forward(
        plan, taps, nothing, 0, channel, width, n_positions, spectrum, 0, columns, scratch
    )
    rows_forward(plan, spectrum, 0, plan.n_rows)
    total_spectrum[: plan.n_points * POINT] = 0
    for sequence in range(n_batch):
        columns_forward(
            plan, u, nothing, sequence, channel, width, n_positions, x, 0, columns, scratch
        )
        columns_forward(
            plan, d_y, gate, sequence, channel, width, n_positions, y, 0, columns, scratch
        )
        _rows_adjoint(plan, x, y, spectrum, total_spectrum)
        if d_gate.data.size > 1:
            columns_inverse(
                plan, x, skip, u, nothing, d_y, d_gate, sequence, channel, width, n_positions,
                0, columns, scratch,
            )  # fmt: skip
        columns_inverse(
            plan, y, skip, d_y, gate, nothing, d_u, sequence, channel, width, n_positions,
            0, columns, scratch,
        )  # fmt: skip
        _add_products(d_skip, u, d_y, gate, sequence, channel, width, n_positions)
    _rows_inverse(plan, total_spectrum)
    columns_inverse(
        plan, total_spectrum, no_skip, nothing, nothing, nothing, d_taps, 0, channel, width,
        n_positions, 0, columns, scratch,
    )  # fmt: skip


@numba.njit
def _add_products(sums, a, b, c, sequence, channel, width, n_positions):
    """Add a * b * c, summed over the positions of a sequence, to a group of `sums`."""
    a_data, a_start, a_step = a.data, sequence * a.batch_step + channel, a.step
    b_data, b_start, b_step = b.data, sequence * b.batch_step + channel, b.step
    c_data, c_start, c_step = c.data, sequence * c.batch_step + channel, c.step
    has_c = c_data.size > 1
    whole = load_some(sums, channel, width)
    # Sums of sums: a single one over a million positions would lose digits.
    for first in range(0, n_positions, 256):
        part = splat(np.float32(0))
        for position in range(first, min(first + 256, n_positions)):
            value = _read(a_data, a_start + position * a_step, width)
            value = value * _read(b_data, b_start + position * b_step, width)
            if has_c:
                value = value * _read(c_data, c_start + position * c_step, width)
            part = part + value
        whole = whole + part
    store_some(sums, channel, width, whole)
