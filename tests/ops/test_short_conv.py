"""The short convolution with its gate, against term-by-term sums."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.ops import reference
from hyenadna_cli.ops.channels_last import to_channels_last
from hyenadna_cli.ops.short_conv import (
    multiply_by_short_conv,
    short_conv_gate,
    short_conv_gate_into,
)

LENGTHS = [1, 2, 3, 63, 100, 257]


def inputs(*, order: int, n_positions: int, n_taps: int = 3, width: int = 4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(n_positions)
    n_channels = (order + 1) * width
    shapes = [(n_channels, 2, n_positions), (n_channels, n_taps), (n_channels,)]
    return [
        torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes
    ]


def gradients(outputs, tensors):
    weights = [torch.linspace(-1, 1, o.numel(), dtype=o.dtype).view_as(o) for o in outputs]
    return torch.autograd.grad(
        sum((o * w).sum() for o, w in zip(outputs, weights, strict=True)), tensors
    )


@pytest.mark.parametrize("order", [2, 3, 4], ids=lambda n: f"order{n}")
@pytest.mark.parametrize("n_positions", LENGTHS, ids=lambda n: f"L{n}")
def test_values_and_gradients_are_those_of_the_definition(n_positions, order):
    tensors = inputs(order=order, n_positions=n_positions)
    expected, expected_gates = reference.short_conv_gate(*tensors, order=order)

    gated, gates = short_conv_gate(*tensors, order=order, kernels="torch")

    assert len(gates) == order - 1
    torch.testing.assert_close(gated, expected)
    torch.testing.assert_close(gates, expected_gates)
    torch.testing.assert_close(
        gradients([gated, *gates], tensors), gradients([expected, *expected_gates], tensors)
    )


@pytest.mark.parametrize("n_taps", [1, 2, 7], ids=lambda n: f"K{n}")
def test_any_number_of_taps_works_even_more_than_positions(n_taps):
    tensors = inputs(order=2, n_positions=5, n_taps=n_taps)

    gated, _ = short_conv_gate(*tensors, order=2, kernels="torch")

    torch.testing.assert_close(gated, reference.short_conv_gate(*tensors, order=2)[0])


@pytest.mark.parametrize("n_taps", [1, 2, 4, 7], ids=lambda n: f"K{n}")
def test_compiled_loops_serve_any_number_of_taps(n_taps):
    tensors = inputs(order=2, n_positions=21, n_taps=n_taps, width=17, dtype=torch.float32)
    expected = short_conv_gate(*tensors, order=2, kernels="torch")

    found = short_conv_gate(*tensors, order=2, kernels="numba")

    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        gradients([found[0], *found[1]], tensors),
        gradients([expected[0], *expected[1]], tensors),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_non_contiguous_input_gives_the_same():
    proj, taps, bias = inputs(order=2, n_positions=63)
    strided = proj.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    assert not strided.is_contiguous()

    plain = gradients([short_conv_gate(proj, taps, bias, order=2, kernels="torch")[0]], [proj])
    other = gradients(
        [short_conv_gate(strided, taps, bias, order=2, kernels="torch")[0]], [strided]
    )

    torch.testing.assert_close(other, plain)


@pytest.mark.parametrize("kernels", ["torch", "numba"])
@pytest.mark.parametrize("order", [2, 3], ids=lambda n: f"order{n}")
@pytest.mark.parametrize("width", [4, 16, 40, 70], ids=lambda n: f"D{n}")
@pytest.mark.parametrize(
    "n_positions", [1, 2, 3, 6, 29, 30, 31, 32, 33, 257], ids=lambda n: f"L{n}"
)
def test_float32_stays_within_rounding_of_float64(n_positions, width, order, kernels):
    tensors = inputs(order=order, n_positions=n_positions, width=width, dtype=torch.float32)
    expected, expected_gates = reference.short_conv_gate(*tensors, order=order)

    gated, gates = short_conv_gate(*tensors, order=order, kernels=kernels)

    torch.testing.assert_close(gated.double(), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        [gate.double() for gate in gates], list(expected_gates), rtol=1e-5, atol=1e-5
    )
    for found, wanted in zip(
        gradients([gated, *gates], tensors),
        gradients([expected, *expected_gates], tensors),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted.float(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernels", ["torch", "numba"])
def test_a_part_looks_back_at_what_precedes_it(kernels):
    proj, taps, bias = (t.detach() for t in inputs(order=3, n_positions=9, dtype=torch.float32))
    gated, gates = short_conv_gate(proj, taps, bias, order=3, kernels="torch")
    outputs = [torch.empty(2, 5, 4).permute(2, 0, 1) for _ in range(3)]
    channels_last = proj.permute(1, 2, 0).contiguous().permute(2, 0, 1)

    short_conv_gate_into(outputs, channels_last, taps, bias, kernels=kernels)

    torch.testing.assert_close(outputs, [y[..., 4:] for y in (gated, *gates)])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("kernels", ["torch", "numba"])
@pytest.mark.parametrize(("n_positions", "first", "width"), [(1, 0, 4), (30, 2, 40), (30, 7, 16)])
def test_a_later_gate_multiplies_what_is_there(n_positions, first, width, kernels, dtype):
    """The last gate of order 2 is the convolution of the first part alone."""
    tensors = inputs(order=2, n_positions=n_positions, width=width, dtype=torch.float32)
    _, (gate,) = short_conv_gate(*tensors, order=2, kernels="torch")
    y = torch.randn(2, n_positions - first, width, generator=torch.Generator().manual_seed(0))
    y = y.to(dtype).permute(2, 0, 1)
    expected = (y.float() * gate[..., first:]).to(dtype)

    proj, taps, bias = (tensor.detach()[:width] for tensor in tensors)
    multiply_by_short_conv(y, to_channels_last(proj), taps, bias, kernels=kernels)

    torch.testing.assert_close(y, expected)


def test_shapes_that_do_not_fit_are_refused():
    proj, taps, bias = inputs(order=2, n_positions=8)

    with pytest.raises(ValueError, match="do not fit"):
        short_conv_gate(proj, taps[:-1], bias, order=2, kernels="torch")
    with pytest.raises(ValueError, match="do not split"):
        short_conv_gate(proj, taps, bias, order=4, kernels="torch")
