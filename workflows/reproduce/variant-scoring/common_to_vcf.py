r"""Common SNVs of a dbSNP file and pathogenic ones of ClinVar as one VCF, sorted.

    python common_to_vcf.py dbsnp.vcf.gz clinvar.vcf.gz genes.gtf.gz > both.vcf

Common: one ALT and MAF of at least --maf. Pathogenic: CLASS=P/LP. Both in coding sequence or at
most --near bases from an exon's end, and of each at most --each, drawn with a seed. INFO/CLASS is
`common` or `P/LP`, INFO/BLOCK the stretch of --block bases that an SNV lies in. The two come from
different places, and position alone separates them.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import pysam

from hyenadna_cli.core.tasks.alleles.regions import Transcripts

Snv = tuple[str, int, str, str, str, str]
"""Contig, POS, ID, REF, ALT, class."""


def snvs(path: Path, label: str) -> tuple[list[str], list[tuple[Snv, dict[str, object]]]]:
    """The contigs of the header; the SNVs with one ALT, and their INFO."""
    with pysam.VariantFile(str(path)) as records:
        return [str(contig) for contig in records.header.contigs], [
            ((r.chrom, r.pos, r.id or ".", r.ref or "", r.alts[0], label), dict(r.info))
            for r in records
            if r.alts is not None and [len(r.ref or ""), *map(len, r.alts)] == [1, 1]
        ]


def main() -> None:
    """Print the VCF."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dbsnp", type=Path)
    parser.add_argument("clinvar", type=Path)
    parser.add_argument("genes", type=Path)
    parser.add_argument("--maf", type=float, default=0.01)
    parser.add_argument("--near", type=int, default=1_000)
    parser.add_argument("--each", type=int, default=800)
    parser.add_argument("--block", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    genes = Transcripts(arguments.genes)

    def is_near(snv: Snv) -> bool:
        place = snv[0], snv[1] - 1
        return genes.region(*place) == "coding" or genes.to_edge(*place) <= arguments.near

    _, known = snvs(arguments.dbsnp, "common")
    common = [snv for snv, info in known if info.get("MAF", 0) >= arguments.maf]
    contigs, judged = snvs(arguments.clinvar, "P/LP")
    harmful = [snv for snv, info in judged if info.get("CLASS") == "P/LP"]
    chooser = random.Random(arguments.seed)  # noqa: S311  not a secret
    drawn = []
    for of_class in (common, harmful):
        near = list(filter(is_near, of_class))
        drawn += chooser.sample(near, min(arguments.each, len(near)))
    print("##fileformat=VCFv4.2")
    for contig in contigs:
        print(f"##contig=<ID={contig}>")
    print('##INFO=<ID=CLASS,Number=1,Type=String,Description="common or P/LP">')
    print('##INFO=<ID=BLOCK,Number=1,Type=String,Description="Stretch of the genome">')
    print("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", sep="\t")
    for snv in sorted(drawn, key=lambda snv: (contigs.index(snv[0]), snv[1:])):
        contig, pos, name, ref, alt, label = snv
        info = f"CLASS={label};BLOCK={contig}:{(pos - 1) // arguments.block}"
        print(contig, pos, name, ref, alt, ".", ".", info, sep="\t")


if __name__ == "__main__":
    main()
