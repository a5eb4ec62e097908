"""Taps in tiles on CPU threads, against the layers one by one in float64."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.filters import ImplicitFilter
from hyenadna_cli.ops import filter_training
from tests.ops.filters import error, taps_and_gradients

CONFIG = ModelConfig(
    d_model=21, n_layer=1, d_inner=8, l_max=5000, filter_order=12, order=3, filter_shift=0.05
)


def filter_of(config: ModelConfig = CONFIG) -> ImplicitFilter:
    """Frequencies that differ, as those of a trained model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        filter_fn = ImplicitFilter(config)
        torch.nn.init.uniform_(filter_fn.get_parameter("implicit_filter.1.freq"), 1.0, 10.0)
    return filter_fn


@pytest.mark.parametrize("order", [2, 3], ids=lambda n: f"order{n}")
@pytest.mark.parametrize("n_inner", [1, 2, 3], ids=lambda n: f"inner{n}")
@pytest.mark.parametrize("n_positions", [1, 2, 3, 63, 1000, 4097], ids=lambda n: f"L{n}")
def test_values_and_gradients_are_those_of_the_layers_in_float64(n_positions, n_inner, order):
    filter_fn = filter_of(dataclasses.replace(CONFIG, num_inner_mlps=n_inner, order=order))
    exact = copy.deepcopy(filter_fn).double()
    expected, gradients = taps_and_gradients(exact, n_positions, "torch")

    taps_CL, found = taps_and_gradients(filter_fn, n_positions, "numba")

    assert error(taps_CL, expected) < 1e-4
    for name, gradient in gradients.items():
        assert error(found[name], gradient) < 1e-4, name


def test_a_piece_of_the_positions_has_the_taps_of_the_whole():
    filter_fn = filter_of()
    whole, _ = taps_and_gradients(filter_fn, 100, "numba")

    piece, _ = taps_and_gradients(filter_fn, 30, "numba", first=70)

    torch.testing.assert_close(piece, whole[:, 70:], rtol=1e-4, atol=1e-6)
    assert filter_fn(0, kernels="numba")[0].shape == (21, 0)


def test_tiles_do_not_show(monkeypatch):
    filter_fn = filter_of()
    whole, gradients = taps_and_gradients(filter_fn, 100, "numba")
    monkeypatch.setattr(filter_training, "_TILE", 9)

    taps_CL, found = taps_and_gradients(filter_fn, 100, "numba")

    torch.testing.assert_close(taps_CL, whole, rtol=1e-4, atol=1e-6)
    for name, gradient in gradients.items():
        assert error(found[name], gradient) < 1e-5, name


@pytest.mark.parametrize("size", [1, 100, 9_000])
def test_sines_are_those_of_numpy(size):
    from hyenadna_cli.ops.cpu.implicit_filter import sines

    x = np.random.default_rng(0).uniform(-size, size, (50, 21)).astype(np.float32)
    freq = np.linspace(0.5, 1, 21, dtype=np.float32)
    found = np.empty(x.size, np.float32)

    sines(x.ravel(), freq, found)

    np.testing.assert_allclose(found, np.sin((x * freq).astype(np.float64)).ravel(), atol=2e-7)


def test_sines_of_huge_numbers_stay_small_and_nan_stays_nan():
    from hyenadna_cli.ops.cpu.implicit_filter import sines

    x = np.array([1e7, -1e20, 3e38, np.nan, np.inf], np.float32)
    found = np.empty(5, np.float32)

    sines(x, np.ones(5, np.float32), found)

    assert (np.abs(found[:3]) <= 1).all()
    assert np.isnan(found[3:]).all()
