"""The linear probe: frozen features -> standardised -> linear model, its strength by validation.

A probe on a backbone is folded into the backbone's head, so that it is a model directory like any
other. A probe on stored embeddings has predictions only.
"""

# N rows (labelled bases for the task `token`), D features, C outputs

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from hyenadna_cli.core.config.choices import Task
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.tasks.classification import as_scores
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.tasks.labelled_batches import stack

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse regularisation that validation chooses from; without validation rows, `USUAL`."""
USUAL = 1e-1

_MOST_BASES = 50_000
"""Labelled bases of a token task that a probe learns from, evenly spread."""
_BATCH_BASES = 16_384

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A linear map of raw features: scores are logits, or numbers."""

    weight_CD: NDArray[np.float64]
    bias_C: NDArray[np.float64]
    strength: float

    def scores(self, features_ND: Floats) -> NDArray[np.float64]:
        """Logits of the classes or labels, or numbers: (N, C)."""
        scores: NDArray[np.float64] = features_ND.astype(np.float64) @ self.weight_CD.T
        return scores + self.bias_C

    def predictions(self, task: Task, features_ND: Floats) -> NDArray[np.float64]:
        """Probabilities or numbers, as `metrics.evaluate` takes them."""
        scores_NC = self.scores(features_ND)
        if task == "regression":
            values_NC: NDArray[np.float64] = scores_NC
        else:
            values_NC = expit(scores_NC) if task == "multilabel" else softmax(scores_NC, axis=1)
        return as_scores(task, values_NC)


def fit_probe(
    task: Task,
    features_ND: Floats,
    targets: NDArray[np.generic],
    *,
    n_outputs: int,
    judge: Callable[[LinearProbe], float] | None,
) -> LinearProbe:
    """The probe that `judge` scores highest; without a judge, one of the usual strength."""
    scaler = StandardScaler().fit(features_ND.astype(np.float64))
    scaled_ND = scaler.transform(features_ND.astype(np.float64))
    best: LinearProbe | None = None
    best_score = -np.inf
    for strength in STRENGTHS if judge is not None else (USUAL,):
        weight_CD, bias_C = _fit(task, scaled_ND, targets, strength, n_outputs)
        weight_CD = weight_CD / scaler.scale_
        probe = LinearProbe(weight_CD, bias_C - weight_CD @ scaler.mean_, strength)
        score = judge(probe) if judge is not None else 0.0
        if best is None or score > best_score:
            best, best_score = probe, score
    assert best is not None
    return best


def _fit(
    task: Task, scaled_ND: Floats, targets: NDArray[np.generic], strength: float, n_outputs: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (C, D) and biases (C,) on standardised features."""
    n_rows, width = scaled_ND.shape
    if task == "regression":
        # As strong on N rows as the logistic's penalty, which is a sum over them.
        ridge = Ridge(alpha=1.0 / strength).fit(scaled_ND, targets.reshape(n_rows, -1))
        return ridge.coef_.reshape(n_outputs, width), np.atleast_1d(ridge.intercept_)
    if task == "multilabel":
        weight_CD, bias_C = np.zeros((n_outputs, width)), np.zeros(n_outputs)
        for label in range(n_outputs):
            weight_CD[label], bias_C[label] = _one_label(scaled_ND, targets[:, label], strength)
        return weight_CD, bias_C
    weight_CD, bias_C = np.zeros((n_outputs, width)), np.full(n_outputs, -30.0)
    classes = np.unique(targets)
    if len(classes) == 1:  # nothing to tell apart
        bias_C[classes] = 30.0
        return weight_CD, bias_C
    logistic = _logistic(scaled_ND, targets, strength)
    if len(logistic.classes_) == 2:
        first, second = logistic.classes_
        weight_CD[second], bias_C[[first, second]] = logistic.coef_[0], (0, logistic.intercept_[0])
    else:
        weight_CD[logistic.classes_] = logistic.coef_
        bias_C[logistic.classes_] = logistic.intercept_
    return weight_CD, bias_C


def _one_label(
    scaled_ND: Floats, is_label_N: NDArray[np.generic], strength: float
) -> tuple[NDArray[np.float64], float]:
    share = float(is_label_N.mean())
    if share in (0.0, 1.0):  # nothing to tell apart
        return np.zeros(scaled_ND.shape[1]), 30.0 if share else -30.0
    logistic = _logistic(scaled_ND, is_label_N, strength)
    return logistic.coef_[0], float(logistic.intercept_[0])


def _logistic(
    scaled_ND: Floats, targets: NDArray[np.generic], strength: float
) -> LogisticRegression:
    with warnings.catch_warnings():
        # A probe that is not converged to the last digit is judged like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=500).fit(scaled_ND, targets)


@torch.inference_mode()
def features_of(
    classifier: SequenceClassifier, rows: LabelledRows
) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
    """Features (N, D) of a split and their targets; of a token task a part of the bases."""
    device = classifier.head.weight.device
    is_token = classifier.config.task == "token"
    every = -(-len(rows.flat_targets) // _MOST_BASES) if is_token else 1
    order = np.argsort(rows.lengths, kind="stable")
    features, targets, places = [], [], []
    for chosen in _batches(rows.lengths[order]):
        indices = order[chosen]
        batch = stack([(rows[i].sequence, rows[i].target) for i in indices.tolist()]).to(device)
        of_batch = classifier.features(batch.token_ids_BL, batch.lengths_B)
        is_kept = batch.targets >= 0 if is_token else slice(None)
        features.append(of_batch[is_kept][::every].float().cpu().numpy())
        targets.append(batch.targets[is_kept][::every].cpu().numpy())
        places.append(indices)
    features_ND, flat = np.concatenate(features), np.concatenate(targets)
    if is_token:
        return features_ND, flat
    back = np.argsort(np.concatenate(places), kind="stable")
    return features_ND[back], flat[back]


def fold_into_head(classifier: SequenceClassifier, probe: LinearProbe) -> None:
    """Make the probe the classifier's head."""
    weight_CD, bias_C = probe.weight_CD, probe.bias_C
    if classifier.config.task == "regression":
        means_C = np.array(classifier.config.target_means)
        scales_C = np.array(classifier.config.target_scales)
        weight_CD, bias_C = weight_CD / scales_C[:, None], (bias_C - means_C) / scales_C
    with torch.no_grad():
        classifier.head.weight.copy_(torch.from_numpy(weight_CD))
        classifier.head.bias.copy_(torch.from_numpy(bias_C))


def _batches(lengths: NDArray[np.int64]) -> list[slice]:
    """Consecutive rows of ascending length in batches of limited size."""
    cuts, first = [], 0
    for number, length in enumerate(lengths.tolist()):
        if number > first and (number - first + 1) * length > _BATCH_BASES:
            cuts.append(slice(first, number))
            first = number
    return [*cuts, slice(first, len(lengths))]
