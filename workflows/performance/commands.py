"""Time and peak memory of whole commands, start-up included: what a user waits for.

    python commands.py [--model small-32k] [--bases 2_000_000] [--dtypes fp32,bf16]
                       [--kernels torch,auto] [--repeats 3]

Makes a random genome, regions and SNVs; runs `hyenadna embed` and `hyenadna score-variants` in
every combination, in turns; prints one row each: median seconds, the command's own bases or records
a second without start-up (from --stats), and peak resident memory of a fresh process. Without a
downloaded model, the built-in one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pysam

_REGION = 10_000


def make_inputs(folder: Path, n_bases: int, n_variants: int) -> None:
    """genome.fa, regions.bed and variants.vcf of random letters."""
    draw = random.Random(0)  # noqa: S311
    bases = "".join(draw.choices("ACGT", k=n_bases))
    (folder / "genome.fa").write_text(f">chr1\n{bases}\n")
    pysam.faidx(str(folder / "genome.fa"))
    lines = [f"chr1\t{start}\t{start + _REGION}\n" for start in range(0, n_bases, _REGION)]
    (folder / "regions.bed").write_text("".join(lines))
    records = []
    for number in range(n_variants):
        start = (number + 1) * n_bases // (n_variants + 1)
        alt = next(base for base in "ACGT" if base != bases[start])
        records.append(f"chr1\t{start + 1}\t.\t{bases[start]}\t{alt}\t.\t.\t.\n")
    header = f"##fileformat=VCFv4.2\n##contig=<ID=chr1,length={n_bases}>\n"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "variants.vcf").write_text(header + columns + "".join(records))


def run(arguments: list[str], folder: Path) -> tuple[float, float, dict[str, float]]:
    """Seconds, peak megabytes and --stats of one command in a fresh process."""
    stats = folder / "stats.json"
    command = [sys.executable, "-m", "hyenadna_cli", *arguments, "--stats", str(stats), "-q"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return seconds, usage.ru_maxrss / 1e3, json.loads(stats.read_text())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--bases", type=int, default=1_000_000)
    parser.add_argument("--variants", type=int, default=64)
    parser.add_argument("--window", default="8192", help="of score-variants")
    parser.add_argument("--dtypes", default="fp32,bf16")
    parser.add_argument("--kernels", default="torch,auto")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        make_inputs(folder, given.bases, given.variants)
        fasta = ["--fasta", str(folder / "genome.fa"), "-m", given.model]
        commands = {
            "embed": ["embed", *fasta, "--bed", str(folder / "regions.bed")],
            "score-variants": ["score-variants", str(folder / "variants.vcf"), *fasta,
                               "--window", given.window],
        }  # fmt: skip
        cases = list(itertools.product(commands, given.kernels.split(","), given.dtypes.split(",")))
        done: dict[tuple[str, str, str], list[tuple[float, float, dict[str, float]]]] = {}
        for _, case in itertools.product(range(given.repeats), cases):
            name, kernels, dtype = case
            arguments = [*commands[name], "--kernels", kernels, "--dtype", dtype]
            done.setdefault(case, []).append(run(arguments, folder))
        print("command", "kernels", "dtype", "seconds", "rate", "unit", "peak_mb", sep="\t")
        for (name, kernels, dtype), runs in done.items():
            seconds = statistics.median(r[0] for r in runs)
            unit = "bases/s" if name == "embed" else "alleles/s"
            amount = given.bases if name == "embed" else given.variants
            rate = statistics.median(amount / r[2]["seconds"] for r in runs)
            peak = max(r[1] for r in runs)
            print(name, kernels, dtype, f"{seconds:.2f}", f"{rate:.4g}", unit, f"{peak:.0f}",
                  sep="\t")  # fmt: skip


if __name__ == "__main__":
    main()
