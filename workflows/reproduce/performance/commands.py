"""Time and peak memory of whole commands, start-up included: what a user waits for.

    python commands.py [--model small-32k] [--bases 2_000_000] [--dtypes fp32,bf16]
                       [--kernels plain,torch,auto] [--repeats 3]

Makes a random genome, regions and SNVs; runs `hyenadna embed` and `hyenadna score-variants` in
every combination, in turns; prints one row each: median seconds, the command's own bases or alleles
a second without start-up (from --stats), peak resident memory of a fresh process, the ratio of
seconds and of memory to the plain formulation, and the difference of its numbers from plain ones
(relative root mean square). `plain` is the same command with the model computed as the original
formulation does, and every allele in two whole windows; float32 only. Without a downloaded model,
the built-in one.
"""

from __future__ import annotations

import argparse
import gzip
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

import numpy as np
import pysam
from numpy.typing import NDArray


def make_inputs(
    folder: Path, n_bases: int, n_variants: int, *, region: int, spread: float = 0
) -> None:
    """genome.fa, regions.bed and variants.vcf of random letters.

    Regions are up to a share `spread` shorter than `region`, each a length of its own.
    """
    draw = random.Random(0)  # noqa: S311
    bases = "".join(draw.choices("ACGT", k=n_bases))
    (folder / "genome.fa").write_text(f">chr1\n{bases}\n")
    pysam.faidx(str(folder / "genome.fa"))
    cuts = [0]
    while cuts[-1] < n_bases:
        length = region - int(draw.random() * spread * region)
        cuts.append(min(cuts[-1] + length, n_bases))
    lines = [f"chr1\t{start}\t{end}\n" for start, end in itertools.pairwise(cuts)]
    (folder / "regions.bed").write_text("".join(lines))
    records = []
    for number in range(n_variants):
        start = (number + 1) * n_bases // (n_variants + 1)
        alt = next(base for base in "ACGT" if base != bases[start])
        records.append(f"chr1\t{start + 1}\t.\t{bases[start]}\t{alt}\t.\t.\t.\n")
    header = f"##fileformat=VCFv4.2\n##contig=<ID=chr1,length={n_bases}>\n"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    (folder / "variants.vcf").write_text(header + columns + "".join(records))


def run_plain(arguments: list[str]) -> None:
    """Run a command of hyenadna in this process, in the plain formulation."""
    from hyenadna_cli.cli import main as hyenadna
    from hyenadna_cli.core.machine.benchmark import plain_hyena
    from hyenadna_cli.core.model.hyenadna import HyenaDNA
    from hyenadna_cli.core.variants import pass_plan

    def hidden_states(model, token_ids_BL, layers=(-1,)):  # type: ignore[no-untyped-def]
        assert list(layers) == [-1], "the plain formulation gives the last layer"
        return [plain_hyena.hidden_states(model, token_ids_BL)]

    HyenaDNA.hidden_states = hidden_states  # type: ignore[method-assign]
    pass_plan.kept_bytes = lambda *_, **__: sys.maxsize  # REF and ALT share no prefix
    sys.argv = ["hyenadna", *arguments]
    hyenadna()


def run(kernels: str, arguments: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds, peak megabytes and the command's own seconds, in a fresh process."""
    stats = folder / "stats.json"
    is_plain = kernels == "plain"
    command = [sys.executable, *([__file__, "--plain"] if is_plain else ["-m", "hyenadna_cli"])]
    command += [*arguments, "--kernels", "torch" if is_plain else kernels]
    command += ["--stats", str(stats), "-q", "--force"]
    started = time.perf_counter()
    process = subprocess.Popen(command)  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"failed: {' '.join(command)}")
    return seconds, usage.ru_maxrss / 1e3, json.loads(stats.read_text())["seconds"]


def numbers(path: Path) -> NDArray[np.float64]:
    """The vectors of an embedding table, or the scores of a VCF."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]
    if ".vcf" in path.name:
        info = [dict(item.partition("=")[::2] for item in row[7].split(";")) for row in rows]
        return np.array([float(tags["HD_LLR"]) for tags in info])
    first = next(n for n, name in enumerate(rows[0]) if name.endswith("0"))
    return np.array([row[first:] for row in rows[1:]], dtype=np.float64)


def difference(path: Path, plain: Path) -> float:
    """Relative root mean square."""
    expected = numbers(plain)
    return float(np.sqrt(np.mean((numbers(path) - expected) ** 2) / np.mean(expected**2)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--bases", type=int, default=1_000_000)
    parser.add_argument("--region", type=int, default=10_000, help="bases of each that is embedded")
    parser.add_argument("--spread", type=float, default=0, help="share by which some are shorter")
    parser.add_argument("--variants", type=int, default=64)
    parser.add_argument("--window", default="8192", help="of score-variants")
    parser.add_argument("--dtypes", default="fp32,bf16")
    parser.add_argument("--kernels", default="plain,torch,auto")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    print(
        "command",
        "kernels",
        "dtype",
        "seconds",
        "rate",
        "unit",
        "peak_mb",
        "times_faster",
        "memory",
        "difference",
        sep="\t",
    )
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        make_inputs(folder, given.bases, given.variants, region=given.region, spread=given.spread)
        fasta = ["--fasta", str(folder / "genome.fa"), "-m", given.model]
        commands = {
            "embed": (["embed", *fasta, "--bed", str(folder / "regions.bed")], "tsv"),
            "score-variants": (
                ["score-variants", str(folder / "variants.vcf"), *fasta, "--window", given.window],
                "vcf",
            ),
        }
        cases = [
            case
            for case in itertools.product(given.kernels.split(","), given.dtypes.split(","))
            if case[0] != "plain" or case[1] == "fp32"
        ]
        for name, (command, suffix) in commands.items():
            done: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
            for _, (kernels, dtype) in itertools.product(range(given.repeats), cases):
                output = folder / f"{name}.{kernels}.{dtype}.{suffix}"
                arguments = [*command, "--dtype", dtype, "-o", str(output)]
                done.setdefault((kernels, dtype), []).append(run(kernels, arguments, folder))
            median = {case: statistics.median(r[0] for r in runs) for case, runs in done.items()}
            peak = {case: max(r[1] for r in runs) for case, runs in done.items()}
            plain = ("plain", "fp32")
            amount, unit = (
                (given.bases, "bases/s") if name == "embed" else (given.variants, "alleles/s")
            )
            for case, runs in done.items():
                beside = [""] * 3
                if plain in done:
                    outputs = (folder / f"{name}.{'.'.join(c)}.{suffix}" for c in (case, plain))
                    beside = [
                        f"{median[plain] / median[case]:.2f}",
                        f"{peak[case] / peak[plain]:.2f}",
                        f"{difference(*outputs):.1g}",
                    ]
                rate = amount / statistics.median(r[2] for r in runs)
                print(
                    name,
                    *case,
                    f"{median[case]:.2f}",
                    f"{rate:.4g}",
                    unit,
                    f"{peak[case]:.0f}",
                    *beside,
                    sep="\t",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--plain"]:
        run_plain(sys.argv[2:])
    else:
        main()
