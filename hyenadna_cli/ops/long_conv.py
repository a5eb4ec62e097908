"""Long causal convolution by FFT, with a skip term and the gate that follows it."""

# D channels, B batch, L positions, n FFT points, F = n // 2 + 1 bins

from __future__ import annotations

import functools

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyenadna_cli.ops.backend import Kernels

_BLOCK_BYTES = 8 << 20
"""Channels are transformed in blocks of about this size, so that a block stays in the CPU's cache
and the temporaries of a million bases stay small."""


def long_conv_gate(
    u_DBL: Tensor, filter_DL: Tensor, skip_D: Tensor, gate_DBL: Tensor, *, kernels: Kernels
) -> Tensor:
    """Causal convolution of each channel with its own filter, plus a skip term, times a gate.

    y[t] = gate[t] * (sum over s <= t of filter[t - s] * u[s] + skip * u[t])   (arXiv:2302.10866)

    Computed in at least float32 whatever u's dtype; returned in u's dtype.
    Raises ValueError if the filter is shorter than u or the shapes do not fit.
    """
    n_channels, _, n_positions = u_DBL.shape
    if filter_DL.shape[0] != n_channels or skip_D.shape != (n_channels,):
        raise ValueError(
            f"long_conv_gate: filter {tuple(filter_DL.shape)} and skip {tuple(skip_D.shape)} "
            f"do not fit {n_channels} channels"
        )
    if gate_DBL.shape != u_DBL.shape:
        raise ValueError(f"gate {tuple(gate_DBL.shape)} is not like u {tuple(u_DBL.shape)}")
    if filter_DL.shape[1] < n_positions:
        raise ValueError(f"the filter has {filter_DL.shape[1]} taps for {n_positions} positions")
    if kernels != "torch":
        raise ValueError(f"unknown kernels {kernels!r}")
    result: Tensor = _LongConvGate.apply(  # type: ignore[no-untyped-call]
        u_DBL, filter_DL[:, :n_positions], skip_D, gate_DBL
    )
    return result


@functools.lru_cache(maxsize=256)
def fft_size(minimum: int) -> int:
    """The smallest even number >= `minimum` whose prime factors are at most 7.

    Other sizes are several times slower in every FFT library.
    """
    size = max(2, minimum + minimum % 2)
    while True:
        rest = size
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return size
        size += 2


def _blocks(n_channels: int, n_batch: int, n_points: int) -> list[slice]:
    # Fewer than 8 channels a block leave threads idle, whatever the cache says.
    step = max(8, _BLOCK_BYTES // max(1, 4 * n_batch * n_points))
    return [slice(start, start + step) for start in range(0, n_channels, step)]


def _fp32_or_wider(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class _LongConvGate(torch.autograd.Function):
    """Saves its inputs only; the backward pass computes the spectra again."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, u_DBL: Tensor, filter_DL: Tensor, skip_D: Tensor, gate_DBL: Tensor
    ) -> Tensor:
        ctx.save_for_backward(u_DBL, filter_DL, skip_D, gate_DBL)
        n_channels, n_batch, n_positions = u_DBL.shape
        n_points = fft_size(2 * n_positions - 1)
        y_DBL = torch.empty_like(u_DBL, memory_format=torch.contiguous_format)
        for rows in _blocks(n_channels, n_batch, n_points):
            u, k = _fp32_or_wider(u_DBL[rows]), _fp32_or_wider(filter_DL[rows])
            k_spectrum = torch.fft.rfft(k, n=n_points)[:, None]
            conv = torch.fft.irfft(torch.fft.rfft(u, n=n_points).mul_(k_spectrum), n=n_points)
            conv = conv[..., :n_positions].addcmul_(u, skip_D[rows, None, None])
            y_DBL[rows] = conv.mul_(gate_DBL[rows])
        return y_DBL

    @staticmethod
    def backward(ctx: FunctionCtx, d_y_DBL: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        u_DBL, filter_DL, skip_D, gate_DBL = ctx.saved_tensors  # type: ignore[attr-defined]
        n_channels, n_batch, n_positions = u_DBL.shape
        n_points = fft_size(2 * n_positions - 1)
        d_u_DBL = torch.empty_like(u_DBL, memory_format=torch.contiguous_format)
        d_gate_DBL = torch.empty_like(gate_DBL, memory_format=torch.contiguous_format)
        d_filter_DL = torch.empty_like(filter_DL, memory_format=torch.contiguous_format)
        d_skip_D = torch.empty_like(skip_D)
        for rows in _blocks(n_channels, n_batch, n_points):
            u, k = _fp32_or_wider(u_DBL[rows]), _fp32_or_wider(filter_DL[rows])
            d_y, skip = _fp32_or_wider(d_y_DBL[rows]), skip_D[rows, None, None]
            k_spectrum = torch.fft.rfft(k, n=n_points)[:, None]
            u_spectrum = torch.fft.rfft(u, n=n_points)
            conv = torch.fft.irfft(u_spectrum * k_spectrum, n=n_points)[..., :n_positions]
            d_gate_DBL[rows] = conv.addcmul_(u, skip).mul_(d_y)

            d_conv = d_y * gate_DBL[rows]
            d_skip_D[rows] = torch.linalg.vecdot(d_conv, u).sum(1)
            # The adjoint of a convolution is a correlation: conjugate the other factor.
            d_spectrum = torch.fft.rfft(d_conv, n=n_points)
            d_k_spectrum = u_spectrum.conj_physical_().mul_(d_spectrum).sum(1)
            d_filter_DL[rows] = torch.fft.irfft(d_k_spectrum, n=n_points)[:, :n_positions]
            d_spectrum.mul_(k_spectrum.conj_physical())
            d_u = torch.fft.irfft(d_spectrum, n=n_points)[..., :n_positions]
            d_u_DBL[rows] = d_u.addcmul_(d_conv, skip)
        return d_u_DBL, d_filter_DL, d_skip_D, d_gate_DBL
