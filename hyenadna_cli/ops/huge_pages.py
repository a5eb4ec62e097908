"""Large buffers on huge pages where the system has them, and used again.

Touching fresh memory 4 KB at a time costs more than filling it, and strided loops over small pages
miss the address cache; 2 MB pages spare both. They too are cleared at their first touch, which
takes as long as a pass over them: buffers that nobody holds any more are handed out again.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import weakref
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

_SMALLEST = 4 << 20
"""Bytes below which the allocator's reuse of memory is the better way."""

_FOR_PASSES, _FOR_STEPS = 64 << 20, 512 << 20
"""Memory that is kept for later buffers, at most: by passes of any lengths, by training steps,
which are all alike and give all their memory back."""

_most_kept = _FOR_PASSES

_kept = list[mmap.mmap]()
"""Memory that no tensor holds, the last used last."""


@contextlib.contextmanager
def kept_for_steps() -> Iterator[None]:
    """Meanwhile keep what one training step needs for the next."""
    global _most_kept
    _most_kept = _FOR_STEPS
    try:
        yield
    finally:
        _most_kept = _FOR_PASSES
        forget()


def empty_huge(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """An uninitialised CPU tensor. Raises MemoryError if it does not fit into memory."""
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes < _SMALLEST or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(shape, dtype=dtype)
    memory = _memory(n_bytes)
    numbers = np.frombuffer(memory, dtype=np.uint8, count=n_bytes)
    # The array lives as long as any tensor that shares its memory.
    weakref.finalize(numbers, _keep, memory, os.getpid()).atexit = False
    return torch.from_numpy(numbers).view(dtype).view(shape)


def forget() -> None:
    """Give memory back that is kept for later buffers."""
    _kept.clear()


def _memory(n_bytes: int) -> mmap.mmap:
    """Of at least `n_bytes`; of those kept the smallest, unless most of it would lie idle."""
    while fitting := [memory for memory in _kept if n_bytes <= len(memory) <= 2 * n_bytes]:
        memory = min(fitting, key=len)
        with contextlib.suppress(ValueError):  # another thread has taken it
            _kept.remove(memory)
            return memory
    try:
        memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        if _kept:
            forget()
            return _memory(n_bytes)
        # As every other allocation says it, for those who go on with less.
        raise MemoryError(f"not enough memory: {n_bytes:,} bytes asked for") from error
    memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


def _keep(memory: mmap.mmap, owner: int) -> None:
    """What a tensor held that is gone; of a parent process the parent keeps it."""
    if len(memory) > _most_kept or owner != os.getpid():
        return
    _kept.append(memory)
    while sum(map(len, list(_kept))) > _most_kept:
        _kept.pop(0)
