"""Records to vectors: windows -> hidden states -> pooled over bases, windows and strands.

What a vector is, for a record read along one strand (bases in reading direction, 5' to 3'; pads and
special tokens are never among them; `center` is the base at length // 2):

    pooling   of one window            of several windows
    mean      mean over its bases      their mean, weighted by the bases that count in each
    max       maximum over its bases   their maximum
    first     its first base           the first base of the first window
    last      its last base            the last base of the last window
    center    -                        the centre base, in the window with most left context
    token     one row per base           each base from the window with most left context

Excluded bases (N, soft-masked) do not count in `mean` and `max`; the model reads them all the same.
Both strands: the mean of the two vectors; `token` rows are always in the order of the plus strand,
and the rows of the two strands are averaged base by base.

Status of a record: OK; EMPTY (no bases: NaN); ALL_EXCLUDED (no base counts: `mean` and `max` are
NaN); NONFINITE (the model gave an infinity or NaN).
"""

# B windows of a batch, S some of them, L positions (tokens), D d_model, Y layers,
# R readings (a record along one strand) of a chunk

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.sequence import n_fraction
from hyenadna_cli.core.inference.batching import Batch, Batcher, Done, Readings, Windows
from hyenadna_cli.core.inference.pooling import Pooled, Pooling
from hyenadna_cli.core.io.embeddings_h5 import EmbeddingRow
from hyenadna_cli.core.io.records import Record, strand_label
from hyenadna_cli.core.model.context import Context
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.shards import chunks

_TILE = 4_096
"""Positions summed in the model's precision; tiles are summed in float64."""

Array = NDArray[np.floating[Any]]
Index = NDArray[np.int64]


def embed(
    model: HyenaDNA,
    records: Iterable[Record],
    pooled: Pooled,
    *,
    batcher: Batcher,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[EmbeddingRow]]:
    """Embed a stream of records: one `Done` per batch, with the rows at the end of each chunk."""
    for chunk in chunks(records, length_of=lambda record: len(record.sequence)):
        work = _PooledChunk(chunk, pooled, batcher=batcher, d_model=model.config.d_model)
        compute = functools.partial(_pool, model, work)
        for n_bases in batcher.fill(
            work.numbers, work.readings, compute, work.add, journal=journal
        ):
            yield Done(n_bases, [])
        yield Done(0.0, work.rows())


class _PooledChunk:
    """Collects what the windows of a chunk bring to the vectors of its records."""

    def __init__(
        self, records: list[Record], pooled: Pooled, *, batcher: Batcher, d_model: int
    ) -> None:
        self.records = records
        self.readings = Readings(records, pooled.strand)
        self.pooled = pooled
        self._tiling = batcher.tiling
        self._lengths_R = np.array([reading.size for reading in self.readings.of])
        self._n_counted_R = np.zeros(len(self._lengths_R))
        shape_RYD = (len(self._lengths_R), len(pooled.layers), d_model)
        start_of = {"mean": 0.0, "max": -np.inf}
        self._state = {
            pooling: np.full(shape_RYD, start_of.get(pooling, np.nan))
            for pooling in pooled.poolings
        }

    @property
    def numbers(self) -> list[NDArray[Any]]:
        """All that windows have brought so far."""
        return [*self._state.values(), self._n_counted_R]

    def counted(self, windows: Windows) -> list[NDArray[np.bool_]]:
        """For each window, which of its bases count in `mean` and `max`."""
        return [self._counted(reading, start, end) for reading, start, end, _ in windows]

    def base_of(self, pooling: Pooling, windows: Windows) -> tuple[Index, Index]:
        """Which windows hold the base that `pooling` takes of their reading, and where."""
        length_B = self._lengths_R[windows.readings]
        base_B = {"first": 0 * length_B, "last": length_B - 1, "center": length_B // 2}[pooling]
        rows_S = np.flatnonzero((windows.news <= base_B) & (base_B < windows.ends))
        return rows_S, (base_B - windows.starts)[rows_S]

    def add(self, batch: Batch, states: Mapping[str, Array]) -> None:
        """Take the results of `_pool`."""
        windows = batch.windows
        for pooling, state_RYD in self._state.items():
            if pooling == "mean":
                np.add.at(state_RYD, windows.readings, states["mean"])
            elif pooling == "max":
                np.maximum.at(state_RYD, windows.readings, states["max"])
            else:
                rows_S, _ = self.base_of(pooling, windows)
                state_RYD[windows.readings[rows_S]] = states[pooling]
        if self.pooled.counts_bases:
            np.add.at(self._n_counted_R, windows.readings, states["n_counted"])

    def rows(self) -> list[EmbeddingRow]:
        """The finished rows, in input order."""
        vectors: dict[str, NDArray[np.float32]] = {}
        for pooling, state_RYD in self._state.items():
            by_record = self._finish(pooling, state_RYD).reshape(
                len(self.records), self.readings.n_strands, *state_RYD.shape[1:]
            )
            for index, layer in enumerate(self.pooled.layers):
                of_layer = by_record[:, :, index].mean(axis=1)
                with np.errstate(over="ignore"):  # an infinity has its own status
                    vectors[f"{pooling}_layer{layer}"] = of_layer.astype(np.float32)
        return [
            self._row(record, number, {key: vectors[key][number] for key in self.pooled.keys})
            for number, record in enumerate(self.records)
        ]

    def _finish(self, pooling: Pooling, state_RYD: Array) -> Array:
        if pooling not in ("mean", "max"):
            return state_RYD
        n_counted_R11 = self._n_counted_R[:, None, None]
        with np.errstate(invalid="ignore"):
            scale = n_counted_R11 if pooling == "mean" else 1.0
            return np.where(n_counted_R11 > 0, state_RYD / scale, np.nan)

    def _row(
        self, record: Record, number: int, vectors: dict[str, NDArray[np.float32]]
    ) -> EmbeddingRow:
        length = len(record.sequence)
        is_counted = self._n_counted_R[number * self.readings.n_strands] > 0
        if not length:
            status = "EMPTY"
        elif self.pooled.counts_bases and not is_counted:
            status = "ALL_EXCLUDED"
        else:
            is_finite = all(np.isfinite(vector).all() for vector in vectors.values())
            status = "OK" if is_finite else "NONFINITE"
        return EmbeddingRow(
            name=record.name,
            chrom=record.chrom,
            start=record.start,
            end=record.end,
            strand=strand_label(record, self.pooled.strand),
            length=length,
            n_frac=n_fraction(record.sequence),
            n_windows=self._tiling.n_tiles(length),
            status=status,
            vectors=vectors,
            columns=record.columns,
        )

    def _counted(self, reading: int, start: int, end: int) -> NDArray[np.bool_]:
        is_counted = np.ones(end - start, dtype=np.bool_)
        if self.pooled.exclude_n:
            is_counted &= self.readings.of[reading][start:end] != tokenizer.N
        if self.pooled.exclude_softmasked:
            of = self.readings.of[reading]
            letters = of.record.read(of.strand, start, end).encode("ascii")
            is_counted &= np.frombuffer(letters, dtype=np.uint8) < ord("a")
        return is_counted


@torch.inference_mode()
def _pool(model: HyenaDNA, work: _PooledChunk, batch: Batch) -> dict[str, Array]:
    """Of each window: sums, maxima, single bases; (B, Y, D) or (S, Y, D) in float64."""
    layers = work.pooled.layers
    states = [wide(states_BLD) for states_BLD in model.hidden_states(batch.token_ids_BL, layers)]
    context = model.context_of(batch.token_ids_BL.shape[1])
    pooled: dict[str, Tensor] = {}
    if work.pooled.counts_bases:
        counted_BL = _counted_positions(batch, work)
        pooled["n_counted"] = counted_BL.sum(1)
        for_max = "max" in work.pooled.poolings
        own_BL = model.own(counted_BL)
        sums, maxima = zip(*(_sum_and_max(s, own_BL, for_max) for s in states), strict=True)
        pooled["mean"], pooled["max"] = torch.stack(sums, dim=1), torch.stack(maxima, dim=1)
        if context is not None:
            pooled["mean"] = context.sum(pooled["mean"])
            pooled["max"] = context.max(pooled["max"])
    for pooling in work.pooled.poolings:
        if pooling not in ("mean", "max"):
            rows_S, bases_S = work.base_of(pooling, batch.windows)
            rows = torch.from_numpy(rows_S).to(batch.token_ids_BL.device)
            positions = torch.from_numpy(bases_S + batch.n_front).to(rows.device)
            pooled[pooling] = torch.stack([_at(s, rows, positions, context) for s in states], dim=1)
    return {name: tensor.double().cpu().numpy() for name, tensor in pooled.items()}


def _at(states_BLD: Tensor, rows_S: Tensor, positions_S: Tensor, context: Context | None) -> Tensor:
    """The states (S, D) at one position of some rows, whichever process has it."""
    if context is None:
        return states_BLD[rows_S, positions_S]
    piece = context.piece()
    is_own_S = (piece.start <= positions_S) & (positions_S < piece.stop)
    found_SD = states_BLD.new_zeros(len(rows_S), states_BLD.shape[2])
    found_SD[is_own_S] = states_BLD[rows_S[is_own_S], positions_S[is_own_S] - piece.start]
    return context.sum(found_SD)


def _counted_positions(batch: Batch, work: _PooledChunk) -> Tensor:
    counted_BL = torch.zeros(batch.token_ids_BL.shape, dtype=torch.bool)
    for row, is_counted in enumerate(work.counted(batch.windows)):
        end = batch.n_front + is_counted.size
        counted_BL[row, batch.n_front : end] = torch.from_numpy(is_counted)
    return counted_BL.to(batch.token_ids_BL.device)


def _sum_and_max(states_BLD: Tensor, counted_BL: Tensor, for_max: bool) -> tuple[Tensor, Tensor]:
    """Over the counted positions: sums in float64, and maxima (-inf unless `for_max`): (B, D)."""
    sums_BD = states_BLD.new_zeros(states_BLD.shape[0], states_BLD.shape[2], dtype=torch.float64)
    maxima_BD = torch.full_like(sums_BD, -torch.inf)
    for start in range(0, states_BLD.shape[1], _TILE):
        tile_BLD = states_BLD[:, start : start + _TILE]
        is_counted_BL = counted_BL[:, start : start + _TILE]
        # As a product, so that leaving positions out takes no copy of the states.
        weights_B1L = is_counted_BL[:, None].to(tile_BLD.dtype)
        sums_BD += torch.bmm(weights_B1L, tile_BLD)[:, 0]
        if for_max:
            candidates_BLD = tile_BLD.masked_fill(~is_counted_BL[..., None], -torch.inf)
            maxima_BD = torch.maximum(maxima_BD, candidates_BLD.amax(1).double())
    return sums_BD, maxima_BD


def wide(tensor: Tensor) -> Tensor:
    """In float32, or in float64 where it is that already."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
