"""Nucleotide dependencies: how far a change of one base moves what the model says of another.

    dependency(i, j) = max over the three substitutions at i and the bases b at j of
                       |log2 odds(b at j | substituted) - log2 odds(b at j | genome)|

with odds(p) = p / (1 - p); i is the query, j the target (Tomaz da Silva et al. 2025, Nature
Genetics, "Nucleotide dependency analysis of genomic language models"). The model reads in one
direction, so that a query moves only what follows it: i before j is read on the plus strand, i
after j on the minus strand. Probabilities are over A, C, G and T.

    region -> pieces of queries -> a window for each strand: context, region (or, of regions that
              are too long for the model, queries and what they reach)
           -> REF pass -> three ALT passes for each query, of what follows it -> rows of the map

An ALT pass builds on the REF pass (`variants.shared_prefix`). Memory grows with a piece and with
the length of the region, never with its square.
"""

# A alleles of an ALT pass, L positions of a window, S of a suffix, T targets

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batch, Batcher, BatchLimits, Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.provenance import Setting
from hyenadna_cli.core.variants.scores import next_base_log_probs
from hyenadna_cli.core.variants.shared_prefix import RefStates, SharedPrefix
from hyenadna_cli.core.variants.stretches import Stretches
from hyenadna_cli.errors import UsageError

_QUERIES = 128
"""Queries of a piece: of a window, of a chunk of the journal."""
_STEP = 16
"""Queries whose ALT passes begin at the same position, so that they share batches."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class DependencyRows:
    """Rows of the map: the targets of some queries."""

    first: int
    """The first query, from the region's start on."""
    values: Floats
    """(queries, bases of the region); NaN where there is no value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DependencySettings:
    """How far a map reaches, and what the model reads before it."""

    context: int
    """Bases before the region on either strand, as far as there is real sequence."""
    max_distance: int | None = None
    """Bases between query and target at most; None: as far as the region reaches."""
    strands: tuple[Strand, ...] = ("+", "-")
    max_n_run: int = 10
    """Context ends at longer runs of N."""

    def described(self, region: Interval) -> dict[str, Setting]:
        """What of this shapes the map, for provenance."""
        return {
            "region": str(region),
            "context": self.context,
            "max_distance": self.max_distance,
            "strands": list[str](self.strands),
            "max_n_run": self.max_n_run,
        }

    def is_whole(self, region: Interval, l_max: int) -> bool:
        """Whether windows begin before the region, and not before each piece of its queries."""
        return self.max_distance is None or self.context + region.length <= l_max

    def window(self, region: Interval, l_max: int) -> int:
        """Bases of the longest window. Raises UsageError for a map without a target."""
        if self.max_distance is not None and self.max_distance < 1:
            raise UsageError("--max-distance is at least 1 base")
        if self.max_distance is None or self.is_whole(region, l_max):
            return self.context + region.length
        return self.context + min(region.length, _QUERIES + self.max_distance)


def dependencies(
    model: HyenaDNA,
    region: Interval,
    genome: Genome,
    settings: DependencySettings,
    *,
    limits: BatchLimits,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[DependencyRows]]:
    """The map of a region, row by row in order; `Done` counts queries.

    N has neither rows nor columns. Raises UsageError if the model cannot read the windows.
    """
    l_max = model.config.l_max
    window = settings.window(region, l_max)
    if window > l_max:
        raise UsageError(
            f"a map of {region.length:,} bases with {settings.context:,} before it: this model "
            f"reads {l_max:,}; give a shorter region, or --max-distance"
        )
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    work = _Passes(model, window, limits)
    is_whole = settings.is_whole(region, l_max)
    for start in range(region.start, region.end, _QUERIES):
        queries = Interval(region.contig, start, min(start + _QUERIES, region.end))
        values = np.full((queries.length, region.length), np.nan, np.float32)
        if journal.has_chunk:
            journal.recall(values)
            yield Done(queries.length, [DependencyRows(start - region.start, values)])
            continue
        n_done, share = 0.0, 1 / len(settings.strands)
        for strand in settings.strands:
            reading = _Reading.of(queries, region, strand, stretches, settings, is_whole=is_whole)
            for row, columns, of_query in work.run(reading):
                values[row, columns] = np.fmax(values[row, columns], of_query)
                n_done += share
                yield Done(share, [])
        _blank_n(values, queries, region, genome)
        journal.keep(values)
        # N and the last query of a region have no targets.
        yield Done(queries.length - n_done, [DependencyRows(start - region.start, values)])


@dataclass(frozen=True, slots=True)
class _Reading:
    """A window on one strand: what is before the queries, then they, then their targets."""

    strand: Strand
    token_ids: tokenizer.TokenIds
    first: int
    """Position of the first query in the window, in reading direction."""
    n_queries: int
    max_distance: int
    queries: Interval
    region: Interval

    @classmethod
    def of(
        cls,
        queries: Interval,
        region: Interval,
        strand: Strand,
        stretches: Stretches,
        settings: DependencySettings,
        *,
        is_whole: bool,
    ) -> _Reading:
        """The window of some queries of a region."""
        before = region if is_whole else queries
        reach = region.length if settings.max_distance is None else settings.max_distance
        if strand == "+":
            inner = Interval(region.contig, queries.start, min(region.end, queries.end + reach))
            start = before.start - settings.context
            whole = stretches.around(inner, start=start, end=inner.end)
            text, first = stretches.genome.fetch(whole), queries.start - whole.start
        else:
            inner = Interval(region.contig, max(region.start, queries.start - reach), queries.end)
            end = before.end + settings.context
            whole = stretches.around(inner, start=inner.start, end=end)
            text = reverse_complement(stretches.genome.fetch(whole))
            first = whole.end - queries.end
        ids = tokenizer.encode(text.upper())
        return cls(strand, ids, first, queries.length, reach, queries, region)

    def on_map(self, query: int, targets: range) -> tuple[int, slice]:
        """Row in the piece, and columns of the map, of a query and targets in the window."""
        if self.strand == "+":
            row = query - self.first
            before = self.queries.start - self.region.start - self.first
            return row, slice(before + targets.start, before + targets.stop)
        row = self.n_queries - 1 - (query - self.first)
        # Position p of the window is the base `last - p` of the region.
        last = self.queries.end - 1 - self.region.start + self.first
        return row, slice(last - targets.stop + 1, last - targets.start + 1)


class _Passes:
    """REF and ALT passes over windows of queries."""

    def __init__(self, model: HyenaDNA, window: int, limits: BatchLimits) -> None:
        self._model = model
        self._shared = SharedPrefix(model, window)
        self._device = model.lm_head.weight.device
        self._batches = Batcher(tiling=Tiling(window, window), limits=limits, device=self._device)

    def run(self, reading: _Reading) -> Iterator[tuple[int, slice, Floats]]:
        """Row, columns and values of each query that has targets."""
        ids = reading.token_ids
        ids_BL = torch.from_numpy(ids.astype(np.int64))[None].to(self._device)
        queries = range(reading.first, min(reading.first + reading.n_queries, len(ids) - 1))
        groups: dict[int, list[int]] = {}
        for query in queries:
            if ids[query] in tokenizer.BASES:
                groups.setdefault(query // _STEP * _STEP, []).append(query)
        if not groups:
            return
        states, ref_odds_LV = self._ref(ids_BL, sorted(groups))
        for start, of_group in groups.items():
            changes = [(q, base) for q in of_group for base in tokenizer.BASES if base != ids[q]]
            suffixes = []
            for query, base in changes:
                suffix = ids[start:].copy()
                suffix[query - start] = base
                suffixes.append(suffix)
            largest = {query: np.zeros(len(ids) - 1 - query, np.float32) for query in of_group}
            compute = functools.partial(self._moved, states, ref_odds_LV, changes, start)
            for batch, moved in self._batches.run(suffixes, compute):
                for number, moved_S in zip(batch.windows.readings.tolist(), moved, strict=True):
                    query = changes[number][0]
                    np.maximum(largest[query], moved_S[query - start :], out=largest[query])
            for query, values in largest.items():
                targets = range(query + 1, min(query + reading.max_distance, len(ids) - 1) + 1)
                row, columns = reading.on_map(query, targets)
                of_targets = values[: len(targets)]
                yield row, columns, of_targets if reading.strand == "+" else of_targets[::-1]

    @torch.inference_mode()
    def _ref(self, ids_BL: Tensor, starts: list[int]) -> tuple[RefStates, Tensor]:
        """What ALT passes from `starts` need, and the odds of the genome's own sequence (L, 4)."""
        (hidden_BLD,), states = self._shared.ref(ids_BL, starts)
        return states, _log2_odds(self._model, hidden_BLD)[0]

    @torch.inference_mode()
    def _moved(
        self,
        states: RefStates,
        ref_odds_LV: Tensor,
        changes: list[tuple[int, int]],
        start: int,
        batch: Batch,
    ) -> NDArray[np.float32]:
        """Of each change, how far the odds of the base after each position move: (A, S - 1)."""
        queries = [changes[number][0] for number in batch.windows.readings.tolist()]
        rows_A = torch.zeros(len(queries), dtype=torch.long, device=self._device)
        changed = slice(min(queries) - start, max(queries) - start + 1)
        (hidden_ASD,) = self._shared.alt(states, rows_A, batch.token_ids_BL, start, changed=changed)
        odds_ASV = _log2_odds(self._model, hidden_ASD)
        moved_AS = (odds_ASV - ref_odds_LV[start:]).abs().amax(dim=-1)
        array: NDArray[np.float32] = moved_AS[:, :-1].float().cpu().numpy()
        return array


def _log2_odds(model: HyenaDNA, hidden_BLD: Tensor) -> Tensor:
    """Log2 odds of A, C, G and T as the next base: (B, L, 4)."""
    log_probs_BLV = next_base_log_probs(model, hidden_BLD)
    others = [log_probs_BLV[..., [b for b in range(4) if b != base]] for base in range(4)]
    # ln(1 - p) as the sum of the others: 1 - p would be 0 for a certain base.
    against_BLV = torch.stack([torch.logsumexp(three, dim=-1) for three in others], dim=-1)
    return (log_probs_BLV - against_BLV) / math.log(2)


def _blank_n(values: Floats, queries: Interval, region: Interval, genome: Genome) -> None:
    """N is neither a query nor a target."""
    bases = np.frombuffer(genome.fetch(region).upper().encode(), np.uint8)
    is_base = np.isin(bases, np.frombuffer(b"ACGT", np.uint8))
    values[:, ~is_base] = np.nan
    first = queries.start - region.start
    values[~is_base[first : first + queries.length]] = np.nan
