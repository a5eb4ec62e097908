"""Difference in AUROC of two runs on the same test rows, with a 95 % paired bootstrap interval.

python paired.py OUT/SET OUT/SET/scratch
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

_N_REPLICATES = 1_000


def read(run: Path) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each row is of the second class, and its predicted probability."""
    with (run / "predictions.tsv").open(newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    column = [name for name in rows[0] if name.startswith("p_")][1]
    is_second = np.array([row["target"] == column.removeprefix("p_") for row in rows])
    return is_second, np.array([float(row[column]) for row in rows])


def main() -> None:
    """Print the difference, its interval, and the number of rows."""
    (truth, first), (same, second) = (read(Path(argument)) for argument in sys.argv[1:3])
    if not np.array_equal(truth, same):
        raise SystemExit("the runs were judged on different rows")
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(_N_REPLICATES):
        rows = random.integers(0, len(truth), len(truth))
        if truth[rows].any() and not truth[rows].all():
            drawn.append(
                roc_auc_score(truth[rows], first[rows]) - roc_auc_score(truth[rows], second[rows])
            )
    difference = roc_auc_score(truth, first) - roc_auc_score(truth, second)
    low, high = np.quantile(drawn, [0.025, 0.975])
    print(f"{difference:.3f} ({low:.3f}-{high:.3f}), {len(truth):,} rows")


if __name__ == "__main__":
    main()
