"""The gradients of the short convolution, as compiled loops like `short_conv_loops`."""

from __future__ import annotations

import numpy as np

from hyenadna_cli.ops.cpu.lanes import LANES, load, load_some, loop, part, splat, store, store_some
from hyenadna_cli.ops.cpu.short_conv_loops import registers

_STEPS = 32
"""Positions of one group of channels before those of the next: what their rows bring into the
first cache serves all groups."""

_KEPT = 8
"""Registers that a group keeps from one position to the next: see `short_conv_gradients`."""


@loop
def short_conv_gradients(
    proj, proj_batch_step, proj_step, taps_PK, bias, channels, other_channels, n_channels,
    d_out, d_out_batch_step, d_out_step, d_channel, n_batch, n_positions, d_proj, d_taps, d_bias,
):  # fmt: skip
    """Gradients of what `short_conv` read of `n_channels` channels, and of `other_channels` too.

    From the gradient of its output, whose channels begin at `d_channel`; there are three taps.
    `d_proj` has the steps of `proj`; `d_taps` is (K, P), flat. Without a second factor
    `other_channels` is negative.

    A position's gradient goes to the inputs of three positions: an input is finished when the
    second position after it is reached. Kept of each part: two inputs, and two gradients.
    """
    has_other = other_channels >= 0
    n_groups = -(-n_channels // LANES)
    taps = registers(taps_PK, channels, n_channels)
    other_taps = registers(taps_PK, other_channels, n_channels if has_other else 0)
    kept = np.empty(n_groups * _KEPT * LANES, np.float32)
    for sequence in range(n_batch):
        row, d_row = sequence * proj_batch_step, sequence * d_out_batch_step + d_channel
        kept[:] = 0
        # Two steps behind the last position finish the last two inputs.
        for start in range(0, n_positions + 2, _STEPS):
            stop = min(start + _STEPS, n_positions + 2)
            for at in range(0, n_channels, LANES):
                width = min(LANES, n_channels - at)
                group = at // LANES
                if has_other:
                    _walk_pair(
                        proj, row + channels + at, row + other_channels + at, proj_step,
                        taps, other_taps, 3 * at,
                        load_some(bias, channels + at, width),
                        load_some(bias, other_channels + at, width),
                        d_out, d_row + at, d_out_step, start, stop, n_positions, width,
                        kept, group * _KEPT * LANES, d_proj,
                        d_taps, taps_PK.shape[0], d_bias, channels + at, other_channels + at,
                    )  # fmt: skip
                else:
                    _walk(
                        proj, row + channels + at, proj_step, taps, 3 * at,
                        d_out, d_row + at, d_out_step, start, stop, n_positions, width,
                        kept, group * _KEPT * LANES, d_proj,
                        d_taps, taps_PK.shape[0], d_bias, channels + at,
                    )  # fmt: skip


@part
def _walk(
    proj, at, step, taps, taps_at, d_out, d_at, d_step, start, stop, n_positions, width,
    kept, kept_at, d_proj, d_taps, n_channels, d_bias, channels,
):  # fmt: skip
    """Positions `start` to `stop` of one group of channels that nothing was multiplied with."""
    a, b, c = (
        load(taps, taps_at), load(taps, taps_at + LANES), load(taps, taps_at + 2 * LANES)
    )  # fmt: skip
    x2, x1 = load(kept, kept_at), load(kept, kept_at + LANES)
    d2, d1 = load(kept, kept_at + 2 * LANES), load(kept, kept_at + 3 * LANES)
    zero = splat(np.float32(0))
    sum_a, sum_b, sum_c, sum_bias = zero, zero, zero, zero
    for t in range(start, stop):
        x, d = zero, zero
        if t < n_positions:
            x = load_some(proj, at + t * step, width)
            d = load_some(d_out, d_at + t * d_step, width)
        if t >= 2:
            store_some(d_proj, at + (t - 2) * step, width, d2 * c + d1 * b + d * a)
        sum_a, sum_b, sum_c = sum_a + d * x2, sum_b + d * x1, sum_c + d * x
        sum_bias = sum_bias + d
        x2, x1, d2, d1 = x1, x, d1, d
    store(kept, kept_at, x2)
    store(kept, kept_at + LANES, x1)
    store(kept, kept_at + 2 * LANES, d2)
    store(kept, kept_at + 3 * LANES, d1)
    _add_sums(d_taps, n_channels, d_bias, channels, width, sum_a, sum_b, sum_c, sum_bias)


@part
def _walk_pair(
    proj, at, other_at, step, taps, other_taps, taps_at, bias, other_bias,
    d_out, d_at, d_step, start, stop, n_positions, width,
    kept, kept_at, d_proj, d_taps, n_channels, d_bias, channels, other_channels,
):  # fmt: skip
    """The same of two groups whose convolutions were multiplied with one another."""
    a, b, c = (
        load(taps, taps_at), load(taps, taps_at + LANES), load(taps, taps_at + 2 * LANES)
    )  # fmt: skip
    oa, ob, oc = (
        load(other_taps, taps_at), load(other_taps, taps_at + LANES),
        load(other_taps, taps_at + 2 * LANES),
    )  # fmt: skip
    x2, x1 = load(kept, kept_at), load(kept, kept_at + LANES)
    d2, d1 = load(kept, kept_at + 2 * LANES), load(kept, kept_at + 3 * LANES)
    o2, o1 = load(kept, kept_at + 4 * LANES), load(kept, kept_at + 5 * LANES)
    e2, e1 = load(kept, kept_at + 6 * LANES), load(kept, kept_at + 7 * LANES)
    zero = splat(np.float32(0))
    sum_a, sum_b, sum_c, sum_bias = zero, zero, zero, zero
    sum_oa, sum_ob, sum_oc, sum_other = zero, zero, zero, zero
    for t in range(start, stop):
        x, o, d, e = zero, zero, zero, zero
        if t < n_positions:
            x = load_some(proj, at + t * step, width)
            o = load_some(proj, other_at + t * step, width)
            y = load_some(d_out, d_at + t * d_step, width)
            d = y * (other_bias + oa * o2 + ob * o1 + oc * o)
            e = y * (bias + a * x2 + b * x1 + c * x)
        if t >= 2:
            store_some(d_proj, at + (t - 2) * step, width, d2 * c + d1 * b + d * a)
            store_some(d_proj, other_at + (t - 2) * step, width, e2 * oc + e1 * ob + e * oa)
        sum_a, sum_b, sum_c = sum_a + d * x2, sum_b + d * x1, sum_c + d * x
        sum_oa, sum_ob, sum_oc = sum_oa + e * o2, sum_ob + e * o1, sum_oc + e * o
        sum_bias, sum_other = sum_bias + d, sum_other + e
        x2, x1, d2, d1, o2, o1, e2, e1 = x1, x, d1, d, o1, o, e1, e
    store(kept, kept_at, x2)
    store(kept, kept_at + LANES, x1)
    store(kept, kept_at + 2 * LANES, d2)
    store(kept, kept_at + 3 * LANES, d1)
    store(kept, kept_at + 4 * LANES, o2)
    store(kept, kept_at + 5 * LANES, o1)
    store(kept, kept_at + 6 * LANES, e2)
    store(kept, kept_at + 7 * LANES, e1)
    _add_sums(d_taps, n_channels, d_bias, channels, width, sum_a, sum_b, sum_c, sum_bias)
    _add_sums(
        d_taps, n_channels, d_bias, other_channels, width, sum_oa, sum_ob, sum_oc, sum_other
    )  # fmt: skip


@part
def _add_sums(d_taps, n_channels, d_bias, channels, width, sum_a, sum_b, sum_c, sum_bias):
    _add(d_taps, channels, width, sum_a)
    _add(d_taps, n_channels + channels, width, sum_b)
    _add(d_taps, 2 * n_channels + channels, width, sum_c)
    _add(d_bias, channels, width, sum_bias)


@part
def _add(sums, at, width, value):
    store_some(sums, at, width, load_some(sums, at, width) + value)
