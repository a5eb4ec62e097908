"""Sines, last layer and window of the implicit filters, as compiled loops over channels."""

from __future__ import annotations

import numpy as np

from hyenadna_cli.ops.cpu.lane_math import clip, exp2, sine_and_cosine
from hyenadna_cli.ops.cpu.lanes import LANES, load, load_some, loop, part, splat, store_some

_BLOCK = 32
"""Positions whose hidden values stay in the first cache while all channels are computed."""

_LOG2E = np.float32(np.log2(np.e))


@part
def _registers(weight_CF):
    """The weights, a register for each group of channels and each hidden value."""
    n_channels, width = weight_CF.shape
    weights = np.zeros(-(-n_channels // LANES) * width * LANES, np.float32)
    for channel in range(n_channels):
        first = channel // LANES * width * LANES + channel % LANES
        for value in range(width):
            weights[first + value * LANES] = weight_CF[channel, value]
    return weights


@part
def _window(rates, time, shift):
    """Compute exp(-rate time) + shift; `rates` are already times -log2(e)."""
    return exp2(clip(rates * time, np.float32(-126), np.float32(126))) + shift


@loop
def windowed_taps(hidden_LF, weight_CF, times, rates, shift, taps, step, first, last):
    """taps[t] = (weight hidden[t]) (exp(-rate time[t]) + shift) for positions `first` to `last`.

    `step` numbers lie between two positions of the taps. Eight positions at a time: each weight is
    read once for them, and no sum waits for the one before.
    """
    n_channels, width = weight_CF.shape
    weights, shift = _registers(weight_CF), np.float32(shift)
    for start in range(first, last, _BLOCK):
        stop = min(start + _BLOCK, last)
        for channel in range(0, n_channels, LANES):
            n = min(LANES, n_channels - channel)
            rate = load_some(rates, channel, n) * -_LOG2E
            w_at = channel * width
            # Behind the last position it is done again: the same numbers from the same.
            for p0 in range(start, stop, 8):
                p1, p2 = min(p0 + 1, stop - 1), min(p0 + 2, stop - 1)
                p3, p4 = min(p0 + 3, stop - 1), min(p0 + 4, stop - 1)
                p5, p6 = min(p0 + 5, stop - 1), min(p0 + 6, stop - 1)
                p7 = min(p0 + 7, stop - 1)
                s0 = splat(np.float32(0))
                s1, s2, s3, s4, s5, s6, s7 = s0, s0, s0, s0, s0, s0, s0
                for value in range(width):
                    w = load(weights, w_at + value * LANES)
                    s0 = s0 + w * hidden_LF[p0, value]
                    s1 = s1 + w * hidden_LF[p1, value]
                    s2 = s2 + w * hidden_LF[p2, value]
                    s3 = s3 + w * hidden_LF[p3, value]
                    s4 = s4 + w * hidden_LF[p4, value]
                    s5 = s5 + w * hidden_LF[p5, value]
                    s6 = s6 + w * hidden_LF[p6, value]
                    s7 = s7 + w * hidden_LF[p7, value]
                store_some(taps, p0 * step + channel, n, s0 * _window(rate, times[p0], shift))
                store_some(taps, p1 * step + channel, n, s1 * _window(rate, times[p1], shift))
                store_some(taps, p2 * step + channel, n, s2 * _window(rate, times[p2], shift))
                store_some(taps, p3 * step + channel, n, s3 * _window(rate, times[p3], shift))
                store_some(taps, p4 * step + channel, n, s4 * _window(rate, times[p4], shift))
                store_some(taps, p5 * step + channel, n, s5 * _window(rate, times[p5], shift))
                store_some(taps, p6 * step + channel, n, s6 * _window(rate, times[p6], shift))
                store_some(taps, p7 * step + channel, n, s7 * _window(rate, times[p7], shift))


@loop
def windowed(values, times, rates, shift, out, first, last):
    """Values times exp(-rate time) + shift, of positions `first` to `last`, to the start of out."""
    n_channels, shift = rates.size, np.float32(shift)
    for channel in range(0, n_channels, LANES):
        n = min(LANES, n_channels - channel)
        rate = load_some(rates, channel, n) * -_LOG2E
        for t in range(first, last):
            value = load_some(values, t * n_channels + channel, n)
            value = value * _window(rate, times[t], shift)
            store_some(out, (t - first) * n_channels + channel, n, value)


@loop
def sines(x, freq, out):
    """The sine of freq x, for rows of freq.size values; `out` may be `x`."""
    width = freq.size
    for row in range(0, x.size, width):
        for at in range(0, width, LANES):
            n = min(LANES, width - at)
            angle = load_some(x, row + at, n) * load_some(freq, at, n)
            store_some(out, row + at, n, sine_and_cosine(angle)[0])


@loop
def sine_gradient(x, freq, d_y, d_freq, d_bias):
    """d_y of sin(freq x) to that of x, in place; its sums, and those for freq, are added to."""
    width = freq.size
    for at in range(0, width, LANES):
        n = min(LANES, width - at)
        f = load_some(freq, at, n)
        for_freq = for_bias = splat(np.float32(0))
        for row in range(0, x.size, width):
            value = load_some(x, row + at, n)
            d_angle = load_some(d_y, row + at, n) * sine_and_cosine(value * f)[1]
            d_x = d_angle * f
            for_freq, for_bias = for_freq + d_angle * value, for_bias + d_x
            store_some(d_y, row + at, n, d_x)
        store_some(d_freq, at, n, load_some(d_freq, at, n) + for_freq)
        store_some(d_bias, at, n, load_some(d_bias, at, n) + for_bias)
