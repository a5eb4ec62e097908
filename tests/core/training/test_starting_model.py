"""Weights to begin with: the same function, whatever stands on top of them."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
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
    "other", [{"d_model": 32}, {"n_layer": 1}, {"l_max": 34}, {"short_filter_order": 5}], ids=str
)
def test_another_shape_is_refused(stored, other):
    _, start = stored

    with pytest.raises(UsageError, match=next(iter(other))):
        start.check(dataclasses.replace(CONFIG, **other))


@pytest.mark.parametrize("l_max", [67, 130, 500])
def test_a_longer_model_has_the_same_filters_and_goes_on_beyond(stored, l_max):
    model, start = stored
    config = dataclasses.replace(CONFIG, l_max=l_max, filter_l_max=start.filter_l_max(l_max))
    longer = HyenaDNA(config).eval()
    ids = torch.randint(7, 11, (2, l_max))

    start.check(config)
    start.load_into(longer)

    with torch.no_grad():
        torch.testing.assert_close(longer(ids[:, :66]), model(ids[:, :66]), rtol=0, atol=1e-5)
        of = [m.backbone.layers[1].mixer.filter_fn for m in (model, longer)]
        assert torch.equal(of[1].pos_emb.z[:, :66], of[0].pos_emb.z)
        torch.testing.assert_close(of[1](66)[0], of[0](66)[0])
        beyond = of[1](l_max)[0][:, 66:]
        # As a function of position: one position on, time has grown by the same step.
        steps = of[1].pos_emb.t[0, 60:, 0].diff()
        torch.testing.assert_close(steps, torch.full_like(steps, 1 / 65), rtol=0, atol=1e-5)
        assert beyond.isfinite().all()
        assert torch.isfinite(longer(ids)).all()


def test_a_model_that_was_made_longer_can_be_stored_and_made_longer_again(stored, tmp_path):
    model, start = stored
    config = dataclasses.replace(CONFIG, l_max=130, filter_l_max=66)
    longer = HyenaDNA(config).eval()
    start.load_into(longer)
    (tmp_path / "longer").mkdir()
    checkpoint.save(longer, tmp_path / "longer")

    again = StartingModel.find(str(tmp_path / "longer"), offline=True)
    assert again.config == config
    assert again.filter_l_max(130) == again.filter_l_max(258) == 66
    longest = HyenaDNA(dataclasses.replace(CONFIG, l_max=258, filter_l_max=66)).eval()
    again.load_into(longest)

    ids = torch.randint(7, 11, (1, 60))
    with torch.no_grad():
        torch.testing.assert_close(longest(ids), model(ids), rtol=0, atol=1e-5)


def test_a_longer_context_is_warmed_up_to_from_the_old_length(stored):
    _, start = stored
    config = dataclasses.replace(CONFIG, l_max=202, filter_l_max=66)

    stages = start.warmed_up(config, TrainConfig(max_steps=30)).length_schedule
    same = start.warmed_up(CONFIG, TrainConfig(max_steps=30)).length_schedule

    assert stages == ((64, 10), (128, 10), (200, 10))
    assert same == ()


def test_dropout_may_differ(stored):
    _, start = stored

    start.check(dataclasses.replace(CONFIG, embed_dropout=0.3, resid_dropout=0.1))
