"""What a model says of every base of a genome, as a track for a browser.

| value | at a base |
|---|---|
| logp | ln p(the genome's base given those before it), natural log |
| surprise | minus that |
| entropy | of the distribution over A, C, G and T there, in nats |

    regions -> real sequence (`variants.stretches`) -> tiles at fixed places -> passes -> pieces

A contig is cut into tiles of `window - min_context` bases, at multiples of that length; each is
read with `min_context` bases before it, as far as there is real sequence. So a value depends on the
place, the window and the context, and not on the region or shard that it is asked for in. With both
strands it is their mean, or that of the one that has it. N has no value, and neither has the first
base of a contig or behind a gap on the strand that begins there.
"""

# B windows of a batch, L positions of a window, T = L - 1 targets

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hyenadna_cli.core.dna import intervals, tokenizer
from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batch, Batcher, BatchLimits, Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.io.tracks import open_track
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.provenance import Setting
from hyenadna_cli.core.outputs.shards import CHUNK_BASES, Shard, shard_range
from hyenadna_cli.core.variants.scores import next_base_log_probs
from hyenadna_cli.core.variants.stretches import Stretches

TrackValue = Literal["logp", "entropy", "surprise"]

_CHUNK_BASES = 262_144
"""Bases, about, of the tiles that are computed and kept together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackSettings:
    """What is said of each base, and what the model reads before it."""

    value: TrackValue
    window: int
    """Bases of a pass."""
    min_context: int
    """Bases before a base, where the contig has them."""
    strands: tuple[Strand, ...] = ("+", "-")
    max_n_run: int = 10
    """Windows end at longer runs of N."""

    def __post_init__(self) -> None:
        if not 0 < self.min_context < self.window:
            raise ValueError(f"--min-context {self.min_context:,}: from 1 to below the window")

    @property
    def step(self) -> int:
        """Bases of a tile."""
        return self.window - self.min_context

    def described(self) -> dict[str, Setting]:
        """For provenance."""
        return {
            "track_value": self.value,
            "window": self.window,
            "min_context": self.min_context,
            "strands": list[str](self.strands),
            "max_n_run": self.max_n_run,
        }


@dataclass(frozen=True, slots=True)
class TrackPiece:
    """Values of consecutive bases; NaN where there is none."""

    interval: Interval
    values: NDArray[np.float32]
    region: Interval
    """What it is a piece of."""


def track(
    model: HyenaDNA,
    regions: Iterable[Interval],
    genome: Genome,
    settings: TrackSettings,
    *,
    limits: BatchLimits,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[TrackPiece]]:
    """The values of regions, in order, piece by piece; `Done` counts bases."""
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    batcher = Batcher(
        tiling=Tiling(settings.window, settings.window),
        limits=limits,
        device=model.lm_head.weight.device,
    )
    compute = functools.partial(_values, model, settings.value)
    for region in regions:
        for piece in pieces(region, settings.step):
            values = np.full((len(settings.strands), piece.length), np.nan, np.float32)
            if journal.has_chunk:
                journal.recall(values)
                yield Done(piece.length, [_mean(piece, values, region)])
                continue
            tiles = [
                tile
                for row, strand in enumerate(settings.strands)
                for tile in _tiles(piece, row, strand, stretches, settings)
            ]
            n_done, share = 0.0, piece.length / max(1, len(tiles))
            for batch, of_batch in batcher.run([tile.token_ids for tile in tiles], compute):
                for number, of_window in zip(
                    batch.windows.readings.tolist(), of_batch, strict=True
                ):
                    tiles[number].put(of_window, values)
                n_done += share * len(batch.windows)
                yield Done(share * len(batch.windows), [])
            journal.keep(values)
            yield Done(piece.length - n_done, [_mean(piece, values, region)])


def regions_of(genome: Genome, given: RegionFile) -> list[Interval]:
    """Whole contigs, or the regions of a file without overlaps, in the genome's order.

    Raises InputFileError.
    """
    if given.path is None:
        return [Interval(contig, 0, length) for contig, length in genome.lengths.items()]
    names = given.contigs(genome.lengths)
    order = {contig: number for number, contig in enumerate(genome.lengths)}
    of_file = [region.interval for region in given.read(names)]
    of_file.sort(key=lambda region: (order[region.contig], region.start))
    return [
        piece
        for _, of_contig in itertools.groupby(of_file, key=lambda region: region.contig)
        for piece in intervals.merged(list(of_contig))
    ]


def of_shard(regions: list[Interval], settings: TrackSettings, shard: str | None) -> list[Interval]:
    """Of a shard such as `3/16`, whole pieces. Raises UsageError."""
    if shard is None:
        return regions
    cut = [piece for region in regions for piece in pieces(region, settings.step)]
    # A piece is work enough for a chunk of its own.
    mine = shard_range([CHUNK_BASES] * len(cut), Shard.parse(shard))
    return cut[mine.start : mine.stop]


@contextmanager
def writer(
    output: str, lengths: Mapping[str, int], overwrite: bool
) -> Iterator[Callable[[TrackPiece], None]]:
    """A function that writes pieces. Raises as `io.tracks.open_track` does."""
    with open_track(output, lengths, overwrite=overwrite) as write:
        yield lambda piece: write(piece.interval.contig, piece.interval.start, piece.values)


def pieces(region: Interval, step: int) -> list[Interval]:
    """A region cut at tiles, some of them together."""
    length = max(1, _CHUNK_BASES // step) * step
    cuts = [*range((region.start // length + 1) * length, region.end, length), region.end]
    starts = [region.start, *cuts[:-1]]
    return [Interval(region.contig, start, end) for start, end in zip(starts, cuts, strict=True)]


@dataclass(frozen=True, slots=True)
class _Tile:
    """A window of one strand, and the bases of a piece that are scored in it."""

    row: int
    """Of the piece's values: the strand."""
    strand: Strand
    token_ids: tokenizer.TokenIds
    first: int
    """Position of the first scored base in the window, in reading direction."""
    columns: slice
    """Of the piece."""

    def put(self, of_window: NDArray[np.float32], values: NDArray[np.float32]) -> None:
        """Put the values of a window (L,) where they belong."""
        n_bases = self.columns.stop - self.columns.start
        scored = of_window[self.first : self.first + n_bases]
        values[self.row, self.columns] = scored if self.strand == "+" else scored[::-1]


def _tiles(
    piece: Interval, row: int, strand: Strand, stretches: Stretches, settings: TrackSettings
) -> Iterator[_Tile]:
    contig, step = piece.contig, settings.step
    for number in range(piece.start // step, -(-piece.end // step)):
        for scored in stretches.within(contig, start=number * step, end=(number + 1) * step):
            if scored.start >= piece.end or scored.end <= piece.start:
                continue
            # The whole tile is read, whatever part of it is asked for.
            before, behind = (
                (settings.min_context, 0) if strand == "+" else (0, settings.min_context)
            )
            window = stretches.around(scored, start=scored.start - before, end=scored.end + behind)
            text = stretches.genome.fetch(window)
            text = text if strand == "+" else reverse_complement(text)
            start, end = max(scored.start, piece.start), min(scored.end, piece.end)
            first = start - window.start if strand == "+" else window.end - end
            columns = slice(start - piece.start, end - piece.start)
            yield _Tile(row, strand, tokenizer.encode(text.upper()), first, columns)


@torch.inference_mode()
def _values(model: HyenaDNA, value: TrackValue, batch: Batch) -> NDArray[np.float32]:
    """The value at every position of each window, NaN at the first and at N: (B, L)."""
    ids_BL = batch.token_ids_BL
    hidden_BLD = model.hidden_states(ids_BL)[0]
    if model.context_of(ids_BL.shape[1]) is None:
        log_probs_BT4 = next_base_log_probs(model, hidden_BLD[:, :-1])
    else:
        own_BS4 = next_base_log_probs(model, hidden_BLD)
        log_probs_BT4 = model.whole(own_BS4, ids_BL.shape[1])[:, :-1]
    targets_BT = ids_BL[:, 1:]
    is_base_BT = (targets_BT >= tokenizer.A) & (targets_BT <= tokenizer.T)
    if value == "entropy":
        said_BT = -(log_probs_BT4.exp() * log_probs_BT4).sum(dim=-1)
    else:
        index_BT = (targets_BT - tokenizer.A).clamp(0, 3)
        said_BT = log_probs_BT4.gather(-1, index_BT[..., None])[..., 0]
        said_BT = said_BT if value == "logp" else -said_BT
    said_BT = said_BT.masked_fill(~is_base_BT, torch.nan)
    said_BL = torch.nn.functional.pad(said_BT, (1, 0), value=torch.nan)
    array: NDArray[np.float32] = said_BL.float().cpu().numpy()
    return array


def _mean(piece: Interval, values: NDArray[np.float32], region: Interval) -> TrackPiece:
    """Over the strands that have a value."""
    is_known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean = np.where(is_known, values, 0).sum(axis=0) / is_known.sum(axis=0)
    return TrackPiece(piece, mean.astype(np.float32), region)
