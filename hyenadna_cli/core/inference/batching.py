"""Sequences to windows to padded batches, as large as fits. Nothing else in the program pads.

    readings of a chunk -> windows (windows.py) -> sorted by length -> batches -> compute -> results
                                                                         ^           |
                                                                         +-- halves -+ out of memory

Padding is on the right: the model is causal, so that nothing after the last base can change it.
Which windows share a batch depends on the readings handed over together and on the limits only.
"""

# B windows of a batch, L positions (tokens)

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.core.config.choices import Specials, StrandChoice
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Strand
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.dna.tokenizer import TokenIds
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.machine.out_of_memory import is_out_of_memory
from hyenadna_cli.core.outputs.journal import Journal
from hyenadna_cli.errors import DeviceMemoryError

log = logging.getLogger(__name__)

_MAX_TOKENS = {"cpu": 32_768, "cuda": 262_144}
"""Padded tokens of a batch: few on a CPU, where larger working sets leave the cache and run slower;
enough on a GPU to keep it busy."""

Result = TypeVar("Result")
Row = TypeVar("Row")

N_SPECIALS = {"none": 0, "sep": 1, "cls-sep": 2}
"""Tokens that framing adds to each window."""


@dataclass(frozen=True, slots=True)
class Done(Generic[Row]):
    """What one batch brought: progress, and the rows that it completed, in input order."""

    n_bases: float
    """Bases of the input, each counted once over all windows and strands."""
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Reading:
    """A whole record along one strand, 5' to 3'; token ids are made of the slice that is asked for.

    As an array of token ids, without special tokens, would be.
    """

    record: Record
    strand: Strand

    @property
    def size(self) -> int:
        """Bases."""
        return len(self.record.sequence)

    def __getitem__(self, window: slice) -> TokenIds:
        start, end, _ = window.indices(self.size)
        return tokenizer.encode(self.record.read(self.strand, start, end))


class Readings:
    """The records of a chunk, each read along every strand that was asked for."""

    def __init__(self, records: Sequence[Record], choice: StrandChoice) -> None:
        self.of = [
            Reading(record, strand) for record in records for strand in record.strands(choice)
        ]
        """Those of one record follow each other."""
        self.n_strands = len(self.of) // len(records)
        """Readings of each record."""
        self.n_bases = sum(len(record.sequence) for record in records)
        """Of the records, each counted once."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of the readings of one chunk: arrays of equal length.

    Positions are 0-based half-open in reading direction.
    """

    readings: NDArray[np.int64]
    """Index of the reading."""
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    news: NDArray[np.int64]
    """First base that no earlier window of the reading holds."""

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> Windows:
        return Windows(self.readings[rows], self.starts[rows], self.ends[rows], self.news[rows])

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """(reading, start, end, new) of each window."""
        columns = (self.readings, self.starts, self.ends, self.news)
        return zip(*(column.tolist() for column in columns), strict=True)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bases of each window."""
        return self.ends - self.starts

    @property
    def n_new_bases(self) -> int:
        """Bases that these windows hold and no earlier ones of their readings."""
        return int((self.ends - self.news).sum())


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows as token ids, right-padded with [PAD]."""

    token_ids_BL: Tensor
    """int64, on the model's device."""
    windows: Windows
    n_front: int
    """Special tokens before the first base of each window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimits:
    """How much goes into one forward pass."""

    max_tokens: int
    """Padding included; a longer window is a batch of its own."""
    max_windows: int | None = None
    """Exactly this many where the chunk has them, whatever their tokens; None: by tokens."""
    backs_off: bool = True
    """Whether a batch that does not fit is halved; not where processes share each of them."""

    @classmethod
    def choose(cls, device: torch.device, *, batch_size: int | None) -> BatchLimits:
        """The limits for a device; `batch_size` is in windows, None for automatic."""
        return cls(max_tokens=_MAX_TOKENS[device.type], max_windows=batch_size)


class Batcher:
    """Cuts readings into windows and runs a computation over them in batches.

    A reading is a `Reading`, or an array of token ids without special tokens.
    """

    def __init__(
        self,
        *,
        tiling: Tiling,
        limits: BatchLimits,
        device: torch.device,
        specials: Specials = "none",
        keep_order: bool = False,
    ) -> None:
        """`keep_order`: leave the windows in input order instead of sorting them by length."""
        self.tiling = tiling
        self.limits = limits
        self.device = device
        self.specials = specials
        self.keep_order = keep_order
        self._after_refusal: int | None = None
        """Padded tokens known to fit better, once the device has refused more."""

    def plan(self, lengths: Sequence[int] | NDArray[np.int64]) -> list[Windows]:
        """The batches of readings of these lengths in bases."""
        windows = self._windows(lengths)
        if not self.keep_order:
            # The longest first: what does not fit into memory should fail early.
            windows = windows[np.argsort(-windows.lengths, kind="stable")]
        cuts = self._cuts((windows.lengths + N_SPECIALS[self.specials]).tolist())
        return [windows[first:last] for first, last in zip([0, *cuts], cuts, strict=False)]

    def settings(self) -> dict[str, str | int]:
        """What of the windows and batches can change a number, for provenance."""
        size = (
            {"batch_tokens": self.limits.max_tokens}
            if self.limits.max_windows is None
            else {"batch_size": self.limits.max_windows}
        )
        windows = {"window": self.tiling.window, "stride": self.tiling.stride}
        return {**windows, "specials": self.specials, **size}

    def run(
        self, readings: Sequence[Reading | TokenIds], compute: Callable[[Batch], Result]
    ) -> Iterator[tuple[Batch, Result]]:
        """Apply `compute` to every batch; where the memory is too small, to halves of it.

        Raises DeviceMemoryError if a single window does not fit.
        """
        for planned in self.plan([reading.size for reading in readings]):
            waiting = [planned]
            while waiting:
                windows = waiting.pop()
                batch = self._pad(windows, readings)
                outcome = _attempt(compute, batch)
                if isinstance(outcome, _OutOfMemory):
                    del batch
                    waiting += reversed(self._halves(windows, outcome))
                    continue
                yield batch, outcome
                # Not needed any more, and as large as the next one may be.
                del batch, outcome

    def fill(
        self,
        numbers: Sequence[NDArray[Any]],
        readings: Readings,
        compute: Callable[[Batch], Result],
        add: Callable[[Batch, Result], None],
        *,
        journal: Journal,
    ) -> Iterator[float]:
        """Fill the arrays that `add` adds to, a chunk of records in all, and keep them.

        A chunk that the journal has is recalled instead. Yields how many bases are done, each
        counted once over all windows and strands.
        """
        if journal.has_chunk:
            journal.recall(*numbers)
            yield float(readings.n_bases)
            return
        for batch, result in self.run(readings.of, compute):
            add(batch, result)
            yield batch.windows.n_new_bases / readings.n_strands
        journal.keep(*numbers)

    def _windows(self, lengths: Sequence[int] | NDArray[np.int64]) -> Windows:
        tiles = [self.tiling.tiles(int(length)) for length in lengths]
        if not tiles:
            nothing = np.empty(0, np.int64)
            return Windows(nothing, nothing, nothing, nothing)
        return Windows(
            np.repeat(np.arange(len(tiles)), [len(tile) for tile in tiles]),
            np.concatenate([tile.starts for tile in tiles]),
            np.concatenate([tile.ends for tile in tiles]),
            np.concatenate([tile.news for tile in tiles]),
        )

    def _cuts(self, n_tokens: list[int]) -> list[int]:
        """Where each batch ends."""
        max_windows = self.limits.max_windows
        max_tokens = self.limits.max_tokens if max_windows is None else None
        if self._after_refusal is not None:
            max_tokens = min(max_tokens or self._after_refusal, self._after_refusal)
        cuts, first, widest = [], 0, 0
        for number, tokens in enumerate(n_tokens):
            widest = max(widest, tokens)
            n_windows = number - first + 1
            is_full = (max_windows is not None and n_windows > max_windows) or (
                max_tokens is not None and n_windows > 1 and n_windows * widest > max_tokens
            )
            if is_full:
                cuts.append(number)
                first, widest = number, tokens
        return [*cuts, len(n_tokens)] if n_tokens else []

    def _pad(self, windows: Windows, readings: Sequence[Reading | TokenIds]) -> Batch:
        framed = [
            tokenizer.add_specials(readings[reading][start:end], self.specials)
            for reading, start, end, _ in windows
        ]
        longest = max(token_ids.size for token_ids in framed)
        ids_BL = np.full((len(framed), longest), tokenizer.PAD, dtype=np.int64)
        for row, token_ids in zip(ids_BL, framed, strict=True):
            row[: token_ids.size] = token_ids
        n_front = 1 if self.specials == "cls-sep" else 0
        return Batch(torch.from_numpy(ids_BL).to(self.device), windows, n_front)

    def _halves(self, windows: Windows, refusal: _OutOfMemory) -> list[Windows]:
        longest = int(windows.lengths.max())
        if not self.limits.backs_off:
            raise DeviceMemoryError(
                f"{len(windows)} windows of up to {longest:,} bases do not fit into the memory of "
                f"{self.device}; a smaller --batch-size or --window, or more processes, need less"
            ) from refusal.error
        if len(windows) == 1:
            raise DeviceMemoryError(
                f"one window of {longest:,} bases does not fit into the memory of {self.device}; "
                "use a smaller --window, a smaller model, or a device with more memory"
            ) from refusal.error
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        half = len(windows) // 2
        self._after_refusal = half * (longest + N_SPECIALS[self.specials])
        log.warning(
            "out of memory on %s with %d windows of up to %s bases; going on with half as many",
            self.device,
            len(windows),
            f"{longest:,}",
        )
        return [windows[:half], windows[half:]]


@dataclass(frozen=True, slots=True)
class _OutOfMemory:
    error: BaseException


def _attempt(compute: Callable[[Batch], Result], batch: Batch) -> Result | _OutOfMemory:
    try:
        return compute(batch)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        # The traceback holds every tensor of the attempt.
        return _OutOfMemory(error.with_traceback(None))
