r"""Whether percentiles of a fresh random sample are uniform, within each trinucleotide change.

    options="--fasta yeast.fa --window 128 --scores site"
    hyenadna background $options --per-change 50 -o random.h5
    hyenadna background $options --per-change 21 --seed 1 -o fresh.h5
    python percentiles.py random.h5 fresh.h5 --score site

Prints the Kolmogorov-Smirnov test of the two samples of each change: how many p-values are below
0.05, the least, and whether they are uniform themselves. The background is a sample too, so that
the largest deviation of all percentiles from uniform is held against those of simulated samples
of the same sizes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from hyenadna_cli.core.dna.trinucleotides import CHANGES
from hyenadna_cli.core.io.background_h5 import read_background
from hyenadna_cli.core.variants.background import Background, percentile

_SIMULATIONS = 500


def deviation(
    known: list[NDArray[np.float64]], fresh: list[NDArray[np.float64]]
) -> tuple[float, int]:
    """The largest deviation from uniform of all percentiles, and how many there are."""
    found = [percentile(k, x) / 100 for k, f in zip(known, fresh, strict=True) for x in f]
    return float(stats.kstest(found, "uniform").statistic), len(found)


def main() -> None:
    """Print the tests."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("background", type=Path)
    parser.add_argument("fresh", type=Path)
    parser.add_argument("--score", choices=("llr", "site"), default="llr")
    arguments = parser.parse_args()
    by_change = Background(arguments.background).by_change(arguments.score)
    file = read_background(arguments.fresh)
    scores, changes = file.scores[arguments.score], file.columns["change"]
    used = [c for c in CHANGES if len(by_change[c]) and np.isfinite(scores[changes == c]).any()]
    known = [by_change[change] for change in used]
    fresh = [scores[(changes == change) & np.isfinite(scores)] for change in used]
    p_values = [stats.ks_2samp(k, f).pvalue for k, f in zip(known, fresh, strict=True)]
    largest, n = deviation(known, fresh)
    random = np.random.default_rng(0)
    simulated = [
        deviation(
            [np.sort(random.random(k.size)) for k in known], [random.random(f.size) for f in fresh]
        )[0]
        for _ in range(_SIMULATIONS)
    ]
    print("fresh", "changes", "p_below_0.05", "least_p", "p_of_p", "largest", "more", sep="\t")
    below = sum(p < 0.05 for p in p_values)
    of_p = stats.kstest(p_values, "uniform").pvalue
    more = np.mean(np.array(simulated) >= largest)
    cells = (f"{min(p_values):.4f}", f"{of_p:.2f}", f"{largest:.3f}", f"{more:.3f}")
    print(n, len(used), below, *cells, sep="\t")


if __name__ == "__main__":
    main()
