r"""Whether HD_PCT of a fresh random sample is uniform, within each trinucleotide change.

    python trinucleotides_to_bed.py yeast.fa ACG,TTA --without chrM > sites.bed
    options="--fasta yeast.fa --window 64"
    hyenadna background $options --bed sites.bed --per-change 2000 -o random.h5
    python random_snvs_to_vcf.py yeast.fa --bed sites.bed --per-change 2100 --without random.h5 \
        > fresh.vcf
    hyenadna score-variants fresh.vcf $options --background random.h5 -o ranked.vcf
    python percentiles.py random.h5 ranked.vcf > percentiles.tsv

and without --bed and trinucleotides_to_bed.py of all changes.

Prints a line for each change: SNVs of the background and of the fresh sample, the largest deviation
of HD_PCT from uniform, and the p-value of the Kolmogorov-Smirnov test, in its form for two samples,
as the background is one too. `all`: of all percentiles together, held against those of simulated
samples of the same sizes. `p-values`: whether those of the changes are uniform themselves.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import pysam
from numpy.typing import NDArray
from scipy import stats

from hyenadna_cli.core.variants.background import Background

_SIMULATIONS = 500


def ranked(path: Path) -> dict[str, NDArray[np.float64]]:
    """HD_PCT / 100 by the change."""
    found = defaultdict(list)
    with pysam.VariantFile(str(path)) as records:
        for record in records:
            if "HD_PCT" in record.info:
                found[record.info["CHANGE"]].append(record.info["HD_PCT"][0] / 100)
    return {change: np.array(of_change) for change, of_change in sorted(found.items())}


def deviation(shares: NDArray[np.float64]) -> float:
    """The largest deviation from uniform."""
    return float(stats.kstest(shares, "uniform").statistic)


def simulated(sizes: list[tuple[int, int]], random: np.random.Generator) -> float:
    """The deviation of samples that are uniform, each ranked in its own background."""
    ranks = [
        np.searchsorted(np.sort(random.random(n_known)), random.random(n_fresh)) / n_known
        for n_known, n_fresh in sizes
    ]
    return deviation(np.concatenate(ranks))


def main() -> None:
    """Print the tests."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("background", type=Path)
    parser.add_argument("ranked", type=Path)
    parser.add_argument("--score", choices=("llr", "site"), default="llr")
    arguments = parser.parse_args()
    by_change = Background(arguments.background).by_change(arguments.score)
    fresh = ranked(arguments.ranked)
    print("change", "background", "fresh", "deviation", "p", sep="\t")
    sizes, p_values = [], []
    for change, shares in fresh.items():
        sizes.append((len(by_change[change]), shares.size))
        n_effective = np.prod(sizes[-1], dtype=float) / np.sum(sizes[-1])
        largest = deviation(shares)
        p_values.append(float(stats.kstwobign.sf(largest * np.sqrt(n_effective))))
        print(change, *sizes[-1], f"{largest:.4f}", f"{p_values[-1]:.4f}", sep="\t")
    largest = deviation(np.concatenate(list(fresh.values())))
    random = np.random.default_rng(0)
    more = np.mean([simulated(sizes, random) >= largest for _ in range(_SIMULATIONS)])
    n_known, n_fresh = np.sum(sizes, axis=0)
    print("all", n_known, n_fresh, f"{largest:.4f}", f"{more:.4f}", sep="\t")
    of_p = stats.kstest(p_values, "uniform")
    print("p-values", ".", len(p_values), f"{of_p.statistic:.4f}", f"{of_p.pvalue:.4f}", sep="\t")


if __name__ == "__main__":
    main()
