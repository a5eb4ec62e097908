"""Tracks for genome browsers: bedGraph, plain or bgzip, and bigWig.

bedGraph: contig, start, end (0-based half-open), value; one line per base that has one. bigWig: the
same values in float32, with all contigs of the genome in its header, written by pyBigWig. Shards of
bigWig are gathered value by value: its blocks and zoom levels are of a whole file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.tsv import BEDGRAPH_SUFFIXES, BIGWIG_SUFFIXES
from hyenadna_cli.core.outputs.atomic import has_suffix, replace_on_success
from hyenadna_cli.core.outputs.sinks import open_sink
from hyenadna_cli.errors import InputFileError, OutputError, UsageError

_PIECE = 1 << 18
"""Bases that are gathered at once."""

Write = Callable[[str, int, NDArray[np.floating]], None]
"""Takes a contig, a 0-based start, and values of consecutive bases, NaN where there is none."""


def is_bigwig(output: str) -> bool:
    """By its suffix. Raises UsageError for a suffix that no track has."""
    name = output.lower()
    if name.endswith(BIGWIG_SUFFIXES):
        return True
    if name.endswith(BEDGRAPH_SUFFIXES):
        return False
    raise UsageError(f"--track {output}: use .bw, .bigwig, .bedGraph or .bedGraph.gz")


def open_track(
    output: str, lengths: Mapping[str, int], *, overwrite: bool
) -> AbstractContextManager[Write]:
    """A function that writes values, which come in order of `lengths` (bp by contig) and places.

    The file appears when the block succeeds. Raises OutputError, and UsageError where a bigWig is
    asked for and pyBigWig is not installed.
    """
    if is_bigwig(output):
        return open_bigwig(Path(output), lengths, overwrite=overwrite)
    return open_bedgraph(output, overwrite=overwrite)


@contextmanager
def open_bedgraph(output: str, *, overwrite: bool) -> Iterator[Write]:
    """As `open_track`, bgzip where the suffix says so."""
    is_bgzip = has_suffix(output, ".gz")
    with open_sink(output, overwrite=overwrite, is_bgzip=is_bgzip) as sink:

        def write(contig: str, start: int, values: NDArray[np.floating]) -> None:
            for base in np.flatnonzero(np.isfinite(values)).tolist():
                place = f"{contig}\t{start + base}\t{start + base + 1}"
                sink.write(f"{place}\t{values[base]:.6g}\n".encode())

        yield write


@contextmanager
def open_bigwig(path: Path, lengths: Mapping[str, int], *, overwrite: bool) -> Iterator[Write]:
    """As `open_track`."""
    library = _pybigwig()
    with replace_on_success(path, overwrite=overwrite) as scratch:
        file = library.open(str(scratch), "w")
        file.addHeader(list(lengths.items()))

        def write(contig: str, start: int, values: NDArray[np.floating]) -> None:
            for run in _finite_runs(values):
                numbers = values[run].astype(np.float64)
                file.addEntries(contig, start + run.start, values=numbers, span=1, step=1)

        try:
            yield write
        except RuntimeError as error:
            raise OutputError(f"{path}: pyBigWig: {error}") from error
        finally:
            file.close()


def gather_bigwig(shards: Sequence[Path], output: Path, *, overwrite: bool) -> Generator[int]:
    """Write the values of all shards, which follow each other; yields the bytes of each one done.

    Memory does not grow with them. Raises InputFileError about shards, OutputError, and UsageError
    where pyBigWig is not installed.
    """
    library = _pybigwig()
    with _reading(library, shards[0]) as file:
        lengths: dict[str, int] = file.chroms()
    with open_bigwig(output, lengths, overwrite=overwrite) as write:
        for shard in shards:
            with _reading(library, shard) as file:
                if file.chroms() != lengths:
                    raise InputFileError(shard, f"has other contigs than {shards[0]}")
                # pyBigWig answers for a file without values as if it could not read it.
                has_values = file.header()["nBasesCovered"] > 0
                for contig, length in lengths.items() if has_values else ():
                    for start in range(0, length, _PIECE):
                        end = min(start + _PIECE, length)
                        write(contig, start, file.values(contig, start, end, numpy=True))
            yield shard.stat().st_size


@contextmanager
def _reading(library: Any, path: Path) -> Iterator[Any]:
    try:
        file = library.open(str(path))
    except RuntimeError as error:
        raise InputFileError(path, "is not a bigWig file, or a damaged one") from error
    try:
        yield file
    finally:
        file.close()


def _pybigwig() -> Any:
    try:
        import pyBigWig
    except ImportError as error:
        raise UsageError("bigWig needs pyBigWig: pip install 'hyenadna[tracks]'") from error
    return pyBigWig


def _finite_runs(values: NDArray[np.floating]) -> Iterator[slice]:
    """Stretches of values without a gap."""
    is_known = np.concatenate([[False], np.isfinite(values), [False]])
    edges = np.flatnonzero(is_known[1:] != is_known[:-1])
    for first, last in edges.reshape(-1, 2).tolist():
        yield slice(first, last)
