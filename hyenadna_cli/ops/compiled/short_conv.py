"""The short convolution as compiled loops over LANES channels of channels-last projections."""

from __future__ import annotations

import numba
import numpy as np

from hyenadna_cli.ops.compiled.lanes import LANES, load, load_some, splat, store, store_some


@numba.njit
def _conv(data, row, step, position, channel, width, taps, bias, first_tap, n_taps):
    """The convolution of LANES channels at one position; `row` is where its numbers begin."""
    value = bias
    for tap in range(max(n_taps - 1 - position, 0), n_taps):
        at = row - (n_taps - 1 - tap) * step + channel
        factor = load_some(taps, first_tap + tap * LANES, LANES)
        if width == LANES:
            value = value + factor * load(data, at)
        else:
            value = value + factor * load_some(data, at, width)
    return value


@numba.njit(nogil=True, cache=True)
def short_conv(
    proj, proj_batch_step, proj_step, taps_PK, bias, channels, other_channels, n_channels,
    out, out_batch_step, out_step, first_sequence, last_sequence, first, last,
):  # fmt: skip
    """out[b, t - first] = conv[channels][b, t] (* conv[other_channels][b, t]) for t from `first`.

    Sequences `first_sequence` to `last_sequence`, positions `first` to `last` of the projections;
    `channels` and `other_channels` are the first ones of two blocks of `n_channels`. There is no
    second factor where `other_channels` is negative.
    """
    n_taps = taps_PK.shape[1]
    has_other = other_channels >= 0
    # Taps of a group of channels, each tap a register.
    taps = np.zeros(2 * n_taps * LANES, np.float32)
    for group in range(0, n_channels, LANES):
        width = min(LANES, n_channels - group)
        for lane in range(width):
            for tap in range(n_taps):
                taps[tap * LANES + lane] = taps_PK[channels + group + lane, tap]
                if has_other:
                    taps[(n_taps + tap) * LANES + lane] = taps_PK[
                        other_channels + group + lane, tap
                    ]
        bias_1 = load_some(bias, channels + group, width)
        bias_2 = (
            load_some(bias, other_channels + group, width) if has_other else splat(np.float32(0))
        )
        for sequence in range(first_sequence, last_sequence):
            for position in range(first, last):
                row = sequence * proj_batch_step + position * proj_step
                value = _conv(
                    proj, row, proj_step, position, channels + group, width, taps, bias_1, 0, n_taps
                )
                if has_other:
                    value = value * _conv(
                        proj, row, proj_step, position, other_channels + group, width, taps,
                        bias_2, n_taps * LANES, n_taps,
                    )  # fmt: skip
                at = sequence * out_batch_step + (position - first) * out_step + group
                if width == LANES:
                    store(out, at, value)
                else:
                    store_some(out, at, width, value)
