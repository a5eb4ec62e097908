"""Every example once an epoch, in an order of the seed alone; crops and strands fit the labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hyenadna_cli.core.config.settings import HeadConfig, ModelConfig
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.tasks.labelled_batches import (
    HeadLoss,
    LabelledBatches,
    freeze_backbone,
    stack,
)

MODEL = ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=66, filter_order=4, embed_dropout=0.2)
BINARY = HeadConfig(task="binary", label_names=("no", "yes"))


def rows_of(sequences, targets):
    names = [f"s{number}" for number in range(len(sequences))]
    return LabelledRows(
        names=names, sequences=sequences, intervals=[None] * len(names), targets=targets
    )


def classifier(config=BINARY):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SequenceClassifier(HyenaDNA(MODEL), config, width=MODEL.d_model).eval()


def numbered(n, *, length=lambda number: 8):
    """Example i has target i."""
    return rows_of(["ACGT" * length(i) for i in range(n)], np.arange(n))


def targets_of_epoch(batches, *, n_steps, rows_per_step, first=0):
    return [
        int(target)
        for step in range(first, first + n_steps)
        for target in batches.batch(
            step=step, rows=range(rows_per_step), length=1_000, rows_per_step=rows_per_step
        ).targets
    ]


@given(n=st.integers(1, 40), rows_per_step=st.integers(1, 7), varied=st.booleans())
def test_every_example_comes_once_an_epoch(n, rows_per_step, varied):
    rows = numbered(n, length=(lambda i: 1 + i % 5) if varied else (lambda i: 2))
    batches = LabelledBatches(rows, seed=3, use_both_strands=False)
    n_steps = -(-2 * n // rows_per_step)

    seen = targets_of_epoch(batches, n_steps=n_steps, rows_per_step=rows_per_step)

    assert sorted(seen[:n]) == list(range(n))
    assert sorted(seen[n : 2 * n]) == list(range(n))


def test_the_order_is_a_function_of_the_seed_and_the_epoch():
    def order(seed, first):
        batches = LabelledBatches(numbered(20), seed=seed, use_both_strands=False)
        return targets_of_epoch(batches, n_steps=5, rows_per_step=4, first=first)

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(2, 0)
    assert order(1, 0) != order(1, 5)


def test_the_parts_of_a_step_are_the_step():
    batches = LabelledBatches(numbered(20), seed=0, use_both_strands=True)

    whole = batches.batch(step=3, rows=range(6), length=99, rows_per_step=6)
    parts = [
        batches.batch(step=3, rows=r, length=99, rows_per_step=6) for r in (range(2), range(2, 6))
    ]

    assert torch.equal(whole.token_ids_BL, torch.cat([p.token_ids_BL for p in parts]))
    assert torch.equal(whole.targets, torch.cat([p.targets for p in parts]))


def test_sequences_of_like_length_share_a_batch():
    rows = numbered(64, length=lambda i: 1 + i % 16)
    batches = LabelledBatches(rows, seed=0, use_both_strands=False)

    n_padded = n_bases = 0
    for step in range(16):
        batch = batches.batch(step=step, rows=range(4), length=999, rows_per_step=4)
        n_padded += batch.token_ids_BL.numel()
        n_bases += int(batch.lengths_B.sum())

    assert n_bases == int(rows.lengths.sum())
    assert n_padded == n_bases


@pytest.mark.parametrize("use_both_strands", [False, True])
def test_labels_of_bases_follow_crops_and_strands(use_both_strands):
    """The class of a base says which letter it is, so that a shift or a turn would show."""
    sequence = "ACGTTGCANGATTACAGGCT" * 3
    classes = np.array(["ACGTN".index(base) for base in sequence], np.int8)
    batches = LabelledBatches(
        rows_of([sequence] * 8, [classes] * 8), seed=0, use_both_strands=use_both_strands
    )

    seen_turned = False
    for step in range(8):
        batch = batches.batch(step=step, rows=range(4), length=17, rows_per_step=4)
        assert batch.token_ids_BL.shape == (4, 17)
        for ids_L, classes_L in zip(batch.token_ids_BL - 7, batch.targets, strict=True):
            complement_L = torch.where(ids_L < 4, 3 - ids_L, ids_L)
            is_turned = not torch.equal(ids_L, classes_L)
            seen_turned |= is_turned
            assert torch.equal(complement_L if is_turned else ids_L, classes_L)
    assert seen_turned == use_both_strands


def test_padding_has_no_label():
    batches = LabelledBatches(
        rows_of(["ACG", "ACGTA"], [np.zeros(3, np.int8), np.zeros(5, np.int8)]),
        seed=0,
        use_both_strands=False,
    )

    batch = batches.batch(step=0, rows=range(2), length=99, rows_per_step=2)

    assert sorted((batch.targets == -1).sum(1).tolist()) == [0, 2]


class TestLoss:
    def test_of_classes_is_the_mean_cross_entropy(self):
        model = classifier()
        examples = stack([("ACGT", 1), ("GGCA", 0)])

        loss, n = HeadLoss()(model, examples)

        scores = model(examples.token_ids_BL, examples.lengths_B)
        expected = -torch.log_softmax(scores, 1)[[0, 1], [1, 0]].sum()
        assert n == 2
        torch.testing.assert_close(loss, expected)

    def test_leaves_out_bases_without_label(self):
        model = classifier(HeadConfig(task="token", label_names=("a", "b")))
        examples = stack([("ACGT", np.array([0, -1, 1, -1], np.int8))])

        loss, n = HeadLoss()(model, examples)

        kept = -torch.log_softmax(model(examples.token_ids_BL, examples.lengths_B)[0], 1)
        assert n == 2
        torch.testing.assert_close(loss, kept[0, 0] + kept[2, 1])

    def test_weighs_classes(self):
        model, examples = classifier(), stack([("ACGT", 1), ("GGCA", 1)])

        plain, _ = HeadLoss()(model, examples)
        doubled, _ = HeadLoss(torch.tensor([1.0, 2.0]))(model, examples)

        torch.testing.assert_close(doubled, 2 * plain)

    def test_of_a_regression_is_in_standard_deviations(self):
        config = HeadConfig(
            task="regression", label_names=("y",), target_means=(10.0,), target_scales=(2.0,)
        )
        model = classifier(config)
        model.head.weight.data.zero_()

        loss, n = HeadLoss()(model, stack([("ACGT", 14.0)]))

        assert (loss.item(), n) == (4.0, 1)


def trained(parameters) -> list[Tensor]:
    return [p for p in parameters if p.requires_grad]


def test_freezing_stops_the_backbone_or_its_first_blocks():
    everything, some = classifier(), classifier()
    freeze_backbone(everything, "all")
    freeze_backbone(some, 1)

    assert everything.is_backbone_frozen
    assert {id(p) for p in trained(everything.parameters())} == {
        id(p) for p in everything.head.parameters()
    }
    assert not trained(some.backbone.backbone.layers[0].parameters())
    assert not trained(some.backbone.backbone.embeddings.parameters())
    assert trained(some.backbone.backbone.layers[1].parameters())
    with pytest.raises(ValueError, match="not 3 blocks"):
        freeze_backbone(classifier(), 3)
