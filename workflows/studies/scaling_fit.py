"""Loss against size at equal compute, and its fit.

    python scaling_fit.py CONTEXT/SHAPE=TABLE=PARAMETERS... -o out.tsv

TABLE is one of `perplexity --contexts`. For each context with three sizes or more a parabola is
fitted to nats per base over the logarithm of the size (Hoffmann et al. 2022, arXiv:2203.15556,
approach 2), each run weighing by its interval; its lowest point is the size that the compute is
best spent on, if it opens upwards and lies among the sizes. The picture lies beside the table.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, save_figure

COLUMNS = ("context", "shape", "parameters", "n_bases", "nats_per_base", "low", "high", "fit")


class Run(NamedTuple):
    """A trained model, judged."""

    context: str
    shape: str
    parameters: int
    n_bases: int
    nats: float
    low: float
    high: float


def read(text: str) -> Run:
    """A run by its argument."""
    name, path, parameters = text.split("=")
    context, _, shape = name.partition("/")
    with Path(path).open(newline="") as handle:
        row = list(csv.DictReader(handle, delimiter="\t"))[-1]
    numbers = (float(row[column]) for column in ("nats_per_base", "low", "high"))
    return Run(context, shape, int(parameters), int(row["n_bases"]), *numbers)


def parabola(runs: list[Run]) -> np.ndarray | None:
    """Coefficients over ln(parameters), highest power first; None for fewer than three sizes."""
    if len({run.parameters for run in runs}) < 3:
        return None
    x = np.log([run.parameters for run in runs])
    widths = np.array([run.high - run.low for run in runs])
    weights = 1 / widths if np.isfinite(widths).all() and (widths > 0).all() else None
    return np.polyfit(x, [run.nats for run in runs], 2, w=weights)


def lowest(fit: np.ndarray, runs: list[Run]) -> str:
    """Where the parabola is lowest, in words."""
    sizes = [run.parameters for run in runs]
    best = math.exp(-fit[1] / (2 * fit[0])) if fit[0] > 0 else math.nan
    if min(sizes) <= best <= max(sizes):
        return f"lowest at {best:,.0f} parameters"
    return "no lowest point among these sizes"


def main() -> None:
    """Read, fit, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="CONTEXT/SHAPE=TABLE=PARAMETERS")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    runs = [read(text) for text in given.runs]
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    with TsvWriter(str(given.output), columns=COLUMNS, overwrite=True) as table:
        for context in dict.fromkeys(run.context for run in runs):
            mine = sorted((r for r in runs if r.context == context), key=lambda r: r.parameters)
            fit = parabola(mine)
            sizes = np.array([run.parameters for run in mine], dtype=float)
            nats = [run.nats for run in mine]
            errors = ([r.nats - r.low for r in mine], [r.high - r.nats for r in mine])
            label = f"windows of {context}" + ("" if fit is None else f": {lowest(fit, mine)}")
            drawn = axes.errorbar(sizes, nats, yerr=errors, fmt="o", markersize=4, label=label)
            if fit is not None:
                x = np.linspace(np.log(sizes.min()), np.log(sizes.max()), 100)
                axes.plot(np.exp(x), np.polyval(fit, x), color=drawn[0].get_color(), alpha=0.5)
            for run in mine:
                fitted = (
                    math.nan if fit is None else float(np.polyval(fit, math.log(run.parameters)))
                )
                table.write_row((*run, fitted))
    axes.set_xscale("log")
    axes.set_xlabel("parameters")
    axes.set_ylabel("nats per base (95 % intervals)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    save_figure(figure, given.output.with_suffix(".png"), overwrite=True)


if __name__ == "__main__":
    main()
