"""The few calls that a notebook needs; the commands run the same code underneath."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.checks import check_types
from hyenadna_cli.core.config.choices import MAX_N_RUN, DtypeRequest, Score
from hyenadna_cli.core.dna.coordinates import Interval, RegionText, read_region
from hyenadna_cli.core.dna.sequence import clean
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference import embedding as _embedding
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.inference.pooling import Pooled, Pooling
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.io.vcf import VcfFile
from hyenadna_cli.core.machine import runtime
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants import mutagenesis as _mutagenesis
from hyenadna_cli.core.variants import scoring as _scoring
from hyenadna_cli.core.variants.alleles import Centred, Grid, Variant, assess
from hyenadna_cli.core.variants.chunks import AlleleScore, ScoreSettings
from hyenadna_cli.core.variants.mutagenesis import SnvScores
from hyenadna_cli.core.variants.stretches import Stretches
from hyenadna_cli.ops.kernels import KernelsRequest

_LONGEST_WINDOW = 8_192
"""Bases around a variant, unless asked otherwise."""


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
    model.scoring_window = catalogue.scoring_window(found.name, l_max=model.config.l_max)
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
    does not depend on what else is in the call. `layer` is 0 for token embeddings, i for what block
    i gives, -1 for the end. Raises LetterError at a letter that is not IUPAC, TypeError or
    ValueError for an argument that makes no sense, such as a single string for `sequences`.
    """
    _check_model(model)
    asked = _Vectors(pool=pool, layer=layer, strand=strand, batch_size=batch_size)
    if not -1 <= asked.layer <= model.config.n_layer:
        raise ValueError(f"layer must be from -1 to {model.config.n_layer}, got {layer}")
    records = _records(sequences)
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
        for done in _embedding.embed(model, records, pooled, batcher=batcher)
        for row in done.rows
    ]
    return np.stack(vectors) if vectors else np.empty((0, model.config.d_model), np.float32)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Vectors:
    """Arguments about vectors, checked."""

    pool: Pooling
    layer: int
    strand: Literal["+", "-", "both"]
    batch_size: int | None

    def __post_init__(self) -> None:
        check_types(self)
        _check_batch_size(self.batch_size)


def _records(sequences: Iterable[str]) -> Iterator[Record]:
    # A string is several strings to Python, and a mapping would give its keys.
    if isinstance(sequences, str | bytes | Mapping) or not isinstance(sequences, Iterable):
        kind = type(sequences).__name__
        raise TypeError(
            f"sequences must be several strings such as ['ACGT', 'GATTACA'], not {kind}"
        )
    return _cleaned_records(sequences)


def _cleaned_records(sequences: Iterable[str]) -> Iterator[Record]:
    for number, sequence in enumerate(sequences):
        if not isinstance(sequence, str):
            kind = type(sequence).__name__
            raise TypeError(f"sequences[{number}] must be a string, not {kind}")
        name = str(number)
        cleaned = clean(sequence).sequence
        yield Record(name, name, 0, len(cleaned), ".", cleaned)


def score_variants(
    model: HyenaDNA,
    variants: Iterable[Variant] | str | Path,
    genome: Genome | str | Path,
    *,
    scores: Sequence[Score] = ("llr", "site"),
    window: int | None = None,
    layout: Literal["centred", "grid"] = "centred",
    strand: Literal["+", "-", "both"] = "both",
    max_allele_length: int = 1_000,
    max_n_fraction: float = 0.5,
    max_n_run: int = MAX_N_RUN,
    batch_size: int | None = None,
) -> list[list[AlleleScore]]:
    """The scores and the status of every allele of every variant, in order.

    `variants` may be a VCF or BCF file, and `genome` an indexed FASTA file. Unless given, the
    window is that of the command: 1,024 bases for builtin and tiny-1k, at most 8,192 for others. A
    variant on a contig that the genome does not have gets NO_CONTIG; a record without ALT has no
    scores.
    Raises TypeError or ValueError for an argument that makes no sense, InputFileError about files.
    """
    _check_model(model)
    alleles = _Alleles(
        scores=_names(scores),
        window=window,
        layout=layout,
        strand=strand,
        max_allele_length=max_allele_length,
        max_n_fraction=max_n_fraction,
        max_n_run=max_n_run,
        batch_size=batch_size,
    )
    settings = alleles.settings(model)
    limits = BatchLimits.choose(next(model.parameters()).device, batch_size=batch_size)
    with _opened(genome) as fasta:
        stretches = Stretches(fasta, max_n_run=settings.max_n_run)
        sites = (
            assess(
                variant if variant.contig in fasta.lengths else replace(variant, contig=None),
                stretches,
                layout=settings.layout,
                max_allele_length=max_allele_length,
            )
            for variant in _variants(variants)
        )
        done = _scoring.score(model, sites, fasta, settings, limits=limits)
        return [row for batch in done for row in batch.rows]


def mutagenize(
    model: HyenaDNA,
    region: Interval | str,
    genome: Genome | str | Path,
    *,
    scores: Sequence[Literal["site", "llr"]] = ("site",),
    window: int | None = None,
    layout: Literal["centred", "grid"] = "grid",
    strand: Literal["+", "-", "both"] = "both",
    max_n_fraction: float = 0.5,
    max_n_run: int = MAX_N_RUN,
    batch_size: int | None = None,
) -> list[SnvScores]:
    """The scores of every SNV of a region: a table for each piece of it, in order.

    `region` is an Interval, or text such as `chr7:140,753,336-140,753,436` (1-based, closed).
    `scores` are site, or site and llr, which takes a pass for each SNV. The window is as in
    `score_variants`. Raises TypeError or ValueError for an argument that makes no sense,
    InputFileError about files.
    """
    _check_model(model)
    names = _names(scores)
    alleles = _Alleles(
        scores=("site", "llr") if set(names) == {"site", "llr"} else names,
        window=window,
        layout=layout,
        strand=strand,
        max_allele_length=1,
        max_n_fraction=max_n_fraction,
        max_n_run=max_n_run,
        batch_size=batch_size,
    )
    settings = alleles.settings(model)
    if settings.scores not in (("site",), ("site", "llr")):
        raise ValueError(f"scores are site, or site and llr, not {', '.join(names)}")
    limits = BatchLimits.choose(next(model.parameters()).device, batch_size=batch_size)
    with _opened(genome) as fasta:
        interval = _region(region, fasta)
        done = _mutagenesis.mutagenize(model, interval, fasta, settings, limits=limits)
        return [row for batch in done for row in batch.rows]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Alleles:
    """Arguments about alleles, checked."""

    scores: tuple[Score, ...]
    window: int | None
    layout: Literal["centred", "grid"]
    strand: Literal["+", "-", "both"]
    max_allele_length: int
    max_n_fraction: float
    max_n_run: int
    batch_size: int | None

    def __post_init__(self) -> None:
        check_types(self)
        if not self.scores:
            raise ValueError("scores must name at least one")
        if self.window is not None and self.window < 2:
            raise ValueError(f"window must be 2 bases or more, got {self.window:,}")
        if self.max_allele_length < 1:
            raise ValueError(f"max_allele_length must be 1 or more, got {self.max_allele_length:,}")
        if not 0 <= self.max_n_fraction <= 1:
            raise ValueError(f"max_n_fraction must be from 0 to 1, got {self.max_n_fraction}")
        if self.max_n_run < 0:
            raise ValueError(f"max_n_run must be 0 or more, got {self.max_n_run:,}")
        _check_batch_size(self.batch_size)

    def settings(self, model: HyenaDNA) -> ScoreSettings:
        """What to score and how. Raises ValueError for a window that the model does not read."""
        l_max = model.config.l_max
        known = model.scoring_window or min(l_max, _LONGEST_WINDOW)
        window = known if self.window is None else self.window
        if window > l_max:
            raise ValueError(f"window {window:,}: this model reads {l_max:,} bases")
        placed: Centred | Grid = Centred(upstream=window // 2, downstream=window - window // 2)
        if self.layout == "grid":
            placed = Grid(window=window, min_context=window // 8)
        return ScoreSettings(
            layout=placed,
            scores=self.scores,
            strands=("+", "-") if self.strand == "both" else (self.strand,),
            max_n_fraction=self.max_n_fraction,
            max_n_run=self.max_n_run,
        )


def _check_model(model: object) -> None:
    if not isinstance(model, HyenaDNA):
        raise TypeError(f"model must be what load_model gives, got {type(model).__name__}")


def _check_batch_size(batch_size: int | None) -> None:
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size:,}")


def _names(scores: Sequence[Score]) -> tuple[Score, ...]:
    """Each score once."""
    if isinstance(scores, str) or not isinstance(scores, Sequence):
        raise TypeError(f"scores must be a sequence such as ('llr', 'site'), got {scores!r}")
    return tuple(dict.fromkeys(scores))


@contextmanager
def _opened(genome: Genome | str | Path) -> Iterator[Genome]:
    if isinstance(genome, Genome):
        yield genome
    elif isinstance(genome, str | Path):
        with Genome(genome) as opened:
            yield opened
    else:
        raise TypeError(f"genome must be a Genome or a path, got {type(genome).__name__}")


def _region(region: Interval | str, genome: Genome) -> Interval:
    if isinstance(region, str):
        asked = RegionText(region, 0, None) if region in genome.lengths else read_region(region)
        end = genome.lengths.get(asked.contig, asked.start + 1) if asked.end is None else asked.end
        region = Interval(asked.contig, asked.start, max(end, asked.start + 1))
    if not isinstance(region, Interval):
        raise TypeError(f"region must be an Interval or text, got {type(region).__name__}")
    length = genome.lengths.get(region.contig)
    if length is None or region.end > length:
        there = "no such contig" if length is None else f"{length:,} bases there"
        raise ValueError(f"region {region} is not in the genome, which has {there}")
    return region


def _variants(variants: Iterable[Variant] | str | Path) -> Iterator[Variant]:
    if isinstance(variants, str | Path):
        with VcfFile(variants).open_vcf() as reader:
            for record in reader.records():
                yield Variant(record.chrom, record.start, record.ref, record.alts)
        return
    if isinstance(variants, Variant) or not isinstance(variants, Iterable):
        raise TypeError(
            f"variants must be several Variant or a path, got {type(variants).__name__}"
        )
    for number, variant in enumerate(variants):
        _check_variant(variant, f"variants[{number}]")
        yield variant


def _check_variant(variant: object, name: str) -> None:
    if not isinstance(variant, Variant):
        raise TypeError(f"{name} must be a Variant, got {type(variant).__name__}")
    if not isinstance(variant.contig, str | None):
        raise TypeError(f"{name}.contig must be a text, got {variant.contig!r}")
    if not isinstance(variant.start, Integral) or isinstance(variant.start, bool):
        raise TypeError(f"{name}.start must be a whole number (0-based), got {variant.start!r}")
    if variant.start < -1:
        raise ValueError(f"{name}.start must be 0 or more (0-based), got {variant.start}")
    if not isinstance(variant.ref, str):
        raise TypeError(f"{name}.ref must be a text, got {variant.ref!r}")
    if not variant.ref:
        raise ValueError(f"{name}.ref must not be empty")
    if not isinstance(variant.alts, tuple) or not all(isinstance(a, str) for a in variant.alts):
        raise TypeError(
            f"{name}.alts must be a tuple of texts such as ('T',), got {variant.alts!r}"
        )
