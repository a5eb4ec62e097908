r"""The SNVs by which a second genome differs from a first, and as many random ones, as a VCF.

    python strains_to_vcf.py first.fa second.fa > labelled.vcf

Both files hold one contig of one strain, isolate or closely related species. They are aligned by
20-mers that each has once, in order; between two such anchors that lie equally far apart in both,
bases are compared one by one, and other stretches are left out. INFO/CLASS is `differs`, or
`random`: an SNV drawn (--seed) where the two do not differ, one of the same trinucleotide change
for each that does, so that the spectrum of mutations tells nothing. INFO/BLOCK is the stretch of
--block bases that an SNV lies in, for splits that share none.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysam

from hyenadna_cli.core.dna.trinucleotides import trinucleotide_change

_K = 20
_FARTHEST = 2_000
"""Bases between two anchors that are compared."""


def contig_of(path: Path) -> tuple[str, str]:
    """Name and letters of the one contig."""
    with pysam.FastxFile(str(path)) as records:
        first, *others = list(records)
    if others:
        raise SystemExit(f"{path}: has {1 + len(others)} contigs; give one of each strain")
    return first.name, first.sequence.upper()


def anchors(first: str, second: str) -> list[tuple[int, int]]:
    """Places of 20-mers that are once in both, as many as come in the same order."""
    once = []
    for text in (first, second):
        kmers = [text[i : i + _K] for i in range(len(text) - _K + 1)]
        counts = Counter(kmers)
        once.append({kmer: i for i, kmer in enumerate(kmers) if counts[kmer] == 1})
    shared = sorted((i, once[1][kmer]) for kmer, i in once[0].items() if kmer in once[1])
    return [pair for pair in shared if abs(pair[0] - pair[1]) < len(first) // 10]


def differences(first: str, second: str) -> list[tuple[int, str]]:
    """Places (0-based) where the second has another base, and that base."""
    found: dict[int, str] = {}
    for (i, j), (next_i, next_j) in pairwise(anchors(first, second)):
        if next_i - i != next_j - j or next_i - i > _FARTHEST:
            continue
        for step in range(next_i - i):
            if first[i + step] != second[j + step]:
                found[i + step] = second[j + step]
    return sorted(found.items())


def change_at(text: str, place: int, alt: str) -> str | None:
    """The trinucleotide change of an SNV."""
    return trinucleotide_change(text[place], alt, text[:place][-1:], text[place + 1 : place + 2])


def matched(text: str, snvs: list[tuple[int, str]], seed: int) -> list[tuple[int, str]]:
    """For each SNV one of the same change elsewhere."""
    taken = {place for place, _ in snvs}
    by_change = defaultdict(list)
    for place in range(1, len(text) - 1):
        for alt in "ACGT":
            if place not in taken and alt != text[place]:
                by_change[change_at(text, place, alt)].append((place, alt))
    random = np.random.default_rng(seed)
    drawn = []
    for change, n in sorted(Counter(change_at(text, *snv) or "" for snv in snvs).items()):
        places = by_change[change]
        chosen = random.choice(len(places), min(n, len(places)), replace=False)
        drawn += [places[number] for number in chosen]
    return drawn


def main() -> None:
    """Print the VCF."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--block", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    name, text = contig_of(arguments.first)
    _, other = contig_of(arguments.second)
    snvs = [(p, alt) for p, alt in differences(text, other) if change_at(text, p, alt)]
    print("##fileformat=VCFv4.2")
    print(f"##contig=<ID={name},length={len(text)}>")
    print('##INFO=<ID=CLASS,Number=1,Type=String,Description="differs or random">')
    print('##INFO=<ID=BLOCK,Number=1,Type=String,Description="Stretch of the genome">')
    print("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", sep="\t")
    labelled = [(p, alt, "differs") for p, alt in snvs]
    labelled += [(p, alt, "random") for p, alt in matched(text, snvs, arguments.seed)]
    for place, alt, label in sorted(labelled):
        info = f"CLASS={label};BLOCK={place // arguments.block}"
        print(name, place + 1, ".", text[place], alt, ".", ".", info, sep="\t")


if __name__ == "__main__":
    main()
