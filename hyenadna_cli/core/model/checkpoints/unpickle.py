"""Tensors out of a torch checkpoint (`.ckpt`, `.pt`) without running anything that is in it.

file.ckpt, a zip ──> NAME/data.pkl ──restricted_pickle──> names and shapes
                 └─> NAME/data/0, 1, ... ──read(keys)──> torch tensors
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hyenadna_cli.core.model.checkpoints.restricted_pickle import StoredTensor, unpickled
from hyenadna_cli.errors import CheckpointError

_MOST_INFLATED = 1_032
"""Bytes that deflate makes of one, at most."""
_PICKLE_BYTES = 16 << 20
"""No released checkpoint's pickle reaches a megabyte: tensors are stored outside it."""
_NEWEST_VERSION = 10
"""Of the layout of the zip, as torch counts it: `version` in every file says which it has."""

# What a damaged zip file can make zipfile raise; RuntimeError is its word for encryption.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)


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
                _check_layout(path, archive, root)
        except _ZIP_ERRORS as error:
            raise CheckpointError(f"{path}: {explain_unreadable(path)}") from error
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror or error}") from error
        tensors = _state_dict(path, unpickled(data, path))
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
    return "the weights are damaged, or this is not a weights file"


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


def _check_layout(path: Path, archive: zipfile.ZipFile, root: str) -> None:
    """Refuse what a later torch, or another kind of machine, has laid out in its own way."""
    said = {
        name: _member(path, archive, f"{root}/{name}", limit=16)
        for name in ("byteorder", "version")
        if f"{root}/{name}" in archive.namelist()
    }
    if said.get("byteorder", b"little") != b"little":
        raise CheckpointError(f"{path}: written on a big-endian machine, which is not supported")
    if "version" not in said:
        raise CheckpointError(f"{path}: damaged: {root}/version is missing")
    version = said["version"].strip()
    if not version.isdigit() or int(version) > _NEWEST_VERSION:
        raise CheckpointError(
            f"{path}: version {version.decode(errors='replace')!r} of torch's format is not known "
            f"here (up to {_NEWEST_VERSION}); the file is damaged, or from a later torch"
        )


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
