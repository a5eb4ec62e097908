"""Norm, residual sum and GELU of rows: compiled loops against torch, at many shapes."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("numba")

from hyenadna_cli.ops import rows

FP32, BF16 = torch.float32, torch.bfloat16
# Half a unit in the last place of bfloat16, and a few of float32.
TOLERANCE = {FP32: 3e-6, BF16: 2**-8}
WIDTHS = (1, 3, 16, 40, 128)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def near(found, expected, dtype):
    scale = expected.abs() + 0.1
    return float(((found.double() - expected).abs() / scale).max()) < TOLERANCE[dtype]


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [FP32, BF16])
def test_a_norm_is_that_of_torch_for_any_number_of_rows(n_rows, width, dtype):
    x, weight, bias = 3 * random(n_rows, width), random(width, seed=1), random(width, seed=2)
    expected = F.layer_norm(x.double(), (width,), weight.double(), bias.double(), 1e-5)

    found = rows.norm(x, weight, bias, 1e-5, kernels="numba", dtype=dtype)

    assert found.dtype == dtype
    assert near(found, expected, dtype)


@pytest.mark.parametrize("n_rows", [1, 3, 4, 6])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype", [FP32, BF16])
def test_what_is_added_before_a_norm_stays_in_the_rows(n_rows, width, dtype):
    x, weight, bias = random(n_rows, width), random(width, seed=1), random(width, seed=2)
    delta = random(n_rows, width, seed=3).to(dtype)
    summed = x + delta
    expected = F.layer_norm(summed.double(), (width,), weight.double(), bias.double(), 1e-5)

    found = rows.norm(x, weight, bias, 1e-5, kernels="numba", dtype=dtype, delta_ND=delta)

    assert torch.equal(x, summed)
    assert near(found, expected, dtype)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_norm_in_place_is_the_same_to_the_bit(n_rows, width):
    x, weight, bias = random(n_rows, width), random(width, seed=1), random(width, seed=2)
    expected = rows.norm(x.clone(), weight, bias, 1e-5, kernels="numba")

    found = rows.norm(x, weight, bias, 1e-5, kernels="numba", in_place=True)

    assert found.data_ptr() == x.data_ptr()
    assert torch.equal(found, expected)


def test_a_row_is_normed_alike_wherever_it_stands():
    x, weight, bias = random(9, 40), random(40, seed=1), random(40, seed=2)
    whole = rows.norm(x, weight, bias, 1e-5, kernels="numba")

    alone = [rows.norm(row[None], weight, bias, 1e-5, kernels="numba") for row in x]

    assert torch.equal(whole, torch.cat(alone))


def test_rows_of_equal_numbers_and_of_large_ones():
    x = torch.full((5, 20), 1e4)
    x[1:, 0] += torch.tensor([0.0, 1.0, 2.0, 3.0])
    expected = F.layer_norm(x.double(), (20,), eps=1e-5)

    found = rows.norm(x.clone(), torch.ones(20), torch.zeros(20), 1e-5, kernels="numba")

    assert float((found.double() - expected).abs().max()) < 1e-2


@pytest.mark.parametrize("n", [1, 15, 16, 17, 1000])
@pytest.mark.parametrize("dtype", [FP32, BF16])
def test_gelu_is_that_of_torch(n, dtype):
    x = (10 * random(n)).to(dtype)
    expected = F.gelu(x.double(), approximate="tanh")

    rows.gelu_(x, kernels="numba")

    assert near(x, expected, dtype)


def test_gelu_far_from_zero():
    x = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 40.0, -40.0, 1e30, -1e30, math.inf, math.nan])

    rows.gelu_(x, kernels="numba")

    assert x[:2].tolist() == [0.0, 0.0]
    assert x[2:4].tolist() == pytest.approx([5e-31, -5e-31])
    assert x[4] == 40.0
    assert -1e-6 < x[5] <= 0.0
    assert x[6] == torch.tensor(1e30)
    assert -1e-6 < x[7] <= 0.0
    assert x[8] == math.inf
    assert x[9].isnan()
