"""Metrics are scikit-learn's on the whole set; intervals hold what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from hyenadna_cli.core.tasks.metrics import bootstrap
from hyenadna_cli.core.tasks.metrics.evaluation import evaluate
from hyenadna_cli.core.tasks.metrics.ranks import chromatin_groups


def binary(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and rounded probabilities (so that some are equal) that know something of them."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, 2, n)
    return truth, np.round(1 / (1 + np.exp(-(random.normal(size=n) + 2 * truth - 1))), 2)


def test_binary_values_are_those_of_scikit_learn():
    truth, scores = binary(400)

    values = {
        name: found.value for name, found in evaluate("binary", truth, scores, "ab").values.items()
    }

    called = scores > 0.5
    assert values["accuracy"] == sk.accuracy_score(truth, called)
    assert values["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(truth, called))
    assert values["mcc"] == pytest.approx(sk.matthews_corrcoef(truth, called))
    assert values["f1"] == pytest.approx(sk.f1_score(truth, called))
    assert values["f1_macro"] == pytest.approx(sk.f1_score(truth, called, average="macro"))
    assert values["f1_weighted"] == pytest.approx(sk.f1_score(truth, called, average="weighted"))
    assert values["auroc"] == sk.roc_auc_score(truth, scores)
    assert values["auprc"] == sk.average_precision_score(truth, scores)
    assert values["brier"] == pytest.approx(sk.brier_score_loss(truth, scores))


def test_multiclass_values_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 300)
    scores = random.dirichlet([1, 1, 1], 300)

    found = evaluate("multiclass", truth, scores, "abc")

    assert found.values["mcc"].value == pytest.approx(sk.matthews_corrcoef(truth, scores.argmax(1)))
    assert found.values["auroc"].value == pytest.approx(
        sk.roc_auc_score(truth, scores, multi_class="ovr")
    )
    assert found.confusion_CC is not None
    assert found.confusion_CC.tolist() == sk.confusion_matrix(truth, scores.argmax(1)).tolist()


def test_regression_values_are_those_of_scipy_and_scikit_learn():
    random = np.random.default_rng(2)
    truth = random.normal(size=200)
    scores = truth + random.normal(size=200)

    values = evaluate("regression", truth, scores, ["heat"]).values

    assert values["pearson"].value == pytest.approx(stats.pearsonr(truth, scores).statistic)
    assert values["spearman"].value == pytest.approx(stats.spearmanr(truth, scores).statistic)
    assert values["r2"].value == pytest.approx(sk.r2_score(truth, scores))
    assert all(found.low < found.value < found.high for found in values.values())


def test_vectorised_replicates_of_all_rows_once_are_scikit_learns_values():
    truth, scores = binary(300)
    bins = bootstrap.score_bins(scores, n_bins=1_000)
    positives, negatives = (
        np.bincount(bins[truth == label], minlength=bins.max() + 1)[None].astype(float)
        for label in (1, 0)
    )

    assert bootstrap.auroc(positives, negatives)[0] == pytest.approx(
        sk.roc_auc_score(truth, scores)
    )
    assert bootstrap.average_precision(positives, negatives)[0] == pytest.approx(
        sk.average_precision_score(truth, scores)
    )


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["accuracy", "mcc", "auroc", "auprc", "brier"])
def test_the_interval_is_that_of_resampling_one_by_one(metric: str):
    truth, scores = binary(250, seed=3)
    random = np.random.default_rng(4)
    function = {
        "accuracy": lambda y, s: sk.accuracy_score(y, s > 0.5),
        "mcc": lambda y, s: sk.matthews_corrcoef(y, s > 0.5),
        "auroc": sk.roc_auc_score,
        "auprc": sk.average_precision_score,
        "brier": sk.brier_score_loss,
    }[metric]
    rows = random.integers(0, 250, (400, 250))
    slow = np.array([function(truth[chosen], scores[chosen]) for chosen in rows])

    found = evaluate("binary", truth, scores, "ab", n_bootstrap=2_000).values[metric]

    # Of 400 and 2,000 replicates: the width of an interval is known to about a tenth.
    slow_width = np.quantile(slow, 0.975) - np.quantile(slow, 0.025)
    assert found.high - found.low == pytest.approx(slow_width, rel=0.2)


def test_rows_of_one_group_are_resampled_together():
    truth, scores = binary(100)
    repeated, groups = np.repeat(truth, 50), np.repeat(np.arange(100), 50)
    probs = np.stack([1 - np.repeat(scores, 50), np.repeat(scores, 50)], axis=1)

    by_base = evaluate("token", repeated, probs, "ab").values["accuracy"]
    by_sequence = evaluate("token", repeated, probs, "ab", groups=groups).values["accuracy"]

    assert by_base.value == by_sequence.value
    assert by_sequence.high - by_sequence.low > 4 * (by_base.high - by_base.low)


def test_the_same_seed_gives_the_same_interval_and_perfect_scores_have_a_width_of_zero():
    truth, scores = binary(100)

    first, second = (evaluate("binary", truth, scores, "ab", seed=5) for _ in range(2))
    perfect = evaluate("binary", truth, truth.astype(float), "ab").values["auroc"]

    assert first.values == second.values
    assert (perfect.value, perfect.low, perfect.high) == (1, 1, 1)


def test_labels_of_one_class_are_left_out_of_the_median():
    truth = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    scores = np.array([[0.9, 0.8, 0.5], [0.1, 0.9, 0.4], [0.8, 0.9, 0.6]])

    found = evaluate("multilabel", truth, scores, ["TF_a", "DHS_b", "HM_c"])

    assert found.values["auroc_median_TF"].value == 1
    assert np.isnan(found.values["auroc_median_HM"].value)
    assert found.values["auroc_median"].value == 1
    assert found.as_json()["per_label"]["HM_c"]["auroc"] is None  # type: ignore[index]


def test_the_report_is_json_and_calibration_counts_every_row():
    truth, scores = binary(321)

    found = evaluate("binary", truth, scores, "ab")

    assert sum(entry.n for entry in found.calibration) == 321
    json.dumps(found.as_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("names", "sizes"),
    [
        (["K562|DNase|None", "K562|CTCF|None", "K562|H3K4me3|None"], {"DHS": 1, "TF": 1, "HM": 1}),
        (["K562|H2A.Z|None", "GM12878|eGFP-HDAC8|None"], {"HM": 1, "TF": 1}),
        ([f"ENCFF{n:03}" for n in range(919)], {"DHS": 125, "TF": 690, "HM": 104}),
        (["TF_1", "TF_2", "HM_1"], {"TF": 2, "HM": 1}),
        (["liver", "brain"], {}),
    ],
)
def test_groups_of_chromatin_targets_are_told_by_their_names(names: list[str], sizes: dict):
    found = chromatin_groups(names)

    assert {group: len(labels) for group, labels in found.items()} == sizes


@pytest.mark.parametrize(
    ("task", "targets", "scores"),
    [
        ("binary", [], []),
        ("binary", [0, 1], [0.5]),
        ("binary", [0, 1], [0.5, np.nan]),
        ("multiclass", [0, 1], [[0.2, 0.3, 0.5]] * 2),
        ("multilabel", [[0, 1]], [[0.5, 0.5, 0.5]]),
        ("regression", [[0.0, 1.0, 2.0]], [[0.5]]),
    ],
)
def test_what_does_not_fit_is_an_error(task, targets, scores):
    with pytest.raises(ValueError):  # noqa: PT011
        evaluate(task, targets, scores, ["a", "b"])


def test_rows_of_one_class_have_no_correlation_and_no_ranking():
    values = evaluate("binary", np.zeros(20, dtype=np.int64), np.full(20, 0.1), "ab").values

    assert values["accuracy"].value == 1
    assert values["mcc"].value == 0
    assert np.isnan(values["auroc"].value)
