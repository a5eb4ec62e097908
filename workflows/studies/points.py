"""Tables of several runs as one, and a picture: values with their 95 % intervals, side by side.

    python points.py --value nats_per_base builtin/human=a.tsv builtin/mouse=b.tsv -o out.tsv

A run is SERIES/GROUP=TABLE. Of a table the last row counts, with its columns `low` and `high` (or
`VALUE_low` and `VALUE_high`, as accuracy.tsv has them). The picture lies beside the table: a column
of points for each group, a colour for each series.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import NamedTuple

from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, save_figure


class Point(NamedTuple):
    """A run."""

    series: str
    group: str
    value: float
    low: float
    high: float


def read(run: str, value: str) -> Point:
    """The last row of a run's table."""
    name, _, path = run.rpartition("=")
    series, _, group = name.partition("/")
    with Path(path).open(newline="") as handle:
        row = list(csv.DictReader(handle, delimiter="\t"))[-1]
    prefix = "" if "low" in row else f"{value}_"
    ends = (float(row[f"{prefix}{end}"]) for end in ("low", "high"))
    return Point(series, group, float(row[value]), *ends)


def draw(points: list[Point], value: str, path: Path) -> None:
    """One column a group."""
    groups = list(dict.fromkeys(point.group for point in points))
    series = list(dict.fromkeys(point.series for point in points))
    figure = new_figure(max(5.0, 0.7 * len(groups) + 2), 4.2)
    axes = figure.add_subplot()
    for number, name in enumerate(series):
        mine = [point for point in points if point.series == name]
        shift = 0.6 * ((number + 0.5) / len(series) - 0.5)
        at = [groups.index(point.group) + shift for point in mine]
        below = [max(0.0, point.value - point.low) for point in mine]
        above = [max(0.0, point.high - point.value) for point in mine]
        values = [point.value for point in mine]
        axes.errorbar(at, values, yerr=(below, above), fmt="o", markersize=4, label=name)
    axes.set_xticks(range(len(groups)), groups, rotation=30, ha="right")
    axes.set_ylabel(f"{value.replace('_', ' ')} (95 % intervals)")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    save_figure(figure, path, overwrite=True)


def main() -> None:
    """Read, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="SERIES/GROUP=TABLE")
    parser.add_argument("--value", required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    points = [read(run, given.value) for run in given.runs]
    columns = ("series", "group", given.value, "low", "high")
    with TsvWriter(str(given.output), columns=columns, overwrite=True) as table:
        for point in points:
            table.write_row(point)
    draw(points, given.value, given.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
