"""Known answers of the compiled loops and of the Triton kernels, checked before they are used."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyenadna_cli.ops.implicit_filter import fused_taps
from hyenadna_cli.ops.kernels import Kernels, Triton, is_triton
from hyenadna_cli.ops.long_conv import long_conv_gate
from hyenadna_cli.ops.short_conv import short_conv_gate

_TOLERANCE = {"triton": 1e-3, "triton-fp16": 1e-2}
"""Of the largest entry: far from rounding, and from what a wrong kernel gives."""


_LENGTHS = (5, 3_000, 5_400, 7_000)
"""A transform without passes, and others that have those of every radix between them."""


def convolves() -> bool:
    """Whether convolutions come out right in the compiled loops, by transforms of every kind."""
    return all(_convolves(n_positions) for n_positions in _LENGTHS)


def _convolves(n_positions: int) -> bool:
    from hyenadna_cli.ops.cpu import long_conv as on_cpu

    n_channels = 3
    numbers = torch.arange(float(n_channels * n_positions))
    u_DBL = (numbers % 15 - 7).view(1, n_positions, n_channels).permute(2, 0, 1)
    filter_DL = numbers.view(n_channels, n_positions) % 4
    out_DBL = torch.empty_like(u_DBL)
    spectra = on_cpu.filter_spectra(filter_DL[:, None])
    on_cpu.convolve(u_DBL, spectra, None, None, out_DBL)
    n_points = 2 * n_positions
    u, k = (torch.fft.rfft(x.double(), n=n_points) for x in (u_DBL, filter_DL[:, None]))
    expected_DBL = torch.fft.irfft(u * k, n=n_points)[..., :n_positions]
    return bool((out_DBL - expected_DBL).abs().max() < 1e-4 * n_positions)


def triton_is_right(
    device: torch.device, *, kernels: Triton = "triton", lengths: Sequence[int] = (300, 10_000)
) -> bool:
    """Whether filters and both convolutions, values and gradients, are those of the torch path.

    The lengths stand for convolutions in one kernel and in several passes.
    """
    return all(_agree(device, kernels, n_positions) for n_positions in lengths)


def _agree(device: torch.device, requested: Triton, n_positions: int) -> bool:
    generator = torch.Generator().manual_seed(n_positions)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device).requires_grad_()

    n_channels, width, n_features = 2, 16, 3
    time_L = torch.linspace(0, 1, n_positions, device=device)
    z_LE = torch.stack([time_L, (5 * time_L).cos(), (5 * time_L).sin()], dim=1)
    rates_D = torch.tensor([3.0, 9.0], device=device)
    layers = [(random(width, n) / n, random(width)) for n in (n_features, width)]
    freq_F, last_DF = random(width), random(n_channels, width) / n_positions
    proj_PBL = random(3 * n_channels, 1, n_positions)
    taps_PK, bias_P, skip_D = random(3 * n_channels, 3), random(3 * n_channels), random(n_channels)
    inputs = [proj_PBL, taps_PK, bias_P, skip_D, freq_F, last_DF, *sum(layers, ())]

    def outputs(kernels: Kernels) -> list[Tensor]:
        if is_triton(kernels):
            filter_DL = fused_taps(
                z_LE, time_L, rates_D, 0.01, freq_F, layers, last_DF, kernels=kernels
            )
        else:
            x_FL = z_LE.T
            for weight, bias_F in layers:
                x_FL = torch.sin(freq_F[:, None] * (weight @ x_FL + bias_F[:, None]))
            filter_DL = (last_DF @ x_FL) * (torch.exp(-rates_D[:, None] * time_L) + 0.01)
        u_DBL, gates = short_conv_gate(proj_PBL, taps_PK, bias_P, order=2, kernels=kernels)
        y_DBL = long_conv_gate(u_DBL, filter_DL, skip_D, gates[0], kernels=kernels)
        return [y_DBL.detach(), *torch.autograd.grad(y_DBL.square().mean(), inputs)]

    with torch.enable_grad():
        answers, expected = outputs(requested), outputs("torch")
    return all(
        bool((f - e).abs().max() < _TOLERANCE[requested] * e.abs().max())
        for f, e in zip(answers, expected, strict=True)
    )
