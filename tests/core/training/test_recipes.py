"""The published pretrainings: every field of the presets against the publication."""

from __future__ import annotations

import itertools
import logging

import pytest
import torch

from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.training.recipes import RECIPES, doubling
from hyenadna_cli.core.training.settings import settings
from hyenadna_cli.errors import UsageError

TABLE_A1 = {
    # blocks, channels, millions of parameters, longest windows
    "paper-2x128": (2, 128, 0.44, 65_536),
    "paper-2x256": (2, 256, 1.6, 65_536),
    "paper-4x128": (4, 128, 0.87, 65_536),
    "paper-4x256": (4, 256, 3.3, 65_536),
    "paper-8x256": (8, 256, 6.6, 1_000_000),
}
SHARED = {
    "adam_betas": (0.9, 0.999),
    "weight_decay": 0.1,
    "decay": "published",
    "max_grad_norm": 1.0,
    "keep": "sequences",
    "optimiser": "adamw",
    "reverse_complement": False,
    "seed": 2222,
    "learning_rate": 6e-4,
    "min_learning_rate": 6e-5,
}


@pytest.mark.parametrize("preset", TABLE_A1)
def test_a_preset_is_a_column_of_the_published_table(preset):
    n_layer, d_model, millions, longest = TABLE_A1[preset]

    model, train = settings(model={}, train={}, preset=preset)

    assert (model.n_layer, model.d_model, model.l_max - 2) == (n_layer, d_model, longest)
    assert (model.d_inner, model.embed_dropout, model.resid_dropout) == (4 * d_model, 0.1, 0.0)
    assert (model.order, model.short_filter_order, model.filter_order) == (2, 3, 64)
    with torch.device("meta"):
        n_parameters = sum(parameter.numel() for parameter in HyenaDNA(model).parameters())
    assert n_parameters / 1e6 == pytest.approx(millions, rel=0.03)
    assert {name: getattr(train, name) for name in SHARED} == SHARED
    assert 10_000 <= train.max_steps <= 20_000
    assert train.lr_decay_steps is None
    assert train.warmup_steps == 0.01 * train.max_steps


@pytest.mark.parametrize("preset", TABLE_A1)
def test_lengths_double_from_64_and_every_stage_has_as_many_sequences(preset):
    model, train = settings(model={}, train={}, preset=preset)

    lengths = [length for length, _ in train.length_schedule]
    assert (lengths[0], lengths[-1]) == (64, TABLE_A1[preset][3])
    assert all(after == 2 * before for before, after in itertools.pairwise(lengths[:-1]))
    assert len({steps for _, steps in train.length_schedule}) == 1
    sequences = {n: train.sequences_per_step(n, max_length=model.l_max - 2) for n in lengths}
    assert set(sequences.values()) == {256}


@pytest.mark.parametrize("max_length", [1_024, 32_768, 1_000_000])
def test_the_recipe_of_tiny_1k_keeps_its_sequences_at_every_length(max_length):
    model, train = settings(model={"l_max": max_length + 2}, train={}, preset="paper")

    assert train.sequences_per_step(max_length, max_length=model.l_max - 2) == 256
    assert {name: getattr(train, name) for name in SHARED} == SHARED
    assert (train.max_steps, train.warmup_steps, train.lr_decay_steps) == (13_300, 3_815, 381_500)


def test_what_differs_from_a_preset_is_said(caplog):
    with caplog.at_level(logging.INFO):
        settings(model={"d_model": 64}, train={"weight_decay": 0.0}, preset="paper-2x128")

    said = [record.getMessage() for record in caplog.records]
    assert "--preset paper-2x128: d_model is 64, published 128" in said
    assert "--preset paper-2x128: weight_decay is 0.0, published 0.1" in said
    assert any(
        "256 sequences of 65,536 bases per step go through the model 1 at" in s for s in said
    )
    assert any("64 to 256 sequences" in text for text in said)
    assert len(said) == 4


def test_a_smaller_run_of_a_recipe_has_its_stages_and_its_batch():
    _, train = settings(
        model={"l_max": 258},
        train={"max_steps": 30, "batch_bases": 4 * 64},
        preset="paper-2x128",
    )

    assert train.length_schedule == ((64, 10), (128, 10), (256, 10))
    assert [train.sequences_per_step(n, max_length=256) for n in (64, 256)] == [4, 4]


@pytest.mark.parametrize(
    ("max_length", "stages"),
    [(64, [64]), (65, [64, 65]), (20, [20]), (1_000, [64, 128, 256, 512, 1_000])],
)
def test_the_last_stage_is_the_longest_window(max_length, stages):
    assert [length for length, _ in doubling(max_length, 100)] == stages


def test_a_name_that_is_no_preset_brings_all():
    with pytest.raises(UsageError, match=r"there are paper, paper-2x128, .*paper-8x256"):
        settings(model={}, train={}, preset="best")
    assert set(TABLE_A1) | {"paper"} == set(RECIPES)
