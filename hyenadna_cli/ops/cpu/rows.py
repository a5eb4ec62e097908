"""What is done to each position by itself, as compiled loops over LANES channels of rows."""

from __future__ import annotations

import numba
import numpy as np

from hyenadna_cli.ops.cpu.lane_math import clip, exp
from hyenadna_cli.ops.cpu.lanes import (
    LANES,
    divide,
    load,
    load_some,
    splat,
    store,
    store_some,
    total,
)


@numba.njit(nogil=True, cache=True)
def add(x, delta):
    """Add delta to x, number by number."""
    whole = x.size // LANES * LANES
    for at in range(0, whole, LANES):
        store(x, at, load(x, at) + load(delta, at))
    if whole < x.size:
        rest = x.size - whole
        value = load_some(x, whole, rest) + load_some(delta, whole, rest)
        store_some(x, whole, rest, value)


@numba.njit(nogil=True, cache=True)
def norm(x, weight, bias, eps, out):
    """Layer norm of each row of `weight.size` numbers."""
    width = weight.size
    whole = width // LANES * LANES
    rest = width - whole
    scale = np.float32(1 / width)
    for start in range(0, x.size, width):
        sums = splat(np.float32(0))
        for at in range(start, start + whole, LANES):
            sums = sums + load(x, at)
        if rest:
            sums = sums + load_some(x, start + whole, rest)
        mean = total(sums) * scale
        squares = splat(np.float32(0))
        for at in range(start, start + whole, LANES):
            centred = load(x, at) - mean
            squares = squares + centred * centred
        variance = total(squares)
        if rest:
            for at in range(start + whole, start + width):
                variance += (x[at] - mean) * (x[at] - mean)
        inverse = np.float32(1) / np.sqrt(variance * scale + eps)
        for c in range(0, whole, LANES):
            value = (load(x, start + c) - mean) * inverse
            store(out, start + c, value * load(weight, c) + load(bias, c))
        if rest:
            value = (load_some(x, start + whole, rest) - mean) * inverse
            value = value * load_some(weight, whole, rest) + load_some(bias, whole, rest)
            store_some(out, start + whole, rest, value)


@numba.njit
def _gelu(x):
    """GELU as x / (1 + exp(-2 z)), with z = sqrt(2 / pi) (x + 0.044715 x^3) of its tanh form."""
    c = np.float32(-2 * np.sqrt(2 / np.pi))
    z = x * (x * x * (c * np.float32(0.044715)) + c)
    # Beyond 40 the quotient is 0 or x to the last bit.
    return divide(x, exp(clip(z, np.float32(-40), np.float32(40))) + np.float32(1))


@numba.njit(nogil=True, cache=True)
def gelu(x):
    """The tanh form of GELU, in place."""
    whole = x.size // LANES * LANES
    for at in range(0, whole, LANES):
        store(x, at, _gelu(load(x, at)))
    if whole < x.size:
        store_some(x, whole, x.size - whole, _gelu(load_some(x, whole, x.size - whole)))


@numba.njit
def _gelu_slope(x):
    """The derivative of `_gelu`."""
    c = np.float32(2 * np.sqrt(2 / np.pi))
    z = x * (x * x * (c * np.float32(0.044715)) + c)
    one = splat(np.float32(1))
    s = divide(one, exp(clip(z * np.float32(-1), np.float32(-40), np.float32(40))) + np.float32(1))
    dz = x * x * (c * np.float32(3 * 0.044715)) + c
    return s + x * s * (one - s) * dz


@numba.njit(nogil=True, cache=True)
def gelu_gradient(x, d_y):
    """d_y to the gradient of GELU's input, and that input x to its output, both in place."""
    for at in range(0, x.size, LANES):
        width = min(LANES, x.size - at)
        value = load_some(x, at, width)
        store_some(d_y, at, width, load_some(d_y, at, width) * _gelu_slope(value))
        store_some(x, at, width, _gelu(value))
