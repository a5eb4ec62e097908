"""Write the files of this directory anew: `python make_test_data.py [DIRECTORY]`.

Everything is synthetic and the same on every machine: the one source of chance is `_SEED`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pysam
from Bio.Seq import reverse_complement

_SEED = 20
_LINE_BASES = 60

# P(next base | base), columns A C G T: CpG is as rare as in vertebrates ("bulk") or is not
# ("island"). Invented, in the range of vertebrate genomes.
_BULK = {
    "A": (0.33, 0.17, 0.25, 0.25),
    "C": (0.35, 0.26, 0.05, 0.34),
    "G": (0.29, 0.21, 0.26, 0.24),
    "T": (0.22, 0.20, 0.25, 0.33),
}
_ISLAND = {
    "A": (0.18, 0.28, 0.40, 0.14),
    "C": (0.18, 0.36, 0.27, 0.19),
    "G": (0.16, 0.34, 0.37, 0.13),
    "T": (0.09, 0.35, 0.37, 0.19),
}

# name: length (bp), CpG islands, N runs (0-based half-open), IUPAC codes (0-based position: code)
_CONTIGS = {
    "chr1": (30_000, [(4_000, 5_200), (21_500, 22_300)], [(0, 400), (14_000, 15_000)], {}),
    "chr2": (12_000, [(6_000, 6_700)], [(9_100, 9_103), (11_900, 12_000)], {2_500: "R"}),
    "chrM": (2_500, [], [(1_200, 1_201)], {}),
    "scaffold_4": (700, [], [], {650: "y"}),
}

_REGIONS = """\
chr1	1000	2000	bulk	0	+
chr1	4000	5200	island_plus	0	+
chr1	4000	5200	island_minus	0	-
chr1	13800	15200	around_gap	0	+
chr1	400	30000	most_of_chr1	0	-
chr1	22000	22001	one_base	0	+
chr1	29500	30000	chr1_end	0	.
chr2	2400	2600	iupac_code	0	-
chr2	0	12000	whole_chr2	0	+
chr2	9000	9200	three_n	0	-
chrM	0	2500	whole_chrM	0	+
scaffold_4	100	700	scaffold_end	0	-
"""

# contig, 1-based position, bases of REF, ALT alleles: a base stands for itself, "+ACG" for REF's
# first base with ACG behind it and then the rest of REF, "-" for REF's first base alone,
# "~" for REF with every base exchanged; anything else as it is.
_VARIANTS = [
    ("chr1", 1_500, 1, ["~"]),
    ("chr1", 2_001, 1, ["A", "C", "G", "T"]),
    ("chr1", 4_600, 3, ["~"]),
    ("chr1", 4_601, 2, ["~", "-", "+TT"]),
    ("chr1", 7_000, 1, ["+ACGTACGT"]),
    ("chr1", 7_500, 6, ["-"]),
    ("chr1", 14_500, 1, ["A"]),
    ("chr1", 15_002, 1, ["~"]),
    ("chr1", 20_000, 1, ["<DEL>", "~"]),
    ("chr1", 29_990, 1, ["~"]),
    ("chr1", 29_991, 2, ["~"]),
    ("chr2", 2_400, 1, ["R"]),
    ("chr2", 2_450, 1, ["*", "~"]),
    ("chr2", 5_000, 1, ["N[chr1:1000["]),
    ("chr2", 6_100, 1, []),
    ("chrM", 20, 2, ["-"]),
    ("chrM", 1_000, 1, ["~"]),
    ("scaffold_4", 350, 1, ["~"]),
]
_WRONG_REF = 29_991
"""On chr1: the record that disagrees with the genome."""


# contig, strand, first base of the first gene (1-based start of transcription), how many, how far
# apart, type: promoters of protein_coding genes lie in CpG islands, those of lncRNA genes do not.
_GENES = [
    ("chr1", "+", 2_000, 2, 800, "lncRNA"),
    ("chr1", "+", 4_401, 8, 100, "protein_coding"),
    ("chr1", "-", 4_100, 8, 100, "protein_coding"),
    ("chr1", "+", 6_500, 9, 800, "lncRNA"),
    ("chr1", "-", 16_000, 6, 800, "lncRNA"),
    ("chr1", "+", 21_901, 4, 100, "protein_coding"),
    ("chr1", "-", 21_600, 4, 100, "protein_coding"),
    ("chr1", "-", 23_000, 8, 800, "lncRNA"),
    ("chr2", "+", 1_000, 6, 800, "lncRNA"),
    ("chr2", "+", 6_401, 3, 100, "protein_coding"),
    ("chr2", "-", 6_100, 3, 100, "protein_coding"),
]


def markov(rng: random.Random, length: int, steps: Mapping[str, Sequence[float]]) -> str:
    """A sequence in which each base is drawn given the one before it."""
    bases = [rng.choice("ACGT")]
    while len(bases) < length:
        bases += rng.choices("ACGT", steps[bases[-1]])
    return "".join(bases)


def copy_of(rng: random.Random, element: str) -> str:
    """A mobile element as found in a genome: cut at its front, 12 % mutated, on either strand."""
    kept = element[rng.randrange(len(element) // 2) :]
    mutated = "".join(rng.choice("ACGT") if rng.random() < 0.12 else base for base in kept)
    other_strand: str = reverse_complement(mutated)
    return rng.choice([mutated, other_strand])


def contig(
    rng: random.Random,
    length: int,
    islands: Sequence[tuple[int, int]],
    gaps: Sequence[tuple[int, int]],
    codes: Mapping[int, str],
    *,
    element: str,
) -> str:
    """Background, islands, soft-masked repeats about every 1,200 bp, then N runs and codes."""
    sequence = markov(rng, length, _BULK)
    for start, end in islands:
        sequence = sequence[:start] + markov(rng, end - start, _ISLAND) + sequence[end:]
    start = rng.randrange(200, 600)
    while start < length - 600:
        unit = rng.choice(["CA", "A", "TTTA", "GGGTTA"])
        repeat = rng.choice([copy_of(rng, element), unit * (60 // len(unit))]).lower()
        sequence = sequence[:start] + repeat + sequence[start + len(repeat) :]
        start += len(repeat) + rng.randrange(600, 1_800)
    for start, end in gaps:
        sequence = sequence[:start] + "N" * (end - start) + sequence[end:]
    for position, code in codes.items():
        sequence = sequence[:position] + code + sequence[position + 1 :]
    return sequence


def write_genome(path: Path) -> None:
    """Write the FASTA and, beside it, its samtools index."""
    rng = random.Random(_SEED)
    element = markov(rng, 280, _ISLAND) + "A" * 20
    lines = []
    for name, (length, islands, gaps, codes) in _CONTIGS.items():
        lines.append(f">{name} synthetic")
        sequence = contig(rng, length, islands, gaps, codes, element=element)
        lines += [sequence[i : i + _LINE_BASES] for i in range(0, length, _LINE_BASES)]
    path.write_text("\n".join([*lines, ""]), encoding="ascii", newline="\n")
    pysam.faidx(str(path))


def write_genes(path: Path) -> None:
    """Write a GTF with a line per gene of 300 bases."""
    lines = []
    for name, strand, first, n_genes, step, kind in _GENES:
        for start in range(first, first + n_genes * step, step):
            begin, end = (start, start + 299) if strand == "+" else (start - 299, start)
            gene = f"G{len(lines) + 1:03}"
            attributes = f'gene_id "{gene}"; gene_name "{gene}"; gene_type "{kind}";'
            place = [name, "synthetic", "gene", begin, end, ".", strand, ".", attributes]
            lines.append("\t".join(map(str, place)))
    path.write_text("\n".join([*lines, ""]), encoding="ascii", newline="\n")


def write_variants(path: Path, genome: Path) -> None:
    """Write a VCF of every kind of allele; the REF of one is not the genome's."""
    lines = ["##fileformat=VCFv4.2"]
    lines += [f"##contig=<ID={name},length={entry[0]}>" for name, entry in _CONTIGS.items()]
    lines += [
        '##ALT=<ID=DEL,Description="Deletion">',
        '##INFO=<ID=AF,Number=A,Type=Float,Description="Invented allele frequency">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tsample",
    ]
    swapped = str.maketrans("ACGT", "CGTA")
    with pysam.FastaFile(str(genome)) as fasta:
        for number, (name, position, n_bases, kinds) in enumerate(_VARIANTS, start=1):
            ref = fasta.fetch(name, position - 1, position - 1 + n_bases).upper()
            short = {"~": ref.translate(swapped), "-": ref[0]}
            alts = []
            for kind in kinds:
                inserted = f"{ref[0]}{kind[1:]}{ref[1:]}" if kind.startswith("+") else kind
                alts.append(short.get(kind, inserted))
            if name == "chr1" and position == _WRONG_REF:
                ref = "NN"
            alts = [alt for alt in alts if alt != ref]
            info = f"AF={','.join(['0.25'] * len(alts))}" if alts else "."
            columns = [name, position, f"v{number}", ref, ",".join(alts) or ".", 50, ".", info]
            lines.append("\t".join(map(str, [*columns, "GT", "0/1"])))
    path.write_text("\n".join([*lines, ""]), encoding="ascii", newline="\n")


def write_labelled(path: Path) -> None:
    """Write sequences of two classes, island and bulk, in three splits."""
    rng = random.Random(_SEED + 1)
    lines = ["name,split,label,sequence"]
    for split, n_rows in (("train", 80), ("valid", 20), ("test", 40)):
        for number in range(n_rows):
            label, steps = [("bulk", _BULK), ("island", _ISLAND)][number % 2]
            sequence = markov(rng, rng.randrange(60, 120), steps)
            lines.append(f"{split}_{number},{split},{label},{sequence}")
    path.write_text("\n".join([*lines, ""]), encoding="ascii", newline="\n")


def main(directory: Path) -> None:
    """Write every file into `directory`."""
    write_genome(directory / "tiny.fa")
    (directory / "regions.bed").write_text(_REGIONS, encoding="ascii", newline="\n")
    write_genes(directory / "genes.gtf")
    write_variants(directory / "variants.vcf", directory / "tiny.fa")
    write_labelled(directory / "labelled.csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
