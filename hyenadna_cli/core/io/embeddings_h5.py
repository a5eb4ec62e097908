"""The embedding file: what it holds, and how it is written in pieces.

Coordinates are 0-based half-open throughout. Text is UTF-8. n = records, d = `d_model`.

**Pooled** (`hyenadna-embeddings`, version 1): plain HDF5 that `anndata.read_h5ad` opens, in memory
and backed. That reader allows nothing else at the root, and needs the `encoding-type` attributes.

    /X                        float32 [n, d]   the first pooling and layer asked for
    /obs/_index               utf8    [n]      name; a repeated one gets "-1", "-2", ... appended
    /obs/chrom                utf8    [n]
    /obs/start, /obs/end      int64   [n]
    /obs/strand               utf8    [n]      "+", "-", "." (none given) or "both"
    /obs/length               int64   [n]      bases
    /obs/n_frac               float64 [n]      share of the bases that are N
    /obs/n_windows            int64   [n]
    /obs/status               utf8    [n]      "OK" or why there is no vector
    /obs/...                  utf8    [n]      further columns of the BED, see `obs_names`; of
                                               alleles what `core.variants.allele_rows` says
    /var/_index               utf8    [d]      dim_0, dim_1, ...
    /obsm/{pooling}_layer{i}  float32 [n, d]   one for each further pooling and layer
    /uns/hyenadna/format, format-version, coordinates, X (which pooling and layer /X is)
    /uns/hyenadna/...         scalars          provenance, with generated-by
    /uns/hyenadna/repeated    int64   [k]      rows of /obs/_index whose name has a number appended

**Per token** (`hyenadna-tokens`, version 1): record i has the rows offsets[i] to offsets[i + 1] of
the data, one per base (or bin of bases) in the order of the plus strand.

    /tokens/data              float32|float16 [offsets[n], d]
    /tokens/offsets           int64   [n + 1]
    /regions/name, chrom      utf8    [n]      names as given, repeated ones too
    /regions/start, end       int64   [n]
    /regions/strand           utf8    [n]
    /regions/...              utf8    [n]      further columns, named by its attribute column-order
    attributes of the root: format, format-version, coordinates and the provenance

Two runs with the same content and provenance write the same bytes. Datasets are chunked, resizable
along the records, without compression, and filled through buffers of about 1 MiB each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.growing_h5 import TEXT, GrowingDataset, GrowingFile, growing_file
from hyenadna_cli.core.io.tsv import Cell
from hyenadna_cli.core.io.unique_names import UniqueNames
from hyenadna_cli.core.outputs.provenance import Provenance, Scalar
from hyenadna_cli.core.outputs.sinks import Writer
from hyenadna_cli.errors import OutputError

POOLED_FORMAT = "hyenadna-embeddings"
TOKEN_FORMAT = "hyenadna-tokens"  # noqa: S105  not a secret
FORMAT_VERSION = 1

OBS_COLUMNS = {
    "chrom": TEXT,
    "start": np.int64,
    "end": np.int64,
    "strand": TEXT,
    "length": np.int64,
    "n_frac": np.float64,
    "n_windows": np.int64,
    "status": TEXT,
}
REGION_COLUMNS = {"name": TEXT, "chrom": TEXT, "start": np.int64, "end": np.int64, "strand": TEXT}


@dataclass(frozen=True, slots=True)
class EmbeddingRow:
    """The pooled vectors of one record; start and end are 0-based half-open."""

    name: str
    """As given; need not be unique."""
    chrom: str
    start: int
    end: int
    strand: str
    """"+", "-", "." or "both"."""
    length: int
    """Bases."""
    n_frac: float
    """Share of the bases that are N."""
    n_windows: int
    status: str
    """"OK", or why there is no vector."""
    vectors: dict[str, NDArray[np.float32]]
    """`{pooling}_layer{i}` to float32 [d_model]."""
    columns: tuple[Cell, ...] = ()
    """Further columns: of the input, or what is known of an allele."""


def obs_names(columns: Sequence[str], *, taken: Iterable[str] = OBS_COLUMNS) -> list[str]:
    """What further columns of the input are called beside ours (`taken`).

    A name that is taken or repeated gets "-1", "-2", ... appended; "/", which makes a group in
    HDF5, becomes "_".
    """
    names = UniqueNames()
    for name in {"_index", "name", *taken}:
        names.unique(name)
    return [names.unique(column.replace("/", "_")) for column in columns]


class _Hdf5Writer(Writer):
    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self._path = path
        self._overwrite = overwrite

    def _open(self, stack: ExitStack) -> None:
        output = stack.enter_context(growing_file(self._path, overwrite=self._overwrite))
        output.run(lambda: self._lay_out(output))

    def _lay_out(self, output: GrowingFile) -> None:
        """Make every dataset, and write what is known before the first record."""
        raise NotImplementedError


class PooledWriter(_Hdf5Writer):
    """Write pooled vectors row by row; the first of `keys` becomes /X, the others /obsm/{key}.

    A context manager: the file appears at `path` when the block succeeds, a file without rows
    included. Memory does not grow with the rows, but for 8 bytes each to keep names unique.
    Raises OutputError if `path` exists and `overwrite` is false, or cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        keys: Sequence[str],
        d_model: int,
        made_by: Provenance,
        overwrite: bool,
        columns: Sequence[str] = (),
        kinds: Mapping[str, Any] | None = None,
        virtual: Mapping[str, h5py.VirtualLayout] | None = None,
    ) -> None:
        """`columns`: names of the rows' further columns; `kinds`: of those that are not text.
        `virtual`: where the vectors of each key already are; rows then bring none.
        """
        if not keys or len(set(keys)) < len(keys) or any("/" in key for key in keys):
            raise ValueError(f"keys must be one or more, different and without '/', got {keys}")
        super().__init__(path, overwrite=overwrite)
        self._keys = tuple(keys)
        self._d_model = d_model
        self._made_by = made_by
        self._virtual = virtual
        self._further = obs_names(columns)
        given = [(kinds or {}).get(column, TEXT) for column in columns]
        self._kinds = dict(zip(self._further, given, strict=True))
        self._names = UniqueNames()
        self._n_rows = 0

    def append(self, row: EmbeddingRow) -> None:
        """Add one record. Raises ValueError if a vector is missing or of another size."""
        for key in self._vectors:
            if key not in row.vectors or row.vectors[key].shape != (self._d_model,):
                raise ValueError(f"{row.name} needs a vector {key} of {self._d_model} numbers")
        (name,) = self._numbered([row.name])
        self._index.append(name)
        further = dict(zip(self._further, row.columns, strict=True))
        for column, dataset in self._obs.items():
            dataset.append(further[column] if column in further else getattr(row, column))
        for key, dataset in self._vectors.items():
            dataset.append(row.vectors[key])

    def extend(
        self,
        names: Sequence[str],
        obs: Mapping[str, NDArray[Any]],
        vectors: Mapping[str, NDArray[np.float32]],
    ) -> None:
        """Add many records at once: names as given, columns of /obs, vectors [n, d_model].

        Raises ValueError if something is missing or of another size.
        """
        shape = (len(names), self._d_model)
        for key in self._vectors:
            if key not in vectors or vectors[key].shape != shape:
                raise ValueError(f"{len(names):,} records need vectors {key} of {shape}")
        if any(len(obs[column]) != len(names) for column in self._obs):
            raise ValueError(f"{len(names):,} records need columns of that length")
        datasets = [self._index, *self._obs.values(), *self._vectors.values()]
        done = 0
        while done < len(names):
            # Up to the next full buffer, so that HDF5 gets all in the order of single rows.
            part = slice(done, done + min(dataset.n_free for dataset in datasets))
            self._index.extend(np.array(self._numbered(names[part]), dtype=object))
            for column, dataset in self._obs.items():
                dataset.extend(obs[column][part])
            for key, dataset in self._vectors.items():
                dataset.extend(vectors[key][part])
            done = part.stop

    def _numbered(self, names: Sequence[str]) -> list[str]:
        """Unique names of the next records."""
        unique = []
        for name in names:
            unique.append(self._names.unique(name))
            if unique[-1] != name:
                self._repeated.append(self._n_rows)
            self._n_rows += 1
        return unique

    def _lay_out(self, output: GrowingFile) -> None:
        root = output.root
        _mark(root, "anndata", "0.1.0")
        obs = _group(root, "obs", "dataframe", "0.2.0")
        obs.attrs["_index"] = "_index"
        kinds = OBS_COLUMNS | self._kinds
        obs.attrs["column-order"] = np.array(list(kinds), dtype=TEXT)
        self._index = _column(output, "obs/_index", TEXT)
        self._obs = {name: _column(output, f"obs/{name}", dtype) for name, dtype in kinds.items()}
        var = _group(root, "var", "dataframe", "0.2.0")
        var.attrs["_index"] = "_index"
        var.attrs["column-order"] = np.array([], dtype=TEXT)
        dims = [f"dim_{i}" for i in range(self._d_model)]
        _mark(var.create_dataset("_index", data=dims, dtype=TEXT), "string-array", "0.2.0")
        _group(root, "obsm", "dict", "0.1.0")
        self._vectors = {}
        for i, key in enumerate(self._keys):
            name = "obsm/" + key if i else "X"
            if self._virtual is None:
                self._vectors[key] = _column(output, name, np.float32, width=self._d_model)
            else:
                linked = root.create_virtual_dataset(name, self._virtual[key])
                _mark(linked, "array", "0.2.0")
        uns = _group(_group(root, "uns", "dict", "0.1.0"), "hyenadna", "dict", "0.1.0")
        facts = {**pooled_facts(self._keys[0]), **self._made_by.as_attrs()}
        for name, value in facts.items():
            dtype = TEXT if isinstance(value, str) else None
            scalar = uns.create_dataset(name, data=value, dtype=dtype)
            _mark(scalar, "string" if isinstance(value, str) else "numeric-scalar", "0.2.0")
        self._repeated = _column(output, "uns/hyenadna/repeated", np.int64)


class TokenWriter(_Hdf5Writer):
    """Write one row per base (or bin) of each record; a context manager like `PooledWriter`.

    Raises OutputError also when a number is too large for float16.
    """

    def __init__(
        self,
        path: Path,
        *,
        d_model: int,
        dtype: Literal["float32", "float16"],
        made_by: Provenance,
        overwrite: bool,
        columns: Sequence[str] = (),
        virtual: h5py.VirtualLayout | None = None,
    ) -> None:
        """`columns`: names of the records' further columns. `virtual`: where the rows already are;
        `append_virtual` then stands for `append`.
        """
        super().__init__(path, overwrite=overwrite)
        self._d_model = d_model
        self._dtype = dtype
        self._virtual = virtual
        self._made_by = made_by
        self._further = obs_names(columns, taken=REGION_COLUMNS)
        self._n_rows = 0

    def append(
        self,
        name: str,
        chrom: str,
        start: int,
        end: int,
        strand: str,
        data: NDArray[np.floating[Any]],
        columns: Sequence[str] = (),
    ) -> None:
        """Add one record (0-based half-open); data [rows, d_model] follows the plus strand."""
        if data.ndim != 2 or data.shape[1] != self._d_model:
            raise ValueError(f"{name} needs rows of {self._d_model} numbers, got {data.shape}")
        try:
            self._data.extend(data)
        except FloatingPointError as error:
            raise OutputError(
                f"{self._path}: a value of {name} is too large for {self._dtype}; write float32"
            ) from error
        self.append_virtual(name, chrom, start, end, strand, columns, n_rows=len(data))

    def append_virtual(
        self,
        name: str,
        chrom: str,
        start: int,
        end: int,
        strand: str,
        columns: Sequence[str] = (),
        *,
        n_rows: int,
    ) -> None:
        """Add one record whose `n_rows` rows are in the dataset already."""
        self._n_rows += n_rows
        self._offsets.append(self._n_rows)
        for dataset, value in zip(
            self._regions.values(), (name, chrom, start, end, strand, *columns), strict=True
        ):
            dataset.append(value)

    def _lay_out(self, output: GrowingFile) -> None:
        output.root.attrs.update({**_facts(TOKEN_FORMAT), **self._made_by.as_attrs()})
        if self._virtual is None:
            self._data = output.dataset("tokens/data", dtype=self._dtype, width=self._d_model)
        else:
            output.root.create_group("tokens").create_virtual_dataset("data", self._virtual)
        self._offsets = output.dataset("tokens/offsets", dtype=np.int64)
        self._offsets.append(0)
        kinds = REGION_COLUMNS | dict.fromkeys(self._further, TEXT)
        self._regions = {
            name: output.dataset(f"regions/{name}", dtype=dtype) for name, dtype in kinds.items()
        }
        if self._further:
            output.root["regions"].attrs["column-order"] = np.array(list(kinds), dtype=TEXT)


def pooled_facts(key: str) -> dict[str, Scalar]:
    """What /uns/hyenadna says of a file whose /X holds the vectors of `key`."""
    return {**_facts(POOLED_FORMAT), "X": key}


def _facts(file_format: str) -> dict[str, Scalar]:
    return {
        "format": file_format,
        "format-version": FORMAT_VERSION,
        "coordinates": "0-based half-open",
    }


def _mark(item: h5py.Group | h5py.Dataset, kind: str, version: str) -> None:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version


def _group(parent: h5py.Group, name: str, kind: str, version: str) -> h5py.Group:
    group = parent.create_group(name)
    _mark(group, kind, version)
    return group


def _column(
    output: GrowingFile, name: str, dtype: Any, *, width: int | None = None
) -> GrowingDataset:
    column = output.dataset(name, dtype=dtype, width=width)
    _mark(column.dataset, "string-array" if dtype is TEXT else "array", "0.2.0")
    return column
