"""Windows in genes with their biotype, as regions for `embed --bed`.

    python gene_windows.py genome.fa genes.gtf.gz more.gff3.gz > windows.bed

Up to 8 windows of 1,000 bases of each gene, evenly spread, in its reading direction; a shorter gene
is one window, below 50 bases none. `gene_type` is the biotype in the groups of GENCODE: lncRNA are
lincRNA, antisense, sense intronic and their like, and all pseudogenes are one. Genes that overlap,
on either strand, are one `locus`: what is kept in one split, so that no base stands in two.

A contig of the FASTA may be part of a chromosome, as its name says: `chr21:24985581-26023859`.
Genes that do not lie wholly in it are left out, and counted on stderr.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.streams import Input

WINDOW = 1_000
MOST_OF_A_GENE = 8
LEAST_BASES = 50
_PART = re.compile(r"(?P<name>.+):(?P<first>\d+)-\d+")
_GENE_ID = re.compile(r'gene_id[ =]"?([^";]+)')
_BIOTYPE = re.compile(r'(?:gene_type|gene_biotype|biotype)[ =]"?([^";]+)')
_LNC_RNA = {
    "3prime_overlapping_ncRNA",
    "antisense",
    "antisense_RNA",
    "bidirectional_promoter_lncRNA",
    "lincRNA",
    "processed_transcript",
    "sense_intronic",
    "sense_overlapping",
}


class Gene(NamedTuple):
    """A gene on a contig of the FASTA, 0-based half-open."""

    contig: str
    start: int
    end: int
    strand: str
    name: str
    kind: str


def kind_of(biotype: str) -> str:
    """The group of a biotype."""
    if biotype.endswith("pseudogene"):
        return "pseudogene"
    return "lncRNA" if biotype in _LNC_RNA else biotype


def read(path: str, parts: dict[str, tuple[str, int, int]]) -> Iterator[Gene | None]:
    """The genes of a GTF or GFF3; None for one that is not in `parts`: contig, first base, end."""
    with Input(path).open_text() as lines:
        for line in lines:
            columns = line.rstrip("\n").split("\t")
            if len(columns) < 9:
                continue
            is_gene = columns[2] == "gene" or columns[8].startswith("ID=gene:")
            name, biotype = _GENE_ID.search(columns[8]), _BIOTYPE.search(columns[8])
            if not (is_gene and name and biotype):
                continue
            contig, offset, length = parts.get(columns[0].removeprefix("chr"), ("", 0, 0))
            start, end = int(columns[3]) - 1 - offset, int(columns[4]) - offset
            if start < 0 or end > length:
                yield None
            else:
                yield Gene(contig, start, end, columns[6], name[1], kind_of(biotype[1]))


def loci(genes: list[Gene]) -> dict[Gene, int]:
    """Which genes overlap each other, by a number for each cluster."""
    found: dict[Gene, int] = {}
    number, last_contig, last_end = 0, "", 0
    for gene in sorted(genes):
        if gene.contig != last_contig or gene.start >= last_end:
            number, last_contig, last_end = number + 1, gene.contig, gene.end
        last_end = max(last_end, gene.end)
        found[gene] = number
    return found


def windows(gene: Gene) -> list[tuple[int, int]]:
    """Places in a gene, in rising order."""
    length = gene.end - gene.start
    if length < LEAST_BASES:
        return []
    if length <= WINDOW:
        return [(gene.start, gene.end)]
    n = min(MOST_OF_A_GENE, length // WINDOW)
    step = (length - WINDOW) / max(1, n - 1)
    starts = [gene.start + round(number * step) for number in range(n)]
    return [(start, start + WINDOW) for start in starts]


def main(fasta: str, *annotations: str) -> None:
    """Print the regions."""
    parts: dict[str, tuple[str, int, int]] = {}
    with Genome(fasta) as genome:
        for contig, length in genome.lengths.items():
            part = _PART.fullmatch(contig)
            name, offset = (part["name"], int(part["first"]) - 1) if part else (contig, 0)
            parts[name.removeprefix("chr")] = (contig, offset, length)
    read_genes = [gene for path in annotations for gene in read(path, parts)]
    genes = [gene for gene in read_genes if gene is not None]
    print(f"{len(read_genes) - len(genes):,} genes are not in {fasta}", file=sys.stderr)
    print("#chrom", "start", "end", "name", "score", "strand", "gene_type", "locus", sep="\t")
    of_kind: dict[str, int] = defaultdict(int)
    for gene, locus in loci(genes).items():
        of_kind[gene.kind] += 1
        for start, end in windows(gene):
            row = (gene.contig, start, end, gene.name, 0, gene.strand, gene.kind, f"locus{locus}")
            print(*row, sep="\t")
    counts = ", ".join(f"{n} {kind}" for kind, n in sorted(of_kind.items()))
    print(f"{len(genes)} genes in {len(set(loci(genes).values()))} loci: {counts}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
