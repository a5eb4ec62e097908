"""Perplexity against context: the same bases, read again and again with more before them.

    regions -> sites (targets, drawn once) -> stretches of c / 8 -> windows -> sums per site -> row

A target is read with at least c and at most 9/8 c bases before it: a site is cut in stretches of
c / 8 bases (at least 8, and no more than the model has room for), and each is read in one pass with
c bases before it. Targets are drawn where the longest context is real sequence (`Stretches`), so
that every context, and every model, is asked for the same bases.
"""

# B windows of a batch, L positions of a window, D channels, T targets

from __future__ import annotations

import functools
import itertools
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import MAX_N_RUN
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batch, Batcher, BatchLimits, Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.tsv import Cell
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import observed_log_probs
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.provenance import Setting
from hyenadna_cli.core.outputs.shards import CHUNK_BASES, Shard, shard_range
from hyenadna_cli.core.variants.stretches import Stretches
from hyenadna_cli.errors import CheckpointError, InputFileError

log = logging.getLogger(__name__)

COLUMNS = ("context", "n_bases", "mean_context", "nats_per_base", "low", "high", "perplexity")
"""Of a table of `ContextRow.cells`; `low` and `high` are in nats per base."""

_LEAST_STRETCH = 8
_LEAST_SITES = 32
"""The fewest places in which targets are drawn: neighbours are too alike for an interval."""
_REPLICATES = 2_000
_CHUNK_BASES = 262_144
"""Sites that are computed and kept together are read in windows of about this number of bases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextSettings:
    """Which contexts, and how many targets."""

    contexts: tuple[int, ...]
    """Bases."""
    n_targets: int
    strands: tuple[Strand, ...]
    seed: int
    full_vocabulary: bool = False
    """Probabilities over all rows of the vocabulary, in place of A, C, G and T."""
    max_n_run: int = MAX_N_RUN
    """There is no context beyond longer runs of N."""

    @property
    def site(self) -> int:
        """Targets that lie side by side: a stretch of the longest context, or fewer."""
        longest = _stretch(max(self.contexts))
        return max(_LEAST_STRETCH, min(longest, self.n_targets // _LEAST_SITES))

    def described(self) -> dict[str, Setting]:
        """For provenance."""
        return {
            "contexts": list(self.contexts),
            "targets": self.n_targets,
            "strands": list[str](self.strands),
            "seed": self.seed,
            "vocab": "full" if self.full_vocabulary else "acgt",
            "max_n_run": self.max_n_run,
        }


@dataclass(frozen=True, slots=True)
class Site:
    """Targets side by side."""

    interval: Interval
    unit: int
    """The region it lies in: what is drawn again for intervals."""


@dataclass(frozen=True, slots=True)
class ContextRow:
    """How well a model predicts the targets with one context."""

    context: int
    """Bases."""
    n_bases: int
    """Targets scored, over all strands."""
    mean_context: float
    """Bases before a target, mean of the targets."""
    nats_per_base: float
    low: float
    """End of the 95 % interval over regions, as `high` is; NaN for a single region."""
    high: float

    @property
    def status(self) -> str:
        """OK, or NONFINITE (the model gave an infinity or NaN)."""
        return "OK" if math.isfinite(self.nats_per_base) else "NONFINITE"

    def cells(self) -> tuple[Cell, ...]:
        """The row of a table with `COLUMNS`."""
        nats = self.nats_per_base
        perplexity = math.exp(nats) if nats < 700 else math.inf
        return (
            self.context,
            self.n_bases,
            self.mean_context,
            nats,
            self.low,
            self.high,
            perplexity,
        )


def draw_sites(
    genome: Genome,
    regions: Sequence[Interval],
    settings: ContextSettings,
    *,
    is_whole: bool = False,
) -> list[Site]:
    """The targets, in the regions' order; regions do not overlap.

    `is_whole`: the regions are whole contigs, which are too few to draw again; a site counts as a
    region. Where there are fewer targets than asked for, all are taken. Raises InputFileError if
    no base of the regions has enough real sequence before it.
    """
    open_ = list(_open(genome, regions, settings))
    if not open_ and regions:
        raise InputFileError(
            genome.path,
            f"no base of the regions has {max(settings.contexts):,} bases of sequence before it, "
            "without a gap; use shorter --contexts, or other regions",
        )
    ends = np.cumsum([-(-interval.length // settings.site) for interval, _ in open_], dtype=int)
    n_pieces = int(ends[-1]) if open_ else 0
    random = np.random.default_rng(settings.seed)
    drawn = random.choice(n_pieces, min(n_pieces, settings.n_targets), replace=False)
    n_left, chosen = settings.n_targets, []
    for number in drawn.tolist():
        if n_left <= 0:
            break
        index = int(np.searchsorted(ends, number, side="right"))
        interval, unit = open_[index]
        first = int(ends[index - 1]) if index else 0
        start = interval.start + (number - first) * settings.site
        end = min(start + min(settings.site, n_left), interval.end)
        chosen.append((number, Site(Interval(interval.contig, start, end), unit)))
        n_left -= end - start
    if n_left:
        log.warning("the regions have %s targets", f"{settings.n_targets - n_left:,}")
    sites = [site for _, site in sorted(chosen, key=lambda item: item[0])]
    if is_whole:
        return [Site(site.interval, number) for number, site in enumerate(sites)]
    return sites


def _open(
    genome: Genome, regions: Sequence[Interval], settings: ContextSettings
) -> Iterator[tuple[Interval, int]]:
    """The parts of regions whose bases have the longest context, each with its region's number."""
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    longest = max(settings.contexts)
    before, behind = (longest if strand in settings.strands else 0 for strand in ("+", "-"))
    for number, region in enumerate(regions):
        around = region.start - before, region.end + behind
        for real in stretches.within(region.contig, start=around[0], end=around[1]):
            start = max(region.start, real.start + before)
            end = min(region.end, real.end - behind)
            if start < end:
                yield Interval(region.contig, start, end), number


def selected_contexts(
    sites: Sequence[Site], settings: ContextSettings, *, l_max: int, shard: str | None
) -> tuple[int, ...]:
    """The contexts of a shard such as `2/3`; all without one.

    Raises CheckpointError for a context that the model has no room for.
    """
    if (longest := max(settings.contexts)) >= l_max:
        raise CheckpointError(
            f"--contexts {longest:,}: the model reads at most {l_max:,} tokens, the target among "
            f"them; use {l_max - 1:,} or less, or a model with a longer context"
        )
    if shard is None:
        return settings.contexts
    # A context is work enough for a chunk of its own.
    work = [max(CHUNK_BASES, n_bases_read(sites, c, settings, l_max)) for c in settings.contexts]
    mine = shard_range(work, Shard.parse(shard))
    return settings.contexts[mine.start : mine.stop]


def n_bases_read(sites: Sequence[Site], context: int, settings: ContextSettings, l_max: int) -> int:
    """Bases of all windows of a context."""
    step = _stretch(context, l_max)
    of_strand = sum(
        -(-site.interval.length // step) * context + site.interval.length for site in sites
    )
    return len(settings.strands) * of_strand


def curve(
    model: HyenaDNA,
    sites: Sequence[Site],
    genome: Genome,
    settings: ContextSettings,
    *,
    contexts: Sequence[int],
    limits: BatchLimits,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[ContextRow]]:
    """One row a context, in order; `Done` counts bases of windows. No sites, no rows."""
    l_max = model.config.l_max
    device = model.lm_head.weight.device
    for context in contexts if sites else ():
        length = context + _stretch(context, l_max)
        batcher = Batcher(tiling=Tiling(length, length), limits=limits, device=device)
        sums_S3 = np.zeros((len(sites), 3))
        for first, last in _groups(sites, context, settings, l_max):
            of_group = sums_S3[first:last]
            n_bases = n_bases_read(sites[first:last], context, settings, l_max)
            if journal.has_chunk:
                journal.recall(of_group)
                yield Done(n_bases, [])
                continue
            windows = list(_windows(sites[first:last], genome, context, settings, l_max))
            compute = functools.partial(_sums, model, context, settings.full_vocabulary)
            for batch, sums_B3 in batcher.run([ids for _, ids in windows], compute):
                rows = batch.windows.readings.tolist()
                np.add.at(of_group, [windows[row][0] for row in rows], sums_B3)
                yield Done(int(batch.windows.lengths.sum()), [])
            journal.keep(of_group)
        yield Done(0, [_row(context, sums_S3, sites, settings.seed)])


def _stretch(context: int, l_max: int | None = None) -> int:
    """Targets of one pass."""
    length = max(_LEAST_STRETCH, context // 8)
    return length if l_max is None else min(length, l_max - context)


def _groups(
    sites: Sequence[Site], context: int, settings: ContextSettings, l_max: int
) -> Iterator[tuple[int, int]]:
    """Consecutive sites that are computed together: first and last (exclusive)."""
    cost = [n_bases_read([site], context, settings, l_max) for site in sites]
    first = n_bases = 0
    for number, bases in enumerate(cost):
        if n_bases and n_bases + bases > _CHUNK_BASES:
            yield first, number
            first, n_bases = number, 0
        n_bases += bases
    yield first, len(sites)


def _windows(
    sites: Sequence[Site],
    genome: Genome,
    context: int,
    settings: ContextSettings,
    l_max: int,
) -> Iterator[tuple[int, tokenizer.TokenIds]]:
    """The windows of sites, in reading direction, each with the number of its site."""
    step = _stretch(context, l_max)
    for (number, site), strand in itertools.product(enumerate(sites), settings.strands):
        targets = site.interval
        for start in range(targets.start, targets.end, step):
            end = min(start + step, targets.end)
            before, behind = (context, 0) if strand == "+" else (0, context)
            text = genome.fetch(Interval(targets.contig, start - before, end + behind))
            text = text if strand == "+" else reverse_complement(text)
            yield number, tokenizer.encode(text.upper())


@torch.inference_mode()
def _sums(
    model: HyenaDNA, context: int, full_vocabulary: bool, batch: Batch
) -> NDArray[np.float64]:
    """Of the targets of each window: ln p, how many, and the bases before them, summed: (B, 3)."""
    hidden_BLD = model.hidden_states(batch.token_ids_BL)[0][:, context - 1 :]
    ids_BL = batch.token_ids_BL[:, context - 1 :]
    log_probs_BT = observed_log_probs(
        model.logits(hidden_BLD), ids_BL, full_vocabulary=full_vocabulary
    )
    targets_BT = ids_BL[:, 1:]
    is_base_BT = (targets_BT >= tokenizer.A) & (targets_BT <= tokenizer.T)
    n_before_T = torch.arange(targets_BT.shape[1], device=ids_BL.device) + context
    sums_B3 = torch.stack(
        [
            log_probs_BT.double().masked_fill(~is_base_BT, 0.0).sum(1),
            is_base_BT.sum(1).double(),
            (is_base_BT * n_before_T).sum(1).double(),
        ],
        dim=1,
    )
    array: NDArray[np.float64] = sums_B3.cpu().numpy()
    return array


def _row(
    context: int, sums_S3: NDArray[np.float64], sites: Sequence[Site], seed: int
) -> ContextRow:
    log_likelihood, n_bases, n_before = sums_S3.sum(axis=0).tolist()
    if not n_bases:
        return ContextRow(context, 0, math.nan, math.nan, math.nan, math.nan)
    low, high = interval(-sums_S3[:, 0], sums_S3[:, 1], [site.unit for site in sites], seed=seed)
    nats = -log_likelihood / n_bases
    return ContextRow(context, int(n_bases), n_before / n_bases, nats, low, high)


def interval(
    sums_S: NDArray[np.float64], counts_S: NDArray[np.float64], units: Sequence[int], *, seed: int
) -> tuple[float, float]:
    """95 % percentile bootstrap of a mean over units (regions) drawn again, from sums of sites.

    NaN for a single unit.
    """
    _, unit_of = np.unique(units, return_inverse=True)
    n_units = int(unit_of.max()) + 1
    if n_units < 2:
        return math.nan, math.nan
    totals_U2 = np.zeros((n_units, 2))
    np.add.at(totals_U2, unit_of, np.stack([sums_S, counts_S], axis=1))
    random = np.random.default_rng(seed)
    means = np.empty(_REPLICATES)
    for number in range(_REPLICATES):
        total, count = totals_U2[random.integers(n_units, size=n_units)].sum(axis=0)
        means[number] = total / count if count else math.nan
    low, high = np.nanquantile(means, [0.025, 0.975]).tolist()
    return low, high
