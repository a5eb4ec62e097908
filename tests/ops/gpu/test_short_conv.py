"""The Triton kernels, run by Triton's interpreter, against the float64 definition."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.ops import reference
from hyenadna_cli.ops.gpu import short_conv as on_gpu


@pytest.mark.slow
@pytest.mark.parametrize("n_positions", [1, 2, 3, 63, 100, 1025])
@pytest.mark.parametrize(("order", "n_taps"), [(1, 4), (2, 3), (3, 7)])
def test_values_and_gradients_are_those_of_the_definition(
    order: int, n_taps: int, n_positions: int
) -> None:
    if n_positions > 1000 and order != 2:
        pytest.skip("one order shows the seam between programs")
    random = torch.Generator().manual_seed(n_positions)
    sizes = [((order + 1) * 2, 2, n_positions), ((order + 1) * 2, n_taps), ((order + 1) * 2,)]
    inputs = [torch.randn(size, generator=random) for size in sizes]
    wide = [tensor.double().requires_grad_() for tensor in inputs]
    expected = reference.short_conv_gate(*wide, order=order)
    flat_expected = [expected[0], *expected[1]]
    d_outputs = [torch.randn(y.shape, generator=random) for y in flat_expected]
    gradients = torch.autograd.grad(flat_expected, wide, [d.double() for d in d_outputs])

    outputs = on_gpu.forward(*inputs, order=order)
    for found, wanted in zip(outputs, flat_expected, strict=True):
        torch.testing.assert_close(found.double(), wanted.detach(), rtol=1e-5, atol=1e-5)
    found_gradients = on_gpu.backward(d_outputs, *inputs, order=order)
    for found, wanted in zip(found_gradients, gradients, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


def test_bfloat16_goes_in_and_out_and_float32_between() -> None:
    random = torch.Generator().manual_seed(0)
    proj = torch.randn(6, 2, 50, generator=random).bfloat16()
    taps, bias = torch.randn(6, 3, generator=random), torch.randn(6, generator=random)
    gated, *gates = on_gpu.forward(proj, taps, bias, order=2)
    expected, expected_gates = reference.short_conv_gate(proj, taps, bias, order=2)
    assert gated.dtype == gates[0].dtype == torch.bfloat16
    torch.testing.assert_close(gated.double(), expected, rtol=2**-7, atol=2**-7)
    torch.testing.assert_close(gates[0].double(), expected_gates[0], rtol=2**-7, atol=2**-7)
