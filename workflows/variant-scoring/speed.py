"""Alleles per second of variant scoring, against two plain passes for each allele and strand.

    python speed.py [--model DIR] [--d-model 256 --n-layer 4] [--windows 1024,8192] [--n 64]

Prints one row a window and layout: milliseconds an allele (both strands), those of two plain
passes a strand with the same kernels and batch, and their ratio. The genome is random.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

import pysam
import torch

from hyenadna_cli.core import checkpoint, published
from hyenadna_cli.core.allele_scores import next_base_log_probs
from hyenadna_cli.core.batching import BatchLimits
from hyenadna_cli.core.config import ModelConfig
from hyenadna_cli.core.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model import HyenaDNA
from hyenadna_cli.core.score_blocks import ScoreSettings
from hyenadna_cli.core.scoring import score
from hyenadna_cli.core.variants import Centred, Grid, Layout, Variant, assess

_LENGTH = 400_000


def cases(window: int) -> list[tuple[str, Layout, int, int, tuple[str, ...]]]:
    """Name, layout, alleles a site, bases between sites, scores."""
    half, late = window // 2, window // 8
    centred = Centred(upstream=half, downstream=window - half)
    grid = Grid(window=window, min_context=window // 8)
    return [
        ("isolated SNVs, centred", centred, 1, 997, ("llr",)),
        ("three alleles a site, centred", centred, 3, 997, ("llr",)),
        ("late in the window", Centred(upstream=window - late, downstream=late), 1, 997, ("llr",)),
        ("dense SNVs, grid", grid, 3, 1, ("llr",)),
        ("site scores, grid", grid, 3, 1, ("site",)),
    ]


def variants(genome: Genome, n_alleles: int, step: int, n_sites: int) -> list[Variant]:
    """SNVs every `step` bases from the middle of the contig on."""
    found = []
    for number in range(n_sites):
        start = _LENGTH // 2 + number * step
        ref = genome.fetch(Interval("chr1", start, start + 1))
        others = [base for base in "ACGT" if base != ref]
        found.append(Variant("chr1", start, ref, tuple(others[:n_alleles])))
    return found


def scored_ms(model, genome, layout, sites, scores, limits) -> float:
    """Milliseconds an allele, both strands."""
    settings = ScoreSettings(layout=layout, scores=scores)
    assessed = [assess(v, genome, layout=layout, max_allele_length=1) for v in sites]
    list(score(model, assessed[:1], genome, settings, limits=limits))
    started = time.perf_counter()
    list(score(model, assessed, genome, settings, limits=limits))
    return 1e3 * (time.perf_counter() - started) / sum(len(v.alts) for v in sites)


@torch.inference_mode()
def plain_ms(model, window: int, limits: BatchLimits) -> float:
    """REF and ALT of two strands: four passes."""
    n_windows = max(1, limits.max_tokens // window)
    device = model.lm_head.weight.device
    token_ids = torch.randint(7, 11, (n_windows, window), device=device)
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        next_base_log_probs(model, model.hidden_states(token_ids)[0]).sum().item()
        seconds.append(time.perf_counter() - started)
    return 4e3 * sorted(seconds[1:])[1] / n_windows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="builtin")
    parser.add_argument("--d-model", type=int, help="a random model of this width instead")
    parser.add_argument("--n-layer", type=int, default=4)
    parser.add_argument("--windows", default="1024")
    parser.add_argument("--n", type=int, default=64, help="sites")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    limits = BatchLimits.choose(torch.device(arguments.device), batch_size=None)
    bases = "".join(random.Random(0).choices("ACGT", k=_LENGTH))  # noqa: S311
    print("window", "case", "ms_per_allele", "two_plain_passes_ms", "ratio", sep="\t")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "genome.fa")
        path.write_text(f">chr1\n{bases}\n")
        pysam.faidx(str(path))
        with Genome(path) as genome:
            for window in map(int, arguments.windows.split(",")):
                if arguments.d_model:
                    shape = ModelConfig(
                        d_model=arguments.d_model, n_layer=arguments.n_layer,
                        d_inner=4 * arguments.d_model, l_max=window,
                    )  # fmt: skip
                    model = HyenaDNA(shape).eval()
                else:
                    found = published.locate(
                        arguments.model, revision=None, offline=False, cache_dir=None
                    )
                    model, _ = checkpoint.load(found.directory)
                if window > model.config.l_max:
                    continue
                model = model.to(arguments.device)
                plain = plain_ms(model, window, limits)
                for name, layout, n_alleles, step, scores in cases(window):
                    sites = variants(genome, n_alleles, step, arguments.n)
                    ms = scored_ms(model, genome, layout, sites, scores, limits)
                    print(window, name, f"{ms:.3f}", f"{plain:.2f}", f"{plain / ms:.2f}", sep="\t")


if __name__ == "__main__":
    main()
