"""Results of several methods and seeds as one table, with means over the seeds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from hyenadna_cli.core.config.choices import Task
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.tasks.labelled.presets import Preset
from hyenadna_cli.core.tasks.metrics.bootstrap import Estimate
from hyenadna_cli.core.tasks.metrics.evaluation import range_of
from hyenadna_cli.core.tasks.metrics.files import METRICS

SHOWN: dict[Task, tuple[str, ...]] = {
    "binary": ("accuracy", "mcc", "auroc"),
    "multiclass": ("accuracy", "mcc", "f1_macro"),
    "token": ("accuracy", "mcc", "f1_macro"),
    "multilabel": ("auroc_median", "auprc_mean"),
    "regression": ("spearman", "pearson", "r2"),
}
"""The metrics that a summary shows."""

COMPARISON = "comparison.tsv"
_COLUMNS = ("method", "seed", "split", "n", "metric", "value", "low", "high")


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A metric of one run, or of all seeds of a method (`seed` is "mean")."""

    method: str
    seed: str
    split: str
    n: int
    metric: str
    value: float
    low: float
    high: float


def read_runs(runs: Iterable[tuple[str, int, Path]]) -> list[ComparisonRow]:
    """What every run found, with bootstrap intervals; then means over seeds with t intervals.

    t intervals are cut at the ends of what a metric can be: those of two seeds are 9 times as wide
    as the seeds are apart.
    """
    rows: list[ComparisonRow] = []
    ranges: dict[str, tuple[float, float]] = {}
    for method, seed, directory in runs:
        content = json.loads((directory / METRICS).read_text())
        for metric, found in content["values"].items():
            ranges[metric] = range_of(metric, content["task"])
            value, low, high = (
                np.nan if found[key] is None else found[key] for key in ("value", "low", "high")
            )
            rows.append(
                ComparisonRow(
                    method, str(seed), content["split"], content["n"], metric, value, low, high
                )
            )
    return [*rows, *_means(rows, ranges)]


def _means(
    rows: Iterable[ComparisonRow], ranges: Mapping[str, tuple[float, float]]
) -> Iterator[ComparisonRow]:
    grouped: dict[tuple[str, str], list[ComparisonRow]] = {}
    for row in rows:
        grouped.setdefault((row.method, row.metric), []).append(row)
    for (method, metric), mine in grouped.items():
        if len(mine) > 1:
            values = np.array([row.value for row in mine])
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
            mean = float(values.mean())
            interval = Estimate(mean, mean - half, mean + half).within(*ranges[metric])
            first = mine[0]
            yield ComparisonRow(
                method, "mean", first.split, first.n, metric, mean, interval.low, interval.high
            )


def write_comparison(rows: Iterable[ComparisonRow], directory: Path) -> None:
    """comparison.tsv: one row per run and metric. Raises OutputError."""
    path = directory / COMPARISON
    with TsvWriter(str(path), columns=_COLUMNS, overwrite=True) as table:
        for row in rows:
            table.write_row(dataclasses.astuple(row))


def means_or_runs(rows: Sequence[ComparisonRow], metrics: Sequence[str]) -> list[ComparisonRow]:
    """The rows of some metrics that stand for each method: its mean, or its only run."""
    shown = [row for row in rows if row.metric in metrics]
    averaged = {row.method for row in shown if row.seed == "mean"}
    return [row for row in shown if row.method not in averaged or row.seed == "mean"]


def summary(rows: Sequence[ComparisonRow], task: Task) -> Iterator[str]:
    """One line a method: its main metrics."""
    results = means_or_runs(rows, SHOWN[task])
    for method in dict.fromkeys(row.method for row in results):
        mine = [row for row in results if row.method == method]
        values = ", ".join(
            f"{row.metric} {row.value:.3f} ({row.low:.3f}-{row.high:.3f})" for row in mine
        )
        yield f"{method} on {mine[0].n:,} {mine[0].split} rows: {values}"


def table_beside(
    preset: Preset | None, rows: Sequence[ComparisonRow], task: Task
) -> Iterator[tuple[str, ...]]:
    """Cells of what `--table` prints: the metrics of a benchmark, or the main ones of a task."""
    published = {} if preset is None else preset.published
    metrics = SHOWN[task] if preset is None else tuple(published) or (preset.metric,)
    return table(rows, metrics, published)


def table(
    rows: Sequence[ComparisonRow],
    metrics: Sequence[str],
    published: Mapping[str, Mapping[str, float]],
) -> Iterator[tuple[str, ...]]:
    """Cells of what `--table` prints: ours with intervals, then {metric: {model: published}}."""
    yield ("metric", "method", "seeds", "n", "value", "low", "high")
    for metric in metrics:
        for row in means_or_runs(rows, (metric,)):
            same = [r for r in rows if (r.method, r.metric) == (row.method, metric)]
            n_seeds = sum(r.seed != "mean" for r in same)
            numbers = (f"{value:.4f}" for value in (row.value, row.low, row.high))
            yield (metric, row.method, str(n_seeds), str(row.n), *numbers)
        for name, value in published.get(metric, {}).items():
            yield (metric, f"published {name}", ".", ".", f"{value:.4f}", ".", ".")
