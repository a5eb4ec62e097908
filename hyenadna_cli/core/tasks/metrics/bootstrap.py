"""Percentile bootstrap of whole-set metrics, all replicates at once.

A metric that is a function of sums over rows (confusion counts, histograms of scores, moments) has
its replicates from one matrix product: weights (R, U) of the resampled units times the sums (U, K)
of each unit. A unit is a row, or all rows that belong together (the bases of one sequence).
"""

# R replicates, U units, K columns summed, C classes, S score bins

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

_MOST_UNITS = 2_000
"""More rows are dealt into this number of random units, which leaves the spread as it is."""


@dataclass(frozen=True, slots=True)
class Resampler:
    """Which unit each row belongs to, and how often each replicate draws each unit."""

    unit_of_row: NDArray[np.int64]
    weights_RU: Floats

    def replicates(self, sums_UK: Floats) -> Floats:
        """The sums (R, K) of every replicate."""
        product: Floats = self.weights_RU @ sums_UK
        return product

    def sum_rows(self, rows_NK: Floats) -> Floats:
        """Sums (U, K) of row-wise values (N, K) within each unit."""
        sums_UK = np.zeros((self.weights_RU.shape[1], rows_NK.shape[1]))
        np.add.at(sums_UK, self.unit_of_row, rows_NK)
        return sums_UK

    def count(self, bins_N: NDArray[np.int64], n_bins: int) -> Floats:
        """Counts (U, K) of the bin each row falls into."""
        n_units = self.weights_RU.shape[1]
        flat = np.bincount(self.unit_of_row * n_bins + bins_N, minlength=n_units * n_bins)
        return flat.reshape(n_units, n_bins).astype(np.float64)


def resampler(
    n_rows: int,
    *,
    n_replicates: int,
    seed: int,
    groups: NDArray[np.int64] | None = None,
    most_units: int = _MOST_UNITS,
) -> Resampler:
    """Deal rows into units and draw the replicates; `groups` (N,) says which rows go together."""
    random = np.random.default_rng(seed)
    if groups is None:
        unit_of_row = np.arange(n_rows)
    else:
        _, unit_of_row = np.unique(groups, return_inverse=True)
    n_units = int(unit_of_row.max()) + 1
    if n_units > most_units:
        dealt = random.permutation(n_units) % most_units
        unit_of_row, n_units = dealt[unit_of_row], most_units
    weights = random.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_replicates)
    return Resampler(unit_of_row.astype(np.int64), weights.astype(np.float64))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric and its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """`0.873 (0.861-0.885)`."""
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"

    def within(self, least: float, most: float) -> Estimate:
        """The same with its interval cut at the ends of what the metric can be."""
        return Estimate(self.value, max(self.low, least), min(self.high, most))


def estimate(value: float, replicates_R: Floats) -> Estimate:
    """A value between the 2.5 % and 97.5 % points of those replicates that are defined.

    The points are moved so that the replicates' median is the value: drawing rows twice raises
    average precision and calibration error, and binned scores shift ranks a little. The median
    lies between the points whatever the shape, and a few wild replicates do not move it.
    """
    value = float(value)
    defined = replicates_R[np.isfinite(replicates_R)]
    if len(defined) == 0 or not np.isfinite(value):
        return Estimate(value, float("nan"), float("nan"))
    low, median, high = np.quantile(defined, [0.025, 0.5, 0.975])
    return Estimate(value, float(value - (median - low)), float(value + (high - median)))


def mean_estimate(values_N: Floats, resampler: Resampler) -> Estimate:
    """The mean of a value of each row."""
    sums_U2 = resampler.sum_rows(np.stack([values_N, np.ones_like(values_N)], axis=1))
    drawn_R2 = resampler.replicates(sums_U2)
    return estimate(values_N.mean(), drawn_R2[:, 0] / drawn_R2[:, 1])


def score_bins(scores_N: Floats, *, n_bins: int) -> NDArray[np.int64]:
    """The bin of each score, at most `n_bins` as full as each other; equal scores share one."""
    edges = np.unique(np.quantile(scores_N, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, scores_N, side="left").astype(np.int64)


def auroc(positives_RS: Floats, negatives_RS: Floats) -> Floats:
    """Area under the ROC curve of every replicate from counts in ascending score bins."""
    below_RS = np.cumsum(negatives_RS, axis=1) - negatives_RS / 2
    won_R = (positives_RS * below_RS).sum(axis=1)
    pairs_R = positives_RS.sum(axis=1) * negatives_RS.sum(axis=1)
    return ratio(won_R, pairs_R)


def average_precision(positives_RS: Floats, negatives_RS: Floats) -> Floats:
    """Average precision of every replicate: precision x recall gained, over all thresholds."""
    hits_RS = np.cumsum(positives_RS[:, ::-1], axis=1)
    called_RS = hits_RS + np.cumsum(negatives_RS[:, ::-1], axis=1)
    precision_RS = ratio(hits_RS, called_RS, otherwise=0)
    gained_R = (precision_RS * positives_RS[:, ::-1]).sum(axis=1)
    return ratio(gained_R, positives_RS.sum(axis=1))


def accuracy(confusion_RCC: Floats) -> Floats:
    """The share on the diagonal of confusion counts (truth, prediction)."""
    agreed_R: Floats = np.trace(confusion_RCC, axis1=1, axis2=2)
    return ratio(agreed_R, confusion_RCC.sum(axis=(1, 2)))


def balanced_accuracy(confusion_RCC: Floats) -> Floats:
    """Mean recall of the classes that occur."""
    mean_R: Floats = np.nanmean(_recalls(confusion_RCC), axis=1)
    return mean_R


def f1_of_classes(confusion_RCC: Floats) -> Floats:
    """F1 (R, C) of each class; NaN for a class never met and never predicted."""
    hits_RC = np.diagonal(confusion_RCC, axis1=1, axis2=2)
    total_RC = confusion_RCC.sum(axis=1) + confusion_RCC.sum(axis=2)
    return ratio(2 * hits_RC, total_RC)


def mcc(confusion_RCC: Floats) -> Floats:
    """Matthews correlation of any number of classes (Gorodkin's R_K).

    NaN where all rows are of one class, which nobody could tell from others; 0 where they are not,
    but all are predicted alike.
    """
    truth_RC, predicted_RC = confusion_RCC.sum(axis=2), confusion_RCC.sum(axis=1)
    n_R = truth_RC.sum(axis=1)
    agreed_R = np.trace(confusion_RCC, axis1=1, axis2=2) * n_R - (truth_RC * predicted_RC).sum(1)
    truth_spread_R = n_R**2 - (truth_RC**2).sum(1)
    spread_R = truth_spread_R * (n_R**2 - (predicted_RC**2).sum(1))
    found_R = ratio(agreed_R, np.sqrt(spread_R), otherwise=0)
    return np.where(truth_spread_R > 0, found_R, np.nan)


def pearson(sums_RK: Floats) -> Floats:
    """Correlation from the sums of 1, x, y, x x, y y, x y."""
    n, x, y, xx, yy, xy = sums_RK.T
    return ratio(n * xy - x * y, np.sqrt(_spread(n, x, xx) * _spread(n, y, yy)))


def r_squared(sums_RK: Floats) -> Floats:
    """1 - residual / total squares from the sums of 1, x, y, x x, y y, x y; y is the truth."""
    n, _x, y, xx, yy, xy = sums_RK.T
    return 1 - ratio(n * (xx - 2 * xy + yy), _spread(n, y, yy))


def _spread(n_R: Floats, sums_R: Floats, squares_R: Floats) -> Floats:
    """Of n rows: n squares - sum squared, and 0 where rounding is all that one row n times left."""
    spread_R = n_R * squares_R - sums_R**2
    return np.where(spread_R > 1e-12 * n_R * squares_R, spread_R, 0.0)


def _recalls(confusion_RCC: Floats) -> Floats:
    hits_RC = np.diagonal(confusion_RCC, axis1=1, axis2=2)
    return ratio(hits_RC, confusion_RCC.sum(axis=2))


def ratio(numerator: Floats, denominator: Floats, *, otherwise: float = np.nan) -> Floats:
    """`otherwise` where there is nothing to divide by."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    start = np.full(shape, otherwise, dtype=np.float64)
    ratio: Floats = np.divide(numerator, denominator, out=start, where=denominator > 0)
    return ratio
