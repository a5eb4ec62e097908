"""What counting k-mers is worth: a linear model that every result is printed beside.

    sequence -> roots of k-mer frequencies and GC -> logistic regression (classes)
                                                  -> ridge regression (multilabel, regression)
    base     -> k-mers within 64 bases, the bases within 8 -> logistic regression (token)

k, and how strongly weights are held down, are chosen on the validation rows.
"""

# N rows, P features, C classes, T targets, K choices

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from hyenadna_cli.core.tasks.labelled.kmers import base_codes, canonical_columns, kmers_of
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows, Task

Scores = NDArray[np.float64]
_Linear = Callable[[sparse.csr_array], Scores]
"""A fitted model: features (N, P) to scores."""

_KS = (3, 4, 5, 6)
_PENALTIES = (10.0, 1.0, 0.1)
"""Weight of the squared weights beside the sum of losses: 1 / C of logistic regression."""
_BATCH = 2_000
_MAX_ITERATIONS = 200
_WINDOW_K, _WINDOW, _NEAR = 4, 64, 8
_PIECE = 8_192
"""Bases looked at together: 1 kB of counts each."""
_MAX_TOKENS = 60_000
"""Training bases of the task `token`; what more bring is little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KmerBaseline:
    """A fitted baseline and what was chosen for it."""

    task: Task
    k: int
    is_canonical: bool
    """Whether a k-mer and its reverse complement are one feature."""
    penalty: float
    model: _Linear

    def chosen(self) -> dict[str, int | float | bool]:
        """What the validation rows decided; for the task `token`, what is always used."""
        return {"k": self.k, "penalty": self.penalty, "both_strands": self.is_canonical}

    def describe(self) -> str:
        """`4-mers of either strand, penalty 0.1`."""
        if self.task == "token":
            return f"{self.k}-mers within {_WINDOW} bases, bases within {_NEAR}"
        strands = "either strand" if self.is_canonical else "the strand read"
        return f"{self.k}-mers of {strands}, penalty {self.penalty:g}"

    def scores(self, rows: LabelledRows) -> Scores:
        """As `metrics.evaluate` takes them; `token`: of the labelled bases, row after row."""
        if self.task == "token":
            return np.concatenate([self.model(features) for features, _ in _token_features(rows)])
        scores = self.model(_features(rows, self.k, self.is_canonical))
        return scores[:, 1] if self.task == "binary" else scores


def fit_kmer_baseline(
    data: LabelledData, *, is_canonical: bool = False, ks: Sequence[int] = _KS, seed: int = 0
) -> KmerBaseline:
    """Fit on the training rows, choose on the validation rows.

    Raises ValueError if either is missing.
    """
    if not {"train", "valid"} <= data.splits.keys():
        raise ValueError("the baseline needs training and validation rows")
    train, valid = data.splits["train"], data.splits["valid"]
    if data.task == "token":
        return _fit_tokens(data, train, seed)
    best: KmerBaseline | None = None
    lowest = np.inf
    for k in ks:
        train_NP = _features(train, k, is_canonical)
        valid_NP = _features(valid, k, is_canonical)
        for penalty, model in _fits(data, train_NP, np.asarray(train.targets)):
            loss = _loss(data, np.asarray(valid.targets), model(valid_NP))
            if loss < lowest:
                lowest = loss
                best = KmerBaseline(
                    task=data.task, k=k, is_canonical=is_canonical, penalty=penalty, model=model
                )
    assert best is not None
    return best


def _features(rows: LabelledRows, k: int, is_canonical: bool) -> sparse.csr_array:
    """Roots of k-mer frequencies, so that every row has length 1, and the GC fraction last."""
    columns = canonical_columns(k) if is_canonical else np.arange(4**k)
    n_columns = int(columns.max()) + 1
    parts = []
    for start in range(0, len(rows), _BATCH):
        stop = min(start + _BATCH, len(rows))
        sequences = [rows.sequence(index) for index in range(start, stop)]
        kmers = kmers_of(sequences, k, is_canonical=False)
        ones = np.ones(len(kmers.rows_K), dtype=np.float32)
        at = (kmers.rows_K, columns[kmers.values_K.astype(np.int64)])
        counts = sparse.coo_array((ones, at), shape=(len(sequences), n_columns)).tocsr()
        counts.sum_duplicates()
        totals = np.maximum(counts.sum(axis=1), 1)
        counts.data = np.sqrt(counts.data / np.repeat(totals, np.diff(counts.indptr)))
        gc = np.array([[_gc_fraction(sequence)] for sequence in sequences], dtype=np.float32)
        parts.append(sparse.hstack([counts, sparse.csr_array(gc)], format="csr"))
    return sparse.vstack(parts, format="csr")


def _gc_fraction(sequence: str) -> float:
    n_gc, n_at = (sequence.count(a) + sequence.count(b) for a, b in ("GC", "AT"))
    return n_gc / max(n_gc + n_at, 1)


def _fits(
    data: LabelledData, train_NP: sparse.csr_array, targets: NDArray[np.generic]
) -> Iterator[tuple[float, _Linear]]:
    """A model for each penalty."""
    if data.task in ("multilabel", "regression"):
        yield from _ridges(
            train_NP, targets.astype(np.float64), is_clipped=data.task != "regression"
        )
        return
    for penalty in _PENALTIES:
        yield penalty, _logistic(train_NP, targets, penalty, n_classes=len(data.label_names))


def _logistic(
    features_NP: sparse.csr_array | NDArray[np.float32],
    targets_N: NDArray[np.generic],
    penalty: float,
    *,
    n_classes: int,
) -> _Linear:
    fitted = LogisticRegression(C=1 / penalty, max_iter=_MAX_ITERATIONS, tol=1e-3)
    fitted.fit(features_NP, targets_N)

    def model(new_NP: sparse.csr_array) -> Scores:
        # A class that no training row has keeps its column, with probability 0.
        probs_NC = np.zeros((new_NP.shape[0], n_classes))
        probs_NC[:, fitted.classes_] = fitted.predict_proba(new_NP)
        return probs_NC

    return model


def _ridges(
    features_NP: sparse.csr_array, targets_NT: Scores, *, is_clipped: bool
) -> Iterator[tuple[float, _Linear]]:
    """All targets and penalties from one matrix of products; `is_clipped` to probabilities."""
    n_rows, n_features = features_NP.shape
    mean_P, mean_T = np.asarray(features_NP.mean(axis=0)).ravel(), targets_NT.mean(axis=0)
    gram_PP = (features_NP.T @ features_NP).toarray() - n_rows * np.outer(mean_P, mean_P)
    cross = features_NP.T @ (targets_NT - mean_T)
    for penalty in _PENALTIES:
        weights = np.linalg.solve(gram_PP + penalty * np.eye(n_features), cross)

        def model(new_NP: sparse.csr_array, weights: Scores = weights) -> Scores:
            scores: Scores = new_NP @ weights + (mean_T - mean_P @ weights)
            return np.clip(scores, 0, 1) if is_clipped else scores

        yield penalty, model


def _loss(data: LabelledData, targets: NDArray[np.generic], scores: Scores) -> float:
    if data.task in ("binary", "multiclass"):
        of_truth = scores[np.arange(len(targets)), targets.astype(np.int64)]
        return float(-np.log(np.maximum(of_truth, 1e-12)).mean())
    return float(np.mean((targets.astype(np.float64) - scores) ** 2))


def _fit_tokens(data: LabelledData, train: LabelledRows, seed: int) -> KmerBaseline:
    random = np.random.default_rng(seed)
    targets = data.splits["train"].targets
    n_labelled = sum(int((row >= 0).sum()) for row in targets)
    share = min(1.0, _MAX_TOKENS / n_labelled)
    kept_features, kept_targets = [], []
    for features, target in _token_features(train):
        is_kept = random.random(len(target)) < share
        kept_features.append(features[is_kept])
        kept_targets.append(target[is_kept])
    model = _logistic(
        np.concatenate(kept_features),
        np.concatenate(kept_targets),
        1.0,
        n_classes=len(data.label_names),
    )
    return KmerBaseline(task="token", k=_WINDOW_K, is_canonical=False, penalty=1.0, model=model)


def _token_features(
    rows: LabelledRows,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int8]]]:
    """Features (N, P) and classes of the labelled bases, a piece of a row at a time."""
    for row in rows:
        assert isinstance(row.target, np.ndarray)
        codes = np.pad(base_codes(row.sequence), _WINDOW, constant_values=4)
        for start in range(0, len(row.target), _PIECE):
            target = row.target[start : start + _PIECE]
            labelled = np.flatnonzero(target >= 0)
            piece = codes[start : start + len(target) + 2 * _WINDOW]
            features = [_window_frequencies(piece, labelled), _near_bases(piece, labelled)]
            if len(labelled):
                yield np.hstack(features), target[labelled].astype(np.int8)


def _near_bases(codes: NDArray[np.uint8], positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """The bases within `_NEAR`, one-hot; position 0 is `_WINDOW` codes from the start."""
    shifts = np.arange(_WINDOW - _NEAR, _WINDOW + _NEAR + 1)
    around = codes[positions[:, None] + shifts]
    is_base = around[:, :, None] == np.arange(4)
    one_hot: NDArray[np.float32] = is_base.reshape(len(positions), -1).astype(np.float32)
    return one_hot


def _window_frequencies(
    codes: NDArray[np.uint8], positions: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Roots of the k-mer frequencies within `_WINDOW` bases; positions as for `_near_bases`."""
    n_kmers = len(codes) - _WINDOW_K + 1
    value, is_whole = np.zeros(n_kmers, dtype=np.int64), np.ones(n_kmers, dtype=bool)
    for offset in range(_WINDOW_K):
        part = codes[offset : offset + n_kmers]
        value, is_whole = value * 4 + (part & 3), is_whole & (part < 4)
    sums = np.zeros((n_kmers + 1, 4**_WINDOW_K), dtype=np.int32)
    sums[np.flatnonzero(is_whole) + 1, value[is_whole]] = 1
    np.cumsum(sums, axis=0, out=sums)
    counts = (sums[positions + 2 * _WINDOW + 2 - _WINDOW_K] - sums[positions]).astype(np.float32)
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    frequencies: NDArray[np.float32] = np.sqrt(counts / total)
    return frequencies
