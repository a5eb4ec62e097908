"""Right-angle transforms on a GPU: how N points factor, and the products that transform them.

A product of polynomials modulo x^N - i has the causal half of a convolution of L <= N real values
as its real part and the tail as its imaginary part (right-angle convolution; Crandall and Fagin,
1994). Scaling coefficient n by exp(i pi n / 2N) makes it a cyclic convolution of N complex points:
no zero half is stored, read or transformed. The scaling costs nothing, because it only shifts the
output frequencies by a quarter:

    X[k] = sum over n of x[n] exp(-2 pi i n (k - 1/4) / N)
    y[n] = Re( 1/N sum over k of X[k] H[k] exp(2 pi i n (k - 1/4) / N) )

A transform is a product with a small DFT matrix for each factor of N, which tensor cores do, and
twiddles between. With n = a M + m and k = a' + A k', modulo 1:

    n (k - 1/4) / N = a (a' - 1/4) / A + m (a' - 1/4) / N + m k' / M
"""

# N transform points; a, b, c index the factors of a row before its transform, a', b', c' after it;
# A, B, C are their sizes, W is C but 16 at least, the least that a tensor core multiplies; complex
# tiles are pairs (re, im); roots are numbered in units of 1/4N of a turn

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

Precision = Literal["tf32x3", "ieee", "fp16"]
"""Of the DFT products: tf32x3 and ieee are faithful to float32; fp16 rounds matrices and data to
11 bits, each column scaled to its largest value, and adds up in float32."""

MAX_POSITIONS = 1 << 21
MAX_ROW_POINTS = 1 << 12
"""Points that one program transforms on the chip."""
_OUTER_SIZES = {
    1 << 13: 16,
    1 << 14: 32,
    1 << 15: 32,
    1 << 16: 256,
    1 << 17: 256,
    1 << 18: 256,
    1 << 19: 256,
    1 << 20: 256,
    1 << 21: 512,
}
"""Columns of two levels: splits into factors of 16 as far as rows can take the rest. A larger DFT
matrix is a tensor core's operand of more registers than there are (docs/gpu-kernels.md)."""


@dataclass(frozen=True, slots=True)
class Transform:
    """The factors of one transform and its tables on a device."""

    n_points: int
    """Of the whole transform that this one is a level of."""
    factors: tuple[int, ...]
    shift: int
    tables: Tensor
    """Roots in two tables, then a DFT matrix a factor; read by `_root` and `_matrix`."""

    @property
    def size(self) -> int:
        """Points of this level."""
        return math.prod(self.factors)

    def arguments(self) -> dict[str, Any]:
        """What every kernel of this level takes."""
        sizes = dict(zip("ABC", self.factors, strict=False))
        return {"tables_ptr": self.tables, "SHIFT": self.shift, "N": self.n_points, **sizes}


@dataclass(frozen=True, slots=True)
class Plan:
    """One level where a row fits one program, else columns (outer) and then rows (inner)."""

    n_points: int
    outer: Transform | None
    inner: Transform


@functools.lru_cache(maxsize=32)
def plan(n_positions: int, device: torch.device, *, max_row_points: int = MAX_ROW_POINTS) -> Plan:
    """Factors and tables for sequences of `n_positions`.

    Raises ValueError if they are more than MAX_POSITIONS.
    """
    if n_positions > MAX_POSITIONS:
        raise ValueError(f"{n_positions:,} positions; the kernels take {MAX_POSITIONS:,}")
    n_points = max(256, 1 << (n_positions - 1).bit_length())
    if n_points <= max_row_points:
        return Plan(n_points, None, _transform(n_points, row_factors(n_points), 0.25, device))
    n_outer = _OUTER_SIZES.get(n_points, n_points // max_row_points)
    if n_points // n_outer > max_row_points:
        n_outer = n_points // max_row_points
    outer = (n_outer, 1) if n_outer <= 32 else _halves(n_outer)
    inner = row_factors(n_points // n_outer)
    return Plan(
        n_points,
        _transform(n_points, outer, 0.25, device),
        _transform(n_points, inner, 0.0, device),
    )


def row_factors(n_points: int) -> tuple[int, int, int]:
    """Factors of a row; the last is 1 where two suffice, and may be less than 16: see `_matrix`."""
    return (16, 16, n_points // 256) if n_points >= 1024 else (*_halves(n_points), 1)


def row_warps(transform: Transform) -> int:
    """Warps of a program that holds a row: 8 complex values per thread."""
    return max(1, transform.size // 256)


def _halves(n_points: int) -> tuple[int, int]:
    second = 1 << ((n_points.bit_length() - 1) // 2)
    return n_points // second, second


@functools.lru_cache(maxsize=64)
def _transform(
    n_points: int, factors: tuple[int, ...], offset: float, device: torch.device
) -> Transform:
    shift = (n_points.bit_length() + 1) // 2
    n_roots = 4 * n_points
    fine = torch.arange(1 << shift) / n_roots
    coarse = torch.arange(n_roots >> shift) / (n_roots >> shift)
    parts = [_unit(fine).T, _unit(coarse).T]
    for index, size in enumerate(factors):
        parts.append(_matrix(size, offset if index == 0 else 0.0))
    tables = torch.cat([part.flatten() for part in parts]).float()
    return Transform(n_points, factors, shift, tables.to(device))


def _matrix(size: int, offset: float) -> Tensor:
    """A DFT matrix; of one smaller than tensor cores take, its Kronecker product with the identity.

    That transforms the 16 rows that a tile of `size` rows has when each is cut in pieces.
    """
    j = torch.arange(size, dtype=torch.float64)
    planes = _unit(torch.outer(j - offset, j) / size)
    n_pieces = max(1, 16 // size) if size > 1 else 1
    pieces = torch.eye(n_pieces, dtype=torch.float64)
    return torch.stack([torch.kron(plane, pieces) for plane in planes])


def _unit(turns: Tensor) -> Tensor:
    """Give exp(-2 pi i turns), as planes (re, im) in front."""
    angles = turns.double() * (-2 * math.pi)
    return torch.stack([angles.cos(), angles.sin()])


@triton.jit
def times(xr, xi, yr, yi, CONJUGATE: tl.constexpr):
    """Product of x and y, or of x and conj(y)."""
    if CONJUGATE:
        yi = -yi
    return xr * yr - xi * yi, xr * yi + xi * yr


@triton.jit
def twiddle(
    later,
    frequency,
    OFFSET: tl.constexpr,
    SIZE: tl.constexpr,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
):
    """Roots exp(-2 pi i later (frequency - OFFSET / 4) / SIZE), SIZE dividing N."""
    root = (later * (4 * frequency - OFFSET) * (N // SIZE)) & (4 * N - 1)
    fine, coarse = root & ((1 << SHIFT) - 1), (1 << SHIFT) + (root >> SHIFT)
    fr, fi = tl.load(tables_ptr + 2 * fine), tl.load(tables_ptr + 2 * fine + 1)
    cr, ci = tl.load(tables_ptr + 2 * coarse), tl.load(tables_ptr + 2 * coarse + 1)
    return cr * fr - ci * fi, cr * fi + ci * fr


@triton.jit
def matrix(
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    BEFORE: tl.constexpr,
    SIZE: tl.constexpr,
    INVERSE: tl.constexpr,
):
    """A DFT matrix, or its adjoint; BEFORE is how many values the matrices in front of it take."""
    row, column = tl.arange(0, SIZE)[:, None], tl.arange(0, SIZE)[None, :]
    at = column * SIZE + row if INVERSE else row * SIZE + column
    first = 2 * ((1 << SHIFT) + (4 * N >> SHIFT)) + BEFORE
    mr = tl.load(tables_ptr + first + at)
    mi = tl.load(tables_ptr + first + SIZE * SIZE + at)
    if INVERSE:
        mi = -mi
    return mr, mi


@triton.jit
def dot(x, y, PRECISION: tl.constexpr):
    """A product of real tiles, in float32; where fp16, y is so already."""
    if PRECISION == "fp16":
        product = tl.dot(x.to(tl.float16), y)
    else:
        product = tl.dot(x, y, input_precision=PRECISION)
    return product


@triton.jit
def halves(xr, xi):
    """Tiles in fp16, and what undoes their scaling: columns reach from 2^14 to 2^15.

    Powers of two, so that scaling rounds nothing; what is 2^28 times smaller than the largest of
    its column loses bits, and nothing overflows.
    """
    largest = tl.max(tl.maximum(tl.abs(xr), tl.abs(xi)), axis=0)
    exponent = tl.maximum(largest.to(tl.int32, bitcast=True) & 0x7F800000, 15 << 23)
    up = ((254 << 23) - exponent).to(tl.float32, bitcast=True)[None, :] * 16384.0
    down = (exponent - (14 << 23)).to(tl.float32, bitcast=True)[None, :]
    return (xr * up).to(tl.float16), (xi * up).to(tl.float16), down


@triton.jit
def complex_dot(mr, mi, xr, xi, PRECISION: tl.constexpr):
    """A product of complex tiles."""
    if PRECISION == "fp16":
        xr, xi, down = halves(xr, xi)
    yr = dot(mr, xr, PRECISION) - dot(mi, xi, PRECISION)
    yi = dot(mr, xi, PRECISION) + dot(mi, xr, PRECISION)
    if PRECISION == "fp16":
        yr, yi = yr * down, yi * down
    return yr, yi


@triton.jit
def dot_with_real(mr, mi, x, PRECISION: tl.constexpr):
    """A product of a complex tile and a real one."""
    if PRECISION == "fp16":
        x, _, down = halves(x, x)
    yr, yi = dot(mr, x, PRECISION), dot(mi, x, PRECISION)
    if PRECISION == "fp16":
        yr, yi = yr * down, yi * down
    return yr, yi


@triton.jit
def real_part_of_dot(mr, mi, xr, xi, PRECISION: tl.constexpr):
    """The real part of a product of complex tiles."""
    if PRECISION == "fp16":
        xr, xi, down = halves(xr, xi)
    y = dot(mr, xr, PRECISION) - dot(mi, xi, PRECISION)
    if PRECISION == "fp16":
        y = y * down
    return y


@triton.jit
def swap(x, FIRST: tl.constexpr, SECOND: tl.constexpr, THIRD: tl.constexpr):
    """[first, (second, third)] -> [second, (first, third)]."""
    cube = tl.permute(tl.reshape(x, (FIRST, SECOND, THIRD)), (1, 0, 2))
    return tl.reshape(cube, (SECOND, FIRST * THIRD))


@triton.jit
def turn(x, FIRST: tl.constexpr, SECOND: tl.constexpr, THIRD: tl.constexpr):
    """[first, (second, third)] -> [third, (second, first)]."""
    cube = tl.permute(tl.reshape(x, (FIRST, SECOND, THIRD)), (2, 1, 0))
    return tl.reshape(cube, (THIRD, SECOND * FIRST))


@triton.jit
def row_positions(A: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """Positions n = (a B + b) C + c of a row as its tile [a, (b, c)]."""
    return tl.arange(0, A)[:, None] * (B * C) + tl.arange(0, B * C)[None, :]


@triton.jit
def row_frequencies(A: tl.constexpr, B: tl.constexpr, C: tl.constexpr):
    """Where the values of a transformed row lie: in the order of its tile, whatever that is."""
    if C > 1:
        W: tl.constexpr = C if C >= 16 else 16
        columns = tl.arange(0, A * B * C // W)[None, :]
        at = tl.arange(0, W)[:, None] * (A * B * C // W) + columns
    else:
        at = tl.arange(0, B)[:, None] * A + tl.arange(0, A)[None, :]
    return at


@triton.jit
def summed_correlation(u_ptr, d_ptr, channel, n_batch, at, N: tl.constexpr):
    """Sum over a channel's rows of d * conj(u), from spectra (D * B, 2, N)."""
    sum_r, sum_i = tl.zeros(at.shape, tl.float32), tl.zeros(at.shape, tl.float32)
    for batch in tl.range(0, n_batch, num_stages=1):
        row = (channel * n_batch + batch) * 2 * N + at
        ur, ui = tl.load(u_ptr + row), tl.load(u_ptr + row + N)
        dr, di = tl.load(d_ptr + row), tl.load(d_ptr + row + N)
        pr, pi = times(dr, di, ur, ui, True)
        sum_r += pr
        sum_i += pi
    return sum_r, sum_i


@triton.jit
def row_forward(
    xr,
    xi,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    OFFSET: tl.constexpr,
    IS_REAL: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """[a, (b, c)] -> [c', (a', b')], or [b', a'] where C is 1; `xi` is not read where IS_REAL."""
    mr, mi = matrix(tables_ptr, SHIFT, N, 0, A, False)
    if IS_REAL:
        xr, xi = dot_with_real(mr, mi, xr, PRECISION)
    else:
        xr, xi = complex_dot(mr, mi, xr, xi, PRECISION)
    bc, a = tl.arange(0, B * C)[None, :], tl.arange(0, A)[:, None]
    wr, wi = twiddle(bc, a, OFFSET, A * B * C, tables_ptr, SHIFT, N)
    xr, xi = times(xr, xi, wr, wi, False)
    xr, xi = swap(xr, A, B, C), swap(xi, A, B, C)
    mr, mi = matrix(tables_ptr, SHIFT, N, 2 * A * A, B, False)
    xr, xi = complex_dot(mr, mi, xr, xi, PRECISION)
    if C > 1:
        c, b = tl.arange(0, A * C)[None, :] % C, tl.arange(0, B)[:, None]
        wr, wi = twiddle(c, b, 0, B * C, tables_ptr, SHIFT, N)
        xr, xi = times(xr, xi, wr, wi, False)
        xr, xi = turn(xr, B, A, C), turn(xi, B, A, C)
        # A tile of fewer rows than a tensor core takes is cut into pieces of rows: see `_matrix`.
        W: tl.constexpr = C if C >= 16 else 16
        xr, xi = tl.reshape(xr, (W, A * B * C // W)), tl.reshape(xi, (W, A * B * C // W))
        mr, mi = matrix(tables_ptr, SHIFT, N, 2 * A * A + 2 * B * B, W, False)
        xr, xi = complex_dot(mr, mi, xr, xi, PRECISION)
    return xr, xi


@triton.jit
def row_inverse(
    xr,
    xi,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    OFFSET: tl.constexpr,
    IS_REAL: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The adjoint of `row_forward`, unscaled; where IS_REAL, the second plane is meaningless."""
    if C > 1:
        W: tl.constexpr = C if C >= 16 else 16
        mr, mi = matrix(tables_ptr, SHIFT, N, 2 * A * A + 2 * B * B, W, True)
        xr, xi = complex_dot(mr, mi, xr, xi, PRECISION)
        xr, xi = turn(xr, C, A, B), turn(xi, C, A, B)
        c, b = tl.arange(0, A * C)[None, :] % C, tl.arange(0, B)[:, None]
        wr, wi = twiddle(c, b, 0, B * C, tables_ptr, SHIFT, N)
        xr, xi = times(xr, xi, wr, wi, True)
    mr, mi = matrix(tables_ptr, SHIFT, N, 2 * A * A, B, True)
    xr, xi = complex_dot(mr, mi, xr, xi, PRECISION)
    xr, xi = swap(xr, B, A, C), swap(xi, B, A, C)
    bc, a = tl.arange(0, B * C)[None, :], tl.arange(0, A)[:, None]
    wr, wi = twiddle(bc, a, OFFSET, A * B * C, tables_ptr, SHIFT, N)
    xr, xi = times(xr, xi, wr, wi, True)
    mr, mi = matrix(tables_ptr, SHIFT, N, 0, A, True)
    if IS_REAL:
        xr = real_part_of_dot(mr, mi, xr, xi, PRECISION)
    else:
        xr, xi = complex_dot(mr, mi, xr, xi, PRECISION)
    return xr, xi
