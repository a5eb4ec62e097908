"""Muon: orthogonal updates of the blocks' matrices, AdamW for the rest."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hyenadna_cli.core.config.settings import TrainConfig
from hyenadna_cli.core.training.loop import parameter_groups
from hyenadna_cli.core.training.muon import MuonAdamW, is_matrix_of_block, orthogonalised
from tests.core.training.test_loop import TRAIN, fresh_model, run, weights

MUON = dataclasses.replace(TRAIN, optimiser="muon")


@pytest.mark.parametrize("shape", [(16, 16), (16, 48), (48, 16), (1, 5), (7, 3)])
def test_singular_values_become_about_one_and_directions_stay(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(matrix.double(), full_matrices=False)

    result = orthogonalised(matrix)

    values = torch.linalg.svdvals(result.double())
    assert values.min() > 0.6
    assert values.max() < 1.3
    in_old_directions = u.T @ result.double() @ v.T
    off_diagonal = in_old_directions - torch.diag(torch.diagonal(in_old_directions))
    assert off_diagonal.abs().max() < 1e-4


def test_a_matrix_of_zeros_stays_one():
    assert torch.equal(orthogonalised(torch.zeros(4, 6)), torch.zeros(4, 6))


def test_only_the_matrices_of_blocks_are_muons():
    model = fresh_model()
    names = {p: name for name, p in model.named_parameters()}

    chosen = [names[p] for g in parameter_groups(model, MUON) if g["muon"] for p in g["params"]]

    kinds = {"mixer.in_proj", "mixer.out_proj", "mlp.fc1", "mlp.fc2"}
    assert sorted(chosen) == sorted(
        f"backbone.layers.{block}.{kind}.weight" for block in (0, 1) for kind in kinds
    )
    assert not any(g["muon"] for g in parameter_groups(model, TRAIN))
    assert not is_matrix_of_block("head.fc1.weight")


def stepped(config: TrainConfig, kind: type[torch.optim.Optimizer]):
    """Weights before and after one step of equal random gradients."""
    model = fresh_model()
    before = weights(model)
    generator = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    kind(parameter_groups(model, config), lr=1e-2).step()
    return before, weights(model)


def test_all_other_parameters_step_as_adamw_does():
    before, by_adamw = stepped(TRAIN, torch.optim.AdamW)
    _, by_muon = stepped(MUON, MuonAdamW)

    for name in before:
        is_equal = torch.equal(by_adamw[name], by_muon[name])
        assert is_equal != is_matrix_of_block(name), name


def test_an_update_of_a_matrix_is_as_large_as_the_source_says():
    """0.2 learning rates root mean square, in every matrix, also a stack of three."""
    no_decay = dataclasses.replace(MUON, weight_decay=0.0)
    before, after = stepped(no_decay, MuonAdamW)

    for name in before:
        if is_matrix_of_block(name):
            update = (after[name] - before[name]).square().mean().sqrt()
            assert update == pytest.approx(1e-2 * 0.2, rel=0.3), name


def test_stopping_and_resuming_gives_the_weights_of_never_stopping(tmp_path):
    straight, reports = run(tmp_path / "straight", config=MUON)
    _, first = run(tmp_path / "broken", config=MUON, stop_after=5)
    resumed, rest = run(tmp_path / "broken", config=MUON)

    assert [r.loss for r in first + rest] == [r.loss for r in reports]
    for name, value in weights(straight).items():
        assert torch.equal(weights(resumed)[name], value), name


@pytest.mark.slow
def test_it_learns(tmp_path):
    config = dataclasses.replace(MUON, max_steps=60, save_every=1_000, learning_rate=5e-2)

    _, reports = run(tmp_path, config=config)

    assert reports[-1].loss < 1.0


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(ValueError, match="adamw or muon, got 'sgd'"):
        TrainConfig.from_mapping({"optimiser": "sgd"})
