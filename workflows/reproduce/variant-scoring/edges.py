r"""Scores near contig ends and assembly gaps, with a window that fits and with one that does not.

    python edges.py --fasta hg38.fa chrM.fa virus.fa > edges.tsv

One row per indel: at every start and end of real sequence, on the contigs that have most of it,
insertions and deletions of 1, 9 and 50 bases that stand 300 bases away from it. `fits` is HD_LLR in
a window of 600 bases, which ends at the edge, `reaches` in one of 1,024, which the edge cuts. They
differ by what further context tells the model, and by the bases at the far end of the window, as
many as the indel has, that REF and ALT do not share. Version 0.1.0 counted unequal numbers of bases
there, 1.4 nats for each base of the indel. On stderr: the largest difference for each length, and
how 20 SNVs in the first 500 bases of contigs correlate between a window that fits and one that
reaches 500 bases beyond the start.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator

import numpy as np

import hyenadna_cli as hd
from hyenadna_cli.core.variants.stretches import Stretches

DISTANCE = 300
LENGTHS = (1, 9, 50)
FITS, REACHES = 600, 1_024
COLUMNS = ("contig", "edge", "pos", "kind", "length", "fits", "reaches", "difference")


def edges(genome: hd.Genome, n_contigs: int) -> Iterator[tuple[str, str, int]]:
    """(contig, start or end, 0-based position of a base at DISTANCE) of the longest stretches."""
    stretches = Stretches(genome)
    found = [
        stretch
        for contig, length in genome.lengths.items()
        for stretch in stretches.within(contig, start=0, end=length)
        if stretch.length > 2 * REACHES
    ]
    for stretch in sorted(found, key=lambda s: -s.length)[:n_contigs]:
        yield stretch.contig, "start", stretch.start + DISTANCE
        yield stretch.contig, "end", stretch.end - DISTANCE - max(LENGTHS)


def indels(genome: hd.Genome, contig: str, start: int) -> Iterator[tuple[str, int, hd.Variant]]:
    """An insertion and a deletion of each length, with their anchor."""
    draw = random.Random(f"{contig}:{start}")  # noqa: S311
    anchor = genome.fetch(hd.Interval(contig, start, start + 1)).upper()
    for length in LENGTHS:
        inserted = anchor + "".join(draw.choice("ACGT") for _ in range(length))
        deleted = genome.fetch(hd.Interval(contig, start, start + 1 + length)).upper()
        yield "insertion", length, hd.Variant(contig, start, anchor, (inserted,))
        yield "deletion", length, hd.Variant(contig, start, deleted, (anchor,))


def snvs_near_the_start(genome: hd.Genome, contig: str) -> list[hd.Variant]:
    """20 SNVs of the first 500 bases, if real sequence begins with the contig."""
    variants = []
    for start in range(100, 500, 20):
        ref = genome.fetch(hd.Interval(contig, start, start + 1)).upper()
        if ref in "ACGT":
            variants.append(hd.Variant(contig, start, ref, ("ACGT"["CGTA".index(ref)],)))
    return variants


def llr(model, variants: list[hd.Variant], genome: hd.Genome, window: int) -> np.ndarray:
    """HD_LLR of each."""
    scored = hd.score_variants(model, variants, genome, scores=("llr",), window=window)
    return np.array([alleles[0].values["llr"] for alleles in scored])


def main() -> None:
    """Write the table of the command line's genomes."""
    parser = argparse.ArgumentParser(description="Scores near the edges of real sequence.")
    parser.add_argument("--fasta", nargs="+", required=True)
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--contigs", type=int, default=3, help="stretches of each genome")
    options = parser.parse_args()
    model = hd.load_model(options.model)
    print("\t".join(COLUMNS))
    worst = dict.fromkeys(LENGTHS, 0.0)
    for path in options.fasta:
        with hd.Genome(path) as genome:
            for contig, edge, start in edges(genome, options.contigs):
                kinds, lengths, variants = zip(*indels(genome, contig, start), strict=True)
                fits, reaches = (llr(model, list(variants), genome, w) for w in (FITS, REACHES))
                for row in zip(kinds, lengths, fits, reaches, strict=True):
                    kind, length, near, far = row
                    worst[length] = max(worst[length], abs(far - near))
                    cells = (contig, edge, start + 1, kind, length)
                    print(*cells, f"{near:.4f}", f"{far:.4f}", f"{far - near:.4f}", sep="\t")
            for contig in list(genome.lengths)[: options.contigs]:
                if len(variants := snvs_near_the_start(genome, contig)) > 2:
                    pairs = [
                        (
                            llr(model, [v], genome, 2 * v.start),
                            llr(model, [v], genome, 1_000 + 2 * v.start),
                        )
                        for v in variants
                    ]
                    r = np.corrcoef(np.concatenate(pairs, axis=1))[0, 1]
                    print(
                        f"{contig}: {len(variants)} SNVs near its start: r = {r:.4f}",
                        file=sys.stderr,
                    )
    for length, difference in worst.items():
        print(f"indels of {length}: at most {difference:.3f} nats apart", file=sys.stderr)


if __name__ == "__main__":
    main()
