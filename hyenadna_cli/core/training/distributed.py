"""The processes of `torchrun`: who I am, what I share with whom, sums over all of them.

rank = group * N + place: N processes share each sequence (`model.context`), groups of N share
the sequences of a step. Both are dimensions of one DeviceMesh.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from hyenadna_cli.core.model.context import Context
from hyenadna_cli.errors import HyenaDNAError, UsageError


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train one model together; a single one by default."""

    rank: int = 0
    size: int = 1
    context: Context | None = None
    """The processes that share each sequence with this one, if any do."""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def share(self, n_rows: int) -> range:
        """The contiguous part of `n_rows` for this process; parts differ by at most one row.

        Processes that share sequences have the same part.
        """
        n_sharing = 1 if self.context is None else self.context.size
        group, n_groups = self.rank // n_sharing, self.size // n_sharing
        return range(n_rows * group // n_groups, n_rows * (group + 1) // n_groups)

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
def joined(
    device: torch.device, *, n_context: int = 1, agreed: Mapping[str, object] | None = None
) -> Iterator[World]:
    """Join the processes that `torchrun` started, if it did; `n_context` share each sequence.

    Raises UsageError if that is not a number of them, or if they do not all have the same `agreed`.
    An error of one that another process caused by ending says so.
    """
    if not dist.is_available() or not dist.is_torchelastic_launched():
        if n_context > 1:
            raise UsageError(
                f"--context-parallel {n_context} takes {n_context} processes, or a multiple: begin "
                f"with torchrun --nproc-per-node {n_context} -m hyenadna_cli ..."
            )
        yield World()
        return
    if device.index is not None:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        _check_agreement({"--context-parallel": n_context, **(agreed or {})})
        yield _world(device, n_context)
        # Nobody leaves before all are done: a group that is taken down while another process still
        # sends has been seen to abort the one that left.
        dist.barrier()
    except RuntimeError as error:
        if not _is_lost_process(error):
            raise
        raise HyenaDNAError(
            f"process {dist.get_rank()} of {dist.get_world_size()} ends because another one did; "
            "what torchrun says of it tells why"
        ) from error
    finally:
        dist.destroy_process_group()


def _world(device: torch.device, n_context: int) -> World:
    rank, size = dist.get_rank(), dist.get_world_size()
    if size % n_context:
        raise UsageError(
            f"--context-parallel {n_context} does not divide the {size} processes of torchrun"
        )
    if n_context == 1:
        return World(rank, size)
    shape = (size // n_context, n_context)
    mesh = init_device_mesh(device.type, shape, mesh_dim_names=("data", "context"))
    place = mesh.get_local_rank("context")
    return World(rank, size, Context(group=mesh.get_group("context"), rank=place, size=n_context))


def _check_agreement(mine: Mapping[str, object]) -> None:
    """Raise UsageError, in every process, unless all have the same."""
    everyone: list[Mapping[str, object]] = [{}] * dist.get_world_size()
    dist.all_gather_object(everyone, mine)
    for rank, other in enumerate(everyone):
        different = [
            f"{name} is {everyone[0].get(name)} in process 0 and {other.get(name)} in {rank}"
            for name in sorted(everyone[0].keys() | other.keys())
            if everyone[0].get(name) != other.get(name)
        ]
        if different:
            raise UsageError(f"the processes of torchrun disagree: {'; '.join(different)}")


def _is_lost_process(error: RuntimeError) -> bool:
    """Whether a collective failed, as they do when a process is no longer there."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)
