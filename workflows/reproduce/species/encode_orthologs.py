"""ENCODE orthologous regions (two loci in 21 vertebrates) to genomes and a species manifest.

    python encode_orthologs.py species-encode-orthologs/ out/      # out/SPECIES.fa, out/species.tsv

Training and validation windows come from ENm001 (CFTR and MET), test windows from ENm002 (5q31):
different chromosomes in every species. The last 15 % of ENm001 validate.

Some species are finished sequence, others drafts with hundreds of gaps. How a centre writes gaps
tells the assembly, not the species, and few drafts have 32,000 bases between two gaps; so runs of
N are left out and the pieces around them joined, for all species alike.
"""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

import pysam

LEFT_OUT = ("hedgehog", "rfbat", "fugu")
"""The first two have no ENm002; fugu's regions are the smallest by far."""
VALID_SHARE = 0.15
_LONG_N = re.compile("[^ACGT]{11,}")
_COLUMNS = "species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs"


def joined(path: Path) -> str:
    """All records of a FASTA without their runs of more than 10 N, end to end, upper case."""
    with gzip.open(path, "rt") as text:
        records = text.read().split(">")[1:]
    sequences = ("".join(record.splitlines()[1:]).upper() for record in records)
    return "".join(_LONG_N.sub("", sequence) for sequence in sequences)


def write_genome(path: Path, contigs: dict[str, str]) -> None:
    """An indexed FASTA of 60 bases per line."""
    with path.open("w") as out:
        for name, sequence in contigs.items():
            lines = (sequence[start : start + 60] for start in range(0, len(sequence), 60))
            out.write(f">{name}\n" + "\n".join(lines) + "\n")
    pysam.faidx(str(path))


def main(source: Path, target: Path) -> None:
    """Write the genomes, their indexes and the manifest into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    rows = [_COLUMNS]
    for path in sorted((source / "ENm002").glob("*.fa.gz")):
        species = path.name.partition(".")[0]
        if species in LEFT_OUT:
            continue
        first = joined(source / "ENm001" / f"{species}.ENm001.fa.gz")
        cut = round((1 - VALID_SHARE) * len(first))
        contigs = {"ENm001.train": first[:cut], "ENm001.valid": first[cut:], "ENm002": joined(path)}
        write_genome(target / f"{species}.fa", contigs)
        rows.append(f"{species}\t{species}.fa\t" + "\t".join(contigs))
        print(f"{species:12s}" + "".join(f"{len(s):12,d}" for s in contigs.values()))
    (target / "species.tsv").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
