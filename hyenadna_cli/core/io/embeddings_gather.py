"""Embedding files of shards, and backgrounds, to one: by copying rows, or by reference.

Copied rows go through the writer that an unsharded run uses, so that the bytes are those of an
unsharded run. By reference (`is_virtual`), the vectors stay in the shards, as an HDF5 virtual
dataset that finds them by their path from the merged file; all else is copied.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py

from hyenadna_cli.core.io.background_h5 import gather_backgrounds, is_background
from hyenadna_cli.core.io.embeddings_h5 import (
    OBS_COLUMNS,
    POOLED_FORMAT,
    REGION_COLUMNS,
    TOKEN_FORMAT,
    PooledWriter,
    TokenWriter,
)
from hyenadna_cli.core.io.embeddings_reading import (
    column_names,
    format_of,
    kind_of,
    opened,
    region_columns,
    values,
)
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.errors import InputFileError

_SLAB_ROWS = 1_024


def gather_embeddings(
    sources: Sequence[Path],
    output: Path,
    made_by: Provenance,
    *,
    overwrite: bool,
    is_virtual: bool,
) -> Iterator[int]:
    """Write the rows of all `sources`, in order; yields bytes done since the last time.

    Raises InputFileError for what is not an embedding file, or not of one shape with the first.
    """
    if is_background(sources[0]) and not is_virtual:
        yield from gather_backgrounds(sources, output, made_by, overwrite=overwrite)
        return
    file_format = format_of(sources[0])
    gather = {POOLED_FORMAT: _gather_pooled, TOKEN_FORMAT: _gather_tokens}[file_format]
    yield from gather(sources, output, made_by, overwrite, is_virtual)


def _gather_pooled(
    sources: Sequence[Path], output: Path, made_by: Provenance, overwrite: bool, is_virtual: bool
) -> Iterator[int]:
    with opened(sources[0], POOLED_FORMAT) as file:
        main = file["uns/hyenadna/X"][()].decode()
        keys = _keys(main, list(file["obsm"]), made_by)
        d_model = file["X"].shape[1]
        columns = column_names(file)
        kinds = {name: kind_of(file[f"obs/{name}"]) for name in columns}
    places = {key: f"obsm/{key}" if key != main else "X" for key in keys}
    virtual = None
    if is_virtual:
        virtual = {
            key: virtual_layout(sources, POOLED_FORMAT, place, output)
            for key, place in places.items()
        }
    with PooledWriter(
        output,
        keys=keys,
        d_model=d_model,
        made_by=made_by,
        overwrite=overwrite,
        columns=[name for name in columns if name not in OBS_COLUMNS],
        kinds={name: kind for name, kind in kinds.items() if not h5py.check_string_dtype(kind)},
        virtual=virtual,
    ) as writer:
        for source in sources:
            with opened(source, POOLED_FORMAT) as file:
                if set(file["obsm"]) != set(keys) - {main} or file["X"].shape[1] != d_model:
                    raise InputFileError(source, f"has other vectors than {sources[0]}")
                if column_names(file) != columns:
                    raise InputFileError(source, f"has other columns than {sources[0]}")
                yield from _append_pooled(file, writer, {} if is_virtual else places)
            yield source.stat().st_size


def _append_pooled(file: h5py.File, writer: PooledWriter, places: dict[str, str]) -> Iterator[int]:
    repeated = set(file["uns/hyenadna/repeated"][:].tolist())
    for first in range(0, len(file["X"]), _SLAB_ROWS):
        slab = slice(first, first + _SLAB_ROWS)
        names = values(file["obs/_index"], slab).tolist()
        own_names = [
            name.rpartition("-")[0] if row in repeated else name
            for row, name in enumerate(names, start=first)
        ]
        columns = {name: values(file[f"obs/{name}"], slab) for name in column_names(file)}
        vectors = {key: file[place][slab] for key, place in places.items()}
        writer.extend(own_names, columns, vectors)
        yield 0


def _gather_tokens(
    sources: Sequence[Path], output: Path, made_by: Provenance, overwrite: bool, is_virtual: bool
) -> Iterator[int]:
    with opened(sources[0], TOKEN_FORMAT) as file:
        d_model, dtype = file["tokens/data"].shape[1], file["tokens/data"].dtype
        columns = region_columns(file)
    layout = virtual_layout(sources, TOKEN_FORMAT, "tokens/data", output) if is_virtual else None
    with TokenWriter(
        output,
        d_model=d_model,
        dtype=dtype.name,
        made_by=made_by,
        overwrite=overwrite,
        columns=[name for name in columns if name not in REGION_COLUMNS],
        virtual=layout,
    ) as writer:
        for source in sources:
            with opened(source, TOKEN_FORMAT) as file:
                data, offsets = file["tokens/data"], file["tokens/offsets"][:].tolist()
                if data.shape[1] != d_model or data.dtype != dtype:
                    raise InputFileError(source, f"has other vectors than {sources[0]}")
                if region_columns(file) != columns:
                    raise InputFileError(source, f"has other columns than {sources[0]}")
                regions = [values(file[f"regions/{name}"]).tolist() for name in columns]
                for first, last, *cells in zip(offsets[:-1], offsets[1:], *regions, strict=True):
                    name, chrom, start, end, strand, *further = cells
                    place = (name, chrom, start, end, strand)
                    if is_virtual:
                        writer.append_virtual(*place, further, n_rows=last - first)
                    else:
                        writer.append(*place, data[first:last], further)
                    yield 0
            yield source.stat().st_size


def virtual_layout(
    sources: Sequence[Path], file_format: str, name: str, output: Path
) -> h5py.VirtualLayout:
    """The dataset `name` of all sources below each other, found from where `output` lies."""
    parts = []
    for source in sources:
        with opened(source, file_format) as file:
            path = os.path.relpath(source.resolve(), output.resolve().parent)
            parts.append((path, file[name].shape, file[name].dtype))
    (_, (_, width), dtype) = parts[0]
    layout = h5py.VirtualLayout((sum(shape[0] for _, shape, _ in parts), width), dtype)
    first = 0
    for path, shape, _ in parts:
        if shape[0]:
            layout[first : first + shape[0]] = h5py.VirtualSource(path, name, shape, dtype)
        first += shape[0]
    return layout


def _keys(main: str, others: list[str], made_by: Provenance) -> tuple[str, ...]:
    """All keys in the order in which they were asked for, which the file does not keep."""
    poolings, layers = made_by.settings.get("pooling"), made_by.settings.get("layer")
    in_order: list[str] = []
    if isinstance(poolings, list) and isinstance(layers, list):
        in_order = [f"{pooling}_layer{layer}" for pooling in poolings for layer in layers]
    rest = [key for key in in_order if key in others]
    return (main, *rest, *(key for key in others if key not in rest))
