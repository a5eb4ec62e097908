"""The few calls that a notebook needs; the commands run the same code underneath."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import DtypeRequest, Score
from hyenadna_cli.core.dna.sequence import clean
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference import embedding as _embedding
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.inference.pooling import Pooled, Pooling
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.machine import runtime
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants import scoring as _scoring
from hyenadna_cli.core.variants.alleles import Centred, Grid, Variant, assess
from hyenadna_cli.core.variants.chunks import AlleleScore, ScoreSettings
from hyenadna_cli.core.variants.stretches import Stretches
from hyenadna_cli.ops.kernels import KernelsRequest


def load_model(
    name: str = "builtin",
    *,
    revision: str | None = None,
    offline: bool = False,
    filter_shift: float | None = None,
    device: str = "auto",
    dtype: DtypeRequest = "auto",
    kernels: KernelsRequest = "auto",
    threads: int | None = None,
) -> HyenaDNA:
    """A model by name, Hugging Face id or directory, on its device and ready for inference.

    Raises CheckpointError and UsageError, as the commands do.
    """
    run = runtime.resolve(device=device, dtype=dtype, kernels=kernels, threads=threads)
    found = catalogue.locate(name, revision=revision, offline=offline, cache_dir=None)
    model, _ = checkpoint.load(
        found.directory, name=found.name, revision=found.revision, filter_shift=filter_shift
    )
    model.execution = run.execution()
    return model.to(run.device)


def embed(
    model: HyenaDNA,
    sequences: Iterable[str],
    *,
    pool: Pooling = "mean",
    layer: int = -1,
    strand: Literal["+", "-", "both"] = "+",
    batch_size: int | None = None,
) -> NDArray[np.float32]:
    """One vector for each DNA string, in order: (n, d_model).

    Sequences longer than the model reads are cut into windows, as `hyenadna embed` does; a vector
    does not depend on what else is in the call. Raises LetterError at a letter that is not IUPAC.
    """
    device = next(model.parameters()).device
    l_max = model.config.l_max
    batcher = Batcher(
        tiling=Tiling(window=l_max, stride=l_max),
        limits=BatchLimits.choose(device, batch_size=batch_size),
        device=device,
    )
    pooled = Pooled(poolings=(pool,), layers=(layer,), strand=strand)
    vectors = [
        row.vectors[pooled.keys[0]]
        for done in _embedding.embed(model, _records(sequences), pooled, batcher=batcher)
        for row in done.rows
    ]
    return np.stack(vectors) if vectors else np.empty((0, model.config.d_model), np.float32)


def _records(sequences: Iterable[str]) -> Iterator[Record]:
    for number, sequence in enumerate(sequences):
        name = str(number)
        cleaned = clean(sequence).sequence
        yield Record(name, name, 0, len(cleaned), ".", cleaned)


def score_variants(
    model: HyenaDNA,
    variants: Iterable[Variant],
    genome: Genome,
    *,
    scores: Sequence[Score] = ("llr", "site"),
    window: int | None = None,
    layout: Literal["centred", "grid"] = "centred",
    strand: Literal["+", "-", "both"] = "both",
    max_allele_length: int = 1_000,
    max_n_fraction: float = 0.5,
    batch_size: int | None = None,
) -> list[list[AlleleScore]]:
    """The scores and the status of every allele of every variant, in order.

    What `hyenadna score-variants` writes, with its defaults: the window is what the model reads, at
    most 32,768 bases. A variant on a contig that the genome does not have gets NO_CONTIG.
    Raises ValueError for a window that the model does not read.
    """
    n_bases = min(model.config.l_max, 32_768) if window is None else window
    if n_bases > model.config.l_max:
        raise ValueError(f"window {n_bases:,}: this model reads {model.config.l_max:,} bases")
    half = n_bases // 2
    placed: Centred | Grid = Centred(upstream=half, downstream=n_bases - half)
    if layout == "grid":
        placed = Grid(window=n_bases, min_context=n_bases // 8)
    settings = ScoreSettings(
        layout=placed,
        scores=tuple(scores),
        strands=("+", "-") if strand == "both" else (strand,),
        max_n_fraction=max_n_fraction,
    )
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    sites = (
        assess(
            variant if variant.contig in genome.lengths else replace(variant, contig=None),
            stretches,
            layout=placed,
            max_allele_length=max_allele_length,
        )
        for variant in variants
    )
    limits = BatchLimits.choose(next(model.parameters()).device, batch_size=batch_size)
    done = _scoring.score(model, sites, genome, settings, limits=limits)
    return [row for batch in done for row in batch.rows]
