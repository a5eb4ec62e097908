"""The long convolution as compiled loops over LANES channels, in pieces that stay in cache.

With N >= L points, w[n] = exp(i pi n / 2N), F the transform of length N, and K = F(w k):

    conv(u) = Re( conj(w) F^-1( K F(w u) ) )

The terms that a transform of length N wraps around come back times i, in the imaginary part. So a
causal convolution needs N >= L points instead of the usual 2 L, and no separation of real spectra.
Its adjoint is the same with conj(K): `right_angle_adjoint`. (Right-angle convolution.)

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

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.ops.cpu.fft import (
    Transform,
    forward,
    frequencies,
    good_size,
    inverse,
    transform,
)
from hyenadna_cli.ops.cpu.lanes import (
    LANES,
    load,
    load_some,
    loop,
    part,
    prefetch,
    splat,
    store,
    store_some,
)
from hyenadna_cli.ops.cpu.points import POINT, filter_points, first_pass_back, last_pass

_ROW_POINTS = 2_048
"""Up to this many points are one row: 256 KB with 16 lanes, which a core's cache holds."""

TILE = 8
"""Columns that are gathered together, so that memory is read in runs of half a kilobyte."""

_AHEAD = 8
"""Rows that are fetched before they are needed: no processor foresees such steps in a signal."""


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


@part
def read_lanes(data, index, width):
    """A group of channels, or the `width` there are."""
    if width == LANES:
        return load(data, index)
    return load_some(data, index, width)


@loop
def columns_forward(
    plan, a, b, sequence, channel, width, n_positions, scale, x, first, last, scratch
):
    """Columns `first` to `last` of the signal scale * a * b, turned and transformed, to x."""
    # Fields are read once: each access to one inside a loop would count references.
    n_rows, row_points, turns = plan.n_rows, plan.n_columns, plan.column_turns
    row_turns = plan.row_turns
    a_data, a_start, a_step = a.data, sequence * a.batch_step + channel, a.step
    b_data, b_start, b_step = b.data, sequence * b.batch_step + channel, b.step
    has_b = b_data.size > 1
    zero = splat(np.float32(0))
    if n_rows == 1:
        for position in range(first, last):
            value = zero
            if position < n_positions:
                value = read_lanes(a_data, a_start + position * a_step, width)
                if has_b:
                    value = value * read_lanes(b_data, b_start + position * b_step, width)
            at = POINT * position
            store(x, at, value * (row_turns[2 * position] * scale))
            store(x, at + LANES, value * (row_turns[2 * position + 1] * scale))
        return
    between = n_rows + 1
    for start in range(first, last, TILE):
        n_columns = min(TILE, last - start)
        for row in range(n_rows):
            re, im = turns[2 * row], turns[2 * row + 1]
            ahead = (row + _AHEAD) * row_points + start
            if ahead < n_positions:
                for column in range(n_columns):
                    prefetch(a_data, a_start + (ahead + column) * a_step)
                    if has_b:
                        prefetch(b_data, b_start + (ahead + column) * b_step)
            for column in range(n_columns):
                position = row * row_points + start + column
                value = zero
                if position < n_positions:
                    value = read_lanes(a_data, a_start + position * a_step, width)
                    if has_b:
                        value = value * read_lanes(b_data, b_start + position * b_step, width)
                at = POINT * (column * between + row)
                store(scratch, at, value * re)
                store(scratch, at + LANES, value * im)
        for column in range(n_columns):
            _transform_column(plan, scratch, POINT * column * between)
        for row in range(n_rows):
            for column in range(n_columns):
                at = POINT * (column * between + row)
                point = row * row_points + start + column
                re, im = load(scratch, at), load(scratch, at + LANES)
                w_re, w_im = row_turns[2 * point] * scale, row_turns[2 * point + 1] * scale
                store(x, POINT * point, re * w_re - im * w_im)
                store(x, POINT * point + LANES, re * w_im + im * w_re)


@part
def _transform_column(plan, scratch, start):
    columns = plan.of_columns
    forward(scratch, start, columns, 0, columns.radices.size, plan.n_rows)
    last_pass(scratch, start, plan.n_rows)


@loop
def columns_inverse(
    plan, x, scale, skip, a, b, gate, out, sequence, channel, width, n_positions, first, last,
    scratch,
):  # fmt: skip
    """Columns `first` to `last` of the buffer back to the signal `out`.

    out = (scale * conv + skip * a * b) * gate; without skip, b or gate where these are not there.
    """
    n_rows, row_points, turns = plan.n_rows, plan.n_columns, plan.column_turns
    row_turns = plan.row_turns
    a_data, a_start, a_step = a.data, sequence * a.batch_step + channel, a.step
    b_data, b_start, b_step = b.data, sequence * b.batch_step + channel, b.step
    gate_data, gate_start, gate_step = gate.data, sequence * gate.batch_step + channel, gate.step
    out_data, out_start, out_step = out.data, sequence * out.batch_step + channel, out.step
    has_skip, has_b, has_gate = skip.size > 0, b_data.size > 1, gate_data.size > 1
    skip_lanes = load_some(skip, channel, width) if has_skip else splat(np.float32(0))
    # A single row is a tile of its own: there is nothing to gather, and all columns are one pass.
    between = n_rows + 1
    tile = TILE if n_rows > 1 else last - first
    for start in range(first, last, tile):
        n_columns = min(tile, last - start)
        if n_rows > 1:
            for row in range(n_rows):
                for column in range(n_columns):
                    at = POINT * (column * between + row)
                    point = row * row_points + start + column
                    re, im = load(x, POINT * point), load(x, POINT * point + LANES)
                    w_re, w_im = row_turns[2 * point] * scale, row_turns[2 * point + 1] * -scale
                    store(scratch, at, re * w_re - im * w_im)
                    store(scratch, at + LANES, re * w_im + im * w_re)
            for column in range(n_columns):
                _restore_column(plan, scratch, POINT * column * between)
        for row in range(n_rows):
            re, im = turns[2 * row], turns[2 * row + 1]
            ahead = (row + _AHEAD) * row_points + start
            if n_rows > 1 and ahead < n_positions:
                for column in range(n_columns):
                    if has_skip:
                        prefetch(a_data, a_start + (ahead + column) * a_step)
                    if has_gate:
                        prefetch(gate_data, gate_start + (ahead + column) * gate_step)
                    prefetch(out_data, out_start + (ahead + column) * out_step)
            for column in range(n_columns):
                position = row * row_points + start + column
                if position >= n_positions:
                    break
                if n_rows == 1:
                    at = POINT * position
                    re, im = row_turns[2 * position] * scale, row_turns[2 * position + 1] * scale
                    value = load(x, at) * re + load(x, at + LANES) * im
                else:
                    at = POINT * (column * between + row)
                    value = load(scratch, at) * re + load(scratch, at + LANES) * im
                if has_skip:
                    read = read_lanes(a_data, a_start + position * a_step, width)
                    if has_b:
                        read = read * read_lanes(b_data, b_start + position * b_step, width)
                    value = value + skip_lanes * read
                if has_gate:
                    value = value * read_lanes(gate_data, gate_start + position * gate_step, width)
                if width == LANES:
                    store(out_data, out_start + position * out_step, value)
                else:
                    store_some(out_data, out_start + position * out_step, width, value)


@part
def _restore_column(plan, scratch, start):
    first_pass_back(scratch, start, plan.n_rows)
    columns = plan.of_columns
    inverse(scratch, start, columns, 0, columns.radices.size, plan.n_rows)


@loop
def rows_forward(plan, x, first, last):
    """Rows to the spectrum."""
    rows, n_points = plan.of_rows, plan.n_columns
    for row in range(first, last):
        start = POINT * row * n_points
        forward(x, start, rows, 0, rows.radices.size, n_points)
        last_pass(x, start, n_points)


@loop
def rows_filtered(plan, x, spectrum, k_start, first, last):
    """Rows to the spectrum, times that of the filter (from number `k_start` on), and back."""
    rows, n_points = plan.of_rows, plan.n_columns
    n_first, n_passes, block_points = rows.n_first, rows.radices.size, n_points // rows.n_blocks
    for row in range(first, last):
        start = POINT * row * n_points
        forward(x, start, rows, 0, n_first, n_points)
        # Forward and back in the first cache before the next block.
        for block in range(start, start + POINT * n_points, POINT * block_points):
            forward(x, block, rows, n_first, n_passes, block_points)
            filter_points(x, spectrum, block, k_start + block, block_points)
            inverse(x, block, rows, n_first, n_passes, block_points)
        inverse(x, start, rows, 0, n_first, n_points)


@loop
def filter_spectrum(plan, taps, channel, width, n_positions, scratch, spectrum):
    """The spectrum of one group of channels, plan.n_points points."""
    nothing = Signal(np.zeros(1, np.float32), 0, 0)
    columns = plan.n_columns
    scale = np.float32(1 / plan.n_points)  # as the inverse needs it
    columns_forward(
        plan, taps, nothing, 0, channel, width, n_positions, scale, spectrum, 0, columns, scratch
    )
    rows_forward(plan, spectrum, 0, plan.n_rows)


@loop
def convolve(
    plan, u, spectrum, k_start, skip, gate, out, sequence, channel, width, n_positions, scratch, x
):
    """One sequence of one group of channels."""
    nothing = Signal(np.zeros(1, np.float32), 0, 0)
    columns, one = plan.n_columns, np.float32(1)
    columns_forward(
        plan, u, nothing, sequence, channel, width, n_positions, one, x, 0, columns, scratch
    )
    rows_filtered(plan, x, spectrum, k_start, 0, plan.n_rows)
    columns_inverse(
        plan, x, one, skip, u, nothing, gate, out, sequence, channel, width, n_positions,
        0, columns, scratch,
    )  # fmt: skip
