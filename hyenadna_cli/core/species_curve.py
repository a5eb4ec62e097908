"""Accuracy against window length, as a picture of one or several accuracy.tsv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyenadna_cli.core import atomic
from hyenadna_cli.errors import InputFileError, UsageError


@dataclass(frozen=True, slots=True)
class _Series:
    """One line of the picture."""

    name: str
    lengths: list[int]
    accuracy: list[float]
    low: list[float]
    high: list[float]


def draw(tables: Sequence[tuple[str, Path]], path: Path, *, overwrite: bool) -> None:
    """Accuracy against length, one line a (name, accuracy.tsv); bands are 95 % intervals.

    Raises UsageError if matplotlib is missing, InputFileError for what is no such table,
    OutputError if `path` cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'hyenadna[plots]'") from error
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for series in (_read_series(name, table) for name, table in tables):
        (line,) = axes.plot(series.lengths, series.accuracy, "o-", markersize=4, label=series.name)
        axes.fill_between(
            series.lengths, series.low, series.high, color=line.get_color(), alpha=0.15, linewidth=0
        )
    axes.set_xscale("log", base=2)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("window (bases)")
    axes.set_ylabel("accuracy on held-out contigs")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    with atomic.replace_on_success(path, overwrite=overwrite) as scratch:
        figure.savefig(scratch, format=path.suffix.removeprefix("."), dpi=150, metadata={})


def _read_series(name: str, table: Path) -> _Series:
    columns = ("accuracy", "accuracy_low", "accuracy_high")
    try:
        with table.open(newline="") as handle:
            rows = sorted(csv.DictReader(handle, delimiter="\t"), key=lambda r: int(r["length"]))
        lengths = [int(row["length"]) for row in rows]
        accuracy, low, high = ([float(row[column]) for row in rows] for column in columns)
    except OSError as error:
        raise InputFileError(table, error.strerror or str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(table, f"no table of accuracy by length: {error}") from error
    return _Series(name, lengths, accuracy, low, high)
