"""The file of a dependency map: what it holds, how it is written and read.

/sequence       text             n letters, those of the genome, upper case
/dependencies   float32 [n, n]   rows: queries, columns: targets, as `dependencies` defines
them; NaN on the diagonal, at N and beyond --max-distance
attributes of the root: format (hyenadna-dependencies), format-version (1), coordinates, contig,
start, end (0-based half-open) and the provenance
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.interpretation.dependencies import DependencyRows
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.growing_h5 import growing_file
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.errors import InputFileError

FORMAT = "hyenadna-dependencies"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class DependencyMap:
    """A map in memory."""

    region: Interval
    sequence: str
    values: NDArray[np.float32]
    """(n, n): rows are queries."""
    model: str
    """Its name; empty where the file does not say."""
    context: int | None = None
    """Bases read before the region; None where the file does not say."""


@contextmanager
def open_map(
    path: Path, region: Interval, genome: Genome, *, made_by: Provenance, overwrite: bool
) -> Iterator[Callable[[DependencyRows], None]]:
    """A function that writes rows, which come in order; the file appears when the block succeeds.

    Raises OutputError if `path` exists and `overwrite` is false, or cannot be written.
    """
    with growing_file(path, overwrite=overwrite) as output:
        facts = {
            "format": FORMAT,
            "format-version": FORMAT_VERSION,
            "coordinates": "0-based half-open",
            "contig": region.contig,
            "start": region.start,
            "end": region.end,
        }
        output.run(lambda: output.root.attrs.update({**facts, **made_by.as_attrs()}))
        # A dataset: an attribute holds 64 kB at most.
        text = np.bytes_(genome.fetch(region).upper().encode())
        output.run(lambda: _add(output.root, "sequence", text))
        values = output.dataset("dependencies", dtype=np.float32, width=region.length)
        yield lambda rows: values.extend(rows.values)


def _add(root: h5py.File, name: str, data: np.bytes_) -> None:
    root.create_dataset(name, data=data, track_times=False)


def read_map(path: Path) -> DependencyMap:
    """A map from its file. Raises InputFileError if it is not one."""
    if not path.is_file():
        raise InputFileError(path, "no such file")
    try:
        with h5py.File(path) as file:
            attrs = dict(file.attrs)
            if attrs.get("format") != FORMAT:
                raise InputFileError(path, "is not a dependency map of mutagenize --dependencies")
            if attrs["format-version"] > FORMAT_VERSION:
                raise InputFileError(path, f"has format version {attrs['format-version']}")
            region = Interval(str(attrs["contig"]), int(attrs["start"]), int(attrs["end"]))
            sequence, values = file["sequence"][()].decode(), file["dependencies"][:]
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"is damaged: {error}") from error
    except (OSError, RuntimeError) as error:
        raise InputFileError(path, "is not an HDF5 file, or a damaged one") from error
    if values.shape != (region.length, region.length) or len(sequence) != region.length:
        raise InputFileError(path, f"is damaged: {values.shape} values of {region.length:,} bases")
    context = int(attrs["context"]) if "context" in attrs else None
    return DependencyMap(region, sequence.upper(), values, str(attrs.get("model", "")), context)
