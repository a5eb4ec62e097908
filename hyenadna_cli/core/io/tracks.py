"""Tracks for genome browsers: bedGraph, plain or bgzip, and bigWig.

bedGraph: contig, start, end (0-based half-open), value; one line per base that has one. bigWig: the
same values in float32, with all contigs of the genome in its header, written by pyBigWig.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.tsv import BEDGRAPH_SUFFIXES
from hyenadna_cli.core.outputs.atomic import replace_on_success
from hyenadna_cli.core.outputs.sinks import open_sink
from hyenadna_cli.errors import OutputError, UsageError

BIGWIG_SUFFIXES = (".bw", ".bigwig")

Write = Callable[[str, int, NDArray[np.float32]], None]
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
        return _bigwig(Path(output), lengths, overwrite=overwrite)
    return _bedgraph(output, overwrite=overwrite)


@contextmanager
def _bedgraph(output: str, *, overwrite: bool) -> Iterator[Write]:
    is_bgzip = output.lower().endswith(".gz")
    with open_sink(output, overwrite=overwrite, is_bgzip=is_bgzip) as sink:

        def write(contig: str, start: int, values: NDArray[np.float32]) -> None:
            for base in np.flatnonzero(np.isfinite(values)).tolist():
                place = f"{contig}\t{start + base}\t{start + base + 1}"
                sink.write(f"{place}\t{values[base]:.6g}\n".encode())

        yield write


@contextmanager
def _bigwig(path: Path, lengths: Mapping[str, int], *, overwrite: bool) -> Iterator[Write]:
    try:
        import pyBigWig
    except ImportError as error:
        raise UsageError("bigWig needs pyBigWig: pip install 'hyenadna[tracks]'") from error
    with replace_on_success(path, overwrite=overwrite) as scratch:
        file = pyBigWig.open(str(scratch), "w")
        file.addHeader(list(lengths.items()))

        def write(contig: str, start: int, values: NDArray[np.float32]) -> None:
            for run in _finite_runs(values):
                numbers = values[run].astype(np.float64)
                file.addEntries(contig, start + run.start, values=numbers, span=1, step=1)

        try:
            yield write
        except RuntimeError as error:
            raise OutputError(f"{path}: pyBigWig: {error}") from error
        finally:
            file.close()


def _finite_runs(values: NDArray[np.float32]) -> Iterator[slice]:
    """Stretches of values without a gap."""
    is_known = np.concatenate([[False], np.isfinite(values), [False]])
    edges = np.flatnonzero(is_known[1:] != is_known[:-1])
    for first, last in edges.reshape(-1, 2).tolist():
        yield slice(first, last)
