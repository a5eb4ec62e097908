"""Tables of `finetune --preset --table` as one: python suite_table.py SET.tsv... -o suite.tsv.

Writes -o, with the name of the set before each row, and a picture beside it: ours, with 95 %
intervals, and the published HyenaDNA.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, save_figure

PUBLISHED = "published HyenaDNA"


def main() -> None:
    """Read, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    rows = []
    for path in given.tables:
        with path.open(newline="") as handle:
            rows += [{"set": path.stem, **row} for row in csv.DictReader(handle, delimiter="\t")]
    with TsvWriter(str(given.output), columns=tuple(rows[0]), overwrite=True) as table:
        for row in rows:
            table.write_row(tuple(row.values()))
    sets = [path.stem for path in given.tables]
    figure = new_figure(max(5.0, 0.6 * len(sets) + 2), 4.2)
    axes = figure.add_subplot()
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        if method.startswith("published") and method != PUBLISHED:
            continue
        values = [float(row["value"]) for row in mine]
        low, high = (
            [
                value if row[end] == "." else float(row[end])
                for value, row in zip(values, mine, strict=True)
            ]
            for end in ("low", "high")
        )
        errors = np.abs([np.subtract(values, low), np.subtract(high, values)])
        at = [sets.index(row["set"]) for row in mine]
        marker = "_" if method == PUBLISHED else "o"
        axes.errorbar(at, values, yerr=errors, fmt=marker, markersize=8, label=method)
    axes.set_xticks(range(len(sets)), sets, rotation=40, ha="right", fontsize=8)
    metrics = {row["metric"] for row in rows}
    axes.set_ylabel(metrics.pop() if len(metrics) == 1 else "metric of the set")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(frameon=False, fontsize=8)
    save_figure(figure, given.output.with_suffix(".png"), overwrite=True)


if __name__ == "__main__":
    main()
