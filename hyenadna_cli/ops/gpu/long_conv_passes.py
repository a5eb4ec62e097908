"""Triton kernels of convolutions that need more points than one program holds: three passes.

    outer forward   columns of the real row to frequencies k1, twiddled for the inner transforms
    inner           the N2 values of a k1: forward, times the spectrum, inverse; in place
    outer inverse   columns back to real positions; skip and gate

Position n = n1 N2 + n2; the outer level transforms over n1, the inner one over n2.
"""

# R = D channels * B batch rows, L positions, N transform points; scratch is (R, 2, N): planes
# (re, im), k1 slowest

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from hyenadna_cli.ops.gpu.dft import (
    Precision,
    Transform,
    complex_dot,
    dot_with_real,
    matrix,
    real_part_of_dot,
    row_forward,
    row_frequencies,
    row_inverse,
    row_positions,
    row_warps,
    summed_correlation,
    swap,
    times,
    twiddle,
)

_TILE_POINTS = 4096
"""Complex values that an outer program holds; at least 16 neighbouring columns of them."""
OUTER_WARPS = 16


def outer_forward(
    x_DBL: Tensor, factor_DBL: Tensor | None, outer: Transform, precision: Precision
) -> Tensor:
    """Scratch of the real rows x, or x * factor; their positions are contiguous."""
    n_channels, n_batch, n_positions = x_DBL.shape
    scratch = x_DBL.new_empty(n_channels * n_batch, 2, outer.n_points, dtype=torch.float32)
    columns = n_columns(outer)
    outer_forward_kernel[(outer.n_points // outer.size // columns, scratch.shape[0])](
        x_DBL,
        x_DBL if factor_DBL is None else factor_DBL,
        scratch,
        n_positions,
        x_DBL.stride(0) if n_batch == 1 else n_positions,
        COLUMNS=columns,
        HAS_FACTOR=factor_DBL is not None,
        PRECISION=precision,
        **outer.arguments(),
        num_warps=OUTER_WARPS,
    )
    return scratch


def inner(
    scratch: Tensor, planes: Tensor | None, inner: Transform, precision: Precision, *, n_batch: int
) -> None:
    """Turn scratch, in place, into its spectrum, or into its convolution with that of `planes`."""
    inner_kernel[(inner.n_points // inner.size, scratch.shape[0])](
        scratch,
        scratch if planes is None else planes,
        n_batch,
        HAS_SPECTRUM=planes is not None,
        PRECISION=precision,
        **inner.arguments(),
        num_warps=row_warps(inner),
    )


def inner_backward(
    u_scratch: Tensor,
    d_scratch: Tensor,
    planes: Tensor,
    inner_: Transform,
    precision: Precision,
    *,
    n_batch: int,
) -> Tensor:
    """Let u become u * h, d become d * conj(h), in place; gives the filters' gradient's scratch."""
    dfilter_scratch = torch.empty_like(planes)
    for scratch in (u_scratch, d_scratch):
        inner(scratch, None, inner_, precision, n_batch=n_batch)
    n_rows = inner_.n_points // inner_.size
    constants = {"PRECISION": precision, **inner_.arguments(), "num_warps": row_warps(inner_)}
    inner_filter_gradient_kernel[(n_rows, planes.shape[0])](
        u_scratch, d_scratch, dfilter_scratch, n_batch, **constants
    )
    inner_backward_kernel[(n_rows, u_scratch.shape[0])](
        u_scratch, d_scratch, planes, n_batch, **constants
    )
    return dfilter_scratch


def outer_inverse(
    scratch: Tensor,
    out_DBL: Tensor,
    outer: Transform,
    precision: Precision,
    *,
    skip: Tensor | None = None,
    u: Tensor | None = None,
    factor: Tensor | None = None,
    gate: Tensor | None = None,
    other: Tensor | None = None,
) -> Tensor:
    """Fill `out` with gate * (conv + skip * u * factor), leaving out what is not given.

    Returns sums of u * factor * other by row and tile of columns, if `other` is given.
    """
    _, n_batch, n_positions = out_DBL.shape
    columns = n_columns(outer)
    n_tiles = outer.n_points // outer.size // columns
    sums = scratch.new_empty(scratch.shape[0], n_tiles)

    def given(tensor: Tensor | None) -> Tensor:
        return scratch if tensor is None else tensor

    outer_inverse_kernel[(n_tiles, scratch.shape[0])](
        scratch,
        given(u),
        given(factor),
        given(skip),
        given(gate),
        given(other),
        out_DBL,
        sums,
        n_positions,
        n_batch,
        COLUMNS=columns,
        HAS_SKIP=skip is not None,
        HAS_FACTOR=factor is not None,
        HAS_GATE=gate is not None,
        HAS_OTHER=other is not None,
        PRECISION=precision,
        **outer.arguments(),
        num_warps=OUTER_WARPS,
    )
    return sums


def n_columns(outer: Transform) -> int:
    """Neighbouring columns that a program transforms."""
    return max(16, _TILE_POINTS // outer.size)


@triton.jit
def _column_positions(
    column, N2: tl.constexpr, A: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr
):
    """(n, b) of a tile [a, (b, column)]: n = (a B + b) N2 + n2."""
    bc = tl.arange(0, B * COLUMNS)[None, :]
    b = bc // COLUMNS
    return (tl.arange(0, A)[:, None] * B + b) * N2 + column + bc % COLUMNS, b


@triton.jit
def _column_frequencies(column, A: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr):
    """(k1, n2) of a transformed tile: [a', column] where B is 1, else [b', (a', column)]."""
    if B == 1:
        k1 = tl.arange(0, A)[:, None]
        n2 = column + tl.arange(0, COLUMNS)[None, :]
    else:
        ac = tl.arange(0, A * COLUMNS)[None, :]
        k1 = ac // COLUMNS + A * tl.arange(0, B)[:, None]
        n2 = column + ac % COLUMNS
    return k1, n2


@triton.jit
def outer_forward_kernel(
    x_ptr,
    factor_ptr,
    scratch_ptr,
    n_positions,
    x_stride,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    COLUMNS: tl.constexpr,
    HAS_FACTOR: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Columns of a real row, or of the product of two, to frequencies, twiddled."""
    N2: tl.constexpr = N // (A * B)
    row = tl.program_id(1).to(tl.int64)
    column = tl.program_id(0) * COLUMNS
    n, b = _column_positions(column, N2, A, B, COLUMNS)
    is_inside = n < n_positions
    x = tl.load(x_ptr + row * x_stride + n, mask=is_inside, other=0.0).to(tl.float32)
    if HAS_FACTOR:
        factor = tl.load(factor_ptr + row * x_stride + n, mask=is_inside, other=0.0)
        x *= factor.to(tl.float32)
    mr, mi = matrix(tables_ptr, SHIFT, N, 0, A, False)
    xr, xi = dot_with_real(mr, mi, x, PRECISION)
    if B > 1:
        wr, wi = twiddle(b, tl.arange(0, A)[:, None], 1, A * B, tables_ptr, SHIFT, N)
        xr, xi = times(xr, xi, wr, wi, False)
        xr, xi = swap(xr, A, B, COLUMNS), swap(xi, A, B, COLUMNS)
        mr, mi = matrix(tables_ptr, SHIFT, N, 2 * A * A, B, False)
        xr, xi = complex_dot(mr, mi, xr, xi, PRECISION)
    k1, n2 = _column_frequencies(column, A, B, COLUMNS)
    wr, wi = twiddle(n2, k1, 1, N, tables_ptr, SHIFT, N)
    xr, xi = times(xr, xi, wr, wi, False)
    at = row * 2 * N + k1 * N2 + n2
    tl.store(scratch_ptr + at, xr)
    tl.store(scratch_ptr + at + N, xi)


@triton.jit
def outer_inverse_kernel(
    scratch_ptr,
    u_ptr,
    factor_ptr,
    skip_ptr,
    gate_ptr,
    other_ptr,
    out_ptr,
    sums_ptr,
    n_positions,
    n_batch,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    COLUMNS: tl.constexpr,
    HAS_SKIP: tl.constexpr,
    HAS_FACTOR: tl.constexpr,
    HAS_GATE: tl.constexpr,
    HAS_OTHER: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Frequencies back to the real row: gate * (conv + skip * u * factor), what of it there is."""
    N2: tl.constexpr = N // (A * B)
    row = tl.program_id(1).to(tl.int64)
    column = tl.program_id(0) * COLUMNS
    n, b = _column_positions(column, N2, A, B, COLUMNS)
    k1, n2 = _column_frequencies(column, A, B, COLUMNS)
    scratch = row * 2 * N + k1 * N2 + n2
    xr, xi = tl.load(scratch_ptr + scratch), tl.load(scratch_ptr + scratch + N)
    wr, wi = twiddle(n2, k1, 1, N, tables_ptr, SHIFT, N)
    xr, xi = times(xr, xi, wr, wi, True)
    if B > 1:
        mr, mi = matrix(tables_ptr, SHIFT, N, 2 * A * A, B, True)
        xr, xi = complex_dot(mr, mi, xr, xi, PRECISION)
        xr, xi = swap(xr, B, A, COLUMNS), swap(xi, B, A, COLUMNS)
        wr, wi = twiddle(b, tl.arange(0, A)[:, None], 1, A * B, tables_ptr, SHIFT, N)
        xr, xi = times(xr, xi, wr, wi, True)
    mr, mi = matrix(tables_ptr, SHIFT, N, 0, A, True)
    out = real_part_of_dot(mr, mi, xr, xi, PRECISION) * (1.0 / N)

    is_inside = n < n_positions
    at = row * n_positions + n
    if HAS_SKIP:
        u = tl.load(u_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
        if HAS_FACTOR:
            u *= tl.load(factor_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
        out += tl.load(skip_ptr + row // n_batch) * u
        if HAS_OTHER:
            other = tl.load(other_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
            tl.store(sums_ptr + row * tl.num_programs(0) + tl.program_id(0), tl.sum(u * other))
    if HAS_GATE:
        out *= tl.load(gate_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    tl.store(out_ptr + at, out.to(out_ptr.dtype.element_ty), mask=is_inside)


@triton.jit
def inner_kernel(
    scratch_ptr,
    spectrum_ptr,
    n_batch,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    HAS_SPECTRUM: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One k1 of a row, in place: to its spectrum, or through the filter's and back."""
    row, k1 = tl.program_id(1).to(tl.int64), tl.program_id(0)
    n = row_positions(A, B, C) + k1 * (A * B * C)
    k = row_frequencies(A, B, C) + k1 * (A * B * C)
    row_ptr = scratch_ptr + row * 2 * N
    xr, xi = tl.load(row_ptr + n), tl.load(row_ptr + N + n)
    xr, xi = row_forward(xr, xi, tables_ptr, SHIFT, N, A, B, C, 0, False, PRECISION)
    if HAS_SPECTRUM:
        h_ptr = spectrum_ptr + (row // n_batch) * 2 * N + k
        xr, xi = times(xr, xi, tl.load(h_ptr), tl.load(h_ptr + N), False)
        xr, xi = row_inverse(xr, xi, tables_ptr, SHIFT, N, A, B, C, 0, False, PRECISION)
        tl.store(row_ptr + n, xr)
        tl.store(row_ptr + N + n, xi)
    else:
        tl.store(row_ptr + k, xr)
        tl.store(row_ptr + N + k, xi)


@triton.jit
def inner_backward_kernel(
    u_ptr,
    d_ptr,
    spectrum_ptr,
    n_batch,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One k1 of a row, in place: u * h and d * conj(h), from spectra to the inner positions."""
    row, k1 = tl.program_id(1).to(tl.int64), tl.program_id(0)
    n = row * 2 * N + row_positions(A, B, C) + k1 * (A * B * C)
    k = row_frequencies(A, B, C) + k1 * (A * B * C)
    h_ptr = spectrum_ptr + (row // n_batch) * 2 * N + k
    k += row * 2 * N
    hr, hi = tl.load(h_ptr), tl.load(h_ptr + N)
    xr, xi = times(tl.load(u_ptr + k), tl.load(u_ptr + k + N), hr, hi, False)
    xr, xi = row_inverse(xr, xi, tables_ptr, SHIFT, N, A, B, C, 0, False, PRECISION)
    tl.store(u_ptr + n, xr)
    tl.store(u_ptr + n + N, xi)
    hr, hi = tl.load(h_ptr), tl.load(h_ptr + N)
    xr, xi = times(tl.load(d_ptr + k), tl.load(d_ptr + k + N), hr, hi, True)
    xr, xi = row_inverse(xr, xi, tables_ptr, SHIFT, N, A, B, C, 0, False, PRECISION)
    tl.store(d_ptr + n, xr)
    tl.store(d_ptr + n + N, xi)


@triton.jit
def inner_filter_gradient_kernel(
    u_ptr,
    d_ptr,
    dfilter_ptr,
    n_batch,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """One k1 of a channel: sum over its rows of d * conj(u), to the inner positions."""
    channel, k1 = tl.program_id(1).to(tl.int64), tl.program_id(0)
    n = row_positions(A, B, C) + k1 * (A * B * C)
    k = row_frequencies(A, B, C) + k1 * (A * B * C)
    sum_r, sum_i = summed_correlation(u_ptr, d_ptr, channel, n_batch, k, N)
    sum_r, sum_i = row_inverse(sum_r, sum_i, tables_ptr, SHIFT, N, A, B, C, 0, False, PRECISION)
    at = channel * 2 * N + n
    tl.store(dfilter_ptr + at, sum_r)
    tl.store(dfilter_ptr + at + N, sum_i)
