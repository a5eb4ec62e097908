"""Weights to begin with: the same function, whatever stands on top of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.training.starting_model import StartingModel
from hyenadna_cli.errors import UsageError

CONFIG = ModelConfig(d_model=16, n_layer=2, d_inner=32, l_max=66, filter_order=8)


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def stored(request, tmp_path):
    model = HyenaDNA(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    if not request.param:
        model.untie_lm_head()
        torch.nn.init.normal_(model.lm_head.weight)
    checkpoint.save(model, tmp_path)
    start = StartingModel.find(str(tmp_path), revision=None, offline=True, cache_dir=None)
    return model.eval(), start


@pytest.mark.parametrize("n_layer", [2, 3, 5])
def test_a_model_with_further_blocks_computes_the_same_at_first(stored, n_layer):
    model, start = stored
    grown = HyenaDNA(dataclasses.replace(CONFIG, n_layer=n_layer)).eval()
    ids = torch.randint(7, 11, (2, 60))

    start.check(grown.config)
    start.load_into(grown)

    with torch.no_grad():
        torch.testing.assert_close(grown(ids), model(ids))


def test_every_layer_of_a_further_block_learns_after_a_step(stored):
    _, start = stored
    grown = HyenaDNA(dataclasses.replace(CONFIG, n_layer=3))
    start.load_into(grown)
    optimiser = torch.optim.SGD(grown.parameters(), lr=0.1)
    ids = torch.randint(7, 11, (2, 60))

    for _ in range(2):
        optimiser.zero_grad()
        grown(ids).logsumexp(-1).sum().backward()
        optimiser.step()

    for name, parameter in grown.backbone.layers[2].named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize(
    "other", [{"d_model": 32}, {"n_layer": 1}, {"l_max": 130}, {"short_filter_order": 5}], ids=str
)
def test_another_shape_is_refused(stored, other):
    _, start = stored

    with pytest.raises(UsageError, match=next(iter(other))):
        start.check(dataclasses.replace(CONFIG, **other))


def test_dropout_may_differ(stored):
    _, start = stored

    start.check(dataclasses.replace(CONFIG, embed_dropout=0.3, resid_dropout=0.1))
