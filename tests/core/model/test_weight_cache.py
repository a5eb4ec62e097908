"""What is derived from weights is kept as long as they stay, and no longer."""

from __future__ import annotations

import copy

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.weight_cache import WeightCache


@pytest.fixture
def weight():
    return torch.nn.Parameter(torch.ones(3))


def doubled(cache: WeightCache, weight: torch.Tensor, key: str = "doubled") -> torch.Tensor:
    return cache.get(key, [weight], lambda: weight.detach() * 2)


def test_a_value_is_computed_once(weight):
    cache = WeightCache(1_000)

    first = doubled(cache, weight)

    assert doubled(cache, weight) is first


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w.add_(1),
        lambda w: w.copy_(torch.full((3,), 2.0)),
        lambda w: setattr(w, "data", torch.full((3,), 2.0)),
    ],
    ids=["in place", "copied", "moved"],
)
def test_a_changed_weight_makes_a_new_value(weight, change):
    cache = WeightCache(1_000)
    doubled(cache, weight)

    with torch.no_grad():
        change(weight)

    torch.testing.assert_close(doubled(cache, weight), torch.full((3,), 4.0))


def test_the_least_recently_used_value_goes_first(weight):
    cache = WeightCache(24)
    a, b = doubled(cache, weight, "a"), doubled(cache, weight, "b")
    doubled(cache, weight, "a")

    doubled(cache, weight, "c")

    assert doubled(cache, weight, "a") is a
    assert doubled(cache, weight, "b") is not b


def test_what_is_too_large_is_not_kept(weight):
    cache = WeightCache(8)

    assert doubled(cache, weight) is not doubled(cache, weight)


def test_weights_made_in_inference_mode_are_never_trusted():
    with torch.inference_mode():
        weight = torch.ones(3)
        cache = WeightCache(1_000)
        doubled(cache, weight)
        weight.add_(1)

        torch.testing.assert_close(doubled(cache, weight), torch.full((3,), 4.0))


def test_a_copy_has_kept_nothing(weight):
    cache = WeightCache(1_000)
    kept = doubled(cache, weight)

    copied = copy.deepcopy(cache)

    assert copied.max_bytes == 1_000
    assert doubled(copied, weight) is not kept
    assert doubled(cache, weight) is kept


def test_a_model_that_has_run_can_be_copied():
    shape = ModelConfig(d_model=16, n_layer=1, d_inner=64, l_max=64)
    model = HyenaDNA(shape, execution=Execution(kernels="numba")).eval()
    token_ids = torch.full((1, 9), 8)
    with torch.inference_mode():
        expected = model.hidden_states(token_ids)[0]

        copied = copy.deepcopy(model).hidden_states(token_ids)[0]

    assert torch.equal(copied, expected)
