"""Sequences with a matrix of targets, such as the 919 of DeepSEA: HDF5, .npz and .mat to rows.

| array | shape | |
|---|---|---|
| `targets`, `labels` or `y` | (n, T) | 0 and 1, or numbers |
| `target_names` or `label_names` | (T,) | text; without it `target_1` and up |
| `sequences` | (n,) | text |
| or `x` | (n, L, 4) or (n, 4, L) | one-hot A C G T, all zero is N |
| or `chrom`, `start`, `end`, maybe `strand` | (n,) | 0-based half-open, with --fasta |
| `names`, `split` | (n,) | text; optional |

DeepSEA's own train.mat (HDF5), valid.mat and test.mat are read as they are: `trainxdata` and
`traindata`, one-hot A G C T. Their targets have no names; those of `predictor.names` or
`feature_name`, which DeepSEA's other downloads hold, are taken where one lies in the same folder.
Without one, 919 targets have the names of `deepsea_targets.txt`: that `predictor.names`, of Zhou &
Troyanskaya 2015 (doi:10.1038/nmeth.3547), cell|assay|treatment.
Other shapes: a table, whose label columns begin with `y_`.

A name that stands again is numbered (`K562|YY1|None.2`): 54 experiments of DeepSEA do.

Rows are read a thousand at a time. Bases that are not coordinates stay in memory with their rows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import io as scipy_io

from hyenadna_cli.core.config.choices import Split
from hyenadna_cli.core.dna.sequence import LetterCounts, LetterError
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.labelled_tables import (
    SPLIT_NAMES,
    LabelRow,
    LabelTable,
    checked_bases,
    checked_interval,
    checked_split,
)
from hyenadna_cli.errors import InputFileError

SUFFIXES = (".h5", ".hdf5", ".npz", ".mat")

_ROWS = 1_000
_TARGETS = ("targets", "labels", "y")
_NAMES = ("target_names", "label_names")
_DEEPSEA = re.compile(r"(train|valid|test)data")
_DEEPSEA_NAMES = ("predictor.names", "feature_name")
_DEEPSEA_TARGETS = Path(__file__).with_name("deepsea_targets.txt")
_N_BARS = 2
_N_CHANNELS = 4

Arrays = Mapping[str, Any]
"""Array-like by name: datasets of an open file, or arrays."""


def read_target_matrix(
    path: Path | str, *, contigs: ContigNames | None, letters: LetterCounts
) -> LabelTable:
    """Open a matrix; rows are read as they are asked for.

    Raises InputFileError, also while rows are read: arrays missing or of unequal length, letters
    that are not IUPAC codes, coordinates outside the FASTA, targets that are not finite.
    """
    with _open(path) as arrays:
        deepsea = next((name for name in arrays if _DEEPSEA.fullmatch(name)), None)
        if deepsea is not None:
            n_targets = arrays[deepsea].shape[0 if _is_turned(arrays, deepsea) else 1]
            names = _distinct(_deepsea_names(path, n_targets))
            return LabelTable(names, _deepsea_rows(path, deepsea))
        targets = _first(path, arrays, _TARGETS)
        if arrays[targets].ndim != 2:
            raise InputFileError(path, f"{targets} is not a matrix: it is {arrays[targets].shape}")
        n_rows, n_targets = arrays[targets].shape
        named = next((name for name in _NAMES if name in arrays), None)
        names = _numbered(n_targets)
        if named is not None:
            names = tuple(_texts(arrays[named][:]))
        if len(names) != n_targets:
            raise InputFileError(path, f"{len(names)} names for {n_targets} targets")
        columns = [
            name
            for name in ("sequences", "x", "chrom", "start", "end", "strand", "names", "split")
            if name in arrays
        ]
        for name in columns:
            if len(arrays[name]) != n_rows:
                raise InputFileError(
                    path, f"{name} has {len(arrays[name]):,} rows, {targets} {n_rows:,}"
                )
        if "sequences" not in columns and "x" not in columns:
            if not {"chrom", "start", "end"} <= set(columns):
                raise InputFileError(
                    path, "needs `sequences`, one-hot `x`, or `chrom`, `start` and `end`"
                )
            if contigs is None:
                raise InputFileError(
                    path, "has coordinates and no sequences; give the genome with --fasta"
                )
    return LabelTable(_distinct(names), _rows(path, targets, columns, contigs, letters))


@contextmanager
def _open(path: Path | str) -> Iterator[Arrays]:
    """The arrays of a file; HDF5 is read slice by slice."""
    with ExitStack() as stack:
        try:
            if h5py.is_hdf5(path):
                arrays: Arrays = stack.enter_context(h5py.File(path, "r"))
            elif Path(path).suffix == ".npz":
                # Opened here: NumPy would leave a file open that it finds to be damaged.
                file = stack.enter_context(Path(path).open("rb"))
                arrays = dict(stack.enter_context(np.load(file, allow_pickle=False)))
            elif Path(path).suffix == ".mat":
                arrays = scipy_io.loadmat(str(path))
            else:
                raise InputFileError(path, "is not HDF5")
        except FileNotFoundError:
            raise InputFileError(path, "no such file") from None
        except (OSError, ValueError, BadZipFile) as error:
            raise InputFileError(path, f"cannot be read: {error}") from error
        yield arrays


def _first(path: Path | str, arrays: Arrays, names: tuple[str, ...]) -> str:
    for name in names:
        if name in arrays:
            return name
    raise InputFileError(path, f"holds none of {', '.join(names)}: it has {', '.join(arrays)}")


def _rows(
    path: Path | str,
    targets: str,
    columns: list[str],
    contigs: ContigNames | None,
    letters: LetterCounts,
) -> Iterator[LabelRow]:
    with _open(path) as arrays:
        for start in range(0, len(arrays[targets]), _ROWS):
            block = {name: arrays[name][start : start + _ROWS] for name in (targets, *columns)}
            labels = _finite(path, block[targets], start)
            cells = {name: _texts(block[name]) for name in columns if name != "x"}
            bases = cells.get("sequences") or (
                _from_one_hot(path, block["x"]) if "x" in columns else None
            )
            for index in range(len(labels)):
                line = start + index + 1
                row = {name: found[index] for name, found in cells.items()}
                try:
                    interval = None
                    if "chrom" in row:
                        interval = checked_interval(
                            row["chrom"], row["start"], row["end"], row.get("strand", ""), contigs
                        )
                    yield LabelRow(
                        path=str(path),
                        line=line,
                        name=row.get("names") or f"row_{line}",
                        sequence=None if bases is None else checked_bases(bases[index], letters),
                        interval=interval,
                        labels=labels[index],
                        split=checked_split(row["split"]) if "split" in row else None,
                    )
                except (LetterError, ValueError) as error:
                    raise InputFileError(path, str(error), line=line) from None


def _is_turned(arrays: Arrays, targets: str) -> bool:
    """MATLAB's HDF5 has the rows last: (1000, 4, n) and (919, n)."""
    return isinstance(arrays[targets], h5py.Dataset)


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Columns and values are found by name, so that no two may have the same."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return tuple(found)


def _deepsea_names(path: Path | str, n_targets: int) -> Sequence[str]:
    """The last column of a list beside the file, such as `8988T|DNase|None`, or the one we have."""
    for name in _DEEPSEA_NAMES:
        if (listed := Path(path).with_name(name)).is_file():
            text = listed.read_text(encoding="utf-8", errors="replace")
            names = [line.split("\t")[-1].strip() for line in text.splitlines()]
            names = [name for name in names if name.count("|") == _N_BARS]
            if len(names) != n_targets:
                raise InputFileError(listed, f"names {len(names)} targets; {path} has {n_targets}")
            return names
    names = _DEEPSEA_TARGETS.read_text(encoding="utf-8").splitlines()
    return names if len(names) == n_targets else _numbered(n_targets)


def _numbered(n_targets: int) -> tuple[str, ...]:
    return tuple(f"target_{index + 1}" for index in range(n_targets))


def _deepsea_rows(path: Path | str, targets: str) -> Iterator[LabelRow]:
    split: Split = SPLIT_NAMES[targets.removesuffix("data")]
    bases = f"{split}xdata"
    with _open(path) as arrays:
        if bases not in arrays:
            raise InputFileError(path, f"has {targets} and no {bases}")
        is_turned = _is_turned(arrays, targets)
        n_rows = arrays[targets].shape[1 if is_turned else 0]
        for start in range(0, n_rows, _ROWS):
            part = slice(start, start + _ROWS)
            if is_turned:
                x, y = arrays[bases][:, :, part].transpose(2, 1, 0), arrays[targets][:, part].T
            else:
                x, y = arrays[bases][part], arrays[targets][part]
            sequences = _from_one_hot(path, x, order=b"AGCTN")
            for index, (sequence, labels) in enumerate(
                zip(sequences, _finite(path, y, start), strict=True)
            ):
                yield LabelRow(
                    path=str(path),
                    line=start + index + 1,
                    name=f"{split}_{start + index + 1}",
                    sequence=sequence,
                    interval=None,
                    labels=labels,
                    split=split,
                )


def _finite(
    path: Path | str, targets: NDArray[np.generic], start: int
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """As uint8 where all are 0 or 1, else float32."""
    values = np.asarray(targets, dtype=np.float32)
    if not (is_finite := np.isfinite(values).all(axis=1)).all():
        line = start + int(np.argmin(is_finite)) + 1
        raise InputFileError(path, "a target is not finite (NaN or infinite)", line=line)
    return values.astype(np.uint8) if ((values == 0) | (values == 1)).all() else values


def _from_one_hot(
    path: Path | str, x: NDArray[np.generic], *, order: bytes = b"ACGTN"
) -> list[str]:
    """(n, L, 4) or (n, 4, L) to text; a position without a base is N."""
    if x.ndim != 3 or _N_CHANNELS not in x.shape[1:]:
        raise InputFileError(path, f"x is {x.shape}; one-hot bases are (n, L, 4) or (n, 4, L)")
    channels = x if x.shape[1] == _N_CHANNELS else x.transpose(0, 2, 1)
    codes = np.where(channels.any(axis=1), channels.argmax(axis=1), _N_CHANNELS)
    letters = np.frombuffer(order, dtype=np.uint8)[codes]
    return [row.tobytes().decode("ascii") for row in letters]


def _texts(values: NDArray[np.generic]) -> list[str]:
    return [
        value.decode("utf-8") if isinstance(value, bytes) else str(value)
        for value in np.asarray(values).tolist()
    ]
