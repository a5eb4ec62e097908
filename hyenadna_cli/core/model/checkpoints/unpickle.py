"""Tensors out of a torch checkpoint (`.ckpt`, `.pt`) without running anything that is in it.

    file.ckpt, a zip ──> NAME/data.pkl ──restricted unpickler──> names and shapes
                     └─> NAME/data/0, 1, ... ──read(keys)──> torch tensors

A pickle is a program that may call any importable function. The unpickler here imports nothing:
every global a checkpoint may name is mapped to an inert stand-in, every other one is an error.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hyenadna_cli.errors import CheckpointError

_MOST_INFLATED = 1_032
"""Bytes that deflate makes of one, at most."""
_PICKLE_BYTES = 16 << 20
"""No released checkpoint's pickle reaches a megabyte: tensors are stored outside it."""

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
_INERT_NAMES = {
    "collections": {"defaultdict"},
    "argparse": {"Namespace"},
    "pathlib": {"Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath"},
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

# What a damaged zip file can make zipfile raise; RuntimeError is its word for encryption.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)

# Opcodes that torch does not write: extension codes, out-of-band buffers, preallocated arrays.
_STRANGE_OPCODES = {"EXT1", "EXT2", "EXT4", "NEXT_BUFFER", "READONLY_BUFFER", "BYTEARRAY8"}

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
)


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
    if not isinstance(values, tuple) or not all(type(n) is int and n >= 0 for n in values):
        raise pickle.UnpicklingError("a tensor whose shape is not a tuple of counts")
    return values


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data))
        self._path = path

    def find_class(self, module: str, name: str) -> object:
        """The stand-in of a global; CheckpointError, before anything is called, for all others."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
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


@dataclass(frozen=True, slots=True)
class TorchCheckpoint:
    """The state dict of a torch checkpoint; tensors stay on disk until they are read."""

    path: Path
    root: str
    """The folder inside the zip that holds everything."""
    tensors: Mapping[str, StoredTensor]

    @classmethod
    def open(cls, path: Path) -> TorchCheckpoint:
        """Read the pickle of `path`; raises CheckpointError if it is damaged or not harmless."""
        try:
            with zipfile.ZipFile(path) as archive:
                root = _root(path, archive)
                data = _member(path, archive, f"{root}/data.pkl", limit=_PICKLE_BYTES)
                _check_byte_order(path, archive, root)
        except _ZIP_ERRORS as error:
            raise CheckpointError(f"{path}: {explain_unreadable(path)}") from error
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror or error}") from error
        try:
            _check_opcodes(data)
            content = _Unpickler(data, path).load()
        except _PICKLE_ERRORS as error:
            raise CheckpointError(f"{path}: its pickle is damaged ({error})") from error
        tensors = _state_dict(path, content)
        _check_claims(path, tensors)
        return cls(path, root, tensors)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor by its name in the file."""
        return {name: tensor.shape for name, tensor in self.tensors.items()}

    def read(self, names: Iterable[str]) -> dict[str, Tensor]:
        """Load the named tensors; raises CheckpointError if the file is damaged."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                return {name: self._read(archive, self.tensors[name]) for name in names}
        except _ZIP_ERRORS as error:
            raise CheckpointError(f"{self.path}: {explain_unreadable(self.path)}") from error

    def _read(self, archive: zipfile.ZipFile, tensor: StoredTensor) -> Tensor:
        storage = tensor.storage
        n_bytes = storage.n_elements * storage.dtype.itemsize
        data = _member(self.path, archive, f"{self.root}/data/{storage.key}", limit=n_bytes)
        if len(data) != n_bytes:
            raise CheckpointError(f"{self.path}: damaged: storage {storage.key} is cut short")
        if not n_bytes:
            return torch.empty(tensor.shape, dtype=storage.dtype)
        flat = torch.frombuffer(bytearray(data), dtype=storage.dtype)
        # A copy, so that a small view does not keep a large storage alive.
        return flat.as_strided(tensor.shape, tensor.stride, tensor.offset).clone()


def _check_opcodes(data: bytes) -> None:
    """Parse the pickle without running it, for what would make the unpickler claim much memory."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in _STRANGE_OPCODES:
            raise pickle.UnpicklingError(f"opcode {opcode.name}")
        # The memo is an array: one entry with a huge number would allocate it as a whole.
        is_memo = opcode.name in ("PUT", "BINPUT", "LONG_BINPUT")
        if is_memo and not 0 <= int(argument or 0) < len(data):
            raise pickle.UnpicklingError(f"memo entry {argument}")


def _check_claims(path: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Refuse storages that a file of this size cannot hold, before a model is made for them."""
    storages = {tensor.storage for tensor in tensors.values()}
    n_bytes = sum(storage.n_elements * storage.dtype.itemsize for storage in storages)
    if n_bytes > _MOST_INFLATED * path.stat().st_size:
        problem = f"its pickle claims {n_bytes:,} bytes of tensors, more than such a file can hold"
        raise CheckpointError(f"{path}: damaged: {problem}")


def explain_unreadable(path: Path) -> str:
    """Why a file cannot be read as a zip or as safetensors, judged by its first bytes."""
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "the file is empty"
    if start.startswith(b"version https://git-lfs"):
        return "this is a git-lfs pointer, not the weights; run `git lfs pull` in its repository"
    if start.startswith(b"PK"):
        return "the checkpoint is truncated or damaged; download or copy it again"
    if start[:1] == b"\x80":
        return (
            "this is the torch format from before version 1.6, which cannot be read safely; "
            "save it again with a newer torch, or use the -hf release with model.safetensors"
        )
    return "the weights are damaged, or this is no weights file"


def _root(path: Path, archive: zipfile.ZipFile) -> str:
    roots = [name.removesuffix("/data.pkl") for name in archive.namelist()]
    roots = [root for root, name in zip(roots, archive.namelist(), strict=True) if root != name]
    if len(roots) != 1 or "/" in roots[0]:
        raise CheckpointError(f"{path}: a zip file, but not a torch checkpoint")
    return roots[0]


def _member(path: Path, archive: zipfile.ZipFile, name: str, *, limit: int) -> bytes:
    try:
        member = archive.getinfo(name)
    except KeyError as error:
        raise CheckpointError(f"{path}: damaged: {name} is missing") from error
    if member.file_size > limit:
        raise CheckpointError(f"{path}: damaged: {name} is larger than it should be")
    return archive.read(member)


def _check_byte_order(path: Path, archive: zipfile.ZipFile, root: str) -> None:
    name = f"{root}/byteorder"
    if name in archive.namelist() and _member(path, archive, name, limit=16) != b"little":
        raise CheckpointError(f"{path}: written on a big-endian machine, which is not supported")


def _state_dict(path: Path, content: object) -> dict[str, StoredTensor]:
    # Through the class: the pickle may have put attributes named `get` or `items` on an instance.
    state = dict.get(content, "state_dict", content) if isinstance(content, dict) else None
    if isinstance(state, dict):
        tensors = {
            name: tensor
            for name, tensor in dict.items(state)
            if isinstance(name, str) and isinstance(tensor, StoredTensor)
        }
        if tensors:
            return tensors
    raise CheckpointError(f"{path}: holds no state_dict of tensors")
