"""What is derived from weights is kept as long as they stay, and no longer."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.model.weight_cache import Derived


@pytest.fixture
def weight():
    return torch.nn.Parameter(torch.ones(3))


def doubled(derived: Derived, weight: torch.Tensor, key: str = "doubled") -> torch.Tensor:
    return derived.get(key, [weight], lambda: weight.detach() * 2)


def test_a_value_is_computed_once(weight):
    derived = Derived(1_000)

    first = doubled(derived, weight)

    assert doubled(derived, weight) is first


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
    derived = Derived(1_000)
    doubled(derived, weight)

    with torch.no_grad():
        change(weight)

    torch.testing.assert_close(doubled(derived, weight), torch.full((3,), 4.0))


def test_the_least_recently_used_value_goes_first(weight):
    derived = Derived(24)
    a, b = doubled(derived, weight, "a"), doubled(derived, weight, "b")
    doubled(derived, weight, "a")

    doubled(derived, weight, "c")

    assert doubled(derived, weight, "a") is a
    assert doubled(derived, weight, "b") is not b


def test_what_is_too_large_is_not_kept(weight):
    derived = Derived(8)

    assert doubled(derived, weight) is not doubled(derived, weight)


def test_weights_made_in_inference_mode_are_never_trusted():
    with torch.inference_mode():
        weight = torch.ones(3)
        derived = Derived(1_000)
        doubled(derived, weight)
        weight.add_(1)

        torch.testing.assert_close(doubled(derived, weight), torch.full((3,), 4.0))
