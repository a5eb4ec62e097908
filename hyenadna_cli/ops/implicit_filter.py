"""Taps of implicit filters: from positions, differentiable, or from hidden values."""

# L positions, E features, F width of the MLP, C = filters * D channels

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyenadna_cli.ops import workers
from hyenadna_cli.ops.channels_last import is_served
from hyenadna_cli.ops.dense import dense
from hyenadna_cli.ops.huge_pages import empty_huge
from hyenadna_cli.ops.kernels import Kernels
from hyenadna_cli.ops.rows import numbers

_PIECE = 4_096
"""Positions whose taps are computed at once."""


def sine_(x_LF: Tensor, freq_F: Tensor, *, kernels: Kernels) -> None:
    """Compute sin(freq x) in place, for contiguous rows, in the calling thread."""
    if kernels == "numba" and is_served(x_LF, freq_F):
        from hyenadna_cli.ops.cpu.implicit_filter import sines

        sines(numbers(x_LF), numbers(freq_F.detach()), numbers(x_LF))
    else:
        x_LF.mul_(freq_F).sin_()


def windowed_taps(
    hidden_LF: Tensor,
    last_CF: Tensor,
    t_L: Tensor,
    rates_C: Tensor,
    shift: float,
    *,
    kernels: Kernels,
) -> Tensor:
    """Taps (C, L), channels last: W hidden times exp(-rate * t) + shift; not differentiable.

    `rates_C` are not negative. With compiled kernels by all threads, or by the caller where it is
    one of them.
    """
    if hidden_LF.device.type != "cpu":
        window_LC = _window(t_L, rates_C, shift)
        return dense(hidden_LF, last_CF, None).mul_(window_LC).T
    n_positions, n_channels = len(hidden_LF), len(last_CF)
    taps_LC = empty_huge(n_positions, n_channels, dtype=hidden_LF.dtype)
    pieces = workers.pieces(n_positions, -(-n_positions // _PIECE))
    if kernels == "numba" and is_served(hidden_LF, last_CF, t_L, rates_C):
        from hyenadna_cli.ops.cpu.implicit_filter import windowed_taps as on_cpu

        read = [x.detach().contiguous().numpy() for x in (hidden_LF, last_CF, t_L, rates_C)]
        taps, step = taps_LC.view(-1).numpy(), taps_LC.stride(0)
        workers.for_each(
            lambda part: on_cpu(*read, shift, taps, step, part.start, part.stop), pieces
        )
        return taps_LC.T
    # Windows and products of a few positions at a time are never written to memory.
    for part in pieces:
        rows = slice(part.start, part.stop)
        window_LC = _window(t_L[rows], rates_C, shift)
        torch.mul(dense(hidden_LF[rows], last_CF, None), window_LC, out=taps_LC[rows])
    return taps_LC.T


def _window(t_L: Tensor, rates_C: Tensor, shift: float) -> Tensor:
    return torch.exp(t_L[:, None] * -rates_C).add_(shift)


def fused_taps(
    z_LE: Tensor,
    t_L: Tensor,
    rates_D: Tensor,
    shift: float,
    freq_F: Tensor,
    hidden: Sequence[tuple[Tensor, Tensor]],
    last_CF: Tensor,
    *,
    kernels: Kernels,
) -> Tensor:
    """Taps (C, L): W sin(freq * (... W_0 z + b_0 ...)) times exp(-rate * t) + shift.

    `hidden` are the weights and biases of two layers or more under a sine, of E inputs, then F;
    filter c has window c % D. Differentiable for freq, hidden layers and last weight. The L x F
    values of a hidden layer are never in memory: the backward pass computes them again. Compiled
    kernels, which want float32, give taps with channels last.
    """
    parameters = [tensor for layer in hidden for tensor in layer]
    if kernels == "numba":
        from hyenadna_cli.ops.filter_training import tiled_taps

        rates_C = rates_D.repeat(len(last_CF) // len(rates_D))
        return tiled_taps(z_LE, t_L, rates_C, shift, freq_F, last_CF, parameters).T
    taps_CL: Tensor = _FusedTaps.apply(  # type: ignore[no-untyped-call]
        z_LE, t_L, rates_D, shift, freq_F, last_CF, *parameters
    )
    return taps_CL


class _FusedTaps(torch.autograd.Function):
    """Saves its inputs only."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        z_LE: Tensor,
        t_L: Tensor,
        rates_D: Tensor,
        shift: float,
        freq_F: Tensor,
        last_CF: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        from hyenadna_cli.ops.gpu import implicit_filter as on_gpu

        weights, biases = parameters[::2], parameters[1::2]
        network = on_gpu.Network(
            z_LE.contiguous(),
            t_L.contiguous(),
            rates_D.contiguous(),
            freq_F.contiguous(),
            weights[0].contiguous(),
            torch.stack(weights[1:]),
            torch.stack(biases),
            last_CF.contiguous(),
        )
        ctx.save_for_backward(*network)
        ctx.shift = shift  # type: ignore[attr-defined]
        return on_gpu.forward(network, shift)

    @staticmethod
    def backward(ctx: FunctionCtx, d_taps_CL: Tensor) -> tuple[Tensor | None, ...]:
        from hyenadna_cli.ops.gpu import implicit_filter as on_gpu

        network = on_gpu.Network(*ctx.saved_tensors)  # type: ignore[attr-defined]
        d_freq_F, d_last_CF, d_weights, d_biases_HF = on_gpu.backward(
            d_taps_CL.contiguous(),
            network,
            ctx.shift,  # type: ignore[attr-defined]
        )
        d_layers: list[Tensor] = []
        for d_weight, d_bias in zip(d_weights, d_biases_HF, strict=True):
            d_layers += [d_weight.to(network.first_FE.dtype), d_bias.to(network.biases_HF.dtype)]
        d_freq_F = d_freq_F.to(network.freq_F.dtype)
        return None, None, None, None, d_freq_F, d_last_CF.to(network.last_CF.dtype), *d_layers
