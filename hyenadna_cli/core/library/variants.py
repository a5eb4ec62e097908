"""Calls on variants: scores of alleles, and of every SNV of a region."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Literal

from hyenadna_cli.core.config.checks import check_types
from hyenadna_cli.core.config.choices import MAX_N_RUN, Score
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.io.vcf import VcfFile
from hyenadna_cli.core.library.arguments import (
    GenomeLike,
    check_batch_size,
    check_model,
    checked_region,
    gathered,
    opened_genome,
)
from hyenadna_cli.core.library.results import Mutagenesis, VariantScores
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants import mutagenesis as _mutagenesis
from hyenadna_cli.core.variants import scoring as _scoring
from hyenadna_cli.core.variants.alleles import Centred, Grid, Site, Variant, assess
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.stretches import Stretches

_LONGEST_WINDOW = 8_192
"""Bases around a variant, unless asked otherwise."""


def score_variants(
    model: HyenaDNA,
    variants: Iterable[Variant] | str | Path,
    genome: GenomeLike,
    *,
    scores: Sequence[Score] = ("llr", "site"),
    window: int | None = None,
    layout: Literal["centred", "grid"] = "centred",
    strand: Literal["+", "-", "both"] = "both",
    max_allele_length: int = 1_000,
    max_n_fraction: float = 0.5,
    max_n_run: int = MAX_N_RUN,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> VariantScores:
    """The scores and the status of every allele of every variant, in order.

    `variants` may be a VCF or BCF file, and `genome` an indexed FASTA file. Scores are natural
    logarithms of probabilities of ALT less those of REF, means over the strands (`llr` of the whole
    window, `site` of the base itself); `core.variants.scores` defines all. Unless given, the window
    is that of the command: 1,024 bases for builtin and tiny-1k, at most 8,192 for others. A variant
    on a contig that the genome does not have gets NO_CONTIG; a record without ALT has no scores.
    `progress` shows the bases done, by default in notebooks.

    Raises TypeError or ValueError for an argument that makes no sense, InputFileError about files.

    >>> import hyenadna_cli as hd
    >>> model = hd.load_model()
    >>> scored = hd.score_variants(
    ...     model, [hd.Variant("chr1", 1_499, "A", ("C",))], "test_data/tiny.fa", window=128
    ... )
    >>> scored[0][0].status, sorted(scored[0][0].values)
    ('OK', ['llr', 'site'])
    >>> scored.to_pandas()[["chrom", "pos", "ref", "alt", "status"]]
      chrom   pos ref alt status
    0  chr1  1500   A   C     OK
    """
    check_model(model)
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
    seen: list[Variant] = []
    ids: list[str] = []

    def sites(stretches: Stretches) -> Iterator[Site]:
        for variant, name in _variants(variants):
            seen.append(variant)
            ids.append(name)
            is_there = variant.contig in stretches.genome.lengths
            yield assess(
                variant if is_there else replace(variant, contig=None),
                stretches,
                layout=settings.layout,
                max_allele_length=max_allele_length,
            )

    with opened_genome(genome) as fasta:
        of_genome = sites(Stretches(fasta, max_n_run=settings.max_n_run))
        done = _scoring.score(model, of_genome, fasta, settings, limits=limits)
        rows = gathered(done, "scoring", progress=progress)
    return VariantScores(rows, seen, ids, settings.scores)


def mutagenize(
    model: HyenaDNA,
    region: Interval | str,
    genome: GenomeLike,
    *,
    scores: Sequence[Literal["site", "llr"]] = ("site",),
    window: int | None = None,
    layout: Literal["centred", "grid"] = "grid",
    strand: Literal["+", "-", "both"] = "both",
    max_n_fraction: float = 0.5,
    max_n_run: int = MAX_N_RUN,
    batch_size: int | None = None,
    progress: bool | None = None,
) -> Mutagenesis:
    """The scores of every SNV of a region: a table (bases, 4) for each piece of it, in order.

    `region` is an Interval, or text such as `chr7:140,753,336-140,753,436` (1-based, closed).
    Columns are A, C, G and T, NaN for the genome's own base. `scores` are site, or site and llr,
    which takes a pass for each SNV. The window is as in `score_variants`. Raises TypeError or
    ValueError for an argument that makes no sense, InputFileError about files.

    >>> import hyenadna_cli as hd
    >>> model = hd.load_model()
    >>> (piece,) = hd.mutagenize(model, "chr1:4,001-4,010", "test_data/tiny.fa", window=128)
    >>> piece.bases, piece.site.shape
    ('AAGTTCTTGA', (10, 4))
    """
    check_model(model)
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
    with opened_genome(genome) as fasta:
        interval = checked_region(region, fasta)
        done = _mutagenesis.mutagenize(model, interval, fasta, settings, limits=limits)
        return Mutagenesis(gathered(done, "scoring", progress=progress), settings.scores)


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
        check_batch_size(self.batch_size)

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


def _names(scores: Sequence[Score]) -> tuple[Score, ...]:
    """Each score once."""
    if isinstance(scores, str) or not isinstance(scores, Sequence):
        raise TypeError(f"scores must be a sequence such as ('llr', 'site'), got {scores!r}")
    return tuple(dict.fromkeys(scores))


def _variants(variants: Iterable[Variant] | str | Path) -> Iterator[tuple[Variant, str]]:
    """Variants, each with its ID."""
    if isinstance(variants, str | Path):
        with VcfFile(variants).open_vcf() as reader:
            for record in reader.records():
                yield Variant(record.chrom, record.start, record.ref, record.alts), record.name
        return
    if isinstance(variants, Variant) or not isinstance(variants, Iterable):
        raise TypeError(
            f"variants must be several Variant or a path, got {type(variants).__name__}"
        )
    for number, variant in enumerate(variants):
        _check_variant(variant, f"variants[{number}]")
        yield variant, "."


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
