"""Long filters: strength and reach, against sums written down once more."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import torch

from hyenadna_cli.core.interpretation import filters as module
from hyenadna_cli.core.interpretation.filters import (
    draw,
    effective_context,
    layer_filters,
    shares_within,
    write_table,
)


@pytest.fixture(scope="module")
def taps(model):
    """(layers, D, L): all taps, with the direct path in the first."""
    with torch.no_grad():
        of_layers = []
        for block in model.backbone.layers:
            (taps_DL,) = block.mixer.filter_fn(model.config.l_max)
            taps_DL[:, 0] += block.mixer.filter_fn.bias
            of_layers.append(taps_DL.numpy())
    return np.stack(of_layers)


def fewest_taps(squares, share):
    return next(n for n in range(1, len(squares) + 1) if sum(squares[:n]) >= share * sum(squares))


def test_strength_and_length_are_those_of_the_taps(model, taps):
    found = list(layer_filters(model))

    assert [(of.layer, of.number, of.step) for of in found] == [(1, 1, 1), (2, 1, 1)]
    for of, taps_DL in zip(found, taps, strict=True):
        squares = taps_DL**2
        np.testing.assert_allclose(of.magnitudes, np.sqrt(squares.sum(axis=1)), rtol=1e-9)
        np.testing.assert_allclose(of.squares, squares.sum(axis=0), rtol=1e-9)
        for column, share in enumerate((0.5, 0.95)):
            lengths = [fewest_taps(of_channel, share) for of_channel in squares]
            assert of.lengths[:, column].tolist() == lengths


def test_the_context_is_that_of_paths_through_every_layer(model, taps):
    first, second = (taps**2).sum(axis=1)
    weights = np.zeros(len(first))
    for one, weight in enumerate(first):
        for other in range(len(first) - one):
            weights[one + other] += weight * second[other]

    expected = [fewest_taps(weights, share) - 1 for share in (0.5, 0.95)]

    assert effective_context(layer_filters(model)) == expected
    assert expected[0] < expected[1] < model.config.l_max


def test_every_so_many_th_tap_stands_for_all(model, monkeypatch):
    whole, context = list(layer_filters(model)), effective_context(layer_filters(model))
    monkeypatch.setattr(module, "_MAX_TAPS", 100)

    sampled = list(layer_filters(model))

    assert {of.step for of in sampled} == {3}
    for one, other in zip(sampled, whole, strict=True):
        np.testing.assert_allclose(one.magnitudes, other.magnitudes, rtol=0.05)
        np.testing.assert_allclose(one.lengths, other.lengths, rtol=0.1, atol=3)
    np.testing.assert_allclose(effective_context(sampled), context, rtol=0.1, atol=3)


def test_a_filter_of_zeros_reaches_nowhere():
    assert shares_within(np.zeros(5)) == [0, 0]
    assert shares_within(np.array([0.0, 0.0, 2.0])) == [2, 2]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_picture_has_a_row_a_channel_beside_it(model, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    found = list(layer_filters(model))

    draw(found, tmp_path / f"f{suffix}", title="tiny", overwrite=False)
    write_table(found, tmp_path / "f.tsv", overwrite=False)

    assert (tmp_path / f"f{suffix}").stat().st_size > 1_000
    with (tmp_path / "f.tsv").open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert len(rows) == 2 * 8
    assert (rows[0]["layer"], rows[0]["channel"], rows[-1]["channel"]) == ("1", "1", "8")
    assert float(rows[8]["magnitude"]) == pytest.approx(found[1].magnitudes[0], rel=1e-6)
