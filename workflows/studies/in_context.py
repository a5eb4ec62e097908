"""Tables and pictures of in-context learning, from the training.json of prompt directories.

    python in_context.py soft RUN/training.json ... NAME=metrics.json ... -o soft.tsv
    python in_context.py shots RUN/training.json ... -o shots.tsv

A row per run and split, with the 95 % interval of its accuracy over the rows, and a picture beside
the table: accuracy against prompt tokens, or against the samples that a model was tuned on, for
each number of demonstrations. It shows the test rows, or, where there are none, the validation
rows. `soft` takes the metrics.json of other methods on the same rows, too.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, save_figure

SETTINGS = {"soft": ("n_tokens",), "shots": ("n_shots", "n_samples")}
HEADER = {"soft": ("tokens",), "shots": ("shots", "samples")}
VALUES = ("accuracy", "low", "high", "auroc")


class Row(NamedTuple):
    """Metrics of a run on a split."""

    method: str
    counts: tuple[int, ...]
    """Tokens, or shots and samples; empty of other methods."""
    seed: str
    split: str
    values: tuple[float, float, float, float]
    """As VALUES; AUROC is NaN where it is not one number."""


def values(metrics: dict[str, Any]) -> tuple[float, float, float, float]:
    """Accuracy, its interval, AUROC."""
    found = metrics["values"]
    of = found["accuracy"]
    auroc = next((found[name]["value"] for name in ("auroc", "auroc_macro") if name in found), None)
    return of["value"], of["low"], of["high"], float("nan") if auroc is None else auroc


def read(kind: str, run: str) -> Iterable[Row]:
    """The rows of a run, or the one of another method."""
    name, equals, path = run.rpartition("=")
    record = json.loads(Path(path).read_text())
    if equals:
        yield Row(name, (), ".", "test", values(record))
        return
    settings = record["settings"]
    answer = "words" if settings["words"] else "head"
    method = f"soft prompt, {answer}" if kind == "soft" else "demonstrations"
    counts = tuple(int(settings[key]) for key in SETTINGS[kind])
    for split in ("valid", "test"):
        if split in record["metrics"]:
            yield Row(
                method, counts, str(settings["seed"]), split, values(record["metrics"][split])
            )


def draw(kind: str, rows: Sequence[Row], path: Path) -> None:
    """Accuracy with its intervals: one line per number of shots, or one of soft prompts."""
    split = "test" if any(row.split == "test" and row.counts for row in rows) else "valid"
    shown = [row for row in rows if row.split == split and row.counts]
    ticks = sorted({row.counts[-1] for row in shown})
    lines: dict[str, list[Row]] = defaultdict(list)
    for row in shown:
        lines[f"{row.counts[0]} shots per class" if kind == "shots" else row.method].append(row)
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    for number, (name, mine) in enumerate(lines.items()):
        shift = 0.5 * ((number + 0.5) / len(lines) - 0.5)
        means = {tick: [r.values[0] for r in mine if r.counts[-1] == tick] for tick in ticks}
        at = [n + shift for n, tick in enumerate(ticks) if means[tick]]
        line = [sum(found) / len(found) for found in means.values() if found]
        axes.plot(at, line, color=f"C{number}", label=name)
        for row in mine:
            value, low, high, _ = row.values
            place = ticks.index(row.counts[-1]) + shift
            errors = [[max(0.0, value - low)], [max(0.0, high - value)]]
            axes.errorbar(place, value, yerr=errors, fmt="o", markersize=4, color=f"C{number}")
    others = [row for row in rows if not row.counts]
    for number, row in enumerate(others, start=len(lines)):
        axes.axhline(row.values[0], color=f"C{number}", linestyle="--", label=row.method)
    axes.set_xticks(range(len(ticks)), [f"{tick:,}" for tick in ticks])
    axes.set_xlabel("prompt tokens" if kind == "soft" else "samples tuned on")
    axes.set_ylabel(f"accuracy on the {'test' if split == 'test' else 'validation'} rows (95 %)")
    axes.grid(alpha=0.3, axis="y")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    save_figure(figure, path, overwrite=True)


def main() -> None:
    """Read, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("soft", "shots"))
    parser.add_argument("runs", nargs="+", metavar="RUN/training.json|NAME=metrics.json")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    found = [row for run in given.runs for row in read(given.kind, run)]
    rows = sorted(found, key=lambda row: (not row.counts, row.counts, row.seed))
    columns = ("method", *HEADER[given.kind], "seed", "split", *VALUES)
    none = (".",) * len(HEADER[given.kind])
    with TsvWriter(str(given.output), columns=columns, overwrite=True) as table:
        for row in rows:
            numbers = (f"{value:.4f}" for value in row.values)
            table.write_row((row.method, *(row.counts or none), row.seed, row.split, *numbers))
    draw(given.kind, rows, given.output.with_suffix(".png"))


if __name__ == "__main__":
    main()
