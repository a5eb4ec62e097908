"""Logical (channels, sequences, positions) tensors whose channels are neighbours in memory.

Compiled loops take LANES neighbouring channels at once, and matrix products over positions read and
write rows of channels; neither then needs a transposed copy.
"""

# D channels, B batch, L positions

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.ops.huge_pages import empty_huge


def is_served(*tensors: Tensor) -> bool:
    """Whether the compiled loops take these; anything else goes the portable way, by design."""
    return all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)


def is_served_stream(*tensors: Tensor) -> bool:
    """As `is_served`, for what the loops of the forward pass read and write in bfloat16 too."""
    dtypes = (torch.float32, torch.bfloat16)
    return all(t.dtype in dtypes and t.device.type == "cpu" for t in tensors)


def is_channels_last(x_DBL: Tensor) -> bool:
    """Whether the channels of each position are neighbours."""
    return x_DBL.shape[0] == 1 or x_DBL.stride(0) == 1


def to_channels_last(x_DBL: Tensor) -> Tensor:
    """The same values with neighbouring channels; itself if it has them."""
    if is_channels_last(x_DBL):
        return x_DBL
    x_BLD = x_DBL.permute(1, 2, 0)
    return x_BLD.contiguous().permute(2, 0, 1)


def empty_channels_last(n_channels: int, n_batch: int, n_positions: int, like: Tensor) -> Tensor:
    """A new (D, B, L) tensor with neighbouring channels."""
    if like.device.type == "cpu":
        return empty_huge(n_batch, n_positions, n_channels, dtype=like.dtype).permute(2, 0, 1)
    return like.new_empty(n_batch, n_positions, n_channels).permute(2, 0, 1)


def flat(x_DBL: Tensor) -> tuple[NDArray[np.float32], int, int]:
    """The numbers from the first to the last one, and the steps of sequences and positions.

    bfloat16 comes as its bits. The array is a view.
    """
    assert is_channels_last(x_DBL)
    n_channels, n_batch, n_positions = x_DBL.shape
    batch_step, step = x_DBL.stride(1), x_DBL.stride(2)
    n_numbers = n_channels + (n_batch - 1) * batch_step + (n_positions - 1) * step
    numbers = x_DBL.detach().as_strided((n_numbers,), (1,))
    if numbers.dtype == torch.bfloat16:
        numbers = numbers.view(torch.int16)
    return numbers.numpy(), batch_step, step
