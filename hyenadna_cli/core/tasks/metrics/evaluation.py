"""How good scores are, on the whole set at once, with 95 % intervals.

| task | scores | values |
|---|---|---|
| binary | (n,) P(class 1) | accuracy balanced_accuracy mcc f1 f1_macro f1_weighted auroc auprc |
| | | brier ece |
| multiclass, token | (n, C) probabilities | as binary without f1; AUROC, AUPRC one against rest |
| multilabel | (n, T) probabilities | auroc_mean auroc_median auprc_mean f1_micro brier |
| regression | (n,) or (n, T) | pearson spearman r2 rmse mae; of T targets the mean |

Chromatin targets also have auroc_median_TF, _DHS and _HM. Never averages of batches. Intervals are
percentile bootstrap over rows, or over whole sequences where the rows are their bases, inside the
metric's range; replicates in which a metric is undefined are left out. The AUROC of a label with
only one class is undefined and left out of means and medians.
"""

# N rows, C classes, T targets, U units, R replicates

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn import metrics as sk

from hyenadna_cli.core.tasks.labelled.rows import Task
from hyenadna_cli.core.tasks.metrics import bootstrap
from hyenadna_cli.core.tasks.metrics.bootstrap import Estimate, Floats, Resampler
from hyenadna_cli.core.tasks.metrics.classes import CalibrationBin, class_metrics
from hyenadna_cli.core.tasks.metrics.ranks import chromatin_groups, rank_metrics

_MOST_UNITS = 2_000
_MOST_UNITS_OF_MANY_LABELS = 500
_MANY_LABELS = 50
_RANGES = {
    "mcc": (-1.0, 1.0),
    "pearson": (-1.0, 1.0),
    "spearman": (-1.0, 1.0),
    "r2": (-math.inf, 1.0),
    "rmse": (0.0, math.inf),
    "mae": (0.0, math.inf),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """Everything that was measured on one set."""

    task: Task
    label_names: tuple[str, ...]
    n: int
    """Rows; labelled bases for the task `token`."""
    n_bootstrap: int
    seed: int
    values: dict[str, Estimate]
    confusion_CC: NDArray[np.int64] | None = None
    """Rows are the truth."""
    calibration: tuple[CalibrationBin, ...] = ()
    per_label: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def main(self) -> str:
        """The name of the value that stands for the whole where one must."""
        mains = {"multilabel": "auroc_median", "regression": "spearman"}
        return mains.get(self.task, "mcc")

    def as_json(self) -> dict[str, object]:
        """For metrics.json; what is undefined is null."""
        confusion = None
        if self.confusion_CC is not None:
            counts = self.confusion_CC.tolist()
            confusion = {"rows": "truth", "columns": "prediction", "counts": counts}
        return {
            "task": self.task,
            "n": self.n,
            "labels": list(self.label_names),
            "interval": {"level": 0.95, "n_bootstrap": self.n_bootstrap, "seed": self.seed},
            "values": {name: _defined(asdict(value)) for name, value in self.values.items()},
            "confusion": confusion,
            "calibration": [_defined(asdict(one)) for one in self.calibration],
            "per_label": {name: _defined(values) for name, values in self.per_label.items()},
        }


def evaluate(
    task: Task,
    targets: ArrayLike,
    scores: ArrayLike,
    label_names: Sequence[str],
    *,
    seed: int = 0,
    n_bootstrap: int = 1_000,
    groups: NDArray[np.int64] | None = None,
) -> Metrics:
    """Measure scores against targets as `LabelledRows.targets` holds them.

    `token`: the labelled bases of all sequences, one after the other; `groups` (n,) then says which
    sequence each belongs to, and whole sequences are resampled.

    Raises ValueError for shapes that do not fit, scores that are not finite, and no rows at all.
    """
    truth, answers = np.asarray(targets), np.asarray(scores, dtype=np.float64)
    names = tuple(label_names)
    if len(truth) == 0 or len(truth) != len(answers):
        raise ValueError(f"{len(truth):,} targets and {len(answers):,} scores")
    if not np.isfinite(answers).all():
        raise ValueError("scores must be finite")
    resampler = bootstrap.resampler(
        len(truth),
        n_replicates=n_bootstrap,
        seed=seed,
        groups=groups,
        most_units=_MOST_UNITS if len(names) <= _MANY_LABELS else _MOST_UNITS_OF_MANY_LABELS,
    )
    measured = {"regression": _regression, "multilabel": _multilabel}.get(task, _classes)
    values, rest = measured(truth, answers, names, resampler)
    values = {name: value.within(*range_of(name, task)) for name, value in values.items()}
    return Metrics(
        task=task,
        label_names=names,
        n=len(truth),
        n_bootstrap=n_bootstrap,
        seed=seed,
        values=values,
        confusion_CC=rest.confusion_CC,
        calibration=rest.calibration,
        per_label=rest.per_label,
    )


def range_of(metric: str, task: Task) -> tuple[float, float]:
    """The least and the most that a metric can be."""
    if metric == "brier" and task in ("multiclass", "token"):
        return (0.0, 2.0)  # a sum over classes
    return _RANGES.get(metric, (0.0, 1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Details:
    """What some tasks have beside their values."""

    confusion_CC: NDArray[np.int64] | None = None
    calibration: tuple[CalibrationBin, ...] = ()
    per_label: dict[str, dict[str, float]] = field(default_factory=dict)


def _classes(
    truth: NDArray[np.generic], scores: Floats, names: tuple[str, ...], resampler: Resampler
) -> tuple[dict[str, Estimate], _Details]:
    probs_NC = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
    if probs_NC.shape[1] != len(names):
        raise ValueError(f"scores of {probs_NC.shape[1]} classes, {len(names)} label names")
    metrics = class_metrics(truth.astype(np.int64), probs_NC, resampler)
    return metrics.values, _Details(
        confusion_CC=metrics.confusion_CC,
        calibration=metrics.calibration,
        per_label=dict(zip(names, metrics.per_class, strict=True)),
    )


def _multilabel(
    truth: NDArray[np.generic], scores: Floats, names: tuple[str, ...], resampler: Resampler
) -> tuple[dict[str, Estimate], _Details]:
    if scores.ndim != 2 or scores.shape != truth.shape or scores.shape[1] != len(names):
        raise ValueError(f"targets {truth.shape}, scores {scores.shape}, {len(names)} label names")
    is_label_NT = truth.astype(np.float64) > 0.5
    ranked = rank_metrics(is_label_NT, scores, resampler)
    auroc, auprc = ranked["auroc"], ranked["auprc"]
    values = {
        "auroc_mean": auroc.over(np.nanmean),
        "auroc_median": auroc.over(np.nanmedian),
        "auprc_mean": auprc.over(np.nanmean),
    }
    for group, labels in chromatin_groups(names).items():
        values[f"auroc_median_{group}"] = auroc.over(np.nanmedian, labels)
    is_called_NT = scores >= 0.5
    sums_N2 = np.stack(
        [
            2.0 * (is_called_NT & is_label_NT).sum(axis=1),
            1.0 * is_called_NT.sum(axis=1) + is_label_NT.sum(axis=1),
        ],
        axis=1,
    )
    drawn_R2 = resampler.replicates(resampler.sum_rows(sums_N2))
    values["f1_micro"] = bootstrap.estimate(
        sums_N2[:, 0].sum() / max(sums_N2[:, 1].sum(), 1.0),
        bootstrap.ratio(drawn_R2[:, 0], drawn_R2[:, 1]),
    )
    squares_N = ((scores - is_label_NT) ** 2).mean(axis=1)
    values["brier"] = bootstrap.mean_estimate(squares_N, resampler)
    per_label = {
        name: {
            "auroc": float(auroc.values_T[index]),
            "auprc": float(auprc.values_T[index]),
            "n_positive": float(is_label_NT[:, index].sum()),
        }
        for index, name in enumerate(names)
    }
    return values, _Details(per_label=per_label)


def _regression(
    truth: NDArray[np.generic], scores: Floats, names: tuple[str, ...], resampler: Resampler
) -> tuple[dict[str, Estimate], _Details]:
    truth_NT = truth.astype(np.float64).reshape(len(truth), -1)
    scores_NT = scores.reshape(len(scores), -1)
    if truth_NT.shape != scores_NT.shape or truth_NT.shape[1] != len(names):
        raise ValueError(f"targets {truth.shape}, scores {scores.shape}, {len(names)} label names")
    per_label, drawn = {}, []
    for index, name in enumerate(names):
        y_N, x_N = truth_NT[:, index], scores_NT[:, index]
        per_label[name] = _regression_values(y_N, x_N)
        drawn.append(_regression_replicates(y_N, x_N, resampler))
    values = {
        metric: bootstrap.estimate(
            float(np.mean([of_label[metric] for of_label in per_label.values()])),
            np.mean([replicates[metric] for replicates in drawn], axis=0),
        )
        for metric in drawn[0]
    }
    return values, _Details(per_label=per_label if len(names) > 1 else {})


def _regression_values(y_N: Floats, x_N: Floats) -> dict[str, float]:
    """Of one target; correlations with a constant are undefined."""
    is_constant = np.ptp(y_N) == 0 or np.ptp(x_N) == 0
    return {
        "pearson": math.nan if is_constant else float(stats.pearsonr(x_N, y_N).statistic),
        "spearman": math.nan if is_constant else float(stats.spearmanr(x_N, y_N).statistic),
        "r2": float(sk.r2_score(y_N, x_N)) if np.ptp(y_N) > 0 else math.nan,
        "rmse": math.sqrt(sk.mean_squared_error(y_N, x_N)),
        "mae": float(sk.mean_absolute_error(y_N, x_N)),
    }


def _regression_replicates(y_N: Floats, x_N: Floats, resampler: Resampler) -> dict[str, Floats]:
    def drawn_sums(a_N: Floats, b_N: Floats) -> Floats:
        a_N, b_N = a_N - b_N.mean(), b_N - b_N.mean()
        columns = [np.ones_like(a_N), a_N, b_N, a_N * a_N, b_N * b_N, a_N * b_N]
        return resampler.replicates(resampler.sum_rows(np.stack(columns, axis=1)))

    sums_RK = drawn_sums(x_N, y_N)
    # Ranks are those of the whole set, so that a replicate is a sum over rows like any other.
    rank_sums_RK = drawn_sums(stats.rankdata(x_N), stats.rankdata(y_N))
    n, _x, _y, xx, yy, xy = sums_RK.T
    errors_R2 = resampler.replicates(
        resampler.sum_rows(np.stack([np.abs(x_N - y_N), np.ones_like(y_N)], axis=1))
    )
    return {
        "pearson": bootstrap.pearson(sums_RK),
        "spearman": bootstrap.pearson(rank_sums_RK),
        "r2": bootstrap.r_squared(sums_RK),
        "rmse": np.sqrt(np.maximum(xx - 2 * xy + yy, 0) / n),
        "mae": errors_R2[:, 0] / errors_R2[:, 1],
    }


def _defined(numbers: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN."""
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}
