"""Accuracy of k-mer counts on the windows that `hyenadna classify-species evaluate` measures.

    python kmer_accuracy.py species.tsv --lengths 512,1k,4k -o report/ [--species human,mouse]

For each length a logistic regression on roots of the frequencies of k-mers of either strand is
fitted to random training windows of that very length; k and penalty are chosen on the validation
windows. Writes the tables that evaluate writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hyenadna_cli.commands._options import parse_bases
from hyenadna_cli.core import atomic, metrics, species_accuracy
from hyenadna_cli.core.kmer_baseline import fit_kmer_baseline
from hyenadna_cli.core.labelled import LabelledData, LabelledRows
from hyenadna_cli.core.species import SpeciesGenomes, open_genomes, read_manifest
from hyenadna_cli.core.species_windows import SpeciesWindow, TrainingWindows, fixed_windows

COVERAGE = 16
"""Training windows hold each training base so often on average, up to the limit of windows."""


def rows_of(windows: list[SpeciesWindow]) -> LabelledRows:
    """Windows as rows of a data set."""
    return LabelledRows(
        names=[str(window.genome_window.interval) for window in windows],
        sequences=[window.sequence().upper() for window in windows],
        intervals=[None] * len(windows),
        targets=np.array([window.label for window in windows]),
    )


def measure(
    genomes: SpeciesGenomes, length: int, *, test_windows: int, train_windows: int, seed: int
) -> tuple[species_accuracy.AtLength, str]:
    """The accuracy with windows of one length, and the baseline in words."""
    n_bases = sum(contig.n_bases for contigs in genomes.runs("train") for contig in contigs)
    n_rows = min(train_windows, COVERAGE * n_bases // length)
    drawn = TrainingWindows(genomes, seed=seed)
    splits = {
        "train": [drawn.draw(step=0, row=row, length=length) for row in range(n_rows)],
        "valid": list(fixed_windows(genomes, "valid", length=length, max_windows=100)),
        "test": list(fixed_windows(genomes, "test", length=length, max_windows=test_windows)),
    }
    data = LabelledData(
        task="multiclass",
        label_names=genomes.names,
        splits={split: rows_of(windows) for split, windows in splits.items()},
        sources=(),
    )
    baseline = fit_kmer_baseline(data, is_canonical=True, ks=(4, 5, 6), seed=seed)
    test = data.splits["test"]
    found = metrics.evaluate(
        "multiclass", np.asarray(test.targets), baseline.scores(test), genomes.names, seed=seed
    )
    return species_accuracy.AtLength(length, found), f"{baseline.describe()}, {n_rows:,} windows"


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
    with open_genomes(options.manifest, read_manifest(options.manifest, selected=chosen)) as found:
        for length in map(parse_bases, options.lengths.split(",")):
            result, how = measure(
                found, length, test_windows=options.test_windows,
                train_windows=options.train_windows, seed=options.seed,
            )  # fmt: skip
            print(result, "by", how, flush=True)
            results.append(result)
    with atomic.replace_dir_on_success(
        options.output, overwrite=True, marker="metrics.json"
    ) as scratch:
        species_accuracy.write_report(results, scratch)


if __name__ == "__main__":
    main()
