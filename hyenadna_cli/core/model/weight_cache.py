"""Values computed from weights, kept until the weights change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from torch import Tensor

from hyenadna_cli.ops.long_conv import Spectra

Value = TypeVar("Value", bound=Tensor | Spectra)


class WeightCache:
    """A cache of at most `max_bytes`; the least recently used values go first.

    A value is dropped when a weight it was computed from was moved, cast, or written to in place
    (writes through `.data` alone go unnoticed).
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.generation = 0
        """Grows whenever a value that was kept is let go."""
        self._is_closed = False
        self._kept: OrderedDict[Hashable, tuple[object, Tensor | Spectra]] = OrderedDict()

    def get(self, key: Hashable, weights: Sequence[Tensor], make: Callable[[], Value]) -> Value:
        """The value of `key`: what `make` gave for these weights, or gives now."""
        state = [state_of(weight) for weight in weights]
        if key in self._kept and self._kept[key][0] == state:
            self._kept.move_to_end(key)
            return self._kept[key][1]  # type: ignore[return-value]
        if self._is_closed:
            return make()
        if self._kept.pop(key, None) is not None:
            self.generation += 1
        value = make()
        if _n_bytes(value) <= self.max_bytes:
            self._kept[key] = (state, value)
            while sum(_n_bytes(kept) for _, kept in self._kept.values()) > self.max_bytes:
                self._kept.popitem(last=False)
                self.generation += 1
        return value

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Meanwhile nothing is kept that was not before, and nothing is let go."""
        self._is_closed = True
        try:
            yield
        finally:
            self._is_closed = False

    def __deepcopy__(self, memo: object) -> WeightCache:
        """A copied model has weights of its own: nothing is kept of them yet."""
        return WeightCache(self.max_bytes)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.generation += 1


def _n_bytes(value: Tensor | Spectra) -> int:
    # Tensors in a layout of oneDNN's have no `nbytes`.
    return value.nbytes if isinstance(value, Spectra) else value.numel() * value.element_size()


def state_of(weight: Tensor) -> object:
    """Equal as long as the weight is as it was."""
    # Tensors made in inference mode do not count their changes: a new object equals no other.
    version = object() if weight.is_inference() else weight._version
    return weight.data_ptr(), version, weight.dtype, weight.device
