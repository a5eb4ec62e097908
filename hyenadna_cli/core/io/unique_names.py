"""Names made unique as they stream by."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_MOST_RECENT = 65_536


class UniqueNames:
    """Appends "-1", "-2", ... to names used before; keeps a hash of 8 bytes for each name."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._older: NDArray[np.uint64] = np.empty(0, np.uint64)  # sorted
        self._numbers: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """`name`, or `name` with the next free number if it was used before."""
        if self._is_used(name):
            number = self._numbers.get(name, 0) + 1
            if self._is_used(f"{name}-{number}"):
                number = self._free_number(name)
            # Not of all names: these counters could need as much memory as the names.
            if len(self._numbers) >= _MOST_RECENT:
                self._numbers.clear()
            self._numbers[name] = number
            name = f"{name}-{number}"
        self._recent.add(_hash(name))
        if len(self._recent) >= _MOST_RECENT:
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._older = np.sort(np.concatenate([self._older, recent]), kind="stable")
            self._recent.clear()
        return name

    def _free_number(self, name: str) -> int:
        """Double, then halve."""
        free = 1
        while self._is_used(f"{name}-{free}"):
            free *= 2
        used = free // 2
        while free - used > 1:
            middle = (used + free) // 2
            if self._is_used(f"{name}-{middle}"):
                used = middle
            else:
                free = middle
        return free

    def _is_used(self, name: str) -> bool:
        # Two names of one hash cost a needless number, once in 37 million files of a million names.
        key = _hash(name)
        if key in self._recent:
            return True
        place = self._older.searchsorted(np.uint64(key))
        return bool(place < len(self._older) and self._older[place] == key)


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
