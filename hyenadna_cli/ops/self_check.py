"""Known answers of the compiled loops and of the Triton kernels, checked before they are used."""

from __future__ import annotations

import torch


def convolves() -> bool:
    """Whether a small convolution comes out right in the compiled loops."""
    from hyenadna_cli.ops import long_conv_numba

    n_channels, n_positions = 3, 5
    u_DBL = torch.arange(15.0).view(1, n_positions, n_channels).permute(2, 0, 1) - 7
    filter_DL = torch.arange(15.0).view(n_channels, n_positions) % 4
    out_DBL = torch.empty_like(u_DBL)
    spectra = long_conv_numba.filter_spectra(filter_DL[:, None])
    long_conv_numba.convolve(u_DBL, spectra, None, None, out_DBL)
    expected_DBL = torch.zeros_like(u_DBL)
    for t in range(n_positions):
        for s in range(t + 1):
            expected_DBL[:, :, t] += filter_DL[:, t - s, None] * u_DBL[:, :, s]
    return bool((out_DBL - expected_DBL).abs().max() < 1e-4)


def convolves_on_gpu(device: torch.device) -> bool:
    """Whether a short and a long convolution come out right in the Triton kernels."""
    from hyenadna_cli.ops import long_conv_triton

    def is_right(n_positions: int) -> bool:
        u_DBL = torch.arange(2.0 * n_positions, device=device).view(2, 1, n_positions) % 7 - 3
        filter_DL = torch.arange(2.0 * n_positions, device=device).view(2, n_positions) % 5 - 2
        ones_D, gate_DBL = torch.ones(2, device=device), torch.ones_like(u_DBL)
        y_DBL = long_conv_triton.forward(u_DBL, filter_DL, ones_D, gate_DBL)
        spectra = torch.fft.rfft(u_DBL, n=2 * n_positions)
        spectra *= torch.fft.rfft(filter_DL, n=2 * n_positions)[:, None]
        expected_DBL = torch.fft.irfft(spectra, n=2 * n_positions)[..., :n_positions] + u_DBL
        return bool((y_DBL - expected_DBL).abs().max() < 1e-5 * expected_DBL.abs().max())

    return is_right(300) and is_right(10_000)
