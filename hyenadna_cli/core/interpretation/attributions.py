"""Attributions as arrays, in the shapes that tangermeme and modisco-lite read: NumPy's .npz.

one_hot        float32 [n, 4, L]   the genome's letters A, C, G, T; N is four zeros
attributions   float32 [n, 4, L]   of each base at each position, whether it is the genome's or not
contig         text [n]
start, end     int64 [n]           0-based half-open
score          text                what they are made of: gradient, llr or site

The attribution of base b is its score (0 for the genome's base) less the mean over the four bases,
as in tangermeme's saturation mutagenesis and, for gradients, in Majdandzic et al. 2023.
modisco-lite calls them hypothetical contributions. One-hot times attribution is what the genome's
base adds, in nats: positive where changes make the sequence less likely. 0 where there is no score.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.outputs.atomic import output_error, replace_on_success
from hyenadna_cli.core.variants.mutagenesis import SnvScores

_BASES = np.frombuffer(b"ACGT", np.uint8)

Write = Callable[[SnvScores], None]


@contextmanager
def open_attributions(
    path: Path, regions: Sequence[Interval], genome: Genome, *, score: str, overwrite: bool
) -> Iterator[Write]:
    """A function that writes the scores of pieces, which come in the order of `regions`.

    These are of one length. The file appears when the block succeeds. Memory grows with one region.
    Raises OutputError.
    """
    length = regions[0].length if regions else 0
    shape = (len(regions), 4, length)
    with replace_on_success(path, overwrite=overwrite) as scratch:
        try:
            with zipfile.ZipFile(scratch, "w") as archive:
                with _array(archive, "attributions", shape) as file:
                    waiting: list[NDArray[np.float32]] = []

                    def write(scores: SnvScores) -> None:
                        waiting.append(attributions(scores))
                        if sum(map(len, waiting)) == length:
                            file.write(np.concatenate(waiting).T.tobytes())
                            waiting.clear()

                    yield write
                with _array(archive, "one_hot", shape) as file:
                    for region in regions:
                        file.write(one_hot(genome.fetch(region)).T.tobytes())
                _add(archive, "contig", np.array([region.contig for region in regions], np.str_))
                _add(archive, "start", np.array([region.start for region in regions], np.int64))
                _add(archive, "end", np.array([region.end for region in regions], np.int64))
                _add(archive, "score", np.array(score))
        except OSError as error:
            raise output_error(path, error) from error


def attributions(scores: SnvScores) -> NDArray[np.float32]:
    """Of the last table of scores: (L, 4)."""
    table = scores.tables[-1]
    # The genome's own base differs from itself by nothing; where nothing is scored, all four are 0.
    whole = np.nan_to_num(table, nan=0.0)
    centred: NDArray[np.float32] = (whole - whole.mean(axis=1, keepdims=True)).astype(np.float32)
    return centred


def one_hot(bases: str) -> NDArray[np.float32]:
    """(L, 4): 1 for each of A, C, G and T, lower case too; zeros for N."""
    letters = np.frombuffer(bases.upper().encode(), np.uint8)
    return np.equal(letters[:, None], _BASES[None, :]).astype(np.float32)


@contextmanager
def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...]) -> Iterator[IO[bytes]]:
    """A float32 array of the archive, whose bytes are written one after the other."""
    with archive.open(_member(name), "w", force_zip64=True) as file:
        facts = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, facts)
        yield file


def _add(archive: zipfile.ZipFile, name: str, array: NDArray[np.generic]) -> None:
    with archive.open(_member(name), "w") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    """Without a time, so that equal arrays are equal files."""
    member = zipfile.ZipInfo(f"{name}.npy")
    member.compress_type = zipfile.ZIP_DEFLATED
    return member
