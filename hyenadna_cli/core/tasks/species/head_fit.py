"""What the head of a species classifier starts as: a logistic regression on frozen states.

training windows -> states of the backbone as it is, pooled -> GC content made to tell nothing
                 -> weights and biases of the head
"""

# N examples, D d_model, C species, B windows of a batch, L positions (bases), R ranges of GC

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.labelled_batches import stack
from hyenadna_cli.core.tasks.species.windows import TrainingWindows

_PROBE_C = 0.3
"""Inverse strength of the penalty on standardised states."""
_GC_RANGES = 4
_MAX_WEIGHT = 8.0
_PROBE_BATCH = 16_384
_STRETCH = 1_024
"""Bases."""
_PROBE_STEP = 1 << 40
"""Windows that the head is fitted to are drawn as those of a step that no run reaches."""
_MOST_READS = 4
"""Times that windows hold each training base, about: twice along either strand."""


def bases_to_fit(windows: TrainingWindows, asked: int) -> int:
    """Bases that a head is fitted to: as many as asked for, but not the same ones over and over."""
    runs = windows.genomes.runs(windows.split)
    return min(asked, _MOST_READS * sum(contig.n_bases for contigs in runs for contig in contigs))


@torch.inference_mode()
def fit_head(
    classifier: SequenceClassifier,
    windows: TrainingWindows,
    *,
    lengths: Sequence[int],
    n_bases: int,
    match_gc: bool = True,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Set the head to a logistic regression on pooled states of training windows.

    The lengths (bases) share `n_bases`. With mean pooling each stretch of 1,024 bases of a window
    is an example by itself: a window's scores are the mean of those of its stretches, and stretches
    deep in a long window are read as they will be. The states of different species differ by a
    fraction of their own spread, so that a head which starts from nothing would need most of a
    short run to find them. False, with the head as it was, once `should_stop` says so.
    """
    parts = []
    for length in lengths:
        share = n_bases // len(lengths)
        part = _features(classifier, windows, length, share, should_stop=should_stop)
        if part is None:
            return False
        parts.append(part)
    features_ND, labels_N, gc_N = (np.concatenate(column) for column in zip(*parts, strict=True))
    classes = np.unique(labels_N)
    if len(classes) < 2:
        return True
    weights_N = gc_matched_weights(labels_N, gc_N) if match_gc else np.ones(len(gc_N))
    scaler = StandardScaler()
    scaled_ND = scaler.fit_transform(features_ND, sample_weight=weights_N)
    probe = LogisticRegression(C=_PROBE_C, max_iter=1_000)
    probe.fit(scaled_ND, labels_N, sample_weight=weights_N)
    weight_CD, bias_C = probe.coef_, probe.intercept_
    if len(classes) == 2:  # scikit-learn gives the difference of the two classes
        weight_CD = np.concatenate([-weight_CD, weight_CD]) / 2
        bias_C = np.concatenate([-bias_C, bias_C]) / 2
    weight_CD = weight_CD / scaler.scale_
    bias_C = bias_C - weight_CD @ scaler.mean_
    head = classifier.head
    head.weight[classes] = torch.from_numpy(weight_CD).to(head.weight)
    head.bias[classes] = torch.from_numpy(bias_C).to(head.bias)
    return True


def _features(
    classifier: SequenceClassifier,
    windows: TrainingWindows,
    length: int,
    n_bases: int,
    *,
    should_stop: Callable[[], bool],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]] | None:
    """Pooled states (N, D), labels and GC fractions (N,) of windows that no training step draws.

    None once `should_stop` says so.
    """
    backbone = classifier.backbone
    assert isinstance(backbone, HyenaDNA)
    backbone.eval()
    device = classifier.head.weight.device
    n_windows = max(1, n_bases // length)
    n_stretches = max(1, length // _STRETCH) if classifier.config.pooling == "mean" else 1
    # Written in place: small results kept between large tensors would pin their memory.
    features_ND = np.empty((n_windows * n_stretches, backbone.config.d_model))
    labels_N = np.empty(len(features_ND), np.int64)
    gc_N = np.empty(len(features_ND))
    n_rows = 0
    rows_at_once = max(1, _PROBE_BATCH // length)
    for start in range(0, n_windows, rows_at_once):
        if should_stop():
            return None
        rows = range(start, min(start + rows_at_once, n_windows))
        drawn = [windows.draw(step=_PROBE_STEP, row=row, length=length) for row in rows]
        batch = stack([(window.sequence(), window.label) for window in drawn]).to(device)
        hidden_BLD = backbone.hidden_states(batch.token_ids_BL)[0]
        is_gc_BL = (batch.token_ids_BL == tokenizer.G) | (batch.token_ids_BL == tokenizer.C)
        for row, n in enumerate(batch.lengths_B.tolist()):
            n_parts = max(1, n // _STRETCH) if classifier.config.pooling == "mean" else 1
            states = hidden_BLD[row, :n].chunk(n_parts)
            for state_LD, is_gc_L in zip(states, is_gc_BL[row, :n].chunk(n_parts), strict=True):
                pooled_D = state_LD[-1] if classifier.config.pooling == "last" else state_LD.mean(0)
                features_ND[n_rows] = pooled_D.float().cpu().numpy()
                labels_N[n_rows] = int(batch.targets[row])
                gc_N[n_rows] = is_gc_L.float().mean().item()
                n_rows += 1
    return features_ND[:n_rows], labels_N[:n_rows], gc_N[:n_rows]


def gc_matched_weights(
    labels_N: NDArray[np.int64], gc_N: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weights of mean 1 that give every species the same share of each range of GC content."""
    edges = np.quantile(gc_N, np.linspace(0, 1, _GC_RANGES + 1)[1:-1])
    ranges_N = np.searchsorted(edges, gc_N)
    counts_CR = np.zeros((labels_N.max() + 1, _GC_RANGES))
    np.add.at(counts_CR, (labels_N, ranges_N), 1)
    n_species = (counts_CR.sum(1) > 0).sum()
    wanted_R = counts_CR.sum(0) / n_species
    # A few examples must not stand for a whole range.
    weights_N = np.minimum(wanted_R[ranges_N] / counts_CR[labels_N, ranges_N], _MAX_WEIGHT)
    matched_N: NDArray[np.float64] = weights_N / weights_N.mean()
    return matched_N
