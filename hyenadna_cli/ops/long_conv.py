"""Long causal convolution by FFT, with a skip term and the gate that follows it."""

# D channels, B batch, L positions, n FFT points, F = n // 2 + 1 bins

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyenadna_cli.ops.channels_last import is_served, is_served_stream, to_channels_last
from hyenadna_cli.ops.kernels import Kernels, Triton, is_triton

_GROUP_BYTES = 8 << 20
"""Channels are transformed in groups of about this size, so that a group stays in the CPU's cache
and the temporaries of a million bases stay small."""


_PRECISIONS: dict[Triton, Literal["tf32x3", "fp16"]] = {"triton": "tf32x3", "triton-fp16": "fp16"}
"""Of the products in their transforms."""


@dataclass(frozen=True, slots=True)
class Spectra:
    """Filters, transformed: what several convolutions of one length share."""

    data: Tensor
    """As the implementation wants it."""
    n_channels: int
    n_positions: int
    """Taps of the filters, and the longest signal they serve; see `served_positions`."""
    kernels: Kernels

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self.data.nbytes

    def serve(self, n_channels: int, n_positions: int) -> bool:
        """Whether signals of this shape can be convolved with them."""
        sizes = [served_positions(n, kernels=self.kernels) for n in (n_positions, self.n_positions)]
        is_long_enough = n_positions <= self.n_positions
        return n_channels == self.n_channels and is_long_enough and sizes[0] == sizes[1]

    def of(self, channels: slice) -> Spectra:
        """Those of some channels; from and to a multiple of 16, or the end."""
        n_channels = min(channels.stop, self.n_channels) - channels.start
        if self.kernels == "numba":
            from hyenadna_cli.ops.cpu import long_conv as on_cpu

            data = self.data[on_cpu.numbers_of(channels, self.n_positions)]
        else:
            data = self.data[channels]
        return Spectra(data, n_channels, self.n_positions, self.kernels)


Taps = Callable[[slice], Tensor]
"""From a range of channels to the taps (channels, L) of their filters, made when needed."""


def long_conv_gate(
    u_DBL: Tensor,
    filters: Tensor | Spectra | Taps,
    skip_D: Tensor,
    gate_DBL: Tensor | None = None,
    *,
    kernels: Kernels,
    in_place: bool = False,
) -> Tensor:
    """Causal convolution of each channel with its own filter, plus a skip term, times a gate.

    y[t] = gate[t] * (sum over s <= t of filter[t - s] * u[s] + skip * u[t])   (arXiv:2302.10866)

    Computed in at least float32 whatever u's dtype; returned in u's dtype. Differentiable where
    `filters` is a tensor (D, L or more). `in_place` writes the result over u.
    Raises ValueError if the filters are shorter than u or the shapes do not fit.
    """
    _check(u_DBL, filters, skip_D, gate_DBL)
    if kernels not in get_args(Kernels):
        raise ValueError(f"unknown kernels {kernels!r}")
    if isinstance(filters, Tensor):
        filters = filters[:, : u_DBL.shape[-1]]
        if torch.is_grad_enabled() and not in_place:
            result: Tensor = _LongConvGate.apply(  # type: ignore[no-untyped-call]
                u_DBL, filters, skip_D, gate_DBL, kernels
            )
            return result
    return _forward(u_DBL, filters, skip_D, gate_DBL, kernels=kernels, in_place=in_place)


def served_positions(n_positions: int, *, kernels: Kernels) -> int:
    """The longest signal that is transformed in as many points as one of `n_positions`.

    Spectra of that many taps serve both: taps behind the end of a signal reach none of its outputs.
    """
    if is_triton(kernels):
        return n_positions
    if kernels == "numba":
        from hyenadna_cli.ops.cpu.fft import good_size

        return good_size(n_positions)
    return (fft_size(2 * n_positions - 1) + 1) // 2


def filter_spectra(filter_DL: Tensor, *, kernels: Kernels) -> Spectra:
    """Transform filters once, for signals of as many positions as they have taps.

    And for shorter ones of the same `served_positions`.
    """
    n_channels, n_positions = filter_DL.shape
    if kernels == "numba" and is_served(filter_DL):
        from hyenadna_cli.ops.cpu import long_conv as on_cpu

        data = on_cpu.filter_spectra(filter_DL[:, None])
        return Spectra(data, n_channels, n_positions, "numba")
    if is_triton(kernels):
        from hyenadna_cli.ops.gpu import long_conv as on_gpu

        data = on_gpu.spectrum(filter_DL, precision=_PRECISIONS[kernels])
        return Spectra(data, n_channels, n_positions, kernels)
    data = torch.fft.rfft(_fp32_or_wider(filter_DL), n=fft_size(2 * n_positions - 1))
    return Spectra(data, n_channels, n_positions, "torch")


def spectra_bytes(n_channels: int, n_positions: int, *, kernels: Kernels) -> int:
    """About how large the spectra of float32 filters are."""
    if is_triton(kernels):
        n_positions = 1 << (n_positions - 1).bit_length()
    return 8 * n_channels * n_positions


def forget_buffers(kernels: Kernels) -> None:
    """Give back what the calling thread keeps for its next convolution, 256 L bytes if long."""
    if kernels == "numba":
        from hyenadna_cli.ops.cpu import long_conv as on_cpu

        on_cpu.forget()


def _check(
    u_DBL: Tensor, filters: Tensor | Spectra | Taps, skip_D: Tensor, gate_DBL: Tensor | None
) -> None:
    n_channels, _, n_positions = u_DBL.shape
    if skip_D.shape != (n_channels,):
        raise ValueError(f"skip {tuple(skip_D.shape)} does not fit {n_channels} channels")
    if gate_DBL is not None and gate_DBL.shape != u_DBL.shape:
        raise ValueError(f"gate {tuple(gate_DBL.shape)} is not like u {tuple(u_DBL.shape)}")
    if isinstance(filters, Tensor):
        if filters.shape[0] != n_channels:
            raise ValueError(f"filters {tuple(filters.shape)} do not fit {n_channels} channels")
        if filters.shape[1] < n_positions:
            raise ValueError(f"the filter has {filters.shape[1]} taps for {n_positions} positions")
    elif isinstance(filters, Spectra) and not filters.serve(n_channels, n_positions):
        raise ValueError(
            f"spectra of {filters.n_channels} filters for {filters.n_positions} positions do not "
            f"fit {n_channels} channels and {n_positions} positions"
        )


def _forward(
    u_DBL: Tensor,
    filters: Tensor | Spectra | Taps,
    skip_D: Tensor,
    gate_DBL: Tensor | None,
    *,
    kernels: Kernels,
    in_place: bool,
) -> Tensor:
    gates = () if gate_DBL is None else (gate_DBL,)
    if kernels == "numba" and is_served(skip_D) and is_served_stream(u_DBL, *gates):
        from hyenadna_cli.ops.cpu import long_conv as on_cpu

        y_DBL = to_channels_last(u_DBL)
        gate_DBL = None if gate_DBL is None else to_channels_last(gate_DBL)
        if isinstance(filters, Tensor):
            filters = _taps_of(filters)
        source = filters.data if isinstance(filters, Spectra) else filters
        result = y_DBL if in_place else torch.empty_like(y_DBL)
        on_cpu.convolve(y_DBL, source, skip_D, gate_DBL, result)
        return u_DBL.copy_(result) if in_place and result is not u_DBL else result
    if is_triton(kernels):
        return _forward_triton(u_DBL, filters, skip_D, gate_DBL, kernels=kernels, in_place=in_place)
    return _forward_torch(u_DBL, filters, skip_D, gate_DBL, in_place=in_place)


def _forward_triton(
    u_DBL: Tensor,
    filters: Tensor | Spectra | Taps,
    skip_D: Tensor,
    gate_DBL: Tensor | None,
    *,
    kernels: Triton,
    in_place: bool,
) -> Tensor:
    from hyenadna_cli.ops.gpu import long_conv as on_gpu

    precision = _PRECISIONS[kernels]

    def planes_of(rows: slice) -> Tensor:
        if isinstance(filters, Spectra):
            return filters.of(rows).data
        taps = filters[rows] if isinstance(filters, Tensor) else filters(rows)
        return on_gpu.spectrum(taps, precision=precision)

    rows_DBL = u_DBL.contiguous()
    gate_DBL = torch.ones_like(rows_DBL) if gate_DBL is None else gate_DBL.contiguous()
    y_DBL = rows_DBL if in_place else torch.empty_like(rows_DBL)
    on_gpu.convolve(rows_DBL, planes_of, skip_D, gate_DBL, y_DBL, precision=precision)
    return u_DBL.copy_(y_DBL) if in_place and rows_DBL is not u_DBL else y_DBL


def _taps_of(filter_DL: Tensor) -> Taps:
    filter_LD = filter_DL.T.contiguous()
    return lambda rows: filter_LD[:, rows].T


def _forward_torch(
    u_DBL: Tensor,
    filters: Tensor | Spectra | Taps,
    skip_D: Tensor,
    gate_DBL: Tensor | None,
    *,
    in_place: bool,
) -> Tensor:
    n_channels, n_batch, n_positions = u_DBL.shape
    n_points = fft_size(2 * n_positions - 1)
    y_DBL = u_DBL if in_place else torch.empty_like(u_DBL)
    for rows in _channel_groups(n_channels, n_batch, n_points):
        u = _fp32_or_wider(u_DBL[rows])
        if isinstance(filters, Spectra):
            k_spectrum = filters.data[rows, None]
        else:
            taps = filters[rows] if isinstance(filters, Tensor) else filters(rows)
            k_spectrum = torch.fft.rfft(_fp32_or_wider(taps), n=n_points)[:, None]
        conv = torch.fft.irfft(torch.fft.rfft(u, n=n_points).mul_(k_spectrum), n=n_points)
        conv = conv[..., :n_positions].addcmul_(u, skip_D[rows, None, None])
        y_DBL[rows] = conv if gate_DBL is None else conv.mul_(gate_DBL[rows])
    return y_DBL


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


def _channel_groups(n_channels: int, n_batch: int, n_points: int) -> list[slice]:
    # Fewer than 8 channels a group leave threads idle, whatever the cache says.
    step = max(8, _GROUP_BYTES // max(1, 4 * n_batch * n_points))
    return [slice(start, start + step) for start in range(0, n_channels, step)]


def _fp32_or_wider(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class _LongConvGate(torch.autograd.Function):
    """Saves its inputs only; the backward pass computes the spectra again."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        u_DBL: Tensor,
        filter_DL: Tensor,
        skip_D: Tensor,
        gate_DBL: Tensor | None,
        kernels: Kernels,
    ) -> Tensor:
        ctx.save_for_backward(u_DBL, filter_DL, skip_D, gate_DBL)  # type: ignore[arg-type]
        ctx.kernels = kernels  # type: ignore[attr-defined]
        return _forward(u_DBL, filter_DL, skip_D, gate_DBL, kernels=kernels, in_place=False)

    @staticmethod
    def backward(ctx: FunctionCtx, d_y_DBL: Tensor) -> tuple[Tensor | None, ...]:
        u_DBL, filter_DL, skip_D, gate_DBL = ctx.saved_tensors  # type: ignore[attr-defined]
        if ctx.kernels == "numba" and is_served(u_DBL, skip_D):  # type: ignore[attr-defined]
            from hyenadna_cli.ops.cpu import long_conv as on_cpu

            gate_DBL = None if gate_DBL is None else to_channels_last(gate_DBL)
            u_DBL, d_y_DBL = to_channels_last(u_DBL), to_channels_last(d_y_DBL)
            gradients = on_cpu.gradients(u_DBL, filter_DL, skip_D, gate_DBL, d_y_DBL)
            return (*gradients, None)
        kernels: Kernels = ctx.kernels  # type: ignore[attr-defined]
        if is_triton(kernels) and gate_DBL is not None:
            from hyenadna_cli.ops.gpu import long_conv as on_gpu

            d_y_DBL, u_DBL = d_y_DBL.contiguous(), u_DBL.contiguous()
            gradients = on_gpu.backward(
                d_y_DBL,
                u_DBL,
                filter_DL,
                skip_D,
                gate_DBL.contiguous(),
                precision=_PRECISIONS[kernels],
            )
            return (*gradients, None)
        n_channels, n_batch, n_positions = u_DBL.shape
        n_points = fft_size(2 * n_positions - 1)
        d_u_DBL = torch.empty_like(u_DBL)
        d_gate_DBL = None if gate_DBL is None else torch.empty_like(gate_DBL)
        d_filter_DL = torch.empty_like(filter_DL, memory_format=torch.contiguous_format)
        d_skip_D = torch.empty_like(skip_D)
        for rows in _channel_groups(n_channels, n_batch, n_points):
            u, k = _fp32_or_wider(u_DBL[rows]), _fp32_or_wider(filter_DL[rows])
            d_conv, skip = _fp32_or_wider(d_y_DBL[rows]), skip_D[rows, None, None]
            k_spectrum = torch.fft.rfft(k, n=n_points)[:, None]
            u_spectrum = torch.fft.rfft(u, n=n_points)
            if d_gate_DBL is not None:
                conv = torch.fft.irfft(u_spectrum * k_spectrum, n=n_points)[..., :n_positions]
                d_gate_DBL[rows] = conv.addcmul_(u, skip).mul_(d_conv)
                d_conv = d_conv * gate_DBL[rows]
            d_skip_D[rows] = torch.linalg.vecdot(d_conv, u).sum(1)
            # The adjoint of a convolution is a correlation: conjugate the other factor.
            d_spectrum = torch.fft.rfft(d_conv, n=n_points)
            d_k_spectrum = u_spectrum.conj_physical_().mul_(d_spectrum).sum(1)
            d_filter_DL[rows] = torch.fft.irfft(d_k_spectrum, n=n_points)[:, :n_positions]
            d_spectrum.mul_(k_spectrum.conj_physical())
            d_u = torch.fft.irfft(d_spectrum, n=n_points)[..., :n_positions]
            d_u_DBL[rows] = d_u.addcmul_(d_conv, skip)
        return d_u_DBL, d_filter_DL, d_skip_D, d_gate_DBL, None
