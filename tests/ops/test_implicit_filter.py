"""The fused filters, run by Triton's interpreter, against the layers one by one in float64."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.filters import ImplicitFilter
from hyenadna_cli.ops.gpu import implicit_filter as on_gpu
from tests.ops.filters import error, taps_and_gradients

CONFIG = ModelConfig(d_model=5, n_layer=1, d_inner=8, l_max=5000, filter_order=12, order=3)


def filter_of(config: ModelConfig = CONFIG) -> ImplicitFilter:
    """Weights of ordinary size, frequencies that differ, a window that is not 0 at the end."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        filter_fn = ImplicitFilter(dataclasses.replace(config, filter_shift=0.05))
        torch.nn.init.uniform_(filter_fn.get_parameter("implicit_filter.1.freq"), 1.0, 3.0)
    return filter_fn


@pytest.mark.slow
@pytest.mark.parametrize("n_positions", [1, 2, 3, 63, 1000, 1025, 4097], ids=lambda n: f"L{n}")
def test_values_and_gradients_are_those_of_the_layers_in_float64(
    monkeypatch: pytest.MonkeyPatch, n_positions: int
) -> None:
    if n_positions > 100:
        # Programs take the interpreter a time of their own, whatever they compute.
        for name in ("FORWARD", "BACKWARD"):
            monkeypatch.setattr(on_gpu, name, on_gpu.Tile(512, 4))
    filter_fn = filter_of()
    expected, gradients = taps_and_gradients(
        copy.deepcopy(filter_fn).double(), n_positions, "torch"
    )

    taps_CL, found = taps_and_gradients(filter_fn, n_positions, "triton")

    assert error(taps_CL, expected) < 1e-5
    for name, gradient in gradients.items():
        assert error(found[name], gradient) < 1e-4, name  # sums over all positions


@pytest.mark.slow
def test_weights_in_bfloat16_are_computed_with_in_float32() -> None:
    filter_fn = filter_of().bfloat16()
    expected, gradients = taps_and_gradients(copy.deepcopy(filter_fn).double(), 63, "torch")

    taps_CL, found = taps_and_gradients(filter_fn, 63, "triton")

    assert taps_CL.dtype == torch.bfloat16
    assert error(taps_CL, expected) < 2**-7
    for name, gradient in gradients.items():
        assert error(found[name], gradient) < 2e-2, name  # incoming gradients are rounded


@pytest.mark.slow
@pytest.mark.parametrize("n_inner", [1, 3])
def test_any_number_of_hidden_layers(n_inner: int) -> None:
    filter_fn = filter_of(dataclasses.replace(CONFIG, num_inner_mlps=n_inner, emb_dim=3))
    expected, gradients = taps_and_gradients(copy.deepcopy(filter_fn).double(), 100, "torch")

    taps_CL, found = taps_and_gradients(filter_fn, 100, "triton")

    assert error(taps_CL, expected) < 1e-5
    for name, gradient in gradients.items():
        assert error(found[name], gradient) < 1e-4, name


@pytest.mark.slow
def test_tiles_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    filter_fn = filter_of(dataclasses.replace(CONFIG, d_model=9))
    _, many = taps_and_gradients(filter_fn, 70, "triton")
    monkeypatch.setattr(on_gpu, "MAX_PROGRAMS", 2)
    monkeypatch.setattr(on_gpu, "CHANNELS", 16)

    _, few = taps_and_gradients(filter_fn, 70, "triton")

    for name, gradient in many.items():
        torch.testing.assert_close(few[name], gradient, rtol=1e-4, atol=1e-6 * gradient.abs().max())
