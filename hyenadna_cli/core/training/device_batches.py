"""Batches on their way to a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor


class DeviceBatch(Protocol):
    """What a batch must be able to do; a tensor can."""

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory, from which a GPU fetches it by itself."""
        ...

    def to(self, device: torch.device, /, *, non_blocking: bool = False) -> Self:
        """The same batch on `device`; `non_blocking`: perhaps before it has arrived there."""
        ...


BatchT = TypeVar("BatchT", bound=DeviceBatch)


class TensorBatch:
    """A batch of several tensors: the base of a dataclass that has no other fields."""

    __slots__ = ()

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory."""
        return self._each(Tensor.pin_memory)

    def to(self, device: torch.device, /, *, non_blocking: bool = False) -> Self:
        """The same batch on `device`."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        batch: Any = self
        fields = dataclasses.fields(batch)
        changed: Self = type(batch)(*(change(getattr(self, field.name)) for field in fields))
        return changed


def on_device(batch: BatchT, device: torch.device) -> BatchT:
    """A batch on the device; a GPU fetches it while the host goes on."""
    if device.type == "cpu":
        return batch.to(device)
    return batch.pin_memory().to(device, non_blocking=True)
