"""Metrics of classes from probabilities: confusion counts, ranks, calibration."""

# N rows, C classes, U units, R replicates

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from hyenadna_cli.core.tasks.metrics import bootstrap
from hyenadna_cli.core.tasks.metrics.bootstrap import Estimate, Floats, Resampler
from hyenadna_cli.core.tasks.metrics.ranks import rank_metrics

_N_BINS = 10


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions of similar probability, and how often they came true.

    Binary: the probability of class 1. More classes: that of the predicted class.
    """

    low: float
    high: float
    n: int
    mean_probability: float
    observed: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassMetrics:
    """What `class_metrics` found."""

    values: dict[str, Estimate]
    confusion_CC: NDArray[np.int64]
    """Rows are the truth."""
    calibration: tuple[CalibrationBin, ...]
    per_class: list[dict[str, float]]


def class_metrics(
    truth_N: NDArray[np.int64], probs_NC: Floats, resampler: Resampler
) -> ClassMetrics:
    """Everything about two or more classes; the class of a row is its most probable one."""
    n_classes = probs_NC.shape[1]
    predicted_N = probs_NC.argmax(axis=1)
    confusion_CC = sk.confusion_matrix(truth_N, predicted_N, labels=range(n_classes))
    f1_C = sk.f1_score(truth_N, predicted_N, labels=range(n_classes), average=None, zero_division=0)
    values = _of_confusion(truth_N, predicted_N, confusion_CC, f1_C, resampler)
    is_class_NC = truth_N[:, None] == np.arange(n_classes)
    if n_classes == 2:
        ranked = rank_metrics(is_class_NC[:, 1:], probs_NC[:, 1:], resampler)
        values |= {name: found.of(0) for name, found in ranked.items()}
        squares_N = (probs_NC[:, 1] - is_class_NC[:, 1]) ** 2
        confidence_N, came_true_N = probs_NC[:, 1], is_class_NC[:, 1]
    else:
        ranked = rank_metrics(is_class_NC, probs_NC, resampler)
        values |= {name: found.over(np.nanmean) for name, found in ranked.items()}
        squares_N = ((probs_NC - is_class_NC) ** 2).sum(axis=1)
        confidence_N, came_true_N = probs_NC.max(axis=1), predicted_N == truth_N
    values["brier"] = bootstrap.mean_estimate(squares_N, resampler)
    calibration, values["ece"] = _calibration(confidence_N, came_true_N, resampler)
    per_class = [
        {
            "f1": float(f1_C[index]),
            "recall": _share(confusion_CC[index, index], confusion_CC[index].sum()),
            "precision": _share(confusion_CC[index, index], confusion_CC[:, index].sum()),
            "n": float(confusion_CC[index].sum()),
        }
        for index in range(n_classes)
    ]
    if n_classes > 2:
        for index, entry in enumerate(per_class):
            entry["auroc"] = float(ranked["auroc"].values_T[index])
    return ClassMetrics(
        values=values, confusion_CC=confusion_CC, calibration=calibration, per_class=per_class
    )


def _of_confusion(
    truth_N: NDArray[np.int64],
    predicted_N: NDArray[np.int64],
    confusion_CC: NDArray[np.int64],
    f1_C: Floats,
    resampler: Resampler,
) -> dict[str, Estimate]:
    n_classes = len(confusion_CC)
    counts_UK = resampler.count(truth_N * n_classes + predicted_N, n_classes**2)
    drawn_RCC = resampler.replicates(counts_UK).reshape(-1, n_classes, n_classes)
    drawn_f1_RC = bootstrap.f1_of_classes(drawn_RCC)
    # A class that not even the whole set has, nor a prediction, counts 0 in the value too.
    drawn_f1_RC[:, confusion_CC.sum(axis=0) + confusion_CC.sum(axis=1) == 0] = 0
    # All rows of one class and so predicted: scikit-learn says 0 too, with a warning.
    is_one = confusion_CC.diagonal().max() == len(truth_N)
    mcc = 0.0 if is_one else sk.matthews_corrcoef(truth_N, predicted_N)
    balanced = bootstrap.balanced_accuracy(confusion_CC[None].astype(np.float64))[0]
    values = {
        "accuracy": bootstrap.estimate(
            sk.accuracy_score(truth_N, predicted_N), bootstrap.accuracy(drawn_RCC)
        ),
        "balanced_accuracy": bootstrap.estimate(balanced, bootstrap.balanced_accuracy(drawn_RCC)),
        "mcc": bootstrap.estimate(mcc, bootstrap.mcc(drawn_RCC)),
    }
    if n_classes == 2:
        values["f1"] = bootstrap.estimate(f1_C[1], drawn_f1_RC[:, 1])
    values["f1_macro"] = bootstrap.estimate(f1_C.mean(), np.nanmean(drawn_f1_RC, axis=1))
    # Each class as often as it is the truth; one that is not drawn weighs nothing.
    drawn_n_RC = drawn_RCC.sum(axis=2)
    values["f1_weighted"] = bootstrap.estimate(
        float(np.average(f1_C, weights=confusion_CC.sum(axis=1))),
        (np.nan_to_num(drawn_f1_RC) * drawn_n_RC).sum(axis=1) / drawn_n_RC.sum(axis=1),
    )
    return values


def _calibration(
    confidence_N: Floats, came_true_N: NDArray[np.bool_], resampler: Resampler
) -> tuple[tuple[CalibrationBin, ...], Estimate]:
    """Ten bins of equal width, and the expected calibration error over them."""
    edges = np.linspace(0, 1, _N_BINS + 1)
    bin_N = np.clip(np.searchsorted(edges, confidence_N, side="right") - 1, 0, _N_BINS - 1)
    columns_N3K = np.zeros((len(bin_N), 3, _N_BINS))
    rows = np.arange(len(bin_N))
    columns_N3K[rows, 0, bin_N] = 1
    columns_N3K[rows, 1, bin_N] = confidence_N
    columns_N3K[rows, 2, bin_N] = came_true_N
    sums_U = resampler.sum_rows(columns_N3K.reshape(len(bin_N), -1))
    n_K, confidence_K, true_K = sums_U.sum(axis=0).reshape(3, _N_BINS)
    drawn_R3K = resampler.replicates(sums_U).reshape(-1, 3, _N_BINS)
    error_R = np.abs(drawn_R3K[:, 1] - drawn_R3K[:, 2]).sum(1) / drawn_R3K[:, 0].sum(1)
    error = float(np.abs(confidence_K - true_K).sum() / n_K.sum())
    bins = tuple(
        CalibrationBin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            n=int(n_K[index]),
            mean_probability=_share(confidence_K[index], n_K[index]),
            observed=_share(true_K[index], n_K[index]),
        )
        for index in range(_N_BINS)
    )
    return bins, bootstrap.estimate(error, error_R)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
