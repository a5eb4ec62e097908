r"""Every SNV of a region, in silico.

    region -> pieces -> windows on the grid -> REF passes -> ln p of four bases at every position
           \-> sites of three alleles each -> scoring.py      (with likelihood ratios, or centred)

A distribution over four bases tells the site scores of three SNVs, so that on the grid these take
one REF pass a window and strand, and no loop over bases.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batch, Batcher, BatchLimits, Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.variants.alleles import SCORED, Grid, Site, Variant, assess
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.scores import next_base_log_probs
from hyenadna_cli.core.variants.scoring import score
from hyenadna_cli.core.variants.stretches import Stretches

_PIECE = 32_768
"""Bases of a region whose scores are in memory at once, and of which shards are made."""
_BASES = "ACGT"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SnvScores:
    """The SNVs of a piece of a region: one row per base, one column for each of A, C, G and T."""

    interval: Interval
    bases: str
    """The genome's, upper case; N has no SNVs."""
    statuses: list[str]
    """Of each base."""
    site: Floats
    """NaN for the genome's own base, and where there is no score."""
    llr: Floats | None
    """The same, if asked for."""
    gradient: Floats | None = None
    """First-order estimate of `llr` (`interpretation.gradients`), if asked for."""

    @property
    def tables(self) -> list[Floats]:
        """`site`, and `llr` or `gradient` if asked for."""
        return [of for of in (self.site, self.llr, self.gradient) if of is not None]


RefPass = Callable[[HyenaDNA, ScoreSettings, Batch], Floats]
"""What a pass over windows brings: (B, L, K, 4), values of A, C, G and T at each position. The
first of K are ln p, NaN at the first position; infinite: the model gave no number."""


def pieces(region: Interval) -> list[Interval]:
    """A region cut where `mutagenize` cuts it; batches are made inside a piece only."""
    return [
        Interval(region.contig, start, min(start + _PIECE, region.end))
        for start in range(region.start, region.end, _PIECE)
    ]


def mutagenize(
    model: HyenaDNA,
    region: Interval,
    genome: Genome,
    settings: ScoreSettings,
    *,
    limits: BatchLimits,
    journal: Journal = NO_JOURNAL,
    ref_pass: RefPass | None = None,
) -> Iterator[Done[SnvScores]]:
    """Score every SNV of a region, piece by piece in order; `Done` counts bases.

    `settings.scores` are site, or site and llr. A `ref_pass` with K = 2 brings `gradient` besides
    site, on the grid. Raises ValueError for others.
    """
    if settings.scores not in (("site",), ("site", "llr")):
        raise ValueError(f"mutagenesis has the scores site and llr, not {settings.scores}")
    is_from_ref = isinstance(settings.layout, Grid) and not settings.needs_alt_pass
    if ref_pass is not None and not is_from_ref:
        raise ValueError("gradients are of windows on the grid, without llr")
    for piece in pieces(region):
        if isinstance(settings.layout, Grid) and is_from_ref:
            rows = _from_ref_passes(
                model,
                piece,
                genome,
                settings,
                settings.layout,
                limits,
                journal,
                log_probs if ref_pass is None else ref_pass,
                n_values=1 if ref_pass is None else 2,
            )
            yield Done(piece.length, [rows])
        else:
            yield from _from_sites(model, piece, genome, settings, limits, journal)


def _from_sites(
    model: HyenaDNA,
    piece: Interval,
    genome: Genome,
    settings: ScoreSettings,
    limits: BatchLimits,
    journal: Journal,
) -> Iterator[Done[SnvScores]]:
    bases = genome.fetch(piece).upper()
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    sites = [
        _site(Variant(piece.contig, piece.start + n, base, _others(base)), stretches, settings)
        for n, base in enumerate(bases)
    ]
    values = {name: np.full((piece.length, 4), np.nan) for name in settings.scores}
    statuses: list[str] = []
    for done in score(model, sites, genome, settings, limits=limits, journal=journal):
        for row in done.rows:
            number = len(statuses)
            statuses.append(row[0].status if row else "NON_ACGT")
            for alt, allele in zip(sites[number].variant.alts, row, strict=True):
                for name in settings.scores:
                    values[name][number, _BASES.index(alt)] = allele.values[name]
        yield Done(done.n_bases, [])
    yield Done(0, [SnvScores(piece, bases, statuses, values["site"], values.get("llr"))])


def _others(base: str) -> tuple[str, ...]:
    return tuple(other for other in _BASES if other != base) if base in _BASES else ()


def _site(variant: Variant, stretches: Stretches, settings: ScoreSettings) -> Site:
    return assess(variant, stretches, layout=settings.layout, max_allele_length=1)


@dataclass(frozen=True, slots=True)
class _Reading:
    """A window of one strand, and the bases of the piece that are scored in it."""

    window: Interval
    n_trimmed: int
    """N that the window begins with in reading direction; they are not read."""
    strand: Strand
    rows: slice
    """Of the piece."""
    token_ids: tokenizer.TokenIds


def _from_ref_passes(
    model: HyenaDNA,
    piece: Interval,
    genome: Genome,
    settings: ScoreSettings,
    grid: Grid,
    limits: BatchLimits,
    journal: Journal,
    ref_pass: RefPass,
    *,
    n_values: int,
) -> SnvScores:
    bases = genome.fetch(piece).upper()
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    is_edge = np.zeros(piece.length, dtype=np.bool_)
    is_unknown = np.zeros(piece.length, dtype=np.bool_)
    readings = []
    for strand in settings.strands:
        for window, rows, at_edge in _windows(piece, strand, stretches, grid):
            is_edge[rows] |= at_edge
            text = stretches.read(window, strand)
            if text.n_fraction > settings.max_n_fraction:
                is_unknown[rows] = True
            elif text.bases:
                ids = tokenizer.encode(text.bases)
                readings.append(_Reading(window, text.n_trimmed, strand, rows, ids))
    values = np.zeros((len(settings.strands), piece.length, n_values, 4))
    if journal.has_chunk:
        journal.recall(values)
    else:
        compute = functools.partial(ref_pass, model, settings)
        batcher = Batcher(
            tiling=Tiling(grid.window, grid.window),
            limits=limits,
            device=model.lm_head.weight.device,
        )
        for batch, of_batch in batcher.run([reading.token_ids for reading in readings], compute):
            for number, of_window in zip(batch.windows.readings.tolist(), of_batch, strict=True):
                reading = readings[number]
                strand_number = settings.strands.index(reading.strand)
                values[strand_number, reading.rows] = _on_plus_strand(of_window, reading, piece)
        journal.keep(values)
    is_base = np.array([base in _BASES for base in bases])
    statuses = np.where(is_edge, "OK_EDGE", "OK").astype(object)
    statuses[np.isinf(values).any(axis=(0, 2, 3))] = "NONFINITE"
    statuses[is_unknown] = "N_WINDOW"
    statuses[~is_base] = "NON_ACGT"
    tables = []
    for number in range(n_values):
        table = _mean_over_strands(_relative_to_ref(values[:, :, number], bases))
        table[~np.isin(statuses, list(SCORED))] = np.nan
        tables.append(table)
    return SnvScores(piece, bases, statuses.tolist(), tables[0], None, *tables[1:])


@torch.inference_mode()
def log_probs(model: HyenaDNA, settings: ScoreSettings, batch: Batch) -> Floats:
    """Ln p of A, C, G and T at every position: (B, L, 1, 4)."""
    hidden_BLD = model.hidden_states(batch.token_ids_BL)[0]
    log_probs_BLV = next_base_log_probs(
        model, hidden_BLD[:, :-1], full_vocabulary=settings.full_vocabulary
    )
    if settings.full_vocabulary:
        log_probs_BLV = log_probs_BLV[..., tokenizer.A : tokenizer.T + 1]
    return as_values(log_probs_BLV)[:, :, None]


def as_values(log_probs_BT4: torch.Tensor) -> Floats:
    """Ln p of the bases at positions 1 to the last, as `RefPass` brings them: (B, L, 4)."""
    finite_BT4 = log_probs_BT4.double().nan_to_num(nan=torch.inf)
    # The first base of a window has nothing before it, and so no distribution.
    with_first = torch.nn.functional.pad(finite_BT4, (0, 0, 1, 0), value=torch.nan)
    array: Floats = with_first.cpu().numpy()
    return array


def _windows(
    piece: Interval, strand: Strand, stretches: Stretches, grid: Grid
) -> Iterator[tuple[Interval, slice, NDArray[np.bool_]]]:
    """The windows of a piece, cut to real sequence, with the rows read in each.

    The last item tells which of these are at an edge. Rows in a gap have no window.
    """
    contig = piece.contig
    starts, is_moved = grid.of_bases(piece, strand, contig_length=stretches.genome.lengths[contig])
    for start in np.unique(starts).tolist():
        for window in stretches.within(contig, start=start, end=start + grid.window):
            is_cut = window.length < grid.window
            inside = np.arange(window.start, window.end) - piece.start
            inside = inside[(inside >= 0) & (inside < piece.length)]
            mine = inside[starts[inside] == start]
            if mine.size:
                rows = slice(int(mine[0]), int(mine[-1]) + 1)
                yield window, rows, is_moved[rows] | is_cut


def _on_plus_strand(values: Floats, reading: _Reading, piece: Interval) -> Floats:
    """The rows of `values` that a reading scores, in the order and letters of the plus strand."""
    n_bases = reading.window.length - reading.n_trimmed
    unknown = np.full((reading.n_trimmed, *values.shape[1:]), np.nan)
    whole = np.concatenate([unknown, values[:n_bases]])
    if reading.strand == "-":
        # A, C, G, T backwards are their complements.
        whole = whole[::-1, :, ::-1]
    first = piece.start + reading.rows.start - reading.window.start
    return whole[first : first + reading.rows.stop - reading.rows.start]


def _relative_to_ref(log_probs: Floats, bases: str) -> Floats:
    """Of each strand: ln p of a base less that of the genome's, NaN for the latter."""
    columns = np.array([max(0, _BASES.find(base)) for base in bases])
    rows = np.arange(len(bases))
    with np.errstate(invalid="ignore"):
        site: Floats = log_probs - log_probs[:, rows, columns][..., None]
    site[:, rows, columns] = np.nan
    return site


def _mean_over_strands(site: Floats) -> Floats:
    """NaN where no strand has a score."""
    is_known = ~np.isnan(site)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(is_known, site, 0.0).sum(axis=0) / is_known.sum(axis=0)
    return mean
