"""Training examples: windows of genomes as token ids.

Every draw is a function of (seed, step, row) alone, so a run can stop and resume anywhere, and
any number of processes sees the same examples.
"""

# B rows, L positions (one base each)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.io.fasta import Genome


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one genome that windows may be cut from."""

    genome: Genome
    interval: Interval


class GenomeWindows:
    """Random windows of training spans, and fixed windows of held-out ones.

    Each span is drawn in proportion to its length. A window starts anywhere from half a window
    before the span to half a window before its end and is then pushed inside, so that the ends of
    a span are seen as often as its middle. A span shorter than the window is read whole.
    """

    def __init__(
        self,
        spans: Sequence[Span],
        *,
        seed: int,
        use_both_strands: bool,
        sampling: Literal["random", "intervals"] = "random",
        as_published: bool = False,
    ) -> None:
        """`as_published`: read N as [PAD] and append [SEP].

        Raises ValueError if there is nothing to draw from.
        """
        if not spans or not any(span.interval.length for span in spans):
            raise ValueError("no training regions")
        self.spans = spans
        self.seed = seed
        self.use_both_strands = use_both_strands
        self.sampling = sampling
        self.as_published = as_published
        self._ends = np.cumsum([span.interval.length for span in spans])

    @property
    def n_bases(self) -> int:
        """Bases of all spans together."""
        return int(self._ends[-1])

    def batch(self, *, step: int, rows: range, length: int, rows_per_step: int) -> Tensor:
        """The given rows of one optimiser step: token ids (B, L), right-padded."""
        return self._stack([self._draw(step, row, length, rows_per_step) for row in rows], length)

    def tiles(self, *, length: int, max_bases: int) -> list[Interval]:
        """Consecutive windows over all spans, thinned evenly to at most `max_bases`."""
        return [tile for _, tile in self._tiles(length, max_bases)]

    def tile_batches(self, *, length: int, max_bases: int, rows: int) -> list[Tensor]:
        """`tiles` as batches of at most `rows` windows, plus strand."""
        encoded = [
            self._encode(span.genome.fetch(tile)) for span, tile in self._tiles(length, max_bases)
        ]
        return [
            self._stack(encoded[start : start + rows], length)
            for start in range(0, len(encoded), rows)
        ]

    def _tiles(self, length: int, max_bases: int) -> list[tuple[Span, Interval]]:
        tiles = [
            (span, Interval(span.interval.contig, start, min(start + length, span.interval.end)))
            for span in self.spans
            for start in range(span.interval.start, span.interval.end, length)
        ]
        # A window of a few bases says nothing about a model of long context.
        tiles = [item for item in tiles if item[1].length >= min(length, 16)] or tiles
        n_kept = max(1, min(len(tiles), max_bases // length))
        return [tiles[index * len(tiles) // n_kept] for index in range(n_kept)]

    def _draw(self, step: int, row: int, length: int, rows_per_step: int) -> np.ndarray:
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, step, row]))
        if self.sampling == "intervals":
            span, window = self._interval_of(step * rows_per_step + row, length)
        else:
            span, window = self.random_window(random, length)
        sequence = span.genome.fetch(window)
        if self.use_both_strands and random.random() < 0.5:
            sequence = reverse_complement(sequence)
        return self._encode(sequence)

    def random_window(self, random: np.random.Generator, length: int) -> tuple[Span, Interval]:
        """One window of at most `length` bases, and the span that it lies in."""
        span = self.spans[int(np.searchsorted(self._ends, random.integers(self.n_bases), "right"))]
        inside = span.interval
        start = int(random.integers(inside.start - length // 2, inside.end - length // 2))
        start = max(inside.start, min(start, inside.end - length))
        return span, Interval(inside.contig, start, min(start + length, inside.end))

    def _interval_of(self, item: int, length: int) -> tuple[Span, Interval]:
        """The first bases of interval number `item`, in an order shuffled anew each epoch.

        An interval shorter than `length` is extended on both sides, as far as its contig goes.
        """
        epoch, index = divmod(item, len(self.spans))
        order = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 1, epoch, 0]))
        span = self.spans[int(order.permutation(len(self.spans))[index])]
        inside = span.interval
        start = max(0, inside.start - max(0, length - inside.length) // 2)
        end = min(start + length, span.genome.lengths[inside.contig])
        return span, Interval(inside.contig, start, end)

    def _encode(self, sequence: str) -> np.ndarray:
        token_ids = tokenizer.encode(sequence)
        if self.as_published:
            token_ids = np.where(token_ids == tokenizer.N, tokenizer.PAD, token_ids)
            token_ids = tokenizer.add_specials(token_ids.astype(np.uint8), "sep")
        return token_ids

    def _stack(self, encoded: Sequence[np.ndarray], length: int) -> Tensor:
        width = length + 1 if self.as_published else length
        rows_BL = np.full((len(encoded), width), tokenizer.PAD, np.int64)
        for row, token_ids in zip(rows_BL, encoded, strict=True):
            row[: token_ids.size] = token_ids
        return torch.from_numpy(rows_BL)
