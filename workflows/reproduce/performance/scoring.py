"""Variant scoring against two plain passes an allele, which the obvious script would run.

    python scoring.py [--brca1 snvs.vcf genome.fa] [--dtypes fp32,bf16] [--variants 500] [--plain 8]

Measures `score-variants` of random SNVs in windows of 1,024 and of 8,192 bases, of every SNV of 13
stretches of 100 bases (or of --brca1) in shared windows, and `mutagenize` of 2,000 bases. Prints
one row each: alleles, seconds of the command without start-up (from --stats), alleles a second,
and how many times as fast that is as the plain formulation with every allele in two whole windows:
measured with --plain alleles, as its time an allele does not depend on their number.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

import commands
import pysam

_STRETCHES, _STRETCH, _BASES = 13, 100, 80_000


def make_genome(folder: Path, n_bases: int) -> str:
    """A FASTA of random letters, and the letters."""
    bases = "".join(random.Random(1).choices("ACGT", k=n_bases))  # noqa: S311
    (folder / "genome.fa").write_text(f">chr1\n{bases}\n")
    pysam.faidx(str(folder / "genome.fa"))
    return bases


def write_snvs(path: Path, bases: str, positions: list[int], *, all_three: bool) -> Path:
    """SNVs at 0-based positions: every one of each, or one."""
    lines = ["##fileformat=VCFv4.2", f"##contig=<ID=chr1,length={len(bases)}>"]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    for at in positions:
        others = [base for base in "ACGT" if base != bases[at]]
        for alt in others if all_three else others[:1]:
            lines.append(f"chr1\t{at + 1}\t.\t{bases[at]}\t{alt}\t.\t.\t.")
    path.write_text("\n".join(lines) + "\n")
    return path


def n_alleles(vcf: Path) -> int:
    """Lines that are records; each has one allele here."""
    return sum(not line.startswith("#") for line in vcf.read_text().splitlines())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--brca1", nargs=2, type=Path, metavar=("VCF", "FASTA"))
    parser.add_argument("--variants", type=int, default=500)
    parser.add_argument("--plain", type=int, default=8, help="alleles of the plain formulation")
    parser.add_argument("--region", type=int, default=2_000, help="bases to mutagenize")
    parser.add_argument("--dtypes", default="fp32,bf16")
    given = parser.parse_args()
    print("case", "window", "dtype", "alleles", "seconds", "alleles_per_second", end="\t", sep="\t")
    print("plain_seconds_per_allele", "times_faster", sep="\t")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        bases = make_genome(folder, max(_BASES, 200 * given.variants))
        model = ["-m", given.model]

        def spread(n: int) -> list[int]:
            return [(number + 1) * len(bases) // (n + 1) for number in range(n)]

        def seconds(kernels: str, arguments: list[str], dtype: str) -> float:
            output = ["-o", str(folder / "scores.tsv"), "--dtype", dtype, *model]
            return commands.run(kernels, [*arguments, *output], folder)[2]

        genome = ["--fasta", str(folder / "genome.fa")]
        few = write_snvs(folder / "few.vcf", bases, spread(given.plain), all_three=False)
        many = write_snvs(folder / "many.vcf", bases, spread(given.variants), all_three=False)
        first = (len(bases) - _BASES) // 2 + 10_000
        starts = [first + number * 5_000 for number in range(_STRETCHES)]
        dense = [start + at for start in starts for at in range(_STRETCH)]
        grid, grid_genome = write_snvs(folder / "grid.vcf", bases, dense, all_three=True), genome
        if given.brca1:
            grid, grid_genome = given.brca1[0], ["--fasta", str(given.brca1[1])]
        middle = len(bases) // 2
        region = f"chr1:{middle + 1}-{middle + given.region}"
        cases = [
            ("random SNVs", 1_024, n_alleles(many), ["score-variants", str(many), *genome]),
            ("random SNVs", 8_192, n_alleles(many), ["score-variants", str(many), *genome]),
            (
                "dense SNVs on the grid",
                8_192,
                n_alleles(grid),
                ["score-variants", str(grid), *grid_genome, "--layout", "grid"],
            ),
            ("mutagenize", 8_192, 3 * given.region, ["mutagenize", *genome, "--region", region]),
        ]
        plain: dict[int, float] = {}
        for name, window, n, arguments in cases:
            sized = ["--window", str(window)]
            if window not in plain:
                whole = seconds("plain", ["score-variants", str(few), *genome, *sized], "fp32")
                plain[window] = whole / given.plain
            for dtype in given.dtypes.split(","):
                taken = seconds("auto", [*arguments, *sized], dtype)
                row = (name, window, dtype, n, f"{taken:.2f}", f"{n / taken:.4g}")
                ratio = plain[window] * n / taken
                print(*row, f"{plain[window]:.3f}", f"{ratio:.3g}", sep="\t", flush=True)


if __name__ == "__main__":
    main()
