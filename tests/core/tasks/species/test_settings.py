"""Species classification as published: rate, windows a step and pooling by length."""

from __future__ import annotations

import logging

import pytest

from hyenadna_cli.core.tasks.species.settings import settings

TABLE_A10 = {
    # learning rate, windows per step, pooling
    1_000: (6e-5, 256, "mean"),
    32_000: (3e-4, 256, "mean"),
    250_000: (6e-5, 128, "last"),
    450_000: (6e-4, 128, "last"),
}


def of(length, *, train=None, species=None):
    return settings(
        model=None,
        train=train or {},
        species={"length": length, **(species or {})},
        preset="paper",
    )


@pytest.mark.parametrize("length", TABLE_A10)
def test_the_recipe_is_that_of_the_published_table(length):
    rate, n_windows, pooling = TABLE_A10[length]

    found = of(length)

    train = found.train
    assert (train.learning_rate, train.min_learning_rate) == (rate, pytest.approx(0.1 * rate))
    assert train.sequences_per_step(length, max_length=length) == n_windows
    assert found.species.pooling == pooling
    assert (train.weight_decay, train.decay, train.keep) == (0.1, "published", "sequences")
    assert (train.lr_schedule, train.adam_betas) == ("published", (0.9, 0.999))
    assert (train.reverse_complement, train.optimiser) == (False, "adamw")
    assert (found.species.head_lr_ratio, found.species.probe_bases) == (1.0, 0)
    assert (found.species.dropout, found.species.freeze) == (0.0, "none")


@pytest.mark.parametrize(("length", "like"), [(1_024, 1_000), (131_072, 250_000)])
def test_other_lengths_take_the_nearest_and_say_so(length, like, caplog):
    with caplog.at_level(logging.INFO):
        found = of(length)

    assert found.train.learning_rate == TABLE_A10[like][0]
    assert "is that of the nearest published length" in caplog.text


def test_a_warm_up_of_lengths_keeps_the_windows_of_a_step():
    train = of(32_000, train={"length_schedule": ((1_000, 5), (32_000, 5))}).train

    assert [train.sequences_per_step(n, max_length=32_000) for n in (1_000, 32_000)] == [256] * 2


def test_options_win_and_what_differs_is_said(caplog):
    with caplog.at_level(logging.INFO):
        found = of(1_000, train={"learning_rate": 1e-3}, species={"pooling": "last"})

    assert (found.train.min_learning_rate, found.species.pooling) == (1e-4, "last")
    said = [record.getMessage() for record in caplog.records]
    assert "--preset paper: learning_rate is 0.001, published 6e-05" in said
    assert "--preset paper: pooling is last, published mean" in said
    assert any("256 windows of 1,000 bases per step go through the model 16 at" in s for s in said)


def test_without_the_preset_the_defaults_are_ours():
    found = settings(model=None, train={}, species={"length": 1_000})

    assert found.train.batch_bases == 16_384
