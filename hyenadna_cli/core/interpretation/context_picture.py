"""Perplexity against context: tables of `perplexity --contexts` -> one table -> a picture of it."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from hyenadna_cli.core.interpretation import contexts
from hyenadna_cli.core.interpretation.contexts import ContextRow
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import draw_curves
from hyenadna_cli.errors import InputFileError

log = logging.getLogger(__name__)

Curve = tuple[str, ContextRow]
"""A point, and the name of the curve that it belongs to."""


def read_curve(name: str, table: Path) -> list[Curve]:
    """The rows of a table. Raises InputFileError for what is none, or holds none."""
    try:
        with table.open(newline="", encoding="utf-8") as handle:
            points = [
                (
                    name,
                    ContextRow(
                        int(row["context"]),
                        int(row["n_bases"]),
                        *(float(row[column]) for column in contexts.COLUMNS[2:6]),
                    ),
                )
                for row in csv.DictReader(handle, delimiter="\t")
            ]
    except OSError as error:
        raise InputFileError(table, error.strerror or str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(table, f"no table of perplexity --contexts: {error}") from error
    if not points:
        raise InputFileError(table, "holds no rows")
    return points


def write_table(points: Sequence[Curve], path: Path, *, overwrite: bool) -> None:
    """The points as TSV."""
    columns = ("name", *contexts.COLUMNS)
    with TsvWriter(str(path), columns=columns, overwrite=overwrite) as writer:
        for name, point in points:
            writer.write_row((name, *point.cells()))


def draw(points: Sequence[Curve], path: Path, *, overwrite: bool) -> None:
    """One line per name, with bands for the intervals.

    Raises UsageError if matplotlib is missing, OutputError if `path` cannot be written.
    """
    if len({point.n_bases for _, point in points}) > 1:
        log.warning("the curves are of different numbers of bases, and so not of the same ones")
    curves: dict[str, list[tuple[float, float, float, float]]] = {}
    for name, p in points:
        point = (p.context, math.exp(p.nats_per_base), math.exp(p.low), math.exp(p.high))
        curves.setdefault(name, []).append(point)
    labels = ("bases before a target", "perplexity (bands: 95 % intervals)")
    draw_curves(curves, path, labels=labels, overwrite=overwrite)
