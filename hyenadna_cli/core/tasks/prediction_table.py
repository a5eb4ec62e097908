"""Predictions as rows of a table, and their metrics as JSON.

Place, answer and numbers of a record: one row, or with the task `token` one row for each run of
bases of one class.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.io.embeddings_h5 import obs_names
from hyenadna_cli.core.io.tsv import Cell
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.tasks.classification import Prediction, against

log = logging.getLogger(__name__)


def columns(head: HeadConfig, further: Sequence[str] = ()) -> tuple[str, ...]:
    """The columns of the table of a task; `further` are those of the regions, which come last."""
    place = ("name", "chrom", "start", "end", "strand")
    own: tuple[str, ...]
    if head.task == "token":
        own = (*place, "prediction", "probability", "status")
    elif head.task == "regression":
        own = (*place, "n_windows", *head.label_names, "status")
    else:
        probabilities = (f"p_{name}" for name in head.label_names)
        own = (*place, "n_windows", "prediction", *probabilities, "status")
    return (*own, *obs_names(further, taken=own))


def rows(prediction: Prediction, head: HeadConfig) -> Iterator[tuple[Cell, ...]]:
    """The rows of one record."""
    own = _runs(prediction, head) if head.task == "token" else [_one_row(prediction, head)]
    for cells in own:
        yield (*cells, *prediction.record.columns)


def write_metrics(
    path: Path,
    predictions: Sequence[Prediction],
    targets: NDArray[np.generic] | Sequence[NDArray[np.int8]],
    head: HeadConfig,
) -> None:
    """Compare predictions with `targets` as `against` does, and write the metrics as JSON."""
    metrics = against(predictions, targets, head)
    if metrics.n == 0:
        log.warning("%s has no metrics: no row has both a label and an answer", path)
    atomic.write_text(path, json.dumps(metrics.as_json(), indent=2) + "\n")


def _one_row(prediction: Prediction, head: HeadConfig) -> tuple[Cell, ...]:
    record, values = prediction.record, prediction.values.tolist()
    place = (
        record.name,
        record.chrom,
        record.start,
        record.end,
        prediction.strand,
        prediction.n_windows,
    )
    if head.task == "regression":
        return (*place, *values, prediction.status)
    if prediction.status != "OK":
        answer = "."
    elif head.task == "multilabel":
        pairs = zip(head.label_names, values, strict=True)
        answer = ";".join(name for name, value in pairs if value >= 0.5) or "-"
    else:
        answer = head.label_names[int(prediction.values.argmax())]
    return (*place, answer, *values, prediction.status)


def _runs(prediction: Prediction, head: HeadConfig) -> Iterator[tuple[Cell, ...]]:
    """Runs of bases of one class, in the order of the plus strand."""
    record, strand, status = prediction.record, prediction.strand, prediction.status
    if status != "OK":
        yield (record.name, record.chrom, record.start, record.end, strand, ".", "nan", status)
        return
    best = prediction.values.argmax(1)
    position = 0
    for label, bases in itertools.groupby(best.tolist()):
        end = position + sum(1 for _ in bases)
        yield (
            record.name,
            record.chrom,
            record.start + position,
            record.start + end,
            strand,
            head.label_names[label],
            float(prediction.values[position:end, label].mean()),
            status,
        )
        position = end
