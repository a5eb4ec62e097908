"""Print finished fine-tuning runs as a Markdown table: python table.py OUT METRIC... [--sets A,B].

Reads the metrics.json of every run below OUT/SET; runs that are not finished have none. A cell is
the value and its 95 % bootstrap interval over the test rows; of several seeds, the mean and the
lowest and highest seed.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

ORDER = ("finetune", "probe", "scratch", "attention", "cnn", "kmer")


def found(directory: Path) -> list[dict[str, object]]:
    """metrics.json of the runs of one set; a copy of the best seed at the top counts once."""
    paths = [directory / "metrics.json", *sorted(directory.glob("*/metrics.json"))]
    runs = [json.loads(path.read_text()) for path in paths if path.exists()]
    return list({(run["method"], run["seed"]): run for run in runs}.values())


def cell(values: list[dict[str, float]]) -> str:
    """One run with its interval, or the mean of several with their range."""
    if len(values) == 1:
        value = values[0]
        return f"{value['value']:.3f} ({value['low']:.3f}-{value['high']:.3f})"
    points = [value["value"] for value in values]
    return f"{sum(points) / len(points):.3f} [{min(points):.3f}-{max(points):.3f}]"


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("metrics", nargs="+")
    parser.add_argument("--sets", type=lambda text: text.split(","))
    arguments = parser.parse_args()
    names = arguments.sets or sorted(p.name for p in arguments.out.iterdir() if p.is_dir())
    print("| set | method | seeds | test rows |", *(f"{m} |" for m in arguments.metrics))
    print("|---|---|---|---|" + "---|" * len(arguments.metrics))
    for name in names:
        by_method = defaultdict(list)
        for run in found(arguments.out / name):
            by_method[run["method"]].append(run)
        for method in ORDER:
            runs = by_method.get(method, [])
            if not runs or any(m not in runs[0]["values"] for m in arguments.metrics):
                continue
            cells = [cell([run["values"][m] for run in runs]) for m in arguments.metrics]
            print(f"| {name} | {method} | {len(runs)} | {runs[0]['n']:,} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
