"""A SIMD register of neighbouring channels, as one value inside Numba functions.

Every loop of the compiled kernels walks along the sequence with LANES channels side by side:
transforms along positions then need no shuffles, and one instruction serves all lanes. Real values
have the operators + - *; complex ones + - and the functions below. Arrays are flat, of float32
or of the bits of bfloat16 as int16.
"""

from __future__ import annotations

import operator

import llvmlite.binding
import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import (
    intrinsic,
    lower_builtin,
    models,
    register_model,
    type_callable,
)

part = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")
"""Decorates what compiled loops call: without what Python would need to call it, or to be told of
divisions by zero, it is compiled in nine tenths of the time."""

loop = numba.njit(nogil=True, cache=True, no_cfunc_wrapper=True, error_model="numpy")
"""Decorates compiled loops, which Python calls."""

LANES = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
"""Channels in a register: one of 64 bytes with AVX-512, else of 32 (two of 16 on ARM)."""

_I16, _I32 = ir.IntType(16), ir.IntType(32)
REGISTER = ir.VectorType(ir.FloatType(), LANES)
BITS = ir.VectorType(_I32, LANES)
_HALF_BITS = ir.VectorType(_I16, LANES)


class _BFloat16(ir.Type):
    """LLVM's type, which llvmlite has no name for."""

    def _to_string(self) -> str:
        return "bfloat"


_HALVES = ir.VectorType(_BFloat16(), LANES)


class Real(types.Type):
    """LANES float32 values."""

    def __init__(self) -> None:
        super().__init__(name=f"Real{LANES}")


REAL = Real()


@register_model(Real)
class _RealModel(models.PrimitiveModel):
    def __init__(self, manager, type_):
        super().__init__(manager, type_, REGISTER)


def constant(value: int) -> ir.Constant:
    """A whole number in every lane."""
    return ir.Constant(BITS, [value] * LANES)


def broadcast(builder, scalar):
    """A scalar in every lane."""
    undefined = ir.Constant(REGISTER, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, undefined, constant(0))


def call(builder, name, result, arguments, fastmath=()):
    """LLVM's function `name` for registers of LANES float32 values."""
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(result, [argument.type for argument in arguments]),
        f"llvm.{name}",
    )
    return builder.call(function, arguments, fastmath=fastmath)


def as_register(context, builder, value, type_):
    """A Real as it is, a scalar in every lane."""
    if isinstance(type_, Real):
        return value
    return broadcast(builder, context.cast(builder, value, type_, types.float32))


def _define_operator(function, instruction):
    """`instruction` of two registers, or of a register and a scalar for all lanes."""

    @type_callable(function)
    def _type(context):
        def result_of(a, b):
            kinds = {isinstance(a, Real), isinstance(b, Real)}
            if kinds == {True} or (
                True in kinds
                and isinstance(a, types.Float | Real)
                and isinstance(b, types.Float | Real)
            ):
                return REAL
            return None

        return result_of

    def lower_real(context, builder, signature, arguments):
        a, b = (
            as_register(context, builder, *pair)
            for pair in zip(arguments, signature.args, strict=True)
        )
        # "contract" lets a product and a sum become one fused instruction.
        return getattr(builder, instruction)(a, b, flags=("contract",))

    for kinds in ((Real, Real), (Real, types.Float), (types.Float, Real)):
        lower_builtin(function, *kinds)(lower_real)


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
):
    _define_operator(_function, _instruction)


@intrinsic
def splat(_, scalar):
    """One value in all lanes."""

    def generate(context, builder, signature, arguments):
        return as_register(context, builder, arguments[0], signature.args[0])

    return REAL(scalar), generate


@intrinsic
def divide(_, a, b):
    """The quotient a / b, lane by lane."""

    def generate(_context, builder, _signature, arguments):
        return builder.fdiv(*arguments)

    return REAL(a, b), generate


@intrinsic
def total(_, a):
    """The sum over all lanes, a scalar."""

    def generate(_context, builder, _signature, arguments):
        values = [ir.Constant(ir.FloatType(), -0.0), arguments[0]]
        # "reassoc": as a tree instead of lane after lane.
        return call(
            builder,
            f"vector.reduce.fadd.v{LANES}f32",
            ir.FloatType(),
            values,
            fastmath=("reassoc",),
        )

    return types.float32(a), generate


def load_lanes(context, builder, array_type, array, index):
    """The instructions of `load`, for other intrinsics."""
    where = _pointer(context, builder, array_type, array, index)
    return _widened(builder, builder.load(where, align=array_type.dtype.bitwidth // 8))


def store_lanes(context, builder, array_type, array, index, value):
    """The instructions of `store`, for other intrinsics."""
    where = _pointer(context, builder, array_type, array, index)
    value = _narrowed(builder, value, array_type)
    builder.store(value, where, align=array_type.dtype.bitwidth // 8)


def _pointer(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    register = _HALF_BITS if array_type.dtype == types.int16 else REGISTER
    return builder.bitcast(builder.gep(data, [index]), register.as_pointer())


def _widened(builder, value):
    if value.type == REGISTER:
        return value
    return builder.bitcast(builder.shl(builder.zext(value, BITS), constant(16)), REGISTER)


def _narrowed(builder, value, array_type):
    """The nearest bfloat16, ties to even, if the array holds them."""
    if array_type.dtype != types.int16:
        return value
    # One instruction where the processor has bfloat16.
    return builder.bitcast(builder.fptrunc(value, _HALVES), _HALF_BITS)


@intrinsic
def load(_, array, index):
    """LANES values of an array from `index` on."""

    def generate(context, builder, signature, arguments):
        return load_lanes(context, builder, signature.args[0], *arguments)

    return REAL(array, types.intp), generate


@intrinsic
def store(_, array, index, value):
    """Write LANES values to an array from `index` on."""

    def generate(context, builder, signature, arguments):
        store_lanes(context, builder, signature.args[0], *arguments)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def prefetch(_, array, index):
    """Have the processor fetch what is at `index`, which may lie outside the array."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        where = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        kind = [ir.Constant(_I32, n) for n in (0, 3, 1)]  # to read, into every cache, data
        types_of = [where.type, _I32, _I32, _I32]
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), types_of), "llvm.prefetch.p0"
        )
        builder.call(function, [where, *kind])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _first(builder, width):
    """The mask of the first `width` lanes."""
    undefined = ir.Constant(BITS, ir.Undefined)
    one = builder.insert_element(undefined, builder.trunc(width, _I32), ir.Constant(_I32, 0))
    widths = builder.shuffle_vector(one, undefined, constant(0))
    numbers = ir.Constant(BITS, list(range(LANES)))
    return builder.icmp_signed("<", numbers, widths)


@intrinsic
def only_first(_, a, width):
    """The first `width` lanes, and zeros."""

    def generate(_context, builder, _signature, arguments):
        zeros = ir.Constant(REGISTER, [0.0] * LANES)
        return builder.select(_first(builder, arguments[1]), arguments[0], zeros)

    return REAL(a, types.intp), generate


@part
def load_some(array, index, width):
    """As `load`, of `width` values only; zeros behind them."""
    # With AVX2 a masked access is many times as slow as a whole one.
    if width == LANES:
        return load(array, index)
    return _load_masked(array, index, width)


@part
def store_some(array, index, width, value):
    """As `store`, of the first `width` values only."""
    if width == LANES:
        store(array, index, value)
    else:
        _store_masked(array, index, width, value)


@intrinsic
def _load_masked(_, array, index, width):

    def generate(context, builder, signature, arguments):
        where = _pointer(context, builder, signature.args[0], *arguments[:2])
        size, name, register = _mode(signature.args[0])
        values = [where, ir.Constant(_I32, size), _first(builder, arguments[2]), register(None)]
        return _widened(builder, call(builder, f"masked.load.{name}.p0", register, values))

    return REAL(array, types.intp, types.intp), generate


@intrinsic
def _store_masked(_, array, index, width, value):
    def generate(context, builder, signature, arguments):
        where = _pointer(context, builder, signature.args[0], *arguments[:2])
        size, name, _register = _mode(signature.args[0])
        value = _narrowed(builder, arguments[3], signature.args[0])
        values = [value, where, ir.Constant(_I32, size), _first(builder, arguments[2])]
        call(builder, f"masked.store.{name}.p0", ir.VoidType(), values)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, value), generate


def _mode(array_type):
    """Bytes a value, LLVM's name of a register, and the register, of an array."""
    if array_type.dtype == types.int16:
        return 2, f"v{LANES}i16", _HALF_BITS
    return 4, f"v{LANES}f32", REGISTER
