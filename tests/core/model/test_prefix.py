"""A prefix that was run once is continued exactly as if it had been read again."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.testing import assert_close

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model import fused_forward
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.prefix import continue_from, run_prefix

LIMIT = 80


@pytest.fixture(scope="module", params=[(2, 3), (3, 4)], ids=["order2", "order3"])
def model(request):
    order, n_taps = request.param
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ModelConfig(
            d_model=8, n_layer=2, d_inner=16, l_max=LIMIT, order=order, short_filter_order=n_taps
        )
        return HyenaDNA(config).eval().double()


def embedded(n_batch, n_positions, *, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n_batch, n_positions, 8, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("n_prefix", [1, 2, 3, 50], ids=lambda n: f"prefix{n}")
@pytest.mark.parametrize("n_shared", [1, 3], ids=["one-for-all", "one-each"])
def test_continuations_are_the_ends_of_plain_passes(model, n_prefix, n_shared):
    prefix_BLD, later_BSD = embedded(n_shared, n_prefix), embedded(3, 20, seed=2)

    with torch.inference_mode():
        prefix = run_prefix(model, prefix_BLD, n_later=25)
        hidden_BSD = continue_from(model, prefix, later_BSD)
        whole_BLD = torch.cat([prefix_BLD.expand(3, -1, -1), later_BSD], dim=1)
        plain_BLD = model.hidden_states_of(whole_BLD)[0]

    assert_close(hidden_BSD, plain_BLD[:, n_prefix:], rtol=1e-10, atol=1e-10)
    assert_close(prefix.last_BD.expand(3, -1), plain_BLD[:, n_prefix - 1], rtol=1e-10, atol=1e-10)


def test_a_prefix_learns_through_its_continuations_as_through_plain_passes(model):
    later_BSD, weights_BSD = embedded(3, 9, seed=2), embedded(3, 9, seed=3)

    def gradient(run):
        prefix_1LD = embedded(1, 7).requires_grad_()
        (run(prefix_1LD) * weights_BSD).sum().backward()
        return prefix_1LD.grad

    shared = gradient(lambda p: continue_from(model, run_prefix(model, p, n_later=9), later_BSD))
    plain = gradient(
        lambda p: model.hidden_states_of(torch.cat([p.expand(3, -1, -1), later_BSD], 1))[0][:, 7:]
    )

    assert_close(shared, plain, rtol=1e-9, atol=1e-10)


def test_what_the_model_cannot_read_is_refused_before_any_work(model):
    with pytest.raises(ValueError, match="at most 80"):
        run_prefix(model, embedded(1, 70), n_later=11)
    prefix = run_prefix(model, embedded(1, 70), n_later=10)
    with pytest.raises(ValueError, match="prepared for 10"):
        continue_from(model, prefix, embedded(1, 11))


@pytest.mark.parametrize("kernels", ["torch", "numba"])
@pytest.mark.parametrize("n_prefix", [1, 40], ids=lambda n: f"prefix{n}")
@torch.inference_mode()
def test_every_kernel_continues_within_rounding_of_the_plain_pass(
    model, monkeypatch, kernels, n_prefix
):
    # Tiles of a part of a sequence.
    monkeypatch.setitem(fused_forward._TILE_ROWS, kernels, 12)
    prefix_BLD, later_BSD = embedded(1, n_prefix), embedded(3, 37, seed=2)
    whole_BLD = torch.cat([prefix_BLD.expand(3, -1, -1), later_BSD], dim=1)
    exact_BLD = model.hidden_states_of(whole_BLD)[0]
    single = copy.deepcopy(model).float()
    single.execution = Execution(kernels=kernels)

    prefix = run_prefix(single, prefix_BLD.float(), n_later=40)
    hidden_BSD = continue_from(single, prefix, later_BSD.float())

    assert_close(hidden_BSD.double(), exact_BLD[:, n_prefix:], rtol=1e-5, atol=1e-5)


def test_with_gradients_or_without_the_continuation_is_the_same(model):
    later_BSD = embedded(2, 9, seed=2)
    with torch.no_grad():
        prefix = run_prefix(model, embedded(1, 7), n_later=9)
        inferred_BSD = continue_from(model, prefix, later_BSD)

    trained_BSD = continue_from(model, prefix, later_BSD)

    assert_close(inferred_BSD, trained_BSD, rtol=1e-10, atol=1e-10)
    assert_close(later_BSD, embedded(2, 9, seed=2), rtol=0, atol=0)
