"""Heads: only bases count, only what is not frozen trains, and a head stays with its backbone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from hyenadna_cli.core.config.choices import HEAD_POOLINGS
from hyenadna_cli.core.config.settings import HeadConfig, ModelConfig
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.classifier import (
    SequenceClassifier,
    load_classifier,
    pool,
    save_classifier,
)
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import CheckpointError

MODEL = ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=66, filter_order=4, embed_dropout=0.2)
BINARY = HeadConfig(task="binary", label_names=("no", "yes"))


def classifier(config=BINARY, *, model=MODEL, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = SequenceClassifier(HyenaDNA(model), config, width=model.d_model)
        nn.init.normal_(made.head.weight)
    return made.eval()


def batch(*sequences):
    lengths = [len(s) for s in sequences]
    ids = torch.full((len(sequences), max(lengths)), 4)
    for row, sequence in zip(ids, sequences, strict=True):
        row[: len(sequence)] = torch.tensor(["ACGTN".index(base) + 7 for base in sequence])
    return ids, torch.tensor(lengths)


@pytest.mark.parametrize("pooling", HEAD_POOLINGS)
def test_a_pooling_sees_the_bases_and_nothing_else(pooling):
    hidden_BLD = torch.randn(2, 5, 3, dtype=torch.float64)
    hidden_BLD[0, 3:] = torch.inf

    pooled_BD = (
        pool(hidden_BLD, torch.tensor([3, 5]), pooling)
        if pooling != "mean"
        else pool(hidden_BLD.nan_to_num(posinf=1e9), torch.tensor([3, 5]), pooling)
    )

    expected = {
        "mean": hidden_BLD[0, :3].mean(0),
        "last": hidden_BLD[0, 2],
        "first": hidden_BLD[0, 0],
        "max": hidden_BLD[0, :3].amax(0),
    }
    torch.testing.assert_close(pooled_BD[0], expected[pooling])


@pytest.mark.parametrize("pooling", HEAD_POOLINGS)
def test_padding_never_changes_a_score(pooling):
    model = classifier(HeadConfig(task="binary", label_names=("a", "b"), pooling=pooling))
    alone, together = batch("ACGTACG"), batch("ACGTACG", "ACGTTGCAACGTNACGTTGACA")

    scores_alone = model(*alone)
    scores_together = model(*together)

    # float32 sums and an FFT of another length
    torch.testing.assert_close(scores_together[:1], scores_alone, rtol=1e-5, atol=1e-5)


def test_a_head_for_every_base_answers_each_base():
    model = classifier(HeadConfig(task="token", label_names=("exon", "intron", "none")))
    given = batch("ACGTA", "ACG")

    assert model(*given).shape == (2, 5, 3)


def test_probabilities_add_up_where_classes_exclude_each_other():
    scores_BC = torch.randn(4, 3)
    names = ("a", "b", "c")

    exclusive = classifier(HeadConfig(task="multiclass", label_names=names)).predictions(scores_BC)
    independent = classifier(HeadConfig(task="multilabel", label_names=names)).predictions(
        scores_BC
    )

    torch.testing.assert_close(exclusive.sum(1), torch.ones(4))
    torch.testing.assert_close(independent, torch.sigmoid(scores_BC))


def test_a_regression_answers_in_the_units_of_its_targets():
    config = HeadConfig(
        task="regression", label_names=("y",), target_means=(10.0,), target_scales=(2.0,)
    )

    assert classifier(config).predictions(torch.tensor([[1.5]])).item() == 13.0


def test_a_frozen_backbone_has_no_dropout_in_training():
    model, given = classifier(), batch("ACGTACGT")
    model.backbone.requires_grad_(False)
    model.train()

    features = [model.features(*given) for _ in range(2)]

    assert torch.equal(*features)
    assert not features[0].requires_grad


class TestModelDirectory:
    def test_gives_the_same_scores_back(self, tmp_path):
        config = HeadConfig(
            task="multiclass", label_names=("a", "b", "c"), pooling="last", dropout=0.1
        )
        model, given = classifier(config), batch("ACGTACGT", "GGC")
        save_classifier(model, tmp_path)

        loaded, source = load_classifier(tmp_path)

        assert loaded.config == config
        assert not loaded.training
        assert source.layout == "hyenadna"
        assert torch.equal(loaded(*given), model(*given))

    def test_loads_as_a_plain_model(self, tmp_path):
        model = classifier()
        save_classifier(model, tmp_path)

        plain, _ = checkpoint.load(tmp_path)

        for name, value in model.backbone.state_dict().items():
            assert torch.equal(plain.state_dict()[name], value), name

    def test_without_a_head_is_refused(self, tmp_path):
        checkpoint.save(HyenaDNA(MODEL), tmp_path)

        with pytest.raises(CheckpointError, match="without a head"):
            load_classifier(tmp_path)

    def test_with_the_backbone_of_another_is_refused(self, tmp_path):
        mine, other = tmp_path / "mine", tmp_path / "other"
        for directory, seed in ((mine, 0), (other, 1)):
            directory.mkdir()
            save_classifier(classifier(seed=seed), directory)
        theirs = safetensors.torch.load_file(other / "model.safetensors")
        ours = safetensors.torch.load_file(mine / "model.safetensors")
        mixed = {k: v if k.startswith("head.") else theirs[k] for k, v in ours.items()}
        safetensors.torch.save_file(mixed, mine / "model.safetensors")

        with pytest.raises(CheckpointError, match="another backbone"):
            load_classifier(mine)

    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"label_names": ["a", "b", "c"]}, r"head is not of 3 x 8"),
            ({"pooling": "median"}, "pooling must be"),
            ({"width": 3}, "unknown head settings: width"),
        ],
        ids=["classes", "pooling", "unknown"],
    )
    def test_with_a_description_of_another_head_is_refused(self, tmp_path, changes, problem):
        save_classifier(classifier(), tmp_path)
        content = json.loads((tmp_path / "config.json").read_text())
        content["head"] |= changes
        (tmp_path / "config.json").write_text(json.dumps(content))

        with pytest.raises(CheckpointError, match=problem):
            load_classifier(tmp_path)


def test_scores_are_those_of_numpy():
    """The whole path once by hand: hidden states, mean over three bases, linear."""
    model, given = classifier(), batch("ACG", "ACGTT")

    scores = model(*given)

    hidden = model.backbone.hidden_states(given[0])[0].detach().numpy()
    weight, bias = (p.detach().numpy() for p in model.head.parameters())
    np.testing.assert_allclose(
        scores[0].detach().numpy(), hidden[0, :3].mean(0) @ weight.T + bias, rtol=1e-4, atol=1e-5
    )
