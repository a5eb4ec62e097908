"""What an evaluation leaves in its directory: predictions, metrics, tables and a picture.

    predictions.tsv   one row per sequence: target, prediction, every probability or number
    metrics.json      metrics with 95 % intervals, confusion matrix, calibration; facts of the run
    confusion.tsv     rows are the truth; tasks with classes
    calibration.tsv   bins of predicted probability, and how often they came true
    evaluation.png    the two tables as pictures, where matplotlib is installed

For the task `token`, a row of predictions.tsv counts the labelled bases of a sequence and those
that were predicted right.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Task
from hyenadna_cli.core.io.tsv import Cell, TsvWriter
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.tasks.metrics.evaluation import Metrics

METRICS = "metrics.json"
_PREDICTIONS, _CONFUSION, _CALIBRATION = "predictions.tsv", "confusion.tsv", "calibration.tsv"
_PICTURE = "evaluation.png"
EVALUATION_FILES = (_PREDICTIONS, _CONFUSION, _CALIBRATION, _PICTURE, METRICS)
"""In the order they are written; the second to the fourth only where they say something."""


def write_evaluation(
    directory: Path,
    rows: LabelledRows,
    scores: NDArray[np.float64],
    metrics: Metrics,
    *,
    facts: Mapping[str, Any],
) -> None:
    """Write all files; metrics.json comes last, so that it stands for a finished evaluation.

    `scores` are in the shape that `metrics.evaluate` takes. Raises OutputError.
    """
    columns, cells = _predictions(rows, scores, metrics.task, metrics.label_names)
    _write_table(directory / _PREDICTIONS, columns, cells)
    if metrics.confusion_CC is not None:
        names = metrics.label_names
        _write_table(
            directory / _CONFUSION,
            ("truth", *names),
            ((name, *row) for name, row in zip(names, metrics.confusion_CC.tolist(), strict=True)),
        )
    if metrics.calibration:
        _write_table(
            directory / _CALIBRATION,
            tuple(field.name for field in dataclasses.fields(metrics.calibration[0])),
            (dataclasses.astuple(bin_) for bin_ in metrics.calibration),
        )
        if importlib.util.find_spec("matplotlib") is not None:
            _draw(metrics, directory / _PICTURE)
    content = {**facts, **metrics.as_json()}
    atomic.write_text(directory / METRICS, json.dumps(content, indent=2) + "\n")


def _write_table(path: Path, columns: tuple[str, ...], cells: Iterator[tuple[Cell, ...]]) -> None:
    with TsvWriter(str(path), columns=columns, overwrite=True) as table:
        for row in cells:
            table.write_row(row)


def _predictions(
    rows: LabelledRows, scores: NDArray[np.float64], task: Task, names: tuple[str, ...]
) -> tuple[tuple[str, ...], Iterator[tuple[Cell, ...]]]:
    if task == "token":
        return ("name", "n_labelled", "n_right"), _bases_right(rows, scores)
    if task in ("binary", "multiclass"):
        by_class = scores if scores.ndim == 2 else np.stack([1 - scores, scores], axis=1)
        classes = (
            (names[int(target)], names[int(row.argmax())], *row.tolist())
            for target, row in zip(rows.flat_targets, by_class, strict=True)
        )
        columns = ("name", "target", "prediction", *(f"p_{name}" for name in names))
        return columns, _named(rows, classes)
    prefix = "p" if task == "multilabel" else "prediction"
    targets = np.asarray(rows.flat_targets).reshape(len(rows), -1)
    numbers = (
        (*target.tolist(), *row.tolist())
        for target, row in zip(targets, scores.reshape(len(rows), -1), strict=True)
    )
    columns = (
        "name",
        *(f"target_{name}" for name in names),
        *(f"{prefix}_{name}" for name in names),
    )
    return columns, _named(rows, numbers)


def _named(rows: LabelledRows, cells: Iterator[tuple[Cell, ...]]) -> Iterator[tuple[Cell, ...]]:
    return ((name, *row) for name, row in zip(rows.names, cells, strict=True))


def _bases_right(rows: LabelledRows, scores: NDArray[np.float64]) -> Iterator[tuple[Cell, ...]]:
    is_right = scores.argmax(1) == rows.flat_targets
    groups = rows.groups
    assert groups is not None
    n_labelled = np.bincount(groups, minlength=len(rows))
    n_right = np.bincount(groups, weights=is_right, minlength=len(rows)).astype(np.int64)
    return zip(rows.names, n_labelled.tolist(), n_right.tolist(), strict=True)


def _draw(metrics: Metrics, path: Path) -> None:
    """Confusion matrix (rows add up to one) and reliability, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert metrics.confusion_CC is not None
    counts = metrics.confusion_CC
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    left.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = metrics.label_names
    if len(names) <= 12:
        left.set_xticks(range(len(names)), names, rotation=45, ha="right")
        left.set_yticks(range(len(names)), names)
        for row, column in np.ndindex(counts.shape):
            is_dark = shares[row, column] > 0.5
            left.text(
                column,
                row,
                f"{counts[row, column]:,}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if is_dark else "black",
            )
    left.set_xlabel("predicted")
    left.set_ylabel("true")
    right.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    right.plot(
        [bin_.mean_probability for bin_ in metrics.calibration],
        [bin_.observed for bin_ in metrics.calibration],
        "o-",
        color="#b03a2e",
        markersize=4,
    )
    right.set_xlabel("mean predicted probability of a bin")
    right.set_ylabel("how often it came true")
    right.set_xlim(0, 1)
    right.set_ylim(0, 1)
    with atomic.replace_on_success(path, overwrite=True) as scratch:
        figure.savefig(scratch, format="png", dpi=120, metadata={})
