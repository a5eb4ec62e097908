"""Predictions do not depend on batch, order, padding or shard; windows and strands are averaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hyenadna_cli.core.config.choices import HEAD_POOLINGS
from hyenadna_cli.core.config.settings import HeadConfig, ModelConfig
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.classification import predict, predict_rows
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.training.distributed import World

MODEL = ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=66, filter_order=4)
CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""float32 sums in another order, and FFTs of another length."""


def classifier(task="binary", names=("a", "b"), **settings):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = HeadConfig(task=task, label_names=names, **settings)
        made = SequenceClassifier(HyenaDNA(MODEL), config, width=MODEL.d_model)
        for parameter in made.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.3)
    return made.eval()


def batcher(*, window=64, stride=None, batch_size=None, max_tokens=1_000):
    return Batcher(
        tiling=Tiling(window, stride or window),
        limits=BatchLimits(max_tokens=max_tokens, max_windows=batch_size),
        device=torch.device("cpu"),
    )


def record(sequence, name="r"):
    return Record(name, name, 0, len(sequence), ".", sequence)


def values(model, sequences, *, strand="+", **limits):
    done = predict(model, [record(s) for s in sequences], batcher=batcher(**limits), strand=strand)
    return [row.values for batch in done for row in batch.rows]


dna = st.text(alphabet="ACGTN", min_size=1, max_size=150)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", HEAD_POOLINGS)
@settings(deadline=None, max_examples=15)
@given(
    sequences=st.lists(dna, min_size=1, max_size=6),
    batch_size=st.integers(1, 5),
    order=st.randoms(use_true_random=False),
)
def test_batch_order_and_padding_never_change_a_prediction(pooling, sequences, batch_size, order):
    """Law: batch invariance."""
    model = classifier(pooling=pooling)
    alone = [values(model, [sequence])[0] for sequence in sequences]
    mixed = list(range(len(sequences)))
    order.shuffle(mixed)

    together = values(model, [sequences[i] for i in mixed], batch_size=batch_size)

    for place, index in enumerate(mixed):
        np.testing.assert_allclose(together[place], alone[index], **CLOSE)


@settings(deadline=None, max_examples=15)
@given(sequences=st.lists(dna, min_size=1, max_size=5), batch_size=st.integers(1, 4))
def test_the_class_of_a_base_never_depends_on_the_batch(sequences, batch_size):
    model = classifier("token", ("exon", "intron"))

    together = values(model, sequences, batch_size=batch_size)

    for sequence, value_LC in zip(sequences, together, strict=True):
        assert value_LC.shape == (len(sequence), 2)
        np.testing.assert_allclose(value_LC, values(model, [sequence])[0], **CLOSE)


def test_a_long_record_is_the_mean_of_its_windows_by_bases():
    model, sequence = classifier(), "ACGTTGCAGA" * 9

    (whole,) = values(model, [sequence], window=60)

    first, second = values(model, [sequence[:60], sequence[60:]])
    np.testing.assert_allclose(whole, (60 * first + 30 * second) / 90, **CLOSE)


def test_overlapping_windows_of_a_record_still_give_probabilities():
    (whole,) = values(classifier(), ["ACGTTGCAGA" * 9], window=60, stride=20)

    assert whole.sum() == pytest.approx(1.0)


def test_both_strands_are_the_mean_of_each():
    model, sequence = classifier(), "ACGTTGCAGATTTACC"

    (both,) = values(model, [sequence], strand="both")

    forward, backward = values(model, [sequence, reverse_complement(sequence)])
    np.testing.assert_allclose(both, (forward + backward) / 2, **CLOSE)


def test_both_strands_of_a_base_are_put_together_at_that_base():
    model, sequence = classifier("token", ("exon", "intron")), "ACGTTGCAGATTTACC"

    (both,) = values(model, [sequence], strand="both")

    forward, backward = values(model, [sequence, reverse_complement(sequence)])
    np.testing.assert_allclose(both, (forward + backward[::-1]) / 2, **CLOSE)


def test_an_empty_record_is_accounted_for():
    done = predict(classifier(), [record(""), record("ACG")], batcher=batcher())
    rows = [row for batch in done for row in batch.rows]

    assert [row.status for row in rows] == ["EMPTY", "OK"]
    assert np.isnan(rows[0].values).all()


def test_windows_of_n_have_no_say():
    model, sequence = classifier(), "ACGTTGCAGA" * 6

    with_n, half_n, alone, half = values(
        model,
        [sequence + "N" * 600, sequence + "ACGTT" + "N" * 55, sequence, "ACGTT" + "N" * 55],
        window=60,
    )

    np.testing.assert_allclose(with_n, alone, **CLOSE)
    np.testing.assert_allclose(half_n, (60 * alone + 5 * half) / 65, **CLOSE)


@pytest.mark.parametrize("task", ["binary", "token"])
def test_a_record_of_nothing_but_n_has_no_answer(task):
    done = predict(classifier(task), [record("nN" * 40), record("NNA")], batcher=batcher())
    rows = [row for batch in done for row in batch.rows]

    assert [row.status for row in rows] == ["NO_BASES", "OK"]
    assert np.isnan(rows[0].values).all()
    assert np.isfinite(rows[1].values).all()


def test_a_labelled_row_of_nothing_but_n_is_judged_as_any_other():
    scores = predict_rows(
        classifier(), rows_of(["NNNN", "ACGT"], np.array([0, 1])), batcher=batcher()
    )

    assert np.isfinite(scores).all()


def test_an_infinity_has_its_own_status():
    model = classifier()
    model.head.bias.data[0] = torch.inf

    done = predict(model, [record("ACGT")], batcher=batcher())

    assert [row.status for batch in done for row in batch.rows] == ["NONFINITE"]


def rows_of(sequences, targets):
    names = [f"s{number}" for number in range(len(sequences))]
    return LabelledRows(
        names=names, sequences=sequences, intervals=[None] * len(names), targets=targets
    )


def test_a_split_is_predicted_in_the_shape_that_metrics_want():
    sequences = ["ACGTT", "GG", "TTGACATG"]
    classes = np.array([0, 1, 0])
    per_base = [np.array(t, np.int8) for t in ([0, 1, -1, 1, 0], [-1, -1], [1] * 8)]
    scaled = {"target_means": (0.0,), "target_scales": (1.0,)}

    binary = predict_rows(classifier(), rows_of(sequences, classes), batcher=batcher())
    three = predict_rows(
        classifier("multiclass", ("a", "b", "c")), rows_of(sequences, classes), batcher=batcher()
    )
    number = predict_rows(
        classifier("regression", ("y",), **scaled), rows_of(sequences, classes), batcher=batcher()
    )
    bases = predict_rows(
        classifier("token", ("a", "b")), rows_of(sequences, per_base), batcher=batcher()
    )

    assert [x.shape for x in (binary, three, number, bases)] == [(3,), (3, 3), (3,), (12, 2)]
    np.testing.assert_allclose(binary, [v[1] for v in values(classifier(), sequences)], **CLOSE)


@pytest.mark.parametrize("task", ["binary", "token"])
def test_a_process_without_rows_brings_nothing_and_does_not_fail(task):
    class First(World):
        """The first of three processes, which share one row: it has none."""

        def gather(self, mine):
            assert mine.size == 0
            return np.full((4, 2), 0.5) if task == "token" else np.full((1, 2), 0.5)

    targets = [np.array([0, 1, 0, 1], np.int8)] if task == "token" else np.array([1])

    scores = predict_rows(
        classifier(task), rows_of(["ACGT"], targets), batcher=batcher(), world=First(0, 3)
    )

    assert len(scores) == (4 if task == "token" else 1)
