"""Open a FASTA for random access: a missing index is built for the run, a stale one refused."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pysam
from pysam.utils import SamtoolsError

from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import InputFileError

log = logging.getLogger(__name__)

_NOT_FASTA = {
    "empty": "empty",
    "2bit": "2bit; regions need FASTA (twoBitToFa converts it)",
    "GenBank": "GenBank; regions need FASTA",
}


def open_indexed(source: Input) -> pysam.FastaFile:
    """Open a plain or bgzip FASTA by its `.fai` (and `.gzi`).

    An index that is missing is built in a temporary directory, never beside the FASTA.
    Raises InputFileError if the file is missing, empty, truncated, not FASTA or plain gzip, or
    if its index is broken or older than its content.
    """
    path = Path(source.path)
    if source.is_stdin:
        raise InputFileError(path, "regions need an indexed FASTA file, not stdin")
    if source.kind != "FASTA":
        problem = _NOT_FASTA.get(source.kind, "not FASTA: it does not start with '>'")
        raise InputFileError(path, f"is {problem}")
    if source.compression == "gzip":
        raise InputFileError(
            path,
            "is gzip, which has no random access; recompress it: "
            f"gunzip -c {path} | bgzip > {path.with_suffix('.bgz')}",
        )
    is_bgzip = source.compression == "bgzip"
    fai, gzi = Path(f"{path}.fai"), Path(f"{path}.gzi")
    with quiet_htslib():
        if fai.exists() and (gzi.exists() or not is_bgzip):
            return _load(path, fai=fai, gzi=gzi if is_bgzip else None)
        return _load_with_temporary_index(path, is_bgzip=is_bgzip)


@contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib from printing to stderr what is raised as one line."""
    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)


def _load(path: Path, *, fai: Path, gzi: Path | None) -> pysam.FastaFile:
    try:
        fasta = pysam.FastaFile(
            str(path),
            filepath_index=str(fai),
            filepath_index_compressed=None if gzi is None else str(gzi),
        )
        is_current = gzi is not None or _ends_where_its_index_says(path, fai)
    except (OSError, ValueError) as error:
        raise InputFileError(
            path, f"its index cannot be read; renew it: samtools faidx {path}"
        ) from error
    if not is_current:
        fasta.close()
        raise InputFileError(
            path,
            "its index does not cover it: renew it (samtools faidx), and see whether names repeat",
        )
    return fasta


def _ends_where_its_index_says(path: Path, fai: Path) -> bool:
    """Whether the last base of an index is the last of the file.

    htslib does not look: with the index of an older file it returns bases from wrong places.
    Any base added or removed moves the end. A bgzip file would have to be read whole for this.
    """
    rows = [[int(field) for field in row.split("\t")[1:5]] for row in fai.read_text().splitlines()]
    length, offset, line_bases, line_bytes = max(
        (row for row in rows if row[0] > 0), key=lambda row: row[1]
    )
    n_line_ends = (length - 1) // line_bases
    end = offset + length + n_line_ends * (line_bytes - line_bases)
    with path.open("rb") as raw:
        raw.seek(end - 1)
        last_base, rest = raw.read(1), raw.read(1 << 16)
    return last_base.isalpha() and not rest.strip()


def _load_with_temporary_index(path: Path, *, is_bgzip: bool) -> pysam.FastaFile:
    log.warning("%s has no index: building one for this run; to keep one: samtools faidx", path)
    # htslib reads an index whole on opening, so that the directory can go at once.
    with tempfile.TemporaryDirectory(prefix="hyenadna-index-") as directory:
        fai, gzi = Path(directory, "genome.fai"), Path(directory, "genome.gzi")
        try:
            pysam.faidx(str(path), "--fai-idx", str(fai), "--gzi-idx", str(gzi))
        except SamtoolsError as error:
            raise InputFileError(
                path,
                "cannot be indexed: it is not FASTA, or lines of a record differ in length "
                "(samtools faidx says where)",
            ) from error
        return _load(path, fai=fai, gzi=gzi if is_bgzip else None)
