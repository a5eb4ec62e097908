"""AUROC and average precision of one or many labels, and their medians over groups of labels."""

# N rows, T labels, R replicates

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from hyenadna_cli.core.tasks.metrics import bootstrap
from hyenadna_cli.core.tasks.metrics.bootstrap import Estimate, Floats, Resampler

_MANY_LABELS = 50
_N_SCORE_BINS, _N_SCORE_BINS_OF_MANY = 512, 128
_HISTONE_MARK = re.compile(r"(^|[^A-Za-z0-9])H(2A|2B|3|4)(K\d|R\d|[^A-Za-z0-9]|$|\.?Z)", re.I)
_OPEN_CHROMATIN = re.compile(r"dnase|(^|[^A-Za-z])(DHS|ATAC)", re.I)
_FACTOR = re.compile(r"(^|[^A-Za-z])TF([^A-Za-z]|$)", re.I)
# DeepSEA's targets in their order, for tables whose columns are accessions and say nothing.
_DEEPSEA_ORDER = (("DHS", 125), ("TF", 690), ("HM", 104))
_N_DEEPSEA = sum(count for _, count in _DEEPSEA_ORDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """One rank metric of every label, NaN where a label has only one class."""

    values_T: Floats
    drawn_RT: Floats
    """Replicates, from binned scores; the values are not binned."""

    def of(self, label: int) -> Estimate:
        """The metric of one label."""
        return bootstrap.estimate(self.values_T[label], self.drawn_RT[:, label])

    def over(
        self, function: Callable[..., NDArray[np.float64]], labels: Sequence[int] | None = None
    ) -> Estimate:
        """`np.nanmean` or `np.nanmedian` over the labels that are defined; all by default."""
        numbers = np.arange(len(self.values_T)) if labels is None else np.array(labels)
        defined = numbers[np.isfinite(self.values_T[numbers])]
        if len(defined) == 0:
            return Estimate(float("nan"), float("nan"), float("nan"))
        drawn_RT = self.drawn_RT[:, defined]
        drawn_RT = drawn_RT[np.isfinite(drawn_RT).any(axis=1)]
        return bootstrap.estimate(
            float(function(self.values_T[defined])),
            function(drawn_RT, axis=1),
        )


def rank_metrics(
    is_label_NT: NDArray[np.bool_], scores_NT: Floats, resampler: Resampler
) -> dict[str, Ranked]:
    """`auroc` and `auprc` (average precision) of every label."""
    n_labels, n_replicates = scores_NT.shape[1], len(resampler.weights_RU)
    functions = {"auroc": bootstrap.auroc, "auprc": bootstrap.average_precision}
    exact = {"auroc": sk.roc_auc_score, "auprc": sk.average_precision_score}
    metrics = {
        name: Ranked(
            values_T=np.full(n_labels, np.nan),
            drawn_RT=np.full((n_replicates, n_labels), np.nan),
        )
        for name in functions
    }
    most_bins = _N_SCORE_BINS if n_labels <= _MANY_LABELS else _N_SCORE_BINS_OF_MANY
    # Counts of rows are exact in float32, and hundreds of labels take half the time.
    weights_RU = resampler.weights_RU.astype(np.float32)
    for label in range(n_labels):
        is_label_N, scores_N = is_label_NT[:, label], scores_NT[:, label]
        if is_label_N.all() or not is_label_N.any():
            continue
        bins_N = bootstrap.score_bins(scores_N, n_bins=most_bins)
        n_bins = int(bins_N.max()) + 1
        counts_UK = resampler.count(is_label_N * n_bins + bins_N, 2 * n_bins)
        drawn_RK = weights_RU @ counts_UK.astype(np.float32)
        for name, function in functions.items():
            ranked = metrics[name]
            ranked.values_T[label] = exact[name](is_label_N, scores_N)
            ranked.drawn_RT[:, label] = function(drawn_RK[:, n_bins:], drawn_RK[:, :n_bins])
    return metrics


def chromatin_groups(label_names: Sequence[str]) -> Mapping[str, list[int]]:
    """Which labels are TF, DHS and HM, by their names; empty if they are not chromatin targets.

    DeepSEA's names (`K562|DNase|None`, `K562|CTCF|None`, `K562|H3K4me3|None`), names that begin
    with the group (`TF_motif12`), and any 919 names in DeepSEA's order are understood.
    """
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(label_names):
        if _OPEN_CHROMATIN.search(name):
            group = "DHS"
        elif _HISTONE_MARK.search(name) or re.match(r"HM([^A-Za-z]|$)", name):
            group = "HM"
        elif _FACTOR.search(name) or name.count("|") == 2:
            group = "TF"
        else:
            group = ""
        groups.setdefault(group, []).append(index)
    if "" not in groups:
        return groups if len(groups) > 1 else {}
    if len(label_names) != _N_DEEPSEA or len(groups) > 1:
        return {}
    ordered, start = {}, 0
    for group, count in _DEEPSEA_ORDER:
        ordered[group] = list(range(start, start + count))
        start += count
    return ordered
