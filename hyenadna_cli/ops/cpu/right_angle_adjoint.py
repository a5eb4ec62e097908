"""The gradients of the compiled long convolution: its adjoint, and what the filter and skip get."""

from __future__ import annotations

import numpy as np

from hyenadna_cli.ops.cpu.fft import forward, inverse
from hyenadna_cli.ops.cpu.lanes import load_some, loop, part, splat, store_some
from hyenadna_cli.ops.cpu.points import POINT, adjoint_points, first_pass_back
from hyenadna_cli.ops.cpu.right_angle import (
    Signal,
    columns_forward,
    columns_inverse,
    read_lanes,
    rows_forward,
)


@part
def _rows_adjoint(plan, x, y, spectrum, total_spectrum):
    """Of inputs x and gradients y of outputs: x to the convolution, y to the gradient of inputs.

    Adds conj(X) Y, the spectrum of the filter's gradient, to the total.
    """
    rows, n_points = plan.of_rows, plan.n_columns
    n_first, n_passes, block_points = rows.n_first, rows.radices.size, n_points // rows.n_blocks
    for row in range(plan.n_rows):
        start = POINT * row * n_points
        forward(x, start, rows, 0, n_first, n_points)
        forward(y, start, rows, 0, n_first, n_points)
        for block in range(start, start + POINT * n_points, POINT * block_points):
            forward(x, block, rows, n_first, n_passes, block_points)
            forward(y, block, rows, n_first, n_passes, block_points)
            adjoint_points(x, y, spectrum, total_spectrum, block, block_points)
            inverse(x, block, rows, n_first, n_passes, block_points)
            inverse(y, block, rows, n_first, n_passes, block_points)
        inverse(x, start, rows, 0, n_first, n_points)
        inverse(y, start, rows, 0, n_first, n_points)


@part
def _rows_inverse(plan, x):
    """Spectrum to rows."""
    rows, n_points = plan.of_rows, plan.n_columns
    for row in range(plan.n_rows):
        start = POINT * row * n_points
        first_pass_back(x, start, n_points)
        inverse(x, start, rows, 0, rows.radices.size, n_points)


@loop
def adjoint(
    plan, u, taps, skip, gate, d_y, d_u, d_gate, d_taps, d_skip,
    channel, width, n_batch, n_positions, scratch, x, y, spectrum, total_spectrum,
):  # fmt: skip
    """The gradients of one group of channels, from the gradient d_y of the gated output."""
    nothing = Signal(np.zeros(1, np.float32), 0, 0)
    no_skip = np.zeros(0, np.float32)
    columns, one = plan.n_columns, np.float32(1)
    scale = np.float32(1 / plan.n_points)
    columns_forward(
        plan, taps, nothing, 0, channel, width, n_positions, scale, spectrum, 0, columns, scratch
    )
    rows_forward(plan, spectrum, 0, plan.n_rows)
    total_spectrum[: plan.n_points * POINT] = 0
    for sequence in range(n_batch):
        columns_forward(
            plan, u, nothing, sequence, channel, width, n_positions, one, x, 0, columns, scratch
        )
        columns_forward(
            plan, d_y, gate, sequence, channel, width, n_positions, one, y, 0, columns, scratch
        )
        _rows_adjoint(plan, x, y, spectrum, total_spectrum)
        if d_gate.data.size > 1:
            columns_inverse(
                plan, x, one, skip, u, nothing, d_y, d_gate, sequence, channel, width, n_positions,
                0, columns, scratch,
            )  # fmt: skip
        columns_inverse(
            plan, y, one, skip, d_y, gate, nothing, d_u, sequence, channel, width, n_positions,
            0, columns, scratch,
        )  # fmt: skip
        _add_products(d_skip, u, d_y, gate, sequence, channel, width, n_positions)
    _rows_inverse(plan, total_spectrum)
    columns_inverse(
        plan, total_spectrum, scale, no_skip, nothing, nothing, nothing, d_taps, 0, channel, width,
        n_positions, 0, columns, scratch,
    )  # fmt: skip


@part
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
            value = read_lanes(a_data, a_start + position * a_step, width)
            value = value * read_lanes(b_data, b_start + position * b_step, width)
            if has_c:
                value = value * read_lanes(c_data, c_start + position * c_step, width)
            part = part + value
        whole = whole + part
    store_some(sums, channel, width, whole)
