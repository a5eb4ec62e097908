"""The background file: scores of random SNVs, and all that they depend on.

    /snvs/chrom, ref, alt   utf8    [n]
    /snvs/pos               int64   [n]   1-based
    /snvs/change            utf8    [n]   of the trinucleotide, such as `ACG>T`
    /snvs/status            utf8    [n]   as of score-variants
    /scores/{name}          float64 [n]   NaN where an SNV has no score
    attributes of the root: format (hyenadna-background), format-version (1), genome (size and
    SHA-256 of the FASTA, of pieces where it is large) and the provenance

SNVs come in the order of the genome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.growing_h5 import TEXT, growing_file
from hyenadna_cli.core.outputs.provenance import Provenance, Scalar
from hyenadna_cli.errors import InputFileError

FORMAT = "hyenadna-background"
FORMAT_VERSION = 1

COLUMNS = {"chrom": TEXT, "pos": np.int64, "ref": TEXT, "alt": TEXT, "change": TEXT, "status": TEXT}


@dataclass(frozen=True, slots=True)
class BackgroundFile:
    """A background file in memory."""

    columns: dict[str, NDArray[Any]]
    """Of /snvs, each [n]."""
    scores: dict[str, NDArray[np.float64]]
    attrs: dict[str, Scalar]
    """Of the root."""


@contextmanager
def open_background(
    path: Path, *, scores: Sequence[str], genome: str, made_by: Provenance, overwrite: bool
) -> Iterator[Callable[[Sequence[Any], Mapping[Any, float]], None]]:
    """A function that writes an SNV: its columns in order, and its scores.

    The file appears when the block succeeds. Raises OutputError if `path` exists and `overwrite` is
    false, or cannot be written.
    """
    with growing_file(path, overwrite=overwrite) as output:
        facts = {"format": FORMAT, "format-version": FORMAT_VERSION, "genome": genome}
        output.run(lambda: output.root.attrs.update({**facts, **made_by.as_attrs()}))
        columns = [output.dataset(f"snvs/{name}", dtype=kind) for name, kind in COLUMNS.items()]
        values = {name: output.dataset(f"scores/{name}", dtype=np.float64) for name in scores}

        def write(cells: Sequence[Any], of_snv: Mapping[Any, float]) -> None:
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
            for name, dataset in values.items():
                dataset.append(of_snv[name])

        yield write


def is_background(path: Path) -> bool:
    """Whether a file says that it is one."""
    try:
        with h5py.File(path) as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


def read_background(path: Path) -> BackgroundFile:
    """A whole file. Raises InputFileError if it is not one."""
    if not path.is_file():
        raise InputFileError(path, "no such file")
    try:
        with h5py.File(path) as file:
            attrs: dict[str, Scalar] = {
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in file.attrs.items()
            }
            if attrs.get("format") != FORMAT:
                raise InputFileError(path, "is not a background of `hyenadna background`")
            if int(attrs["format-version"]) > FORMAT_VERSION:
                raise InputFileError(path, f"has format version {attrs['format-version']}")
            columns = {
                name: file[f"snvs/{name}"].asstr()[:] if kind is TEXT else file[f"snvs/{name}"][:]
                for name, kind in COLUMNS.items()
            }
            scores = {name: dataset[:] for name, dataset in file["scores"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputFileError(path, f"is damaged: {error}") from error
    except (OSError, RuntimeError) as error:
        raise InputFileError(path, "is not an HDF5 file, or a damaged one") from error
    lengths = {len(values) for values in (*columns.values(), *scores.values())}
    if len(lengths) != 1 or not scores:
        raise InputFileError(path, "is damaged: its columns differ in length")
    return BackgroundFile(columns, scores, attrs)


def gather_backgrounds(
    sources: Sequence[Path], output: Path, made_by: Provenance, *, overwrite: bool
) -> Iterator[int]:
    """Write the SNVs of all `sources`, in order; yields bytes done since the last time."""
    first = read_background(sources[0])
    names = str(first.attrs.get("scores", "")).split(",")
    with open_background(
        output,
        scores=[name for name in names if name in first.scores],
        genome=str(first.attrs["genome"]),
        made_by=made_by,
        overwrite=overwrite,
    ) as write:
        for source in sources:
            part = read_background(source)
            if part.scores.keys() != first.scores.keys():
                raise InputFileError(source, f"has other scores than {sources[0]}")
            rows = zip(*(part.columns[name] for name in COLUMNS), strict=True)
            for number, cells in enumerate(rows):
                write(cells, {name: values[number] for name, values in part.scores.items()})
            yield source.stat().st_size
