"""What a damaged HDF5 file claims to hold, checked before HDF5 reserves memory for it.

Of a text of any length a dataset holds 16 bytes: its length, which HDF5 believes, and its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

_MOST_INFLATED = 1_032
"""Bytes that deflate makes of one, at most."""
_TEXT = np.dtype([("length", "<u4"), ("place", "V12")])
_PIECE_BYTES = 1 << 20


def check_claims(path: Path, file: h5py.File) -> None:
    """Raises ValueError for a dataset or a text that is larger than the file can hold."""
    size = path.stat().st_size

    def check(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.size and not item.is_virtual:
            _check(path, name, item, size)

    file.visititems(check)


def _check(path: Path, name: str, dataset: h5py.Dataset, size: int) -> None:
    has_filters = dataset.id.get_create_plist().get_nfilters() > 0
    n_elements = max(dataset.size, int(np.prod(dataset.chunks or 0, dtype=object)))
    if n_elements * dataset.dtype.itemsize > size * (_MOST_INFLATED if has_filters else 1):
        raise ValueError(f"{name} claims more than the file can hold")
    if h5py.check_string_dtype(dataset.dtype) and dataset.dtype.kind == "O" and not has_filters:
        for piece in _raw(path, dataset):
            # What the end of a file cuts off, HDF5 finds itself.
            texts = np.frombuffer(piece[: len(piece) // _TEXT.itemsize * _TEXT.itemsize], _TEXT)
            if len(texts) and int(texts["length"].max()) > size:
                raise ValueError(f"a text of {name} claims more than the file can hold")


def _raw(path: Path, dataset: h5py.Dataset) -> Iterator[bytes]:
    """The bytes of a dataset as they lie in the file; nothing of what is stored otherwise."""
    if dataset.chunks is None:
        offset = dataset.id.get_offset()
        places = [] if offset is None else [(offset, dataset.size * _TEXT.itemsize)]
    else:
        stored = map(dataset.id.get_chunk_info, range(dataset.id.get_num_chunks()))
        places = [(chunk.byte_offset, chunk.size) for chunk in stored]
    with path.open("rb") as file:
        for offset, n_bytes in places:
            file.seek(offset)
            for start in range(0, n_bytes, _PIECE_BYTES):
                yield file.read(min(_PIECE_BYTES, n_bytes - start))
