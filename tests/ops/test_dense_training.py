"""Linear layers and the MLP in tiles have the values and gradients of their torch formulation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("numba")

from hyenadna_cli.ops import dense_training


def tensors(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]


def compare(found, expected, inputs, exact_inputs):
    torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4)
    # Not centred: sums that cancel would be compared with what rounding leaves of them.
    cotangent = torch.linspace(-1, 2, found.numel(), dtype=torch.float64).view_as(found)
    gradients = torch.autograd.grad(found, inputs, cotangent.float())
    of_definition = torch.autograd.grad(expected, exact_inputs, cotangent)
    for gradient, wanted in zip(gradients, of_definition, strict=True):
        assert (gradient - wanted).abs().max() < 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("n_rows", [1, 3, 129, 1300])
@pytest.mark.parametrize("sizes", [(5, 7), (72, 70), (64, 128)], ids=str)
def test_a_linear_layer(n_rows, sizes):
    n_inputs, n_outputs = sizes
    inputs = tensors((n_rows, n_inputs), (n_outputs, n_inputs), (n_outputs,))
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]

    compare(dense_training.linear(*inputs), F.linear(*exact), inputs, exact)


@pytest.mark.parametrize("n_rows", [1, 129, 1300])
@pytest.mark.parametrize("sizes", [(5, 7), (16, 64), (72, 130)], ids=str)
def test_the_mlp(n_rows, sizes):
    width, inner = sizes
    inputs = tensors((n_rows, width), (inner, width), (inner,), (width, inner), (width,))
    exact = [tensor.detach().double().requires_grad_() for tensor in inputs]
    x, fc1, bias1, fc2, bias2 = exact
    expected = F.linear(F.gelu(F.linear(x, fc1, bias1), approximate="tanh"), fc2, bias2)

    compare(dense_training.gelu_mlp(*inputs), expected, inputs, exact)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_a_hidden_layer_that_is_kept_is_the_one_that_is_computed_again(dtype):
    inputs = tensors((1300, 16), (64, 16), (64,), (16, 64), (16,))

    kept, again = (
        dense_training.gelu_mlp(*inputs, dtype=dtype, keeps_hidden=keeps) for keeps in (True, False)
    )
    first = torch.autograd.grad(kept.square().sum(), inputs, retain_graph=True)

    torch.testing.assert_close(kept, again, rtol=0, atol=0)
    for twice in (kept, again):  # what is kept is still there for another backward pass
        found = torch.autograd.grad(twice.square().sum(), inputs)
        torch.testing.assert_close(found, first, rtol=0, atol=0)


def plain_mlp(x, fc1, bias1, fc2, bias2):
    return F.linear(F.gelu(F.linear(x, fc1, bias1), approximate="tanh"), fc2, bias2)


def with_gradients(function, inputs):
    y = function(*inputs)
    assert y.dtype == inputs[0].dtype
    cotangent = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view_as(y)
    return [y, *torch.autograd.grad(y, inputs, cotangent.to(y.dtype))]


@pytest.mark.parametrize("n_rows", [1, 129, 1300])
@pytest.mark.parametrize("sizes", [(5, 7), (16, 64), (72, 130)], ids=str)
@pytest.mark.parametrize("layer", ["linear", "mlp"])
def test_bfloat16_is_no_further_from_exact_than_that_of_torch(n_rows, sizes, layer):
    width, inner = sizes
    shapes = [(n_rows, width), (inner, width), (inner,)]
    tiled, plain = dense_training.linear, F.linear
    if layer == "mlp":
        shapes += [(width, inner), (width,)]
        tiled, plain = dense_training.gelu_mlp, plain_mlp
    inputs = tensors(*shapes)
    exact = with_gradients(plain, [tensor.detach().double().requires_grad_() for tensor in inputs])

    found = with_gradients(lambda *given: tiled(*given, dtype=torch.bfloat16), inputs)

    of_torch = with_gradients(
        lambda *given: plain(*(tensor.bfloat16() for tensor in given)).float(), inputs
    )
    for ours, theirs, wanted in zip(found, of_torch, exact, strict=True):
        assert ours.dtype == torch.float32
        allowed = 1.1 * (theirs - wanted).norm() + 1e-3 * wanted.norm()
        assert (ours - wanted).norm() <= allowed


def test_threads_hardly_show():
    inputs = tensors((1300, 64), (128, 64), (128,), (64, 128), (64,))
    n_threads = torch.get_num_threads()
    results = []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            y = dense_training.gelu_mlp(*inputs)
            results.append([y, *torch.autograd.grad(y.square().sum(), inputs)])
    finally:
        torch.set_num_threads(n_threads)

    for one, two in zip(*results, strict=True):
        assert (one - two).abs().max() <= 1e-5 * one.abs().max()
