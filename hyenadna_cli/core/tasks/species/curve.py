"""Accuracy against window length: one or several accuracy.tsv -> a table -> a picture of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import draw_curves
from hyenadna_cli.errors import InputFileError

COLUMNS = ("name", "length", "n_windows", "accuracy", "accuracy_low", "accuracy_high")


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The accuracy of one model with windows of one length."""

    name: str
    length: int
    """Bases."""
    n_windows: int
    accuracy: float
    low: float
    """End of the 95 % interval; `high` is the other."""
    high: float


def read_curve(name: str, table: Path) -> list[CurvePoint]:
    """The rows of an accuracy.tsv. Raises InputFileError for what is none, or holds none."""
    try:
        with table.open(newline="") as handle:
            points = [
                CurvePoint(
                    name,
                    int(row["length"]),
                    int(row["n_windows"]),
                    float(row["accuracy"]),
                    float(row["accuracy_low"]),
                    float(row["accuracy_high"]),
                )
                for row in csv.DictReader(handle, delimiter="\t")
            ]
    except OSError as error:
        raise InputFileError(table, error.strerror or str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(table, f"no table of accuracy by length: {error}") from error
    if not points:
        raise InputFileError(table, "holds no rows")
    return points


def write_table(points: Sequence[CurvePoint], path: Path, *, overwrite: bool) -> None:
    """The points as TSV."""
    with TsvWriter(str(path), columns=COLUMNS, overwrite=overwrite) as writer:
        for p in points:
            writer.write_row((p.name, p.length, p.n_windows, p.accuracy, p.low, p.high))


def draw(points: Sequence[CurvePoint], path: Path, *, overwrite: bool) -> None:
    """One line per name, with bands for the intervals.

    Raises UsageError if matplotlib is missing, OutputError if `path` cannot be written.
    """
    curves: dict[str, list[tuple[float, float, float, float]]] = {}
    for p in points:
        curves.setdefault(p.name, []).append((p.length, p.accuracy, p.low, p.high))
    labels = ("window (bases)", "accuracy (bands: 95 % intervals)")
    draw_curves(curves, path, labels=labels, overwrite=overwrite, y_limits=(0, 1.02))
