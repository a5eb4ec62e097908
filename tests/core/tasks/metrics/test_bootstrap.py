"""95 % intervals hold their value and stay where the metric can be, however small the set."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hyenadna_cli.core.tasks.finetuning.comparison_table import read_runs
from hyenadna_cli.core.tasks.metrics import bootstrap
from hyenadna_cli.core.tasks.metrics.evaluation import evaluate, range_of
from hyenadna_cli.core.tasks.metrics.files import METRICS


def drawn(task: str, n: int, seed: int):
    """Targets, scores that know something of them, and the labels of a small set."""
    random = np.random.default_rng(seed)
    if task == "binary":
        truth = random.integers(0, 2, n)
        return truth, np.clip(0.5 * truth + random.normal(0.25, 0.3, n), 0, 1), ("a", "b")
    if task == "multiclass":
        return random.integers(0, 3, n), random.dirichlet([0.3] * 3, n), ("a", "b", "c")
    if task == "multilabel":
        return random.random((n, 3)) < 0.3, random.random((n, 3)), ("a", "b", "c")
    truth = random.normal(size=n)
    return truth, truth + random.normal(0, 0.4, n), ("heat",)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 3, 8, 40])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_an_interval_holds_its_value_inside_the_range(task, n):
    for seed in range(3):
        truth, scores, names = drawn(task, n, seed)

        for name, found in evaluate(task, truth, scores, names).values.items():
            least, most = range_of(name, task)
            if np.isfinite(found.low):
                assert least <= found.low <= found.value <= found.high <= most, (name, found)


def test_a_perfect_answer_on_few_rows_has_a_width_of_zero():
    truth = np.array([1, 0, 0, 0, 1, 0])

    values = evaluate("binary", truth, truth.astype(float), "ab").values

    for name in ("accuracy", "mcc", "f1", "f1_macro", "auroc", "auprc"):
        assert (values[name].low, values[name].high) == (1, 1), name


def test_replicates_without_a_metric_are_left_out():
    one_class, all_called = np.array([[[5, 1], [0, 0]]]), np.array([[[0, 3], [0, 3]]])
    one_row_drawn_often = np.array([[7, 0.7, 2.1, 0.07, 0.63, 0.21]])

    assert np.isnan(bootstrap.mcc(one_class))
    assert bootstrap.mcc(all_called) == 0
    assert np.isnan(bootstrap.f1_of_classes(np.array([[[6, 0], [0, 0]]]))[0, 1])
    assert np.isnan(bootstrap.pearson(one_row_drawn_often))
    assert np.isnan(bootstrap.r_squared(one_row_drawn_often))


def test_a_few_wild_replicates_do_not_move_the_interval():
    replicates = np.linspace(0.7, 0.9, 1_000)
    replicates[:5] = -10_000

    found = bootstrap.estimate(0.8, replicates)

    assert found.low == pytest.approx(0.705, abs=0.002)
    assert found.high == pytest.approx(0.895, abs=0.002)


def test_the_interval_of_a_mean_over_two_seeds_stays_in_the_range(tmp_path):
    for seed, accuracy in enumerate((0.6, 0.9)):
        (tmp_path / str(seed)).mkdir()
        values = {"accuracy": {"value": accuracy, "low": accuracy, "high": accuracy}}
        content = {"task": "binary", "split": "test", "n": 20, "values": values}
        (tmp_path / str(seed) / METRICS).write_text(json.dumps(content))

    *_, mean = read_runs([("finetune", seed, tmp_path / str(seed)) for seed in range(2)])

    assert (mean.value, mean.low, mean.high) == (pytest.approx(0.75), 0, 1)
