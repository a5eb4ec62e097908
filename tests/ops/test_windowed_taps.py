"""The last layer of the filters and their window, against the definition in float64."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.ops.implicit_filter import windowed_taps


@pytest.mark.parametrize("kernels", ["torch", "numba"])
@pytest.mark.parametrize("width", [1, 13, 64], ids=lambda n: f"F{n}")
@pytest.mark.parametrize("n_channels", [1, 16, 37], ids=lambda n: f"C{n}")
@pytest.mark.parametrize("n_positions", [1, 7, 33, 5_000], ids=lambda n: f"L{n}")
def test_taps_are_those_of_the_definition(n_positions, n_channels, width, kernels):
    generator = torch.Generator().manual_seed(0)
    hidden_LF = torch.randn(n_positions, width, generator=generator)
    last_CF = torch.randn(n_channels, width, generator=generator)
    t_L = torch.linspace(0, 2, n_positions)
    rates_C = torch.linspace(0, 100, n_channels)  # exp(-200) is below the smallest float32

    taps_CL = windowed_taps(hidden_LF, last_CF, t_L, rates_C, 0.05, kernels=kernels)

    window_CL = torch.exp(-rates_C.double()[:, None] * t_L.double()) + 0.05
    expected_CL = last_CF.double() @ hidden_LF.double().T * window_CL
    torch.testing.assert_close(taps_CL.double(), expected_CL, rtol=1e-4, atol=1e-5)


def test_times_a_step_apart_and_weights_of_a_few_channels():
    """As the filters of a model are sampled: slices of larger tensors."""
    last_CF, t_L, rates_C = torch.randn(40, 8), torch.linspace(0, 1, 90), torch.linspace(3, 15, 40)
    hidden_LF = torch.randn(30, 8)

    found, expected = (
        windowed_taps(hidden_LF, last_CF[16:32], t_L[::3], rates_C[16:32], 0.0, kernels=kernels)
        for kernels in ("numba", "torch")
    )

    torch.testing.assert_close(found, expected)
