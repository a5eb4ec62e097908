"""What is done to each position by itself, as compiled loops over LANES channels of rows."""

from __future__ import annotations

import numpy as np

from hyenadna_cli.ops.cpu.lane_math import clip, exp2
from hyenadna_cli.ops.cpu.lanes import (
    LANES,
    divide,
    load,
    load_some,
    loop,
    only_first,
    part,
    splat,
    store,
    store_some,
    total,
)


@loop
def add(x, delta):
    """Add delta to x, number by number."""
    whole = x.size // LANES * LANES
    for at in range(0, whole, LANES):
        store(x, at, load(x, at) + load(delta, at))
    if whole < x.size:
        rest = x.size - whole
        value = load_some(x, whole, rest) + load_some(delta, whole, rest)
        store_some(x, whole, rest, value)


@loop
def norm(x, delta, weight, bias, eps, out):
    """Layer norm of each row of `weight.size` numbers, after delta was added to x if there is one.

    Four rows at a time: the sums of one alone would wait for themselves at every step.
    """
    width = weight.size
    scale, eps = np.float32(1 / width), np.float32(eps)
    last = x.size - width
    for r0 in range(0, x.size, 4 * width):
        stop = min(r0 + 4 * width, x.size)
        if delta.size:
            for at in range(r0, stop, LANES):
                n = min(LANES, stop - at)
                store_some(x, at, n, load_some(x, at, n) + load_some(delta, at, n))
        # Behind the last row it is done again: the same numbers from the same.
        r1, r2, r3 = min(r0 + width, last), min(r0 + 2 * width, last), min(r0 + 3 * width, last)
        s0 = splat(np.float32(0))
        s1, s2, s3 = s0, s0, s0
        for c in range(0, width, LANES):
            n = min(LANES, width - c)
            s0 = s0 + load_some(x, r0 + c, n)
            s1 = s1 + load_some(x, r1 + c, n)
            s2 = s2 + load_some(x, r2 + c, n)
            s3 = s3 + load_some(x, r3 + c, n)
        m0, m1, m2, m3 = total(s0) * scale, total(s1) * scale, total(s2) * scale, total(s3) * scale
        s0 = splat(np.float32(0))
        s1, s2, s3 = s0, s0, s0
        for c in range(0, width, LANES):
            n = min(LANES, width - c)
            d0, d1 = _centred(x, r0 + c, n, m0), _centred(x, r1 + c, n, m1)
            d2, d3 = _centred(x, r2 + c, n, m2), _centred(x, r3 + c, n, m3)
            s0, s1, s2, s3 = s0 + d0 * d0, s1 + d1 * d1, s2 + d2 * d2, s3 + d3 * d3
        i0, i1 = _inverse_root(total(s0) * scale + eps), _inverse_root(total(s1) * scale + eps)
        i2, i3 = _inverse_root(total(s2) * scale + eps), _inverse_root(total(s3) * scale + eps)
        for c in range(0, width, LANES):
            n = min(LANES, width - c)
            w, b = load_some(weight, c, n), load_some(bias, c, n)
            # All are read before one is written, as `out` may be `x`.
            y0 = (load_some(x, r0 + c, n) - m0) * i0 * w + b
            y1 = (load_some(x, r1 + c, n) - m1) * i1 * w + b
            y2 = (load_some(x, r2 + c, n) - m2) * i2 * w + b
            y3 = (load_some(x, r3 + c, n) - m3) * i3 * w + b
            store_some(out, r0 + c, n, y0)
            store_some(out, r1 + c, n, y1)
            store_some(out, r2 + c, n, y2)
            store_some(out, r3 + c, n, y3)


@part
def _centred(x, at, n, mean):
    """Differences from the mean; none behind the last of n numbers."""
    if n == LANES:
        return load(x, at) - mean
    return only_first(load_some(x, at, n) - mean, n)


@part
def _inverse_root(x):
    return np.float32(1) / np.sqrt(x)


@part
def _gelu(x):
    """GELU by its tanh form: x / (1 + 2^t), t = -2 log2(e) sqrt(2 / pi) (x + 0.044715 x^3)."""
    c = np.float32(-2 * np.sqrt(2 / np.pi) * np.log2(np.e))
    t = x * (x * x * (c * np.float32(0.044715)) + c)
    # Below -60 the quotient is x to the last bit.
    return divide(x, exp2(clip(t, np.float32(-60), np.float32(126))) + np.float32(1))


@loop
def gelu(x):
    """The tanh form of GELU, in place."""
    whole = x.size // LANES * LANES
    for at in range(0, whole, LANES):
        store(x, at, _gelu(load(x, at)))
    if whole < x.size:
        store_some(x, whole, x.size - whole, _gelu(load_some(x, whole, x.size - whole)))


@part
def _gelu_and_slope(x):
    """`_gelu` as x s with s = 1 / (1 + 2^t), and its derivative."""
    c = np.float32(2 * np.sqrt(2 / np.pi))
    log2e = np.float32(np.log2(np.e))
    square, one = x * x, splat(np.float32(1))
    t = x * (square * (c * np.float32(-0.044715) * log2e) - c * log2e)
    s = divide(one, exp2(clip(t, np.float32(-60), np.float32(126))) + one)
    y = x * s
    return y, s + y * (one - s) * (square * (c * np.float32(3 * 0.044715)) + c)


@loop
def gelu_gradient(x, d_y):
    """d_y to the gradient of GELU's input, and that input x to its output, both in place."""
    whole = x.size // LANES * LANES
    for at in range(0, whole, LANES):
        y, slope = _gelu_and_slope(load(x, at))
        store(d_y, at, load(d_y, at) * slope)
        store(x, at, y)
    if whole < x.size:
        rest = x.size - whole
        y, slope = _gelu_and_slope(load_some(x, whole, rest))
        store_some(d_y, whole, rest, load_some(d_y, whole, rest) * slope)
        store_some(x, whole, rest, y)
