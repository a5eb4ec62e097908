r"""Random SNVs of a genome as a VCF, as many of each trinucleotide change, none of a background.

    python random_snvs_to_vcf.py genome.fa --per-change 21 --seed 1 --without random.h5 > fresh.vcf

INFO/CHANGE is the change. With --bed they lie in its regions. What is left out because it is in the
background of --without is not replaced.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hyenadna_cli.core.io.background_h5 import read_background
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.variants.random_snvs import random_snvs, sampled_regions


def main() -> None:
    """Print the VCF."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("--bed")
    parser.add_argument("--per-change", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", type=Path, required=True)
    arguments = parser.parse_args()
    columns = read_background(arguments.without).columns
    known = set(zip(*(columns[name] for name in ("chrom", "pos", "alt")), strict=True))
    with Genome(arguments.genome) as genome:
        regions = sampled_regions(RegionFile(bed=arguments.bed), genome.lengths)
        snvs = random_snvs(genome, regions, per_change=arguments.per_change, seed=arguments.seed)
        print("##fileformat=VCFv4.2")
        for contig, length in genome.lengths.items():
            print(f"##contig=<ID={contig},length={length}>")
    print('##INFO=<ID=CHANGE,Number=1,Type=String,Description="Trinucleotide change">')
    print("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", sep="\t")
    for variant, change in snvs:
        place = variant.contig, variant.start + 1
        if (*place, variant.alts[0]) not in known:
            print(*place, ".", variant.ref, variant.alts[0], ".", ".", f"CHANGE={change}", sep="\t")


if __name__ == "__main__":
    main()
