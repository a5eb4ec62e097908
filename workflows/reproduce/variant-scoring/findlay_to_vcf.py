r"""The table of Findlay et al. 2018 (saturation genome editing of BRCA1) as a sorted VCF.

    python findlay_to_vcf.py findlay2018_brca1_sge.tsv > sge.vcf

INFO/CLASS is the function class (LOF, INT, FUNC), INFO/FS the mean function score, INFO/CSQ the
consequence with its spaces as underscores, INFO/EXON the exon whose library the variant was in.
Positions are GRCh37, contigs have the prefix chr.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

HEADER = """##fileformat=VCFv4.2
##INFO=<ID=CLASS,Number=1,Type=String,Description="Function class: LOF, INT or FUNC">
##INFO=<ID=FS,Number=1,Type=Float,Description="Mean function score">
##INFO=<ID=CSQ,Number=1,Type=String,Description="Consequence">
##INFO=<ID=EXON,Number=1,Type=String,Description="Exon of the experiment">
##contig=<ID=chr17,length=81195210>
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO"""


def main() -> None:
    """Print the VCF."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("table", type=Path)
    with parser.parse_args().table.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    print(HEADER)
    for row in sorted(rows, key=lambda row: (int(row["position (hg19)"]), row["alt"])):
        info = (
            f"CLASS={row['func.class']};FS={float(row['function.score.mean']):.6g};"
            f"CSQ={row['consequence'].replace(' ', '_')};EXON={row['experiment']}"
        )
        print(
            f"chr{row['chromosome']}",
            row["position (hg19)"],
            ".",
            row["reference"],
            row["alt"],
            ".",
            ".",
            info,
            sep="\t",
        )


if __name__ == "__main__":
    main()
