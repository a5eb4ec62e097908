"""Functions of a SIMD register of numbers, lane by lane."""

from __future__ import annotations

import numpy as np
from numba.extending import intrinsic

from hyenadna_cli.ops.cpu.lanes import (
    BITS,
    LANES,
    REAL,
    REGISTER,
    as_register,
    call,
    constant,
    part,
)


@intrinsic
def times_power_of_two(_, a, exponent):
    """The product a 2**exponent, for numbers near 1 and whole exponents from -126 to 126."""

    def generate(_context, builder, _signature, arguments):
        whole = builder.fptosi(arguments[1], BITS)
        bits = builder.add(builder.bitcast(arguments[0], BITS), builder.shl(whole, constant(23)))
        return builder.bitcast(bits, REGISTER)

    return REAL(a, exponent), generate


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


_LN2 = np.log(2)


@part
def exp2(x):
    """Two to the power of x, to two units in the last place, for x from -126 to 126."""
    # x = n + r with a whole n; then the Taylor polynomial of degree 6 on |r| <= 1 / 2.
    n = nearest(x)
    r = x - n
    p = r * np.float32(_LN2**6 / 720) + np.float32(_LN2**5 / 120)
    p = p * r + np.float32(_LN2**4 / 24)
    p = p * r + np.float32(_LN2**3 / 6)
    p = p * r + np.float32(_LN2**2 / 2)
    p = p * r + np.float32(_LN2)
    p = p * r + np.float32(1)
    return times_power_of_two(p, n)
