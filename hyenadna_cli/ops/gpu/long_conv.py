"""Triton kernels of the long causal convolution with its skip and last gate.

N <= 4,096 transform points: one kernel from inputs to gated output, a row stays on the chip.
N >  4,096: three passes over N complex values per row (`long_conv_passes`), for as many rows
at once as the second-level cache holds.

The backward pass computes spectra again, so nothing but the inputs is kept between the passes. It
transforms forward and backward in launches of their own, through the cache: a program that does
both needs several times the registers it has.
"""

# D channels, B batch, L positions, N transform points; spectra are (D, 2, N): planes (re, im) in
# the order in which the kernels produce them

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl
from torch import Tensor

from hyenadna_cli.ops.gpu import long_conv_passes as passes
from hyenadna_cli.ops.gpu.dft import (
    Plan,
    Precision,
    Transform,
    plan,
    row_forward,
    row_frequencies,
    row_inverse,
    row_positions,
    row_warps,
    summed_correlation,
    times,
)

_CACHED_BYTES = 32 << 20
"""Complex values of the rows that are under way at once."""


def spectrum(filter_DL: Tensor, *, precision: Precision = "tf32x3") -> Tensor:
    """Spectra (D, 2, N) of filters, for convolutions of as many positions as they have taps."""
    return _spectrum(filter_DL, plan(filter_DL.shape[1], filter_DL.device), precision)


def forward(
    u_DBL: Tensor,
    filter_DL: Tensor,
    skip_D: Tensor,
    gate_DBL: Tensor,
    *,
    precision: Precision = "tf32x3",
) -> Tensor:
    """Give gate * (conv(u, filter) + skip * u), in float32; u and gate are contiguous."""
    how = plan(u_DBL.shape[-1], u_DBL.device)
    y_DBL = torch.empty_like(u_DBL)

    def planes_of(rows: slice) -> Tensor:
        return _spectrum(filter_DL[rows, : u_DBL.shape[-1]], how, precision)

    convolve(u_DBL, planes_of, skip_D, gate_DBL, y_DBL, precision=precision)
    return y_DBL


def convolve(
    u_DBL: Tensor,
    planes_of: Callable[[slice], Tensor],
    skip_D: Tensor,
    gate_DBL: Tensor,
    y_DBL: Tensor,
    *,
    precision: Precision = "tf32x3",
) -> None:
    """`forward` into y, which may be u; `planes_of` gives the spectra of a range of filters."""
    n_channels, n_batch, n_positions = u_DBL.shape
    how = plan(n_positions, u_DBL.device)
    # A row that one program holds has no complex values in memory but its filter's.
    groups = _groups(n_channels, 0 if how.outer is None else n_batch, how)
    for rows in groups:
        u, gate, y, skip = u_DBL[rows], gate_DBL[rows], y_DBL[rows], skip_D[rows]
        planes = planes_of(rows)
        if how.outer is None:
            conv_kernel[(u.shape[0] * n_batch,)](
                u,
                planes,
                skip,
                gate,
                y,
                n_positions,
                n_batch,
                PRECISION=precision,
                **how.inner.arguments(),
                num_warps=row_warps(how.inner),
            )
        else:
            scratch = passes.outer_forward(u, None, how.outer, precision)
            passes.inner(scratch, planes, how.inner, precision, n_batch=n_batch)
            passes.outer_inverse(scratch, y, how.outer, precision, skip=skip, u=u, gate=gate)


def backward(
    dy_DBL: Tensor,
    u_DBL: Tensor,
    filter_DL: Tensor,
    skip_D: Tensor,
    gate_DBL: Tensor,
    *,
    precision: Precision = "tf32x3",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of `forward` for u, filter, skip and gate; dy, u and gate are contiguous."""
    n_channels, n_batch, n_positions = u_DBL.shape
    how = plan(n_positions, u_DBL.device)
    du_DBL, dgate_DBL = torch.empty_like(u_DBL), torch.empty_like(gate_DBL)
    dfilter_DL = filter_DL.new_empty(n_channels, n_positions)
    dskip_D = torch.empty_like(skip_D)
    for rows in _groups(n_channels, n_batch, how):
        dy, u, gate, skip = dy_DBL[rows], u_DBL[rows], gate_DBL[rows], skip_D[rows]
        planes = _spectrum(filter_DL[rows, :n_positions], how, precision)
        if how.outer is None:
            gradients = _backward_rows(
                dy, u, planes, skip, gate, du_DBL[rows], dgate_DBL[rows], how.inner, precision
            )
        else:
            gradients = _backward_passes(
                dy,
                u,
                planes,
                skip,
                gate,
                du_DBL[rows],
                dgate_DBL[rows],
                how.outer,
                how.inner,
                precision,
            )
        dfilter_DL[rows], dskip_D[rows] = gradients
    return du_DBL, dfilter_DL, dskip_D, dgate_DBL


def _groups(n_channels: int, n_batch: int, how: Plan) -> list[slice]:
    """Channels in groups whose complex values fit the second-level cache."""
    step = max(1, _CACHED_BYTES // (8 * how.n_points * (n_batch + 1)))
    return [slice(start, min(start + step, n_channels)) for start in range(0, n_channels, step)]


def _spectrum(filter_DL: Tensor, how: Plan, precision: Precision) -> Tensor:
    if filter_DL.stride(1) != 1:
        filter_DL = filter_DL.contiguous()
    if how.outer is not None:
        planes = passes.outer_forward(filter_DL[:, None], None, how.outer, precision)
        passes.inner(planes, None, how.inner, precision, n_batch=1)
        return planes
    return _row_spectra(filter_DL[:, None], None, how.inner, precision)


def _backward_rows(
    dy: Tensor,
    u: Tensor,
    planes: Tensor,
    skip: Tensor,
    gate: Tensor,
    du: Tensor,
    dgate: Tensor,
    transform: Transform,
    precision: Precision,
) -> tuple[Tensor, Tensor]:
    """Fills `du` and `dgate`; returns the gradients of filter and skip."""
    n_channels, n_batch, n_positions = u.shape
    u_planes = _row_spectra(u, None, transform, precision)
    d_planes = _row_spectra(dy, gate, transform, precision)
    dfilter = u.new_empty(n_channels, n_positions, dtype=torch.float32)
    dskip = u.new_empty(n_channels, n_batch, dtype=torch.float32)
    constants = {"PRECISION": precision, **transform.arguments(), "num_warps": row_warps(transform)}
    filter_gradient_kernel[(n_channels,)](
        u_planes, d_planes, dfilter, n_positions, n_batch, **constants
    )
    backward_kernel[(n_channels * n_batch,)](
        u_planes,
        d_planes,
        planes,
        u,
        skip,
        gate,
        dy,
        du,
        dgate,
        dskip,
        n_positions,
        n_batch,
        **constants,
    )
    return dfilter, dskip.sum(1)


def _row_spectra(
    x_DBL: Tensor, factor_DBL: Tensor | None, transform: Transform, precision: Precision
) -> Tensor:
    """Spectra (D * B, 2, N) of the rows of x, or of x * factor."""
    n_channels, n_batch, n_positions = x_DBL.shape
    planes = x_DBL.new_empty(n_channels * n_batch, 2, transform.n_points, dtype=torch.float32)
    spectrum_kernel[(len(planes),)](
        x_DBL,
        x_DBL if factor_DBL is None else factor_DBL,
        planes,
        n_positions,
        x_DBL.stride(0) if n_batch == 1 else n_positions,
        HAS_FACTOR=factor_DBL is not None,
        PRECISION=precision,
        **transform.arguments(),
        num_warps=row_warps(transform),
    )
    return planes


def _backward_passes(
    dy: Tensor,
    u: Tensor,
    planes: Tensor,
    skip: Tensor,
    gate: Tensor,
    du: Tensor,
    dgate: Tensor,
    outer: Transform,
    inner: Transform,
    precision: Precision,
) -> tuple[Tensor, Tensor]:
    """Fills `du` and `dgate`; returns the gradients of filter and skip."""
    n_channels, n_batch, n_positions = u.shape
    u_scratch = passes.outer_forward(u, None, outer, precision)
    d_scratch = passes.outer_forward(dy, gate, outer, precision)
    dfilter_scratch = passes.inner_backward(
        u_scratch, d_scratch, planes, inner, precision, n_batch=n_batch
    )
    passes.outer_inverse(u_scratch, dgate, outer, precision, skip=skip, u=u, gate=dy)
    dskip = passes.outer_inverse(
        d_scratch, du, outer, precision, skip=skip, u=dy, factor=gate, other=u
    )
    dfilter = u.new_empty(n_channels, 1, n_positions, dtype=torch.float32)
    passes.outer_inverse(dfilter_scratch, dfilter, outer, precision)
    return dfilter[:, 0], dskip.view(n_channels, -1).sum(1)


@triton.jit
def spectrum_kernel(
    x_ptr,
    factor_ptr,
    spectrum_ptr,
    n_positions,
    x_stride,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    HAS_FACTOR: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Spectrum of a real row, or of the product of two."""
    row = tl.program_id(0).to(tl.int64)
    n, k = row_positions(A, B, C), row_frequencies(A, B, C)
    x = tl.load(x_ptr + row * x_stride + n, mask=n < n_positions, other=0.0).to(tl.float32)
    if HAS_FACTOR:
        factor = tl.load(factor_ptr + row * x_stride + n, mask=n < n_positions, other=0.0)
        x *= factor.to(tl.float32)
    xr, xi = row_forward(x, x, tables_ptr, SHIFT, N, A, B, C, 1, True, PRECISION)
    tl.store(spectrum_ptr + row * 2 * N + k, xr)
    tl.store(spectrum_ptr + row * 2 * N + N + k, xi)


@triton.jit
def conv_kernel(
    u_ptr,
    spectrum_ptr,
    skip_ptr,
    gate_ptr,
    y_ptr,
    n_positions,
    n_batch,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Row of y = gate * (conv + skip * u) of one row."""
    row = tl.program_id(0).to(tl.int64)
    channel = row // n_batch
    n, k = row_positions(A, B, C), channel * 2 * N + row_frequencies(A, B, C)
    is_inside = n < n_positions
    at = row * n_positions + n
    u = tl.load(u_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    xr, xi = row_forward(u, u, tables_ptr, SHIFT, N, A, B, C, 1, True, PRECISION)
    hr, hi = tl.load(spectrum_ptr + k), tl.load(spectrum_ptr + N + k)
    xr, xi = times(xr, xi, hr, hi, False)
    conv, _ = row_inverse(xr, xi, tables_ptr, SHIFT, N, A, B, C, 1, True, PRECISION)
    u = tl.load(u_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    gate = tl.load(gate_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    y = gate * (conv * (1.0 / N) + tl.load(skip_ptr + channel) * u)
    tl.store(y_ptr + at, y.to(y_ptr.dtype.element_ty), mask=is_inside)


@triton.jit
def filter_gradient_kernel(
    u_planes_ptr,
    d_planes_ptr,
    dfilter_ptr,
    n_positions,
    n_batch,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """The gradient of one filter, from the spectra of its rows and of their gradients."""
    channel = tl.program_id(0).to(tl.int64)
    n, k = row_positions(A, B, C), row_frequencies(A, B, C)
    sum_r, sum_i = summed_correlation(u_planes_ptr, d_planes_ptr, channel, n_batch, k, N)
    dfilter, _ = row_inverse(sum_r, sum_i, tables_ptr, SHIFT, N, A, B, C, 1, True, PRECISION)
    tl.store(dfilter_ptr + channel * n_positions + n, dfilter * (1.0 / N), mask=n < n_positions)


@triton.jit
def backward_kernel(
    u_planes_ptr,
    d_planes_ptr,
    spectrum_ptr,
    u_ptr,
    skip_ptr,
    gate_ptr,
    dy_ptr,
    du_ptr,
    dgate_ptr,
    dskip_ptr,
    n_positions,
    n_batch,
    tables_ptr,
    SHIFT: tl.constexpr,
    N: tl.constexpr,
    A: tl.constexpr,
    B: tl.constexpr,
    C: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Gradients of one row for u and gate, and its part of that for skip, from spectra."""
    row = tl.program_id(0).to(tl.int64)
    channel = row // n_batch
    n, k = row_positions(A, B, C), row_frequencies(A, B, C)
    h_ptr = spectrum_ptr + channel * 2 * N + k
    is_inside = n < n_positions
    at = row * n_positions + n
    skip = tl.load(skip_ptr + channel)

    x_ptr = u_planes_ptr + row * 2 * N + k
    hr, hi = tl.load(h_ptr), tl.load(h_ptr + N)
    xr, xi = times(tl.load(x_ptr), tl.load(x_ptr + N), hr, hi, False)
    conv, _ = row_inverse(xr, xi, tables_ptr, SHIFT, N, A, B, C, 1, True, PRECISION)
    u = tl.load(u_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    dy = tl.load(dy_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    dgate = dy * (conv * (1.0 / N) + skip * u)
    tl.store(dgate_ptr + at, dgate.to(dgate_ptr.dtype.element_ty), mask=is_inside)

    # The adjoint of a convolution is a correlation: conjugate the other factor.
    x_ptr = d_planes_ptr + row * 2 * N + k
    hr, hi = tl.load(h_ptr), tl.load(h_ptr + N)
    xr, xi = times(tl.load(x_ptr), tl.load(x_ptr + N), hr, hi, True)
    du, _ = row_inverse(xr, xi, tables_ptr, SHIFT, N, A, B, C, 1, True, PRECISION)
    dy = tl.load(dy_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    gate = tl.load(gate_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    u = tl.load(u_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    tl.store(dskip_ptr + row, tl.sum(dy * gate * u))
    du = du * (1.0 / N) + skip * dy * gate
    tl.store(du_ptr + at, du.to(du_ptr.dtype.element_ty), mask=is_inside)
