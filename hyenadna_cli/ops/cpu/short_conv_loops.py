"""The short convolution as compiled loops over LANES channels of channels-last projections."""

from __future__ import annotations

import numpy as np

from hyenadna_cli.ops.cpu.lanes import LANES, load, load_some, loop, part, store, store_some


@part
def _conv(data, row, step, position, channel, width, taps, taps_at, bias, n_taps):
    """The convolution of LANES channels at one position; `row` is where its numbers begin."""
    value = bias
    for tap in range(max(n_taps - 1 - position, 0), n_taps):
        at = row - (n_taps - 1 - tap) * step + channel
        value = value + load(taps, taps_at + tap * LANES) * load_some(data, at, width)
    return value


@part
def registers(taps_PK, first, n_channels):
    """The taps of channels from `first` on: group by group, a register each."""
    n_taps = taps_PK.shape[1]
    n_groups = -(-n_channels // LANES)
    taps = np.zeros(n_groups * n_taps * LANES, np.float32)
    for channel in range(n_channels):
        at = channel // LANES * n_taps * LANES + channel % LANES
        for tap in range(n_taps):
            taps[at + tap * LANES] = taps_PK[first + channel, tap]
    return taps


_ROWS = 4
"""Positions whose three taps are done together: each number is read once for up to three of them,
and no sum waits for the one before."""


@part
def _rows_of_three(data, at, step, taps, taps_at, bias):
    """The convolution with three taps at `at` and the next positions, LANES channels of each."""
    a, b, c = load(taps, taps_at), load(taps, taps_at + LANES), load(taps, taps_at + 2 * LANES)
    x0, x1, x2 = load(data, at - 2 * step), load(data, at - step), load(data, at)
    x3, x4, x5 = load(data, at + step), load(data, at + 2 * step), load(data, at + 3 * step)
    return (
        bias + a * x0 + b * x1 + c * x2,
        bias + a * x1 + b * x2 + c * x3,
        bias + a * x2 + b * x3 + c * x4,
        bias + a * x3 + b * x4 + c * x5,
    )


@part
def _four_rows(data, at, step):
    return (
        load(data, at), load(data, at + step), load(data, at + 2 * step), load(data, at + 3 * step)
    )  # fmt: skip


@part
def _times_each(x, y):
    return x[0] * y[0], x[1] * y[1], x[2] * y[2], x[3] * y[3]


@loop
def short_conv(
    proj, proj_batch_step, proj_step, taps_PK, bias, channels, other_channels, n_channels,
    out, out_batch_step, out_step, first_sequence, last_sequence, first, last, is_factor,
):  # fmt: skip
    """out[b, t - first] = conv[channels][b, t] (* conv[other_channels][b, t]) for t from `first`.

    Sequences `first_sequence` to `last_sequence`, positions `first` to `last` of the projections;
    `channels` and `other_channels` are the first ones of two parts of `n_channels`. There is no
    second factor where `other_channels` is negative. With `is_factor` out is multiplied by that.
    """
    n_taps = taps_PK.shape[1]
    has_other = other_channels >= 0
    taps = registers(taps_PK, channels, n_channels)
    other_taps = registers(taps_PK, other_channels, n_channels if has_other else 0)
    # All groups of a position before the next one: its row, larger than what a group reads of it,
    # is then in the first cache when the following positions look back at it.
    for sequence in range(first_sequence, last_sequence):
        row_0 = sequence * proj_batch_step
        to_0 = sequence * out_batch_step - first * out_step
        position = first
        while position < last:
            row, to = row_0 + position * proj_step, to_0 + position * out_step
            n = 1
            if n_taps == 3 and position >= 2 and position + _ROWS <= last:
                n = _ROWS
            for at in range(0, n_channels, LANES):
                width = min(LANES, n_channels - at)
                own_bias = load_some(bias, channels + at, width)
                other_bias = own_bias
                if has_other:
                    other_bias = load_some(bias, other_channels + at, width)
                if n == _ROWS and width == LANES:
                    y = _rows_of_three(proj, row + channels + at, proj_step, taps, 3 * at, own_bias)
                    if has_other:
                        y = _times_each(y, _rows_of_three(
                            proj, row + other_channels + at, proj_step,
                            other_taps, 3 * at, other_bias,
                        ))  # fmt: skip
                    if is_factor:
                        y = _times_each(y, _four_rows(out, to + at, out_step))
                    store(out, to + at, y[0])
                    store(out, to + at + out_step, y[1])
                    store(out, to + at + 2 * out_step, y[2])
                    store(out, to + at + 3 * out_step, y[3])
                    continue
                for j in range(n):
                    value = _conv(
                        proj, row + j * proj_step, proj_step, position + j, channels + at, width,
                        taps, at * n_taps, own_bias, n_taps,
                    )  # fmt: skip
                    if has_other:
                        value = value * _conv(
                            proj, row + j * proj_step, proj_step, position + j,
                            other_channels + at, width,
                            other_taps, at * n_taps, other_bias, n_taps,
                        )  # fmt: skip
                    if is_factor:
                        value = value * load_some(out, to + at + j * out_step, width)
                    store_some(out, to + at + j * out_step, width, value)
            position += n
