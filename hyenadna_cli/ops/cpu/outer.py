"""Products over positions: gradients of weights, without transposed copies."""

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from hyenadna_cli.ops.cpu.lanes import (
    LANES,
    REGISTER,
    load_lanes,
    load_some,
    splat,
    store_lanes,
    store_some,
)

_ROWS, _REGISTERS = (4, 4) if LANES == 16 else (4, 2)
"""A tile of the result; of 32 registers with AVX-512, of 16 without, some are for its factors."""

_DEPTH = 128
"""Positions summed at once: LANES channels of as many are kept in the first cache."""


@intrinsic
def _add_tile(_, a, a_at, a_step, b, b_at, b_step, n_positions, c, c_at, c_step):
    """Add the products of _ROWS columns of a with _REGISTERS * LANES columns of b to c."""

    def generate(context, builder, signature, arguments):
        a_type, b_type, c_type = signature.args[0], signature.args[3], signature.args[7]
        a, a_at, a_step, b, b_at, b_step, n_positions, c, c_at, c_step = arguments
        a_data = context.make_array(a_type)(context, builder, a).data
        number = lambda value: ir.Constant(a_at.type, value)  # noqa: E731
        zero = ir.Constant(REGISTER, [0.0] * LANES)
        undefined = ir.Constant(REGISTER, ir.Undefined)
        lane = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        sums = [
            [cgutils.alloca_once_value(builder, zero) for _register in range(_REGISTERS)]
            for _row in range(_ROWS)
        ]
        with cgutils.for_range(builder, n_positions) as loop:
            row_a = builder.add(a_at, builder.mul(loop.index, a_step))
            row_b = builder.add(b_at, builder.mul(loop.index, b_step))
            of_b = [
                load_lanes(context, builder, b_type, b, builder.add(row_b, number(k * LANES)))
                for k in range(_REGISTERS)
            ]
            for row in range(_ROWS):
                scalar = builder.load(builder.gep(a_data, [builder.add(row_a, number(row))]))
                first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
                factor = builder.shuffle_vector(first, undefined, lane)
                for k in range(_REGISTERS):
                    product = builder.fmul(factor, of_b[k], flags=("contract",))
                    old = builder.load(sums[row][k])
                    builder.store(builder.fadd(old, product, flags=("contract",)), sums[row][k])
        for row in range(_ROWS):
            for k in range(_REGISTERS):
                at = builder.add(
                    c_at, builder.add(builder.mul(c_step, number(row)), number(k * LANES))
                )
                old = load_lanes(context, builder, c_type, c, at)
                value = builder.fadd(old, builder.load(sums[row][k]))
                store_lanes(context, builder, c_type, c, at, value)
        return context.get_dummy_value()

    i = types.intp
    return types.void(a, i, i, b, i, i, i, c, i, i), generate


@numba.njit
def _pack(data, at, step, n_positions, width, packed, packed_at):
    """Copy neighbouring columns side by side.

    Rows of some widths all fall into the same few sets of the first cache.
    """
    for position in range(n_positions):
        for column in range(width):
            packed[packed_at + position * width + column] = data[at + position * step + column]


@numba.njit(nogil=True, cache=True)
def add_outer(a, n_a, b, n_b, c):
    """Add a^T b to c, for a (positions, n_a), b (positions, n_b), c (n_a, n_b), contiguous."""
    n_positions = a.size // n_a
    whole_a, wide = n_a // _ROWS * _ROWS, _REGISTERS * LANES
    whole_b = n_b // wide * wide
    packed_a = np.empty(_DEPTH * whole_a, np.float32)
    packed_b = np.empty(_DEPTH * wide, np.float32)
    for first in range(0, n_positions, _DEPTH):
        n = min(_DEPTH, n_positions - first)
        for o in range(0, whole_a, _ROWS):
            _pack(a, first * n_a + o, n_a, n, _ROWS, packed_a, o * n)
        for i in range(0, whole_b, wide):
            _pack(b, first * n_b + i, n_b, n, wide, packed_b, 0)
            for o in range(0, whole_a, _ROWS):
                _add_tile(packed_a, o * n, _ROWS, packed_b, 0, wide, n, c, o * n_b + i, n_b)
        for i in range(0, n_b, LANES):
            width = min(LANES, n_b - i)
            for o in range(whole_a if i < whole_b else 0, n_a):
                total = load_some(c, o * n_b + i, width)
                for position in range(first, first + n):
                    value = load_some(b, position * n_b + i, width)
                    total = total + value * a[position * n_a + o]
                store_some(c, o * n_b + i, width, total)


@numba.njit(nogil=True, cache=True)
def add_rows(a, n_a, sums):
    """Add to sums the sum of the rows of a (positions, n_a)."""
    n_positions = a.size // n_a
    for i in range(0, n_a, LANES):
        width = min(LANES, n_a - i)
        total = load_some(sums, i, width)
        for first in range(0, n_positions, _DEPTH):
            part = splat(np.float32(0))
            for position in range(first, min(first + _DEPTH, n_positions)):
                part = part + load_some(a, position * n_a + i, width)
            total = total + part
        store_some(sums, i, width, total)
