"""Records to predictions: windows -> scores of a head -> one answer per record, or one per base.

A record longer than the window is cut. Its prediction is the mean over windows and strands, each
window weighted by its bases other than N; for the task `token`, each base is answered by the window
in which it has most left context, and both strands are averaged base by base, in the order of the
plus strand.

Status of a record: OK; EMPTY (no bases: NaN); NO_BASES (nothing but N: NaN); NONFINITE (the model
gave an infinity or NaN).
"""

# B windows of a batch, L positions (bases), C outputs, R readings of a chunk, N rows of a split

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import StrandChoice, Task
from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.sequence import n_fraction
from hyenadna_cli.core.inference.batching import Batch, Batcher, Done, Readings
from hyenadna_cli.core.io.records import Record, strand_label
from hyenadna_cli.core.model.classifier import Answers
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.shards import chunks
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.tasks.labelled_batches import NOT_LABELLED
from hyenadna_cli.core.tasks.metrics.evaluation import Metrics, evaluate
from hyenadna_cli.core.training.distributed import World

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about one record."""

    record: Record
    strand: str
    """"+", "-" or "both"."""
    n_windows: int
    answer: Array
    """What the model makes of it, also of nothing but N. Probabilities of the classes or labels,
    or numbers: (C,); task `token`: (bases, C)."""

    @property
    def values(self) -> Array:
        """The answer; NaN for a record without a base that the model could go by."""
        if n_fraction(self.record.sequence) == 1.0:
            return np.full_like(self.answer, np.nan)
        return self.answer

    @property
    def status(self) -> str:
        """OK, EMPTY, NO_BASES or NONFINITE."""
        if not len(self.record.sequence):
            return "EMPTY"
        if n_fraction(self.record.sequence) == 1.0:
            return "NO_BASES"
        return "OK" if np.isfinite(self.values).all() else "NONFINITE"


def predict(
    classifier: Answers,
    records: Iterable[Record],
    *,
    batcher: Batcher,
    strand: StrandChoice = "+",
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[Prediction]]:
    """Answer a stream of records: one `Done` per batch, with the rows at the end of each chunk.

    The batcher must add no special tokens; raises ValueError otherwise.
    """
    if batcher.specials != "none":
        raise ValueError("heads read bare sequences, without special tokens")
    compute = functools.partial(_window_predictions, classifier)
    is_token = classifier.config.task == "token"
    for chunk in chunks(records, length_of=lambda record: len(record.sequence)):
        readings = Readings(chunk, strand)
        work: _Means | _Bases = (_Bases if is_token else _Means)(
            readings, n_outputs=classifier.config.n_outputs
        )
        for n_bases in batcher.fill(work.numbers, readings, compute, work.add, journal=journal):
            yield Done(n_bases, [])
        rows = [
            Prediction(
                record,
                strand_label(record, strand),
                batcher.tiling.n_tiles(len(record.sequence)),
                work.values(number),
            )
            for number, record in enumerate(chunk)
        ]
        yield Done(0.0, rows)


def predict_rows(
    classifier: Answers,
    rows: LabelledRows,
    *,
    batcher: Batcher,
    both_strands: bool = False,
    world: World | None = None,
) -> Array:
    """Predictions for a split as `metrics.evaluate` wants them, the same in every process.

    Binary: P(class 1), (N,). Multiclass, multilabel: (N, C). Regression: (N,) or (N, C). Token:
    (labelled bases of all rows, C).
    """
    world = world or World()
    mine = rows.subset(world.share(len(rows)))
    records = (Record(row.name, row.name, 0, len(row.sequence), ".", row.sequence) for row in mine)
    done = predict(classifier, records, batcher=batcher, strand="both" if both_strands else "+")
    # A row of nothing but N is judged by what the model answers, as any other.
    values = [row.answer for batch in done for row in batch.rows]
    if classifier.config.task == "token":
        labelled = [
            value_LC[target_L != NOT_LABELLED]
            for value_LC, target_L in zip(values, mine.targets, strict=True)
        ]
        # More processes than rows leave some without any.
        return world.gather(np.concatenate(labelled) if labelled else np.empty((0, 0)))
    values_NC = world.gather(np.stack(values) if values else np.empty((0, 0)))
    return as_scores(classifier.config.task, values_NC)


def as_scores(task: Task, values_NC: Array) -> Array:
    """Answers as `metrics.evaluate` wants them: one column where one says it all."""
    if task == "binary":
        return values_NC[:, 1]
    if task == "regression" and values_NC.shape[1] == 1:
        return values_NC[:, 0]
    return values_NC


def against(
    predictions: Sequence[Prediction],
    targets: NDArray[np.generic] | Sequence[NDArray[np.int8]],
    head: HeadConfig,
) -> Metrics:
    """Metrics of predictions that are at hand; records without an answer are left out.

    `targets` of the task `token` are in the reading direction of each record. Where nothing is left
    to judge, not even a labelled base, there are no values, and `n` is 0.
    """
    kept = [index for index, row in enumerate(predictions) if row.status == "OK"]
    values = [predictions[index].values for index in kept]
    truths = [np.asarray(targets[index]) for index in kept]
    is_token = head.task == "token"
    if not any(not is_token or (truth != NOT_LABELLED).any() for truth in truths):
        return Metrics(
            task=head.task, label_names=head.label_names, n=0, n_bootstrap=0, seed=0, values={}
        )
    if is_token:
        # Labels go along the row, answers along the plus strand.
        is_minus = [predictions[index].record.strand == "-" for index in kept]
        scores = np.concatenate(
            [
                (value_LC[::-1] if minus else value_LC)[truth != NOT_LABELLED]
                for value_LC, minus, truth in zip(values, is_minus, truths, strict=True)
            ]
        )
        flat = np.concatenate([truth[truth != NOT_LABELLED] for truth in truths])
        groups = np.repeat(np.arange(len(kept)), [(t != NOT_LABELLED).sum() for t in truths])
        return evaluate("token", flat, scores, head.label_names, groups=groups)
    scores = as_scores(head.task, np.stack(values))
    return evaluate(head.task, np.stack(truths), scores, head.label_names)


class _Means:
    """One answer per record: the mean over its windows, by bases, and over its strands.

    A window of N says nothing about the record, unless there is nothing else.
    """

    def __init__(self, readings: Readings, *, n_outputs: int) -> None:
        self.n_strands = readings.n_strands
        self._readings = readings.of
        self._has_base = [n_fraction(reading.record.sequence) < 1 for reading in readings.of]
        self._sums_RC = np.zeros((len(readings.of), n_outputs))
        self._weights_R = np.zeros(len(readings.of))

    @property
    def numbers(self) -> list[Array]:
        """All that windows have brought so far."""
        return [self._sums_RC, self._weights_R]

    def add(self, batch: Batch, values_BC: Array) -> None:
        weights_B = np.array(
            [self._weight(reading, start, end) for reading, start, end, _ in batch.windows]
        )
        np.add.at(self._sums_RC, batch.windows.readings, weights_B[:, None] * values_BC)
        np.add.at(self._weights_R, batch.windows.readings, weights_B)

    def _weight(self, reading: int, start: int, end: int) -> int:
        """Of a window: its bases, or its positions where the whole reading has no base."""
        if not self._has_base[reading]:
            return end - start
        return int(np.count_nonzero(self._readings[reading][start:end] != tokenizer.N))

    def values(self, number: int) -> Array:
        mine = slice(number * self.n_strands, (number + 1) * self.n_strands)
        with np.errstate(invalid="ignore"):  # a record without bases is NaN
            means_C: Array = (self._sums_RC[mine] / self._weights_R[mine, None]).mean(0)
        return means_C


class _Bases:
    """One answer per base."""

    def __init__(self, readings: Readings, *, n_outputs: int) -> None:
        self.readings = readings
        self._values = [np.full((reading.size, n_outputs), np.nan) for reading in readings.of]

    @property
    def numbers(self) -> list[Array]:
        """All that windows have brought so far."""
        return self._values

    def add(self, batch: Batch, values_BLC: Array) -> None:
        for row, (reading, start, end, new) in enumerate(batch.windows):
            self._values[reading][new:end] = values_BLC[row, new - start : end - start]

    def values(self, number: int) -> Array:
        n_strands = self.readings.n_strands
        mine = range(number * n_strands, (number + 1) * n_strands)
        oriented = [
            self._values[reading]
            if self.readings.of[reading].strand == "+"
            else self._values[reading][::-1]
            for reading in mine
        ]
        mean_LC: Array = np.mean(oriented, axis=0)
        return mean_LC


@torch.inference_mode()
def _window_predictions(classifier: Answers, batch: Batch) -> Array:
    """(B, C), or (B, L, C) for the task `token`."""
    lengths_B = torch.from_numpy(batch.windows.lengths).to(batch.token_ids_BL.device)
    scores = classifier(batch.token_ids_BL, lengths_B)
    values: Array = classifier.predictions(scores.double()).cpu().numpy()
    return values
