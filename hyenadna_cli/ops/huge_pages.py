"""Large buffers on huge pages where the system has them.

Touching fresh memory 4 KB at a time costs more than filling it, and strided loops over small pages
miss the address cache; 2 MB pages spare both.
"""

from __future__ import annotations

import math
import mmap

import torch
from torch import Tensor

_SMALLEST = 4 << 20
"""Bytes below which the allocator's reuse of memory is the better way."""


def empty_huge(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """An uninitialised CPU tensor. Raises MemoryError if it does not fit into memory."""
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes < _SMALLEST or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(shape, dtype=dtype)
    try:
        memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        # As every other allocation says it, for those who go on with less.
        raise MemoryError(f"not enough memory: {n_bytes:,} bytes asked for") from error
    memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(shape)
