"""Records to hidden states of every base, or of bins of bases.

    windows, in input order -> hidden states -> each base from the window with most left context
    -> the order of the plus strand -> mean of the strands -> mean of each bin

Rows follow the plus strand whatever strand was read: row i of a BED region is its base start + i.
A record has status OK, EMPTY (no bases, so no rows) or NONFINITE (an infinity or NaN among them).
"""

# B windows of a batch, L positions (tokens), D d_model

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyenadna_cli.core.inference.batching import Batch, Batcher, Done, Readings
from hyenadna_cli.core.inference.embedding import wide
from hyenadna_cli.core.inference.pooling import Tokens
from hyenadna_cli.core.io.records import Record, strand_label
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.shards import chunks

Array = NDArray[np.floating[Any]]

_PIECE = 16_384
"""Rows summed into bins at once, so that their float64 copy stays small."""


@dataclass(frozen=True, slots=True)
class TokenRows:
    """Hidden states of one record, a row per base or bin, in the order of the plus strand."""

    record: Record
    strand: str
    """"+", "-" or "both"."""
    status: str
    data: Array
    """[bases or bins, d_model]; a bin's row is the mean over its bases."""


def embed_tokens(
    model: HyenaDNA,
    records: Iterable[Record],
    tokens: Tokens,
    *,
    batcher: Batcher,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[TokenRows]]:
    """Hidden states of every base of a stream of records: one `Done` per batch.

    Memory holds a batch and the rows of the records in it. Raises ValueError if the batcher does
    not keep the order.
    """
    if not batcher.keep_order:
        raise ValueError("token rows need a batcher that keeps the order")

    @torch.inference_mode()
    def compute(batch: Batch) -> Array:
        (states_BLD,) = model.hidden_states(batch.token_ids_BL, [tokens.layer])
        states_BLD = model.whole(states_BLD, batch.token_ids_BL.shape[1])
        array: Array = wide(states_BLD).cpu().numpy()
        return array

    for chunk in chunks(records, length_of=lambda record: len(record.sequence)):
        work = _TokenChunk(chunk, tokens, d_model=model.config.d_model)
        if journal.has_chunk:
            for record in chunk:
                data = work.empty(len(record.sequence), np.dtype(np.float32))
                journal.recall(data)
                yield Done(float(len(record.sequence)), [work.row(record, data)])
            continue
        for batch, states_BLD in batcher.run(work.readings.of, compute):
            work.add(batch, states_BLD)
            del states_BLD
            rows = _kept(work, journal)
            yield Done(batch.windows.n_new_bases / work.readings.n_strands, rows)
        yield Done(0.0, _kept(work, journal))


def _kept(work: _TokenChunk, journal: Journal) -> list[TokenRows]:
    rows = work.finished()
    for row in rows:
        journal.keep(row.data, ends_chunk=row.record is work.records[-1])
    return rows


class _TokenChunk:
    """Collects the rows of the records of a chunk; their windows come in input order."""

    def __init__(self, records: list[Record], tokens: Tokens, *, d_model: int) -> None:
        self.records = records
        self.readings = Readings(records, tokens.strand)
        self._tokens = tokens
        self._d_model = d_model
        self._rows: dict[int, Array] = {}
        self._n_missing = [len(record.sequence) * self.readings.n_strands for record in records]
        self._n_finished = 0

    def add(self, batch: Batch, states_BLD: Array) -> None:
        """Take the hidden states of one batch."""
        for row, (reading, start, end, new) in enumerate(batch.windows):
            first = batch.n_front - start
            self._add(reading, new, end, states_BLD[row, first + new : first + end])

    def finished(self) -> list[TokenRows]:
        """The records that are complete and have not been handed over yet."""
        rows = []
        while self._n_finished < len(self.records) and not self._n_missing[self._n_finished]:
            rows.append(self._finish(self._n_finished))
            self._n_finished += 1
        return rows

    def _add(self, reading: int, start: int, end: int, states: Array) -> None:
        """Add the states of bases `start` to `end` of a reading, in reading direction."""
        length = self.readings.of[reading].size
        number = reading // self.readings.n_strands
        if self.readings.of[reading].strand == "-":
            start, end = length - end, length - start
            states = states[::-1]
        self._n_missing[number] -= end - start
        if number not in self._rows and self._tokens.bin_size == 1 and end - start == length:
            # The usual case, a record in one window: a view of the batch, not a copy.
            self._rows[number] = states
            return
        if number not in self._rows:
            self._rows[number] = self.empty(length, states.dtype)
        rows = self._rows[number]
        if self._tokens.bin_size == 1:
            rows[start:end] += states
            return
        for offset in range(0, len(states), _PIECE):
            self._add_to_bins(rows, start + offset, states[offset : offset + _PIECE])

    def _add_to_bins(self, rows: Array, start: int, states: Array) -> None:
        first_bin, last_bin = (
            start // self._tokens.bin_size,
            (start + len(states) - 1) // self._tokens.bin_size,
        )
        cuts = np.maximum(np.arange(first_bin, last_bin + 1) * self._tokens.bin_size - start, 0)
        rows[first_bin : last_bin + 1] += np.add.reduceat(states, cuts, axis=0, dtype=np.float64)

    def empty(self, length: int, dtype: np.dtype[Any]) -> Array:
        """Zeros for the rows of a record; bins are float64 whatever `dtype` is."""
        shape = (self._tokens.n_rows(length), self._d_model)
        return np.zeros(shape, dtype if self._tokens.bin_size == 1 else np.float64)

    def _finish(self, number: int) -> TokenRows:
        record = self.records[number]
        length = len(record.sequence)
        rows = self._rows.pop(number, None)
        if rows is None:
            rows = self.empty(0, np.dtype(np.float32))
        if self._tokens.bin_size > 1:
            starts = np.arange(len(rows)) * self._tokens.bin_size
            rows /= (
                np.minimum(self._tokens.bin_size, length - starts)[:, None]
                * self.readings.n_strands
            )
        elif self.readings.n_strands > 1:
            rows /= self.readings.n_strands
        return self.row(record, rows)

    def row(self, record: Record, rows: Array) -> TokenRows:
        """The finished rows of a record, with its status."""
        # One sum finds any infinity or NaN without an array of the size of the rows.
        with np.errstate(invalid="ignore"):
            is_finite = bool(np.isfinite(rows.sum(dtype=np.float64)))
        status = "EMPTY" if not len(record.sequence) else "OK" if is_finite else "NONFINITE"
        return TokenRows(record, strand_label(record, self._tokens.strand), status, rows)
