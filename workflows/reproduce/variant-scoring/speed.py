r"""Milliseconds per allele of variant scoring, against two plain passes for each allele and strand.

    python speed.py --models builtin,4x256 --windows 1024,8192,32768 \
        [--vcf sge.vcf --fasta hg19.fa] > speed.tsv

One row per model, window and case. `plain_ms` are two whole passes per strand, REF and ALT, with
the same kernels and batches; `original_ms` the same in the original's formulation, one window at a
time as its users run it. `bound` is the ratio that the work alone allows where positions cost the
same: a REF pass for all alleles of a site, and of each ALT pass what follows the variant. Models
are `builtin` or LAYERSxWIDTH with random weights. Without --vcf the genome is random. `--clock cpu`
measures the time of the processors instead, for a machine that is shared; use it with one thread.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pysam
import torch

from hyenadna_cli.core.config.choices import Score
from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.vcf import VcfFile
from hyenadna_cli.core.machine import runtime
from hyenadna_cli.core.machine.benchmark import plain_hyena
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants.alleles import Centred, Grid, Layout, Variant, assess
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.scores import next_base_log_probs
from hyenadna_cli.core.variants.scoring import score
from hyenadna_cli.core.variants.stretches import Stretches

_LENGTH = 400_000

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True, slots=True)
class Case:
    """Variants of one kind, and how they are scored."""

    name: str
    layout: Layout
    variants: list[Variant]
    scores: tuple[Score, ...]
    bound: float | None
    """None where it depends on how many alleles share a window."""


def cases(window: int, genome: Genome) -> list[Case]:
    """SNVs on a random genome, fewer where windows are long."""
    half, late = window // 2, window // 8
    centred = Centred(upstream=half, downstream=window - half)
    shifted = Centred(upstream=window - late, downstream=late)
    grid = Grid(window=window, min_context=window // 8)
    n_sites = max(3, min(48, 65_536 // window))
    n_dense = max(24, min(128, 131_072 // window))
    llr: tuple[Score, ...] = ("llr",)
    return [
        Case("isolated SNVs, centred", centred, snvs(genome, 1, 997, n_sites), llr, 2 / 1.5),
        Case("three alleles a site, centred", centred, snvs(genome, 3, 997, n_sites), llr, 2.4),
        Case("late in the window", shifted, snvs(genome, 1, 997, n_sites), llr, 2 / 1.125),
        Case("dense SNVs, grid", grid, snvs(genome, 3, 1, n_dense), llr, None),
        Case("site scores, grid", grid, snvs(genome, 3, 1, n_dense), ("site",), None),
    ]


def snvs(genome: Genome, n_alleles: int, step: int, n_sites: int) -> list[Variant]:
    """SNVs every `step` bases from the middle of the contig on."""
    found = []
    for number in range(n_sites):
        start = _LENGTH // 2 + number * step
        ref = genome.fetch(Interval("chr1", start, start + 1))
        others = [base for base in "ACGT" if base != ref]
        found.append(Variant("chr1", start, ref, tuple(others[:n_alleles])))
    return found


def of_vcf(window: int, path: str) -> list[Case]:
    """All records of a VCF, on the grid."""
    grid = Grid(window=window, min_context=window // 8)
    with VcfFile(path).open_vcf() as reader:
        found = [Variant(r.chrom, r.start, r.ref, r.alts) for r in reader.records()]
    name = f"{Path(path).stem}, {len(found):,} records, grid"
    return [
        Case(name, grid, found, ("llr",), None),
        Case(f"{name}, site", grid, found, ("site",), None),
    ]


def scored_ms(
    model: HyenaDNA, genome: Genome, case: Case, limits: BatchLimits, clock: Callable[[], float]
) -> float:
    """Milliseconds per allele, both strands."""
    settings = ScoreSettings(layout=case.layout, scores=case.scores)
    stretches = Stretches(genome)
    sites = [
        assess(v, stretches, layout=case.layout, max_allele_length=1_000) for v in case.variants
    ]
    list(score(model, sites[:1], genome, settings, limits=limits))
    started = clock()
    list(score(model, sites, genome, settings, limits=limits))
    n_alleles = sum(len(variant.alts) for variant in case.variants)
    return 1e3 * (clock() - started) / n_alleles


@torch.inference_mode()
def two_passes_ms(
    run: Callable[[torch.Tensor], torch.Tensor],
    model: HyenaDNA,
    *,
    window: int,
    n_windows: int,
    clock: Callable[[], float],
) -> float:
    """REF and ALT of two strands: four passes."""
    device = model.lm_head.weight.device
    token_ids = torch.randint(7, 11, (n_windows, window), device=device)
    seconds = []
    for _ in range(4):
        started = clock()
        next_base_log_probs(model, run(token_ids)).sum().item()
        seconds.append(clock() - started)
    return 4e3 * statistics.median(seconds[1:]) / n_windows


def load(name: str, *, window: int, execution) -> HyenaDNA:
    """`builtin`, or random weights."""
    if name == "builtin":
        found = catalogue.locate(name, revision=None, offline=True, cache_dir=None)
        model, _ = checkpoint.load(found.directory)
    else:
        n_layer, d_model = map(int, name.split("x"))
        torch.manual_seed(0)
        shape = ModelConfig(d_model=d_model, n_layer=n_layer, d_inner=4 * d_model, l_max=window)
        model = HyenaDNA(shape).eval()
    model.execution = execution
    return model


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", default="builtin")
    parser.add_argument("--windows", default="1024")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--vcf", help="score these instead, on the grid")
    parser.add_argument("--fasta", help="their genome")
    arguments = parser.parse_args()
    run = runtime.resolve(
        device=arguments.device, kernels=arguments.kernels, threads=arguments.threads
    )
    limits = BatchLimits.choose(run.device, batch_size=None)
    clock = CLOCKS[arguments.clock]
    print(f"kernels {run.kernels}, {run.device_name}", file=sys.stderr)
    columns = (
        "model",
        "window",
        "case",
        "ms_per_allele",
        "plain_ms",
        "ratio",
        "bound",
        "original_ms",
        "ratio_to_original",
    )
    print(*columns, sep="\t")
    with ExitStack() as stack:
        path = arguments.fasta
        if path is None:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            path = str(Path(directory, "genome.fa"))
            bases = "".join(random.Random(0).choices("ACGT", k=_LENGTH))  # noqa: S311
            Path(path).write_text(f">chr1\n{bases}\n")
            pysam.faidx(path)
        genome = stack.enter_context(Genome(path))
        for name in arguments.models.split(","):
            for window in map(int, arguments.windows.split(",")):
                model = load(name, window=window, execution=run.execution()).to(run.device)
                n_windows = max(1, limits.max_tokens // window)
                plain = two_passes_ms(
                    lambda ids, model=model: model.hidden_states(ids)[0],
                    model,
                    window=window,
                    n_windows=n_windows,
                    clock=clock,
                )
                original = two_passes_ms(
                    lambda ids, model=model: plain_hyena.hidden_states(model, ids),
                    model,
                    window=window,
                    n_windows=1,
                    clock=clock,
                )
                chosen = of_vcf(window, arguments.vcf) if arguments.vcf else cases(window, genome)
                for case in chosen:
                    ms = scored_ms(model, genome, case, limits, clock)
                    bound = "" if case.bound is None else f"{case.bound:.2f}"
                    print(
                        name,
                        window,
                        case.name,
                        f"{ms:.3f}",
                        f"{plain:.2f}",
                        f"{plain / ms:.2f}",
                        bound,
                        f"{original:.2f}",
                        f"{original / ms:.1f}",
                        sep="\t",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
