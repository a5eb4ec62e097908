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


@intrinsic
def _of_quarter(_, n, sine, cosine):
    """Sine of an angle n quarters of a turn on, from sine and cosine of the rest."""

    def generate(_context, builder, _signature, arguments):
        number = builder.fptosi(arguments[0], BITS)
        is_odd = builder.icmp_signed("!=", builder.and_(number, constant(1)), constant(0))
        value = builder.select(is_odd, arguments[2], arguments[1])
        sign = builder.shl(builder.and_(number, constant(2)), constant(30))
        return builder.bitcast(builder.xor(builder.bitcast(value, BITS), sign), REGISTER)

    return REAL(n, sine, cosine), generate


# A quarter of a turn in three parts, of which the first two have few bits: whole multiples of them
# are exact, and so is the difference from an angle near one.
_QUARTER = float(np.pi / 2)
_QUARTER_1 = np.floor(_QUARTER * 2**7) / 2**7
_QUARTER_2 = np.floor((_QUARTER - _QUARTER_1) * 2**20) / 2**20
_QUARTER_3 = _QUARTER - _QUARTER_1 - _QUARTER_2


@part
def sine_and_cosine(x):
    """Both, to 1e-7 for |x| below 10,000; less precise beyond, where float32 is coarse too."""
    n = nearest(x * np.float32(1 / _QUARTER))
    r = x - n * np.float32(_QUARTER_1)
    r = r - n * np.float32(_QUARTER_2)
    r = clip(r - n * np.float32(_QUARTER_3), np.float32(-0.8), np.float32(0.8))
    # Taylor polynomials on |r| <= pi / 4.
    z = r * r
    s = z * np.float32(1 / 362880) - np.float32(1 / 5040)
    s = s * z + np.float32(1 / 120)
    s = s * z - np.float32(1 / 6)
    s = s * z * r + r
    c = z * np.float32(-1 / 3628800) + np.float32(1 / 40320)
    c = c * z - np.float32(1 / 720)
    c = c * z + np.float32(1 / 24)
    c = c * z - np.float32(1 / 2)
    c = c * z + np.float32(1)
    return _of_quarter(n, s, c), _of_quarter(n + np.float32(1), s, c)
