"""Dependency maps of real loci with the built-in model: pictures, and how much stands out in them.

    python workflows/reproduce/interpretation/loci.py GENOME CHRM DIR [NAME...]

GENOME is GRCh38 (indexed FASTA), CHRM the human mitochondrion with its tRNA genes (contig chrM).
Writes DIR/NAME.png and DIR/NAME.tsv, and prints TSV, locus and

    distance_50, distance_95   bases within which half, and 95 %, of what substitutions move lies
    stands_out                 mean dependency of the pairs that biology couples over that of all
                               pairs at the same distance and strand; 1: nothing is seen
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hyenadna_cli import cli
from hyenadna_cli.core.interpretation.dependency_file import DependencyMap, read_map
from hyenadna_cli.core.interpretation.dependency_picture import reach

Pairs = list[tuple[int, int]]

LOCI = {
    "trna": ("chrM:3,230-3,304", [("chrM", 3229, 3304, "MT-TL1")]),
    "tata": ("chr18:31,591,837-31,591,916", [("chr18", 31591846, 31591853, "TATA box")]),
    "splice": ("chr17:43,123,987-43,124,056", [("chr17", 43124016, 43124115, "BRCA1 exon 2")]),
    "alu": (
        "chr17:43,057,201-43,057,900",
        [("chr17", 43057227, 43057527, "Alu"), ("chr17", 43057553, 43057853, "Alu")],
    ),
}


def both_ways(pairs: Iterable[tuple[int, int]]) -> Pairs:
    """Pairs, and the same with query and target exchanged."""
    return [pair for one, other in pairs for pair in ((one, other), (other, one))]


def coupled(name: str) -> Pairs:
    """0-based pairs in the region that biology couples."""
    if name == "trna":
        # Acceptor stem and T stem, whose halves are each other's reverse complement here.
        acceptor = [(n, 73 - n) for n in range(7)]
        return both_ways(acceptor + [(50 + n, 66 - n) for n in range(5)])
    if name == "tata":
        # The box and where transcription starts, 30 bases further on.
        return both_ways((box, start) for box in range(10, 17) for start in range(35, 46))
    if name == "splice":
        # The donor GT of a gene on the minus strand, its exon end and the intron's first bases.
        near = range(24, 33)
        return [(one, other) for one in near for other in near if abs(one - other) > 1]
    return both_ways((n, n + 326) for n in range(27, 327))


def stands_out(shown: DependencyMap, pairs: Pairs, *, by_distance: bool) -> float:
    """Mean of the pairs over the mean of others: at their distance, or near it for a diagonal."""
    values = shown.values
    own, others = [], []
    for query, target in pairs:
        own.append(values[query, target])
        distance = target - query
        if by_distance:
            others.append(np.nanmean(np.diagonal(values, distance)))
        else:
            near = [k for k in range(-15, 16) if abs(k) > 3 and 0 <= target + k < len(values)]
            others.append(np.nanmean([values[query, target + k] for k in near]))
    return float(np.nanmean(own) / np.nanmean(others))


def hyenadna(*arguments: object) -> None:
    """Run a command here."""
    try:
        cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        if end.code:
            raise


def main() -> None:
    """Map, draw, measure."""
    genome, chr_m, directory, *names = sys.argv[1:]
    print("locus\tbases\tdistance_50\tdistance_95\tstands_out")
    for name in names or LOCI:
        region, features = LOCI[name]
        bed, stored = Path(directory) / f"{name}.bed", Path(directory) / f"{name}.h5"
        bed.write_text("".join("\t".join(map(str, of)) + "\n" for of in features))
        fasta = chr_m if name == "trna" else genome
        hyenadna(
            *("mutagenize", "--fasta", fasta, "--region", region, "--dependencies", stored),
            *("--force", "-q", "--no-version"),
        )
        picture = Path(directory) / f"{name}.png"
        hyenadna("plot", "dependencies", stored, "--bed", bed, "-o", picture, "--force", "-q")
        shown = read_map(stored)
        (half, most), _ = reach(shown) or ([0, 0], 0)
        ratio = stands_out(shown, coupled(name), by_distance=name != "alu")
        print(f"{name}\t{len(shown.sequence)}\t{half}\t{most}\t{ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
