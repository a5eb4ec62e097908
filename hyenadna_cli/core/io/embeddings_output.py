"""Where embeddings are written: HDF5 or TSV, by the suffix of the output.

As TSV: name chrom start end strand length status, further columns of the BED or of an allele, then
e0, e1, ... of the first vector and {pooling}_layer{i}_e0, ... of each further one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyenadna_cli.core.io.tsv import SHORT_TABLE_SUFFIXES, TABLE_SUFFIXES, TsvWriter
from hyenadna_cli.core.outputs.atomic import has_suffix, is_stream
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    # For types only: commands import this module at their top, which must stay quick.
    from hyenadna_cli.core.io.embeddings_h5 import EmbeddingRow
    from hyenadna_cli.core.io.tsv import Cell
    from hyenadna_cli.core.outputs.provenance import Provenance

HDF5_SUFFIXES = (".h5", ".hdf5", ".h5ad")
PLACE_COLUMNS = ("name", "chrom", "start", "end", "strand", "length", "status")
"""The first columns of the TSV."""


def check_embeddings_name(output: str, *, is_token: bool) -> None:
    """Refuse an output whose suffix says nothing, or something that cannot be: UsageError."""
    is_hdf5 = has_suffix(output, HDF5_SUFFIXES)
    if is_token and (not is_hdf5 or has_suffix(output, ".h5ad")):
        raise UsageError(
            f"-o {output}: --pool token writes HDF5 of its own layout; name a file .h5 or .hdf5"
        )
    if not (is_hdf5 or has_suffix(output, TABLE_SUFFIXES) or is_stream(output)):
        suffixes = " ".join((*HDF5_SUFFIXES, *SHORT_TABLE_SUFFIXES))
        raise UsageError(f"-o {output}: the suffix decides the format; use one of {suffixes}")


@contextmanager
def open_pooled(
    output: str,
    *,
    keys: Sequence[str],
    d_model: int,
    made_by: Provenance,
    overwrite: bool,
    columns: Sequence[str] = (),
    kinds: Mapping[str, Any] | None = None,
) -> Iterator[Callable[[EmbeddingRow], None]]:
    """A function that writes a row; `keys` are those of its vectors, the main one first.

    `columns` are the names of the rows' further columns, `kinds` of those that are not text. The
    file appears when the block succeeds. Raises OutputError as its writers do.
    """
    from hyenadna_cli.core.io.embeddings_h5 import OBS_COLUMNS, PooledWriter, obs_names

    if has_suffix(output, HDF5_SUFFIXES):
        with PooledWriter(
            Path(output),
            keys=keys,
            d_model=d_model,
            made_by=made_by,
            overwrite=overwrite,
            columns=columns,
            kinds=kinds,
        ) as hdf5:
            yield hdf5.append
        return
    # As in HDF5, the first vector has the plain place and the others are named.
    prefixes = ["", *(f"{key}_" for key in keys[1:])]
    numbers = [f"{prefix}e{i}" for prefix in prefixes for i in range(d_model)]
    further = obs_names(columns, taken=(*OBS_COLUMNS, *PLACE_COLUMNS, *numbers))
    with TsvWriter(
        output, columns=[*PLACE_COLUMNS, *further, *numbers], overwrite=overwrite
    ) as table:
        yield lambda row: table.write_row(_cells(row, keys))


def _cells(row: EmbeddingRow, keys: Sequence[str]) -> list[Cell]:
    cells: list[Cell] = [getattr(row, column) for column in PLACE_COLUMNS]
    cells += row.columns
    for key in keys:
        cells += row.vectors[key].tolist()
    return cells
