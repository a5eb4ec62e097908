"""The plain formulation and our path compute one function; this is what the benchmark rests on."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine.benchmark import plain_hyena
from hyenadna_cli.core.model.hyenadna import HyenaDNA


def strong_model(**changes) -> HyenaDNA:
    """In float64, with weights large enough that every part matters to the output."""
    shape = {"d_model": 16, "n_layer": 2, "d_inner": 32, "l_max": 130, "filter_order": 8, **changes}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HyenaDNA(ModelConfig(**shape)).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "freq" not in name:
                torch.nn.init.normal_(parameter, std=0.3)
    return model.double()


def random_ids(n_rows: int, n_positions: int) -> torch.Tensor:
    return torch.randint(7, 11, (n_rows, n_positions), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("n_positions", [1, 2, 63, 127], ids=lambda n: f"L{n}")
def test_hidden_states_are_those_of_the_model(n_positions, order):
    model = strong_model(order=order)
    ids = random_ids(2, n_positions)

    with torch.no_grad():
        ours = model.hidden_states(ids)[0]
        plain = plain_hyena.hidden_states(model, ids)

    torch.testing.assert_close(plain, ours, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_are_those_of_the_model(recompute):
    model = strong_model()
    ids = random_ids(2, 40)

    model.hidden_states(ids)[0].sin().sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    plain_hyena.hidden_states(model, ids, recompute_blocks=recompute).sin().sum().backward()

    for name, gradient in ours.items():
        given = model.get_parameter(name).grad
        torch.testing.assert_close(given, gradient, rtol=1e-7, atol=1e-8, msg=name)


def test_under_autocast_it_stays_near():
    torch.manual_seed(0)
    model = HyenaDNA(ModelConfig(d_model=16, n_layer=2, d_inner=32, l_max=130)).eval()
    ids = random_ids(1, 100)

    with torch.no_grad():
        exact = plain_hyena.hidden_states(model, ids)
        with torch.autocast("cpu", torch.bfloat16):
            rough = plain_hyena.hidden_states(model, ids)

    # Eight significant bits in every product, and in the filters as well.
    assert (rough.float() - exact).abs().mean() < 0.05 * exact.abs().mean()
