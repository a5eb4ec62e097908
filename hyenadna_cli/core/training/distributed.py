"""Data parallelism under `torchrun`: who I am, and sums over all processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train one model together; a single one by default."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, n_rows: int) -> range:
        """The contiguous part of `n_rows` for this process; parts differ by at most one row."""
        return range(n_rows * self.rank // self.size, n_rows * (self.rank + 1) // self.size)

    def sum(self, value: float, device: torch.device) -> float:
        """The sum of `value` over all processes."""
        if self.size == 1:
            return value
        return self.total(torch.tensor(value, dtype=torch.float64, device=device)).item()

    def total(self, mine: Tensor) -> Tensor:
        """The sum of a tensor over all processes, without waiting for its device."""
        if self.size == 1:
            return mine
        total = mine.clone()
        dist.all_reduce(total)
        return total

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Add up every gradient over all processes, in place, in one message."""
        if self.size == 1:
            return
        parameters = [p for p in parameters if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:  # a process without rows in this step
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def gather(self, mine: NDArray[np.float64]) -> NDArray[np.float64]:
        """The arrays of all processes one after the other, in every process."""
        if self.size == 1:
            return mine
        parts: list[NDArray[np.float64] | None] = [None] * self.size
        dist.all_gather_object(parts, mine)
        return np.concatenate([part for part in parts if part is not None and part.size])

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the processes that `torchrun` started, if it did."""
    if not dist.is_available() or not dist.is_torchelastic_launched():
        yield World()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
