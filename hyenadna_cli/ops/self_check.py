"""A known answer of the compiled loops, checked before they are used."""

from __future__ import annotations

import torch

from hyenadna_cli.ops import long_conv_numba


def convolves() -> bool:
    """Whether a small convolution comes out right."""
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
