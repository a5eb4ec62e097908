"""Products without gradients: the same numbers whatever units the CPU has."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hyenadna_cli.ops import dense as module
from hyenadna_cli.ops.dense import dense


def random_operands(*, bias: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(0)
    x_NI, weight_OI = (torch.randn(n, 48, generator=generator) for n in (5, 9))
    return x_NI, weight_OI, torch.randn(9, generator=generator) if bias else None


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 5e-2)],
    ids=str,
)
def test_is_a_product_in_every_precision(dtype, tolerance, bias):
    x, weight, b = random_operands(bias=bias)
    exact = F.linear(x.double(), weight.double(), None if b is None else b.double())

    found = dense(x.to(dtype), weight.to(dtype), None if b is None else b.to(dtype))

    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("has_units", [False, True])
def test_bfloat16_is_the_rounded_product_of_rounded_numbers(monkeypatch, has_units):
    if has_units and not module.has_bfloat16_products():
        pytest.skip("this CPU has no bfloat16 units")
    monkeypatch.setattr(module, "has_bfloat16_products", lambda: has_units)
    x, weight, bias = (t.bfloat16() for t in random_operands(bias=True) if t is not None)
    exact = F.linear(x.double(), weight.double(), bias.double())

    found = dense(x, weight, bias)

    # Half a last place, and the rounding of a sum in float32.
    torch.testing.assert_close(found.double(), exact, rtol=2**-8 + 1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(9, 48), (1, 1), (384, 128), (1, 64), (64, 1)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_a_packed_weight_gives_the_same_product(shape, dtype):
    generator = torch.Generator().manual_seed(1)
    weight, bias = (torch.randn(*s, generator=generator).to(dtype) for s in (shape, shape[:1]))
    with torch.inference_mode():
        made = module.packed(weight, n_rows=100)

        for n_rows in (1, 7, 100, 1000):
            x = torch.randn(n_rows, shape[1], generator=generator).to(dtype)
            # A single row is summed in another order.
            torch.testing.assert_close(dense(x, made, bias), dense(x, weight, bias))


def test_a_weight_stays_as_it_is_where_rounded_numbers_are_multiplied_in_float32(monkeypatch):
    monkeypatch.setattr(module, "has_bfloat16_products", lambda: False)
    weight = torch.ones(3, 4, dtype=torch.bfloat16)

    assert module.packed(weight, n_rows=8) is weight
