"""The convolution in parts is the convolution."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from hyenadna_cli.ops.online_conv import OnlineConv, carry_over
from hyenadna_cli.ops.reference import long_conv_gate


def inputs(n_positions, *, n_batch=2, dtype=torch.float64):
    generator = torch.Generator().manual_seed(n_positions)
    u_DBL = torch.randn(3, n_batch, n_positions, generator=generator, dtype=dtype)
    filter_DL = torch.randn(3, n_positions, generator=generator, dtype=dtype)
    skip_D = torch.randn(3, generator=generator, dtype=dtype)
    return u_DBL, filter_DL, skip_D


def whole(u_DBL, filter_DL, skip_D):
    return long_conv_gate(u_DBL, filter_DL, skip_D, torch.ones_like(u_DBL))


def stepped(conv, u_DBL):
    return torch.stack([conv.step(u_DB) for u_DB in u_DBL.unbind(-1)], dim=-1)


@pytest.mark.parametrize("n_positions", [1, 2, 3, 31, 32, 33, 63, 100, 257], ids=lambda n: f"L{n}")
def test_one_input_at_a_time_gives_what_all_at_once_do(n_positions):
    u_DBL, filter_DL, skip_D = inputs(n_positions)

    y_DBL = stepped(OnlineConv(filter_DL, skip_D, n_sequences=2), u_DBL)

    assert_close(y_DBL, whole(u_DBL, filter_DL, skip_D), rtol=1e-11, atol=1e-11)


def test_float32_stays_close_to_the_definition():
    u_DBL, filter_DL, skip_D = inputs(300, dtype=torch.float32)

    y_DBL = stepped(OnlineConv(filter_DL, skip_D, n_sequences=2), u_DBL)

    # Sums of 300 products of order 1.
    expected = whole(u_DBL.double(), filter_DL.double(), skip_D.double())
    assert_close(y_DBL.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_prefix", [1, 5, 64, 90], ids=lambda n: f"prefix{n}")
@pytest.mark.parametrize("n_shared", [1, 2], ids=["one-prefix-for-all", "a-prefix-each"])
def test_a_prefix_is_carried_over_to_what_follows(n_prefix, n_shared):
    u_DBL, filter_DL, skip_D = inputs(100)
    u_DBL[..., :n_prefix] = u_DBL[:, :n_shared, :n_prefix]
    later_DBL = u_DBL[..., n_prefix:]

    carried_DBL = carry_over(u_DBL[:, :n_shared, :n_prefix], filter_DL, 100 - n_prefix)
    conv = OnlineConv(
        filter_DL[:, : 100 - n_prefix], skip_D, n_sequences=2, carried_DBL=carried_DBL
    )

    expected = whole(u_DBL, filter_DL, skip_D)[..., n_prefix:]
    assert_close(stepped(conv, later_DBL), expected, rtol=1e-11, atol=1e-11)


def test_what_is_carried_over_has_the_gradients_of_its_definition():
    u_DBL, filter_DL, _ = inputs(12)
    u_DBL = u_DBL[..., :7].clone().requires_grad_()

    assert torch.autograd.gradcheck(lambda u: carry_over(u, filter_DL, 5), (u_DBL,))


def test_a_filter_that_ends_too_early_is_refused():
    u_DBL, filter_DL, _ = inputs(10)

    with pytest.raises(ValueError, match="11 positions"):
        carry_over(u_DBL, filter_DL, 1)
