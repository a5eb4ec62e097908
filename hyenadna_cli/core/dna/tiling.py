"""A sequence to windows that a model can read.

    0        stride                                       n_bases
    |---------window---------|
             |---------window---------|
                      |---------window---------|
                               |----last, maybe shorter---|

Positions are 0-based half-open and count in reading direction, from the first base read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Tiles:
    """Windows of one sequence, in order: three arrays of equal length."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    news: NDArray[np.int64]
    """First base that no earlier window holds. The bases from here to the window's end have more
    left context in this window than in any later one, and each base is new exactly once."""

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Tiling:
    """Windows of `window` bases, one every `stride` bases.

    The first starts with the sequence. The last is the first one to reach the end; it ends there,
    so it may be shorter, but is longer than `window - stride`. It is not moved back to full length:
    without overlap, every base is in exactly one window.
    """

    window: int
    stride: int

    def __post_init__(self) -> None:
        if not 1 <= self.stride <= self.window:
            raise ValueError(
                f"windows need 1 <= stride <= window, got stride {self.stride:,} and "
                f"window {self.window:,}"
            )

    def n_tiles(self, n_bases: int) -> int:
        """Windows of a sequence; none for an empty one."""
        if n_bases == 0:
            return 0
        return 1 + -(-max(0, n_bases - self.window) // self.stride)

    def tiles(self, n_bases: int) -> Tiles:
        """The windows of a sequence of `n_bases` bases."""
        starts = np.arange(self.n_tiles(n_bases), dtype=np.int64) * self.stride
        ends = np.minimum(starts + self.window, n_bases)
        news = np.concatenate([starts[:1], ends[:-1]])
        return Tiles(starts, ends, news)
