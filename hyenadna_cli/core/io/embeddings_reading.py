"""Reading what `embeddings_h5` specifies: whole, or opened and checked."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.embeddings_h5 import (
    FORMAT_VERSION,
    POOLED_FORMAT,
    REGION_COLUMNS,
    TOKEN_FORMAT,
)
from hyenadna_cli.core.io.hdf5_claims import check_claims
from hyenadna_cli.core.outputs.provenance import Scalar
from hyenadna_cli.errors import InputFileError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A pooled embedding file in memory."""

    names: list[str]
    """Unique, as in /obs/_index."""
    given_names: list[str]
    """As the input had them, repeated ones too."""
    vectors: dict[str, NDArray[np.float32]]
    """`{pooling}_layer{i}` to [n, d_model]; the first one is /X."""
    obs: dict[str, NDArray[Any]]
    """Column to [n]."""
    made_by: dict[str, Scalar]
    """/uns/hyenadna: format and provenance."""

    @property
    def X(self) -> NDArray[np.float32]:  # noqa: N802 - AnnData's name
        """The first pooling and layer, [n, d_model]."""
        return next(iter(self.vectors.values()))


@dataclass(frozen=True, slots=True)
class TokenEmbeddings:
    """A per-token embedding file in memory."""

    data: NDArray[np.floating[Any]]
    """[offsets[n], d_model]"""
    offsets: NDArray[np.int64]
    """[n + 1]"""
    regions: dict[str, NDArray[Any]]
    """name, chrom, start, end, strand and further columns, each [n]."""
    made_by: dict[str, Scalar]
    """Attributes of the root: format and provenance."""

    def of(self, record: int) -> NDArray[np.floating[Any]]:
        """The rows of one record, [bases or bins, d_model]."""
        return self.data[self.offsets[record] : self.offsets[record + 1]]


def read_embeddings(path: Path) -> Embeddings:
    """Read a pooled file whole. Raises InputFileError if it is not one."""
    with opened(path, POOLED_FORMAT) as file:
        uns = file["uns/hyenadna"]
        made_by = {name: _scalar(uns[name][()]) for name in uns if name != "repeated"}
        names = values(file["obs/_index"]).tolist()
        given_names = list(names)
        for row in uns["repeated"][:]:
            given_names[row] = names[row].rpartition("-")[0]
        vectors = {str(made_by["X"]): file["X"][:]}
        vectors |= {key: dataset[:] for key, dataset in file["obsm"].items()}
        obs = {name: values(file[f"obs/{name}"]) for name in column_names(file)}
        return Embeddings(names, given_names, vectors, obs, made_by)


def read_tokens(path: Path) -> TokenEmbeddings:
    """Read a per-token file whole. Raises InputFileError if it is not one."""
    with opened(path, TOKEN_FORMAT) as file:
        return TokenEmbeddings(
            data=file["tokens/data"][:],
            offsets=file["tokens/offsets"][:],
            regions={name: values(file[f"regions/{name}"]) for name in region_columns(file)},
            made_by={name: _scalar(value) for name, value in file.attrs.items()},
        )


def format_of(path: Path) -> str:
    """POOLED_FORMAT or TOKEN_FORMAT. Raises InputFileError if it is neither."""
    for file_format in (POOLED_FORMAT, TOKEN_FORMAT):
        with suppress(InputFileError), opened(path, file_format):
            return file_format
    raise InputFileError(path, "is not an embedding file, or a damaged one")


@contextmanager
def opened(path: Path, file_format: str) -> Iterator[h5py.File]:
    """An embedding file to read from. Raises InputFileError if it is not of `file_format`."""
    if not path.is_file():
        raise InputFileError(path, "no such file")
    try:
        with _open(path) as file:
            _check(path, file, file_format)
            yield file
    except UnicodeDecodeError as error:
        raise InputFileError(path, f"is damaged: {error}") from error
    except (OSError, RuntimeError) as error:
        raise InputFileError(path, "is not an HDF5 file, or a damaged one") from error


def _check(path: Path, file: h5py.File, file_format: str) -> None:
    """Raise InputFileError unless all that the format has is there, and HDF5 can tell of it."""
    try:
        check_claims(path, file)
        where: Mapping[str, Any] = file.attrs
        if "uns/hyenadna/format" in file:
            facts = file["uns/hyenadna"]
            where = {name: facts[name][()] for name in ("format", "format-version")}
        if "format" not in where:
            raise InputFileError(path, "is not an embedding file")
        if (kind := _scalar(where["format"])) != file_format:
            raise InputFileError(path, f"is a {kind} file, not a {file_format} file")
        if (version := where["format-version"]) > FORMAT_VERSION:
            raise InputFileError(
                path, f"has format version {version}; this hyenadna reads {FORMAT_VERSION}"
            )
        (_check_pooled if file_format == POOLED_FORMAT else _check_tokens)(file)
        _check_sources(path, file)
    except KeyError as error:
        raise InputFileError(path, f"is damaged: {error.args[0]}") from error
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        # Groups where datasets should be, numbers for texts, and the like.
        raise InputFileError(path, f"is damaged: {error}") from error


def _check_pooled(file: h5py.File) -> None:
    """Raise ValueError, KeyError or TypeError for what is not as `embeddings_h5` says."""
    n_rows = len(_dataset(file, "X", n_axes=2))
    for name in ("_index", *column_names(file)):
        where, column = f"obs/{name}", file[f"obs/{name}"]
        if not isinstance(column, h5py.Group):
            _dataset(file, where, n_rows=n_rows)
        else:
            for part in ("values", "mask") if "values" in column else ("codes",):
                _dataset(file, f"{where}/{part}", n_rows=n_rows)
        if kind_of(column).kind != "O" and name == "_index":
            raise TypeError("obs/_index does not hold strings")
    for name in file["obsm"]:
        _dataset(file, f"obsm/{name}", n_axes=2, n_rows=n_rows)
    for name in file["uns/hyenadna"]:
        _dataset(file, f"uns/hyenadna/{name}", n_axes=int(name == "repeated"))
    rows = file["uns/hyenadna/repeated"][:].astype(np.int64)
    if rows.size and not 0 <= rows.min() <= rows.max() < n_rows:
        raise ValueError("uns/hyenadna/repeated names rows that are not there")


def _check_tokens(file: h5py.File) -> None:
    """As `_check_pooled`."""
    offsets = _dataset(file, "tokens/offsets")[:].astype(np.int64)
    n_tokens = len(_dataset(file, "tokens/data", n_axes=2))
    if not offsets.size or offsets[0] or (np.diff(offsets) < 0).any() or offsets[-1] != n_tokens:
        raise ValueError("tokens/offsets do not cut tokens/data into records")
    for name in region_columns(file):
        _dataset(file, f"regions/{name}", n_rows=len(offsets) - 1)


def _dataset(
    file: h5py.File, name: str, *, n_axes: int = 1, n_rows: int | None = None
) -> h5py.Dataset:
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.ndim != n_axes:
        raise ValueError(f"{name} is not a dataset of {n_axes} axes")
    if n_rows is not None and len(found) != n_rows:
        raise ValueError(f"{name} has {len(found):,} rows, not {n_rows:,}")
    return found


def _open(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking="best-effort")
    except BlockingIOError:
        # Files here appear whole and are never changed, so that a lock protects nothing.
        log.info("%s: opened without a lock, which this file system refused", path)
        return h5py.File(path, "r", locking=False)


def _check_sources(path: Path, file: h5py.File) -> None:
    """Raise InputFileError unless a virtual file has its vectors: HDF5 would read zeros."""
    vectors = [file[name] for name in ("X", "tokens/data") if name in file]
    vectors += file["obsm"].values() if "obsm" in file else []
    for dataset in vectors:
        for source in dataset.virtual_sources() if dataset.is_virtual else ():
            first, last = source.vspace.get_select_bounds()
            shape = tuple(end - start + 1 for start, end in zip(first, last, strict=True))
            if problem := _problem(path, source.file_name, source.dset_name, shape):
                raise InputFileError(
                    path,
                    f"refers to vectors in {source.file_name}, which {problem}; put the shards "
                    "back, or merge them again",
                )


def _problem(path: Path, source: str, dataset: str, shape: tuple[int, ...]) -> str | None:
    found = next(filter(Path.is_file, _places(path, source)), None)
    if found is None:
        return "is not there"
    try:
        with _open(found) as shard:
            return None if shard[dataset].shape == shape else "holds other vectors now"
    except (OSError, RuntimeError, KeyError):
        return "cannot be read"


def _places(path: Path, source: str) -> list[Path]:
    """Where HDF5 looks for a source of a virtual dataset, in its order."""
    prefixes = os.environ.get("HDF5_VDS_PREFIX", "").replace("${ORIGIN}", str(path.parent))
    named = [Path(prefix) / source for prefix in prefixes.split(":") if prefix]
    return [*named, path.parent / source, Path(source), path.resolve().parent / source]


def column_names(file: h5py.File) -> list[str]:
    """The columns of /obs but for its index, in order."""
    return [str(name) for name in file["obs"].attrs["column-order"]]


def region_columns(file: h5py.File) -> list[str]:
    """The columns of /regions, in order."""
    return [str(name) for name in file["regions"].attrs.get("column-order", REGION_COLUMNS)]


def kind_of(column: h5py.Dataset | h5py.Group) -> np.dtype[Any]:
    """The type of a column's values; anndata writes some as codes of categories, or with a mask."""
    if isinstance(column, h5py.Group):
        return kind_of(column["values" if "values" in column else "categories"])
    dtype: np.dtype[Any] = column.dtype
    return dtype


def values(column: h5py.Dataset | h5py.Group, rows: slice = slice(None)) -> NDArray[Any]:
    """Rows of a column, text as str; what is missing is an empty text, or NaN."""
    if isinstance(column, h5py.Group):
        missing = "" if kind_of(column).kind == "O" else np.nan
        if "values" in column:
            is_missing = column["mask"][rows].astype(bool)
            known = values(column["values"], rows)
            return np.where(is_missing, missing, known) if is_missing.any() else known
        names, codes = values(column["categories"]), column["codes"][rows]
        return np.asarray(np.append(names, missing)[codes])
    is_text = h5py.check_string_dtype(column.dtype)
    return np.asarray(column.asstr()[rows] if is_text else column[rows])


def _scalar(value: Any) -> Scalar:
    if isinstance(value, bytes):
        return value.decode()
    scalar: Scalar = value.item() if isinstance(value, np.generic) else value
    return scalar
