r"""The middle bases of some trinucleotides of a genome, on either strand, as a BED.

    python trinucleotides_to_bed.py yeast.fa ACG,TTA --without chrM > sites.bed

Of such sites `hyenadna background --bed` draws many SNVs of few changes.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pysam

from hyenadna_cli.core.dna.sequence import reverse_complement


def main() -> None:
    """Print the BED."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("trinucleotides", help="by commas")
    parser.add_argument("--without", default="", help="contigs by commas")
    arguments = parser.parse_args()
    wanted = arguments.trinucleotides.split(",")
    either = "|".join([*wanted, *map(reverse_complement, wanted)])
    with pysam.FastaFile(str(arguments.genome)) as genome:
        for contig in genome.references:
            if contig in arguments.without.split(","):
                continue
            # They may overlap, so that only a look ahead finds all.
            for found in re.finditer(f"(?={either})", genome.fetch(contig).upper()):
                print(contig, found.start() + 1, found.start() + 2, sep="\t")


if __name__ == "__main__":
    main()
