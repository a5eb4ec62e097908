"""Telling a lack of memory from other errors."""

from __future__ import annotations

import torch

_WORDS = ("DefaultCPUAllocator", "not enough memory", "out of memory", "ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the device or of the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # The CPU's allocator and the CUDA libraries have no class of their own for it.
    return any(words in str(error) for words in _WORDS)
