"""Alleles as rows of an embedding file: a row each, in the order of the VCF.

Beside what every embedding file has, where `start` and `end` are those of REF (0-based half-open),
`length` is the bases of the longest window read and `n_windows` counts REF and ALT windows:

    pos              int64    1-based, as in the VCF
    id, ref, alt     text     as written; alt is "." where a record has none
    llr, site, ...   float64  the scores asked for; NaN where there is none
    before, after    text     up to 50 bases on either side of REF, plus strand, upper case
    ...              text     INFO entries, see `InfoColumns`
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Score
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.embeddings_h5 import EmbeddingRow
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.vcf import VcfRecord
from hyenadna_cli.core.io.vcf_info import InfoColumns
from hyenadna_cli.core.variants.alleles import Variant
from hyenadna_cli.core.variants.chunks import AlleleScore, ScoreSettings
from hyenadna_cli.core.variants.sites import Scored

N_FLANK = 50
"""Bases of `before` and of `after`."""


def column_names(scores: Sequence[Score], info: Sequence[str]) -> list[str]:
    """The columns of alleles."""
    return ["pos", "id", "ref", "alt", *scores, "before", "after", *info]


def column_kinds(scores: Sequence[Score]) -> dict[str, Any]:
    """The types of columns that are not text."""
    return {"pos": np.int64, **dict.fromkeys(scores, np.float64)}


def flanks(variant: Variant, genome: Genome) -> tuple[str, str]:
    """`before` and `after` of a variant; empty where the genome has nothing of it."""
    if variant.contig is None or not 0 <= variant.start < variant.end:
        return "", ""
    length = genome.lengths[variant.contig]
    if variant.end > length:
        return "", ""
    start, end = max(0, variant.start - N_FLANK), min(variant.end + N_FLANK, length)
    text = genome.peek(Interval(variant.contig, start, end)).upper()
    return text[: variant.start - start], text[variant.end - start :]


def rows_of(
    scored: Scored, settings: ScoreSettings, genome: Genome, info: InfoColumns, *, d_model: int
) -> Iterator[EmbeddingRow]:
    """The rows of one record: one per allele, and one for a record without ALT."""
    record, site, alleles = scored
    further = info.of(record)
    if not alleles:
        yield _row(record, site.variant, None, ".", settings, genome, further[0], d_model)
    for allele, alt, cells in zip(alleles, record.alts, further, strict=False):
        yield _row(record, site.variant, allele, alt, settings, genome, cells, d_model)


def _row(
    record: VcfRecord,
    variant: Variant,
    allele: AlleleScore | None,
    alt: str,
    settings: ScoreSettings,
    genome: Genome,
    info: tuple[str, ...],
    d_model: int,
) -> EmbeddingRow:
    assert settings.vectors is not None
    chrom, pos, name, ref = map(_readable, record.columns[:4])
    n_passes = 1 if settings.vectors.of in ("ref", "alt") else 2
    return EmbeddingRow(
        name=f"{chrom}:{pos}:{ref}>{alt}",
        chrom=chrom,
        start=variant.start,
        end=variant.end,
        strand="both" if len(settings.strands) == 2 else settings.strands[0],
        length=0 if allele is None else allele.window,
        n_frac=float("nan") if allele is None else allele.n_fraction,
        n_windows=0 if allele is None else n_passes * allele.n_windows,
        status="NO_ALT" if allele is None else allele.status,
        vectors=_vectors(allele, settings, d_model),
        columns=(
            variant.start + 1,
            name,
            ref,
            alt,
            *(float("nan") if allele is None else allele.values[s] for s in settings.scores),
            *flanks(variant, genome),
            *map(_readable, info),
        ),
    )


def _vectors(
    allele: AlleleScore | None, settings: ScoreSettings, d_model: int
) -> dict[str, NDArray[np.float32]]:
    """`{pooling}_layer{i}` to a vector; NaN where there is none."""
    assert settings.vectors is not None
    keys = settings.vectors.pooled.keys
    if allele is None or allele.vectors_KD is None:
        return {key: np.full(d_model, np.nan, dtype=np.float32) for key in keys}
    with np.errstate(over="ignore"):  # an infinity has its own status
        return dict(zip(keys, allele.vectors_KD.astype(np.float32), strict=True))


def _readable(text: str) -> str:
    """Bytes that are not UTF-8 as replacement characters, which HDF5 can hold."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
