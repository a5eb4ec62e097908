"""What measure.sh found, as Markdown, a column per model: python measured.py OUT NAME...

Brackets hold 95 % bootstrap intervals: of nats per base over regions, where there are more than
eight; of AUROC over test rows or alleles, as the commands that computed it give them.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hyenadna_cli.core.tasks.metrics.bootstrap import resampler

LOSSES = ("eight_regions", "held_out", *(f"context_{n}" for n in (1024, 4096, 16384, 32768)))


def rows(path: Path) -> list[dict[str, str]]:
    """A TSV with comment lines."""
    with path.open(newline="") as lines:
        wanted = (line for line in lines if not line.startswith("##"))
        return list(csv.DictReader(wanted, delimiter="\t"))


def nats_per_base(path: Path) -> str:
    """Of a table of `hyenadna perplexity`, all bases alike."""
    table = rows(path)
    sums_U2 = np.array([(-float(row["log_likelihood"]), float(row["n_bases"])) for row in table])
    total = sums_U2.sum(axis=0)
    mean = f"{total[0] / total[1]:.4f}"
    if len(table) <= 8:
        return mean
    drawn = resampler(len(table), n_replicates=1_000, seed=0)
    replicates = drawn.replicates(drawn.sum_rows(sums_U2))
    low, high = np.quantile(replicates[:, 0] / replicates[:, 1], (0.025, 0.975))
    return f"{mean} ({low:.4f}-{high:.4f})"


def figures(directory: Path) -> Iterator[tuple[str, str]]:
    """What was measured of one model: (what, value)."""
    for name in LOSSES:
        if (path := directory / f"{name}.tsv").exists():
            yield f"{name}, nats per base", nats_per_base(path)
    for path in sorted(directory.glob("probes/*/metrics.json")):
        for method in (path, path.parent / "kmer" / "metrics.json"):
            run = json.loads(method.read_text())
            auroc = run["values"]["auroc"]
            yield (
                f"{path.parent.name}, {run['method']}, AUROC",
                f"{auroc['value']:.3f} ({auroc['low']:.3f}-{auroc['high']:.3f})",
            )
    for name in ("brca1", "clinvar"):
        if (path := directory / f"{name}.auroc.tsv").exists():
            for row in rows(path):
                if row["region"] == "all":
                    interval = f"({float(row['auroc_low']):.3f}-{float(row['auroc_high']):.3f})"
                    yield f"{name}, {row['score']}, AUROC", f"{float(row['auroc']):.3f} {interval}"


def main(out: str, *names: str) -> None:
    """Print one table; a figure that a model lacks is an empty cell."""
    measured = {name: dict(figures(Path(out) / name)) for name in names}
    print("| |", *(f"{name} |" for name in names))
    print("|---|" + "---|" * len(names))
    for what in dict.fromkeys(key for found in measured.values() for key in found):
        print(f"| {what} |", *(f"{found.get(what, '')} |" for found in measured.values()))


if __name__ == "__main__":
    main(*sys.argv[1:])
