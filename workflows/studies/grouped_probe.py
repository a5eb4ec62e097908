"""A linear probe of labels where rows belong together: each group is in one split only.

    python grouped_probe.py builtin=a.h5ad kmers=b.h5ad --label gene_type --group locus -o out.tsv

Five folds of whole groups; every row is predicted once, by a logistic regression of the usual
strength that has seen no row of its group. One row per file and metric (weighted F1, macro F1,
MCC), with 95 % intervals from resampled groups: with few groups they are wide, and should be. The
last method says the most frequent label of its training rows. Labels in fewer than --min-groups
groups are left out.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from hyenadna_cli.core.io.embeddings_reading import read_embeddings
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.tasks.finetuning.probing import fit_probe
from hyenadna_cli.core.tasks.metrics.evaluation import evaluate

COLUMNS = ("vectors", "metric", "n", "n_groups", "value", "low", "high")
METRICS = ("f1_weighted", "f1_macro", "mcc")
MOST_FREQUENT = "most frequent label"
_N_FOLDS = 5


def kept(labels: NDArray[np.str_], groups: NDArray[np.str_], least: int) -> NDArray[np.int64]:
    """Rows whose label is in enough groups, and not missing."""
    names = [name for name in np.unique(labels) if name not in ("", ".")]
    often = [name for name in names if len(np.unique(groups[labels == name])) >= least]
    rare = [name for name in names if name not in often]
    if rare:
        print(f"in fewer than {least} groups: {', '.join(rare)}", file=sys.stderr)
    if len(often) < 2:
        sys.exit(f"{len(often)} labels are in {least} groups or more; needs two")
    return np.flatnonzero(np.isin(labels, often))


def folds(
    targets: NDArray[np.int64], groups: NDArray[np.str_], seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Training and test rows of each fold."""
    splitter = StratifiedGroupKFold(n_splits=_N_FOLDS, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A label with fewer rows than folds is absent from some test rows.
        warnings.simplefilter("ignore", UserWarning)
        return list(splitter.split(targets, targets, groups))


def scores(
    features_ND: NDArray[np.floating] | None, targets: NDArray[np.int64], groups: NDArray[np.str_]
) -> NDArray[np.float64]:
    """Probabilities (N, C) of every row by a probe that has not seen its group."""
    n_classes = int(targets.max()) + 1
    found = np.zeros((len(targets), n_classes))
    for train, test in folds(targets, groups, seed=0):
        if features_ND is None:
            found[test, np.bincount(targets[train], minlength=n_classes).argmax()] = 1.0
            continue
        probe = fit_probe(
            "multiclass", features_ND[train], targets[train], n_outputs=n_classes, judge=None
        )
        found[test] = probe.predictions("multiclass", features_ND[test])
    return found


def rows_of(given: argparse.Namespace) -> Iterator[tuple[str | int, ...]]:
    """The rows of the table."""
    files = dict(text.rsplit("=", 1) for text in given.files)
    for name, path in {**files, MOST_FREQUENT: next(iter(files.values()))}.items():
        file = read_embeddings(Path(path))
        labels, groups = (np.array(file.obs[key], dtype=str) for key in (given.label, given.group))
        rows = kept(labels, groups, given.min_groups)
        names, targets = np.unique(labels[rows], return_inverse=True)
        features_ND = None if name == MOST_FREQUENT else file.X[rows]
        answers = scores(features_ND, targets, groups[rows])
        _, units = np.unique(groups[rows], return_inverse=True)
        found = evaluate("multiclass", targets, answers, list(names), groups=units)
        for metric in METRICS:
            value = found.values[metric]
            numbers = (f"{number:.4f}" for number in (value.value, value.low, value.high))
            yield (name, metric, len(rows), int(units.max()) + 1, *numbers)


def main() -> None:
    """Read, learn, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="NAME=EMBEDDINGS")
    parser.add_argument("--label", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--min-groups", type=int, default=_N_FOLDS)
    parser.add_argument("-o", "--output", required=True)
    given = parser.parse_args()
    with TsvWriter(given.output, columns=COLUMNS, overwrite=True) as table:
        for row in rows_of(given):
            table.write_row(row)


if __name__ == "__main__":
    main()
