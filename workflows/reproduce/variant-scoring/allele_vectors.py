r"""How much less `embed --vcf` takes than `embed` of the REF and ALT windows written as FASTA.

    python allele_vectors.py > allele_vectors.tsv

The built-in model, windows of --window bases, both strands, the mean of the last layer. Processor
time of one thread, both ways in turns in one process; `difference` is the largest between the two
results.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pysam
import torch

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.inference.embedding import embed
from hyenadna_cli.core.inference.pooling import Pooled
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.machine import runtime
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.variants.alleles import Centred, Grid, Layout, Variant, assess, readings
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.scoring import score
from hyenadna_cli.core.variants.stretches import Stretches
from hyenadna_cli.core.variants.vectors import VectorChoice

_LENGTH = 100_000


def snvs(genome: Genome, n_sites: int, step: int, n_alts: int) -> list[Variant]:
    """SNVs of `n_alts` alleles, every `step` bases."""
    variants = []
    for start in range(20_000, 20_000 + n_sites * step, step):
        ref = genome.fetch(Interval("chr1", start, start + 1))
        variants.append(Variant("chr1", start, ref, tuple("ACGT".replace(ref, "")[:n_alts])))
    return variants


def windows_of(variants: list[Variant], stretches: Stretches, layout: Layout) -> list[Record]:
    """REF and ALT windows of every allele and strand, as records."""
    records = []
    for variant in variants:
        reading_of = readings(variant, stretches, layout)
        assert reading_of is not None
        for alt in variant.alts:
            for strand, reading in reading_of.items():
                ref = stretches.read(reading.window, strand).bases
                letter = alt if strand == "+" else reverse_complement(alt)
                changed = ref[: reading.offset] + letter + ref[reading.offset + 1 :]
                for text in (ref, changed):
                    records.append(Record("w", "w", 0, len(text), ".", text))
    return records


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--window", type=int, default=1_024)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run = runtime.resolve(device="cpu", dtype="auto", kernels="auto", threads=1)
    location = catalogue.locate("builtin", revision=None, offline=True, cache_dir=None)
    model, _ = checkpoint.load(location.directory)
    model.execution = run.execution()
    window = arguments.window
    limits = BatchLimits.choose(run.device, batch_size=None)
    batcher = Batcher(tiling=Tiling(window, window), limits=limits, device=run.device)
    centred = Centred(upstream=window // 2, downstream=window - window // 2)
    grid = Grid(window=window, min_context=window // 8)
    print("case", "alleles", "ms_vcf", "ms_windows", "ratio", "difference", sep="\t")
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "random.fa"
        random = np.random.default_rng(0)
        fasta.write_text(f">chr1\n{''.join(random.choice(list('ACGT'), _LENGTH))}\n")
        pysam.faidx(str(fasta))
        with Genome(fasta) as genome:
            stretches = Stretches(genome)
            for name, layout, variants in [
                ("isolated SNVs, centred", centred, snvs(genome, 24, 997, 1)),
                ("three alleles a site, centred", centred, snvs(genome, 8, 997, 3)),
                ("dense SNVs, grid", grid, snvs(genome, 24, 1, 3)),
            ]:
                choice = VectorChoice(Pooled(), "diff")
                settings = ScoreSettings(layout=layout, scores=(), vectors=choice)
                seconds = np.zeros((2, arguments.rounds + 1))
                for round_ in range(arguments.rounds + 1):
                    began = time.process_time()
                    sites = [
                        assess(v, stretches, layout=layout, max_allele_length=9) for v in variants
                    ]
                    done = score(model, sites, genome, settings, limits=limits)
                    rows = [allele for batch in done for row in batch.rows for allele in row]
                    seconds[0, round_] = time.process_time() - began
                    began = time.process_time()
                    records = windows_of(variants, stretches, layout)
                    pooled = embed(model, records, Pooled(), batcher=batcher)
                    means = [row.vectors["mean_layer-1"] for batch in pooled for row in batch.rows]
                    seconds[1, round_] = time.process_time() - began
                by_strand = np.array(means, dtype=np.float64).reshape(len(rows), 2, 2, -1)
                expected = (by_strand[:, :, 1] - by_strand[:, :, 0]).mean(axis=1)
                found = np.array([row.vectors_KD[0] for row in rows if row.vectors_KD is not None])
                # The first round compiles.
                vcf, whole = np.median(seconds[:, 1:], axis=1) / len(rows) * 1_000
                difference = np.abs(found - expected).max()
                cells = (f"{vcf:.1f}", f"{whole:.1f}", f"{whole / vcf:.2f}", f"{difference:.1e}")
                print(name, len(rows), *cells, sep="\t", flush=True)


if __name__ == "__main__":
    main()
