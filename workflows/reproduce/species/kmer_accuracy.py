"""Accuracy of k-mer counts on the windows that `hyenadna classify-species evaluate` measures.

    python kmer_accuracy.py species.tsv --lengths 512,1k,4k -o report/ [--species human,mouse]

For each length a logistic regression on standardised frequencies of k-mers of either strand is
fitted to random, overlapping training windows of that very length; k and penalty are chosen on the
validation windows. Writes the tables that evaluate writes. (`kmer_baseline` does not
standardise: better on short sequences, but 10 percentage points worse on these long windows.)
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from hyenadna_cli.core.config.texts import parse_bases
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.tasks.labelled.kmers import canonical_columns, kmers_of
from hyenadna_cli.core.tasks.metrics import evaluation
from hyenadna_cli.core.tasks.species import accuracy as species_accuracy
from hyenadna_cli.core.tasks.species.manifest import SpeciesGenomes, open_genomes
from hyenadna_cli.core.tasks.species.settings import SpeciesFiles
from hyenadna_cli.core.tasks.species.windows import SpeciesWindow, TrainingWindows, fixed_windows

COVERAGE = 16
"""Training windows hold each training base so often on average, up to the limit of windows."""


KS = (5, 6)
STRENGTHS = (1e-3, 1e-2, 1e-1)
"""Inverse penalties."""


def features_of(windows: list[SpeciesWindow], k: int) -> NDArray[np.float32]:
    """Frequencies of k-mers of either strand (N, P)."""
    columns = canonical_columns(k)
    n_columns = int(columns.max()) + 1
    rows_NP = np.zeros((len(windows), n_columns), np.float32)
    for row_P, window in zip(rows_NP, windows, strict=True):
        found = kmers_of([window.sequence().upper()], k, is_canonical=False).values_K
        counts = np.bincount(columns[found.astype(np.int64)], minlength=n_columns)
        row_P[:] = counts / max(1, counts.sum())
    return rows_NP


def fit(train: list[SpeciesWindow], valid: list[SpeciesWindow]) -> tuple[Pipeline, int, float]:
    """The model, k and inverse penalty of the smallest loss on the validation windows."""
    best: tuple[float, Pipeline, int, float] | None = None
    train_labels, valid_labels = ([w.label for w in windows] for windows in (train, valid))
    for k in KS:
        train_NP, valid_NP = features_of(train, k), features_of(valid, k)
        for strength in STRENGTHS:
            model = make_pipeline(
                StandardScaler(), LogisticRegression(C=strength, max_iter=100, tol=1e-3)
            ).fit(train_NP, train_labels)
            loss = log_loss(valid_labels, model.predict_proba(valid_NP), labels=model.classes_)
            if best is None or loss < best[0]:
                best = (loss, model, k, strength)
    assert best is not None
    return best[1:]


def measure(
    genomes: SpeciesGenomes, length: int, *, test_windows: int, train_windows: int, seed: int
) -> tuple[species_accuracy.AtLength, str]:
    """The accuracy with windows of one length, and the baseline in words."""
    n_bases = sum(contig.n_bases for contigs in genomes.runs("train") for contig in contigs)
    n_rows = min(train_windows, COVERAGE * n_bases // length)
    drawn = TrainingWindows(genomes, seed=seed)
    train = [drawn.draw(step=0, row=row, length=length) for row in range(n_rows)]
    valid = list(fixed_windows(genomes, "valid", length=length, max_windows=50))
    test = list(fixed_windows(genomes, "test", length=length, max_windows=test_windows))
    model, k, strength = fit(train, valid)
    probs_NC = model.predict_proba(features_of(test, k))
    labels = np.array([window.label for window in test])
    found = evaluation.evaluate("multiclass", labels, probs_NC, genomes.names, seed=seed)
    how = f"{k}-mers of {n_rows:,} training windows, C {strength:g}"
    return species_accuracy.AtLength(length, found), how


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--lengths", required=True)
    parser.add_argument("--species", default="")
    parser.add_argument("--test-windows", type=int, default=100)
    parser.add_argument("--train-windows", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    chosen = tuple(filter(None, options.species.split(",")))
    results = []
    with open_genomes(SpeciesFiles(manifest=options.manifest, species=chosen)) as found:
        for length in map(parse_bases, options.lengths.split(",")):
            result, how = measure(
                found,
                length,
                test_windows=options.test_windows,
                train_windows=options.train_windows,
                seed=options.seed,
            )
            print(result, "by", how, flush=True)
            results.append(result)
    with atomic.replace_dir_on_success(
        options.output, overwrite=True, marker="metrics.json"
    ) as scratch:
        species_accuracy.write_report(results, scratch)


if __name__ == "__main__":
    main()
