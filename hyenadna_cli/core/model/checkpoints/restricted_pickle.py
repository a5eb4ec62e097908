"""A pickle without running anything that is in it: names, and where tensors lie.

A pickle is a program that may call any importable function. The unpickler here imports nothing:
every global a checkpoint may name is mapped to an inert stand-in, every other one is an error.

Nor may a small file take much time: hashing a key of nested tuples takes time that doubles with
each level, and numbers can be chosen so that a dict of them takes the square of their number.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch

from hyenadna_cli.errors import CheckpointError

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

# Lightning keeps its settings and the state of its callbacks beside the weights. None of that is
# read, so its types need not exist; what they would have held is dropped.
_INERT_PACKAGES = ("omegaconf", "typing", "lightning", "lightning_fabric", "pytorch_lightning")
_PATHS = {"Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath"}
_INERT_NAMES = {
    "collections": {"defaultdict"},
    "argparse": {"Namespace"},
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,  # where Python 3.13 says that they are
    "numpy": {"dtype"},
    "numpy.core.multiarray": {"scalar"},
    "numpy._core.multiarray": {"scalar"},
    "_codecs": {"encode"},
    "torch": {"Size", "device", *(str(dtype).removeprefix("torch.") for dtype in _DTYPES.values())},
}
_INERT_BUILTINS = {
    "bool",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "set",
    "str",
    "tuple",
    "unicode",
}

# What torch does not write: extension codes, out-of-band buffers, preallocated arrays, sets.
_STRANGE_OPCODES = {
    *("EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "BYTEARRAY8"),
    *("EMPTY_SET", "ADDITEMS", "FROZENSET"),
}
_MOST_DIMENSIONS = 64
_LARGEST_COUNT = 1 << 62
_SMALL_KEYS = 1 << 16
_MOST_STRANGE_KEYS = 1_000
"""Of numbers and tuples; names are hashed with a secret, and small numbers do not collide."""

# What a damaged pickle can make the standard unpickler raise.
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)


def unpickled(data: bytes, path: Path) -> object:
    """What a pickle holds. Raises CheckpointError, naming `path`, if damaged or not harmless."""
    try:
        _check_opcodes(data)
        return _Unpickler(data, path).load()
    except _PICKLE_ERRORS as error:
        raise CheckpointError(f"{path}: its pickle is damaged ({error})") from error


class _Inert:
    """Stands in for any class whose contents do not matter: takes everything, does nothing."""

    def __new__(cls, *_: object, **__: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    def extend(self, items: object) -> None:
        pass


# Named tuples and empty-slotted classes: a pickle's BUILD opcode can set nothing on them, so what
# has been checked stays true.


class _StorageType(NamedTuple):
    dtype: torch.dtype


class _Storage(NamedTuple):
    key: str
    dtype: torch.dtype
    n_elements: int


class StoredTensor(NamedTuple):
    """Where a tensor lies in the file: a strided view of one storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _MakeOrderedDict:
    """Called where the pickle calls `collections.OrderedDict`, whose items come by opcodes."""

    __slots__ = ()

    def __call__(self) -> OrderedDict[object, object]:
        return OrderedDict()


class _RebuildTensor:
    """Called where the pickle calls `torch._utils._rebuild_tensor_v2`."""

    __slots__ = ()

    def __call__(
        self, storage: object, offset: object, shape: object, stride: object, *_: object
    ) -> StoredTensor:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor without a storage")
        sizes, steps = _counts(shape), _counts(stride)
        (start,) = _counts((offset,))
        n_elements = math.prod(sizes)
        last = start + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True))
        # The first condition keeps a tiny file from claiming a tensor larger than memory.
        if n_elements > storage.n_elements or (n_elements and last >= storage.n_elements):
            raise pickle.UnpicklingError("a tensor larger than its storage")
        return StoredTensor(storage, start, sizes, steps)


class _RebuildParameter:
    """Called where the pickle calls `torch._utils._rebuild_parameter`."""

    __slots__ = ()

    def __call__(self, tensor: object, *_: object) -> object:
        return tensor


def _counts(values: object) -> tuple[int, ...]:
    if (
        not isinstance(values, tuple)
        or len(values) > _MOST_DIMENSIONS
        or not all(type(n) is int and 0 <= n < _LARGEST_COUNT for n in values)
    ):
        raise pickle.UnpicklingError("a tensor whose shape is not a tuple of counts")
    return values


def _checked(opcode: bytes, check: Callable[[Any], None]) -> dict[int, Callable[[Any], None]]:
    """What an opcode does, once `check` has seen the stack."""
    then = pickle._Unpickler.dispatch[opcode[0]]

    def load(unpickler: Any) -> None:
        check(unpickler)
        then(unpickler)

    return {opcode[0]: load}


class _Unpickler(pickle._Unpickler):
    """The one that is written in Python, so that keys are seen before they are hashed."""

    stack: list[Any]
    dispatch: ClassVar = {
        **pickle._Unpickler.dispatch,
        **_checked(pickle.SETITEM, lambda own: own.check_keys(own.stack[-2:-1])),
        **_checked(pickle.SETITEMS, lambda own: own.check_keys(own.stack[::2])),
        **_checked(pickle.DICT, lambda own: own.check_keys(own.stack[::2])),
        **_checked(pickle.BUILD, lambda own: own.check_state()),
    }

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data))
        self._path = path
        self._n_strange_keys = 0

    def check_keys(self, keys: list[Any]) -> None:
        """Refuse keys whose hashes take long, or are many and not of names or small numbers."""
        for key in keys:
            if isinstance(key, str | bytes | _Inert | None) or (
                type(key) is int and 0 <= key < _SMALL_KEYS
            ):
                continue
            parts = key if type(key) is tuple and len(key) <= _MOST_DIMENSIONS else (key,)
            is_flat = all(isinstance(part, str | bytes | int | float | None) for part in parts)
            self._n_strange_keys += 1
            if not is_flat or self._n_strange_keys > _MOST_STRANGE_KEYS:
                raise pickle.UnpicklingError("keys that no checkpoint has")

    def check_state(self) -> None:
        """Refuse attributes of a class, which would outlive this file."""
        if isinstance(self.stack[-2], type):
            raise pickle.UnpicklingError("attributes of a class")

    def find_class(self, module: str, name: str) -> object:
        """The stand-in of a global; CheckpointError, before anything is called, for all others."""
        if (module, name) == ("collections", "OrderedDict"):
            return _MakeOrderedDict()
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _RebuildTensor()
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _RebuildParameter()
        if module == "torch" and name in _DTYPES:
            return _StorageType(_DTYPES[name])
        if (
            module.partition(".")[0] in _INERT_PACKAGES
            or name in _INERT_NAMES.get(module, ())
            or (module in ("builtins", "__builtin__") and name in _INERT_BUILTINS)
        ):
            return _Inert
        raise CheckpointError(
            f"{self._path}: refused: its pickle asks for {module}.{name}, which no HyenaDNA "
            "checkpoint needs and which could run code; nothing was executed"
        )

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", _StorageType(dtype), str(key), str(), int(n_elements)):
                return _Storage(key, dtype, n_elements)
        raise pickle.UnpicklingError("a reference that is not a tensor storage")


def _check_opcodes(data: bytes) -> None:
    """Parse the pickle without running it, for what would make the unpickler claim much memory."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _STRANGE_OPCODES:
            raise pickle.UnpicklingError(f"opcode {opcode.name}")
        # The memo is an array: one entry with a huge number would allocate it as a whole.
        is_memo = opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")
        if is_memo and not 0 <= int(argument or 0) < len(data):
            raise pickle.UnpicklingError(f"memo entry {argument}")
