"""Functions of a SIMD register of numbers, lane by lane."""

from __future__ import annotations

import numba
import numpy as np
from numba.extending import intrinsic

from hyenadna_cli.ops.cpu.lanes import BITS, LANES, REAL, REGISTER, as_register, call, constant


@intrinsic
def power_of_two(_, exponent):
    """2 ** exponent, for whole numbers from -126 to 127."""

    def generate(_context, builder, _signature, arguments):
        whole = builder.fptosi(arguments[0], BITS)
        bits = builder.shl(builder.add(whole, constant(127)), constant(23))
        return builder.bitcast(bits, REGISTER)

    return REAL(exponent), generate


@intrinsic
def nearest(_, a):
    """The nearest whole number, ties to even."""

    def generate(_context, builder, _signature, arguments):
        return call(builder, f"rint.v{LANES}f32", REGISTER, arguments)

    return REAL(a), generate


@intrinsic
def clip(_, a, lowest, highest):
    """`a` within two scalars; a NaN stays one."""

    def generate(context, builder, signature, arguments):
        a, lowest, highest = (
            as_register(context, builder, *pair)
            for pair in zip(arguments, signature.args, strict=True)
        )
        a = builder.select(builder.fcmp_ordered("<", a, lowest), lowest, a)
        return builder.select(builder.fcmp_ordered(">", a, highest), highest, a)

    return REAL(a, lowest, highest), generate


@numba.njit
def exp(x):
    """The exponential, to two units in the last place; x is clipped to what float32 can hold."""
    # Cody and Waite's range reduction: x = n ln 2 + r with the two parts of ln 2 taken off one by
    # one; then a polynomial of degree 6 on |r| <= ln 2 / 2.
    x = clip(x, np.float32(-87.0), np.float32(88.0))
    n = nearest(x * np.float32(1 / np.log(2)))
    r = x - n * np.float32(0.693145751953125)
    r = r - n * np.float32(1.428606765330187e-06)
    p = r * np.float32(1 / 720) + np.float32(1 / 120)
    p = p * r + np.float32(1 / 24)
    p = p * r + np.float32(1 / 6)
    p = p * r + np.float32(1 / 2)
    p = p * r + np.float32(1)
    p = p * r + np.float32(1)
    return p * power_of_two(n)
