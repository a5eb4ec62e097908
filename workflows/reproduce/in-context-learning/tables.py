"""Tables and picture of in-context learning, from the training.json of prompt directories.

    python tables.py soft  DIRECTORY [NAME=metrics.json ...] -o soft.tsv --plot soft.png
    python tables.py shots DIRECTORY -o shots.tsv

`soft` reads DIRECTORY/tokens_N of soft_prompts.sh and, to stand beside it, the metrics.json of
other methods on the same rows. `shots` reads the directories of few_shot.sh; accuracies are those
of each seed on the whole validation split, and their mean.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

Row = tuple[str, ...]


def accuracy(metrics: dict[str, Any]) -> Row:
    """Accuracy, its 95 % interval, and AUROC."""
    found = metrics["values"]["accuracy"]
    auroc = metrics["values"]["auroc"]["value"]
    return tuple(f"{value:.4f}" for value in (found["value"], found["low"], found["high"], auroc))


def soft_rows(directory: Path, others: list[str]) -> list[Row]:
    """A row a prompt length, and one for each other method."""
    rows = []
    for path in sorted(directory.glob("tokens_*/training.json"), key=_number):
        record = json.loads(path.read_text())
        n_tokens = record["settings"]["n_tokens"]
        for split in ("valid", "test"):
            answer = "head" if not record["settings"]["words"] else "words"
            values = accuracy(record["metrics"][split])
            rows.append((f"soft prompt, {answer}", str(n_tokens), split, *values))
    for other in others:
        name, _, file = other.partition("=")
        rows.append((name, "-", "test", *accuracy(json.loads(Path(file).read_text()))))
    return rows


def shot_rows(directory: Path) -> list[Row]:
    """A row for each number of shots and samples: the accuracy of every seed, and the mean."""
    found: dict[tuple[int, int], dict[int, float]] = {}
    for path in directory.glob("shots_*/training.json"):
        record = json.loads(path.read_text())
        settings = record["settings"]
        cell = found.setdefault((settings["n_shots"], settings["n_samples"]), {})
        cell[settings["seed"]] = record["metrics"]["valid"]["values"]["accuracy"]["value"]
    rows = []
    for (n_shots, n_samples), by_seed in sorted(found.items()):
        values = [by_seed[seed] for seed in sorted(by_seed)]
        mean = sum(values) / len(values)
        each = ",".join(f"{value:.4f}" for value in values)
        rows.append((str(n_shots), str(n_samples), str(len(values)), f"{mean:.4f}", each))
    return rows


def draw(rows: list[Row], path: Path) -> None:
    """Test accuracy against prompt tokens; other methods as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.subplots()
    prompted = [row for row in rows if row[1] != "-" and row[2] == "test"]
    x = [int(row[1]) for row in prompted]
    y = [float(row[3]) for row in prompted]
    errors = [
        [float(row[3]) - float(row[4]) for row in prompted],
        [float(row[5]) - float(row[3]) for row in prompted],
    ]
    axes.errorbar(x, y, errors, fmt="o-", capsize=3, label="soft prompt, frozen model")
    for number, row in enumerate(row for row in rows if row[1] == "-"):
        axes.axhline(float(row[3]), color=f"C{number + 1}", linestyle="--", label=row[0])
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, [f"{n:,}" for n in x])
    axes.set_xlabel("prompt tokens")
    axes.set_ylabel("accuracy on the test rows")
    axes.legend()
    figure.savefig(path, dpi=120, metadata={})


def _number(path: Path) -> int:
    match = re.search(r"tokens_(\d+)", str(path))
    assert match is not None
    return int(match[1])


def main() -> None:
    """Read, write the table, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=("soft", "shots"))
    parser.add_argument("directory", type=Path)
    parser.add_argument("others", nargs="*", metavar="NAME=metrics.json")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    if given.kind == "soft":
        header: Row = ("method", "prompt_tokens", "split", "accuracy", "low", "high", "auroc")
        rows = soft_rows(given.directory, given.others)
    else:
        header = ("shots", "samples", "seeds", "mean_accuracy", "accuracies")
        rows = shot_rows(given.directory)
    given.output.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)))
    if given.plot is not None:
        draw(rows, given.plot)


if __name__ == "__main__":
    main()
