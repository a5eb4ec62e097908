"""Open a FASTA for random access: a missing index is built for the run, a stale one refused.

htslib takes an index at its word and returns bases from wrong places if the FASTA has changed. Any
base added or removed moves the end of a plain file, which is looked at on opening. When a contig is
first read, its header has to stand before its first base, and it has to end with its last one.

pysam builds the indexes, and pyfaidx says in which line a FASTA cannot have one, which samtools
does not. pyfaidx does not build them: it takes longer (50 Mb in 2 contigs: 0.20 s against 0.14 s,
bgzip 0.9 s against 0.3 s; 100,000 contigs: 0.79 s against 0.21 s, bgzip 1.47 s against 0.36 s), and
where the last line of a record is longer than the others it makes an index that gives other bases,
where samtools refuses. Nor does it check them: it compares times of files only, and writes a new
index beside the FASTA, which may be read-only or in use by others.
"""

from __future__ import annotations

import codecs
import functools
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
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
_COPY_SECONDS = 2.0
"""An index may be this much older than its FASTA: copying both gives them times in any order."""
_LONGEST_HEADER = 1 << 20
_BLOCK_BYTES = 1 << 16
"""No block of bgzip holds more text."""
_FARTHEST = 1 << 46
"""No place in a file is behind this; what an index says may be."""
_UNEVEN = re.compile(r"found in >(\S*) at line (\d+)")
_HEADER = re.compile(rb">(\S*)")
_HEADER_LINE = re.compile(rb"^>(\S*).*\n?", re.MULTILINE)
_CONTIG_END = re.compile(rb"[^\s>](\s+(>|\Z)|\Z)")


class IndexedFasta:
    """A FASTA and its index. Made by `open_indexed`."""

    def __init__(self, path: Path, *, file: Path, fai: Path, gzi: Path | None) -> None:
        """`path` is what messages name, `file` what is read; `gzi` if it is bgzip."""
        self._path = path
        self._rows = _read_fai(path, fai)
        self._fasta = pysam.FastaFile(
            str(file),
            filepath_index=str(fai),
            filepath_index_compressed=None if gzi is None else str(gzi),
        )
        self._raw = _Plain(file) if gzi is None else _Bgzip(file, gzi)
        self._checked: set[str] = set()
        self.lengths = {name: row.length for name, row in self._rows.items()}
        """Bases of each contig, in the order of the index."""

    def close(self) -> None:
        """Close the file."""
        self._fasta.close()
        # After a damaged block htslib reports it again here.
        with suppress(OSError):
            self._raw.file.close()

    def fetch(self, contig: str, start: int, end: int) -> str:
        """The letters of a place (0-based half-open), as they are in the file.

        Raises InputFileError if the index points elsewhere than at this contig, OSError or
        ValueError for a damaged file.
        """
        self.check(contig)
        with quiet_htslib():
            letters: str = self._fasta.fetch(contig, start, end)
            return letters

    def covers_its_file(self) -> bool:
        """Whether the last base of the index is the last of the (plain) file."""
        last = max(self._rows.values(), key=lambda row: row.offset)
        return self._ends(last) and not self._raw.read(last.end, 1 << 16).strip()

    def repeated_name(self) -> str | None:
        """A name of several records, of which htslib knows the first; None if there is none.

        Looks between the contigs of the index, not at their bases.
        """
        end = 0
        for row in sorted(self._rows.values(), key=lambda row: row.offset):
            between = self._raw.read(end, min(max(0, row.offset - end), _LONGEST_HEADER))
            for header in _HEADER_LINE.finditer(between):
                name = header[1].decode(errors="backslashreplace")
                if end + header.end() != row.offset and name in self._rows:
                    return name
            end = row.end
        return None

    def check(self, contig: str) -> None:
        """Raise as `fetch` does if the index points elsewhere; looked at once for each contig."""
        if contig not in self._checked:
            with quiet_htslib():
                self._compare(contig)
            self._checked.add(contig)

    def _compare(self, contig: str) -> None:
        row = self._rows[contig]
        header = self._header_before(row.offset)
        if b"\0" in header:
            raise InputFileError(self._path, f"the header of contig {contig!r} holds a NUL byte")
        match = _HEADER.match(header)
        if match is None or match[1] != contig.encode() or not self._ends(row):
            raise InputFileError(
                self._path,
                f"its index is out of date: contig {contig!r} is not where it says; "
                f"{_renew(self._path)}",
            )

    def _header_before(self, offset: int) -> bytes:
        """The line that ends just before `offset`; b"" where no line ends there."""
        size = 1 << 12
        while True:
            head = self._raw.read(max(0, offset - size), min(size, offset))
            if not head.endswith(b"\n"):
                return b""
            start = head.rfind(b"\n", 0, -1) + 1
            if start > 0 or size >= offset or size >= _LONGEST_HEADER:
                return head[start:]
            size *= 16

    def _ends(self, row: _Row) -> bool:
        """Whether the last base of a contig is where the index says, and then the contig ends."""
        if row.length == 0:
            return self._raw.read(row.offset, 256).lstrip()[:1] in (b"", b">")
        return _CONTIG_END.match(self._raw.read(row.end - 1, 256)) is not None


def open_indexed(source: Input) -> IndexedFasta:
    """Open a plain or bgzip FASTA by its `.fai` (and `.gzi`).

    An index that is missing is built in a temporary directory, never beside the FASTA; one that is
    older than the FASTA is warned about.
    Raises InputFileError if the file is missing, empty, truncated, not FASTA or plain gzip, or
    if its index is broken or does not fit its content.
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
    fai = Path(f"{path}.fai")
    gzi = Path(f"{path}.gzi") if source.compression == "bgzip" else None
    indexes = [fai] if gzi is None else [fai, gzi]
    with quiet_htslib():
        if source.has_byte_order_mark or not all(index.exists() for index in indexes):
            return _load_with_temporary_index(source)
        _warn_if_older(path, indexes)
        return _load(path, file=path, fai=fai, gzi=gzi)


@contextmanager
def quiet_htslib() -> Iterator[None]:
    """Keep htslib from printing to stderr what is raised as one line."""
    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)


def _warn_if_older(path: Path, indexes: list[Path]) -> None:
    changed = path.stat().st_mtime - _COPY_SECONDS
    if older := [index for index in indexes if index.stat().st_mtime < changed]:
        log.warning(
            "%s is older than %s; if the FASTA has changed since then, renew it: samtools faidx %s",
            older[0],
            path,
            path,
        )


def _load(path: Path, *, file: Path, fai: Path, gzi: Path | None) -> IndexedFasta:
    try:
        fasta = IndexedFasta(path, file=file, fai=fai, gzi=gzi)
    except (OSError, ValueError) as error:
        raise InputFileError(path, f"its index cannot be read; {_renew(path)}") from error
    if gzi is None and not fasta.covers_its_file():
        fasta.close()
        if name := _repeated_name(file):
            raise _ambiguous(path, name)
        raise InputFileError(path, f"its index does not cover it; {_renew(path)}")
    # Of bgzip this inflates all blocks in which contigs end: only where the index was just made.
    name = fasta.repeated_name() if gzi is None or gzi.parent != path.parent else None
    if name is not None and gzi is None:
        name = _repeated_name(file)  # an index that is out of date gives the same impression
    if name is not None:
        fasta.close()
        raise _ambiguous(path, name)
    return fasta


def _ambiguous(path: Path, name: str) -> InputFileError:
    problem = f"has more than one record named {name!r}; regions need unique names"
    return InputFileError(path, problem)


def _load_with_temporary_index(source: Input) -> IndexedFasta:
    path = file = Path(source.path)
    # The files stay open, and htslib reads an index whole: the directory can go at once.
    with tempfile.TemporaryDirectory(prefix="hyenadna-index-") as directory:
        fai, gzi = Path(directory, "genome.fai"), Path(directory, "genome.gzi")
        is_bgzip = source.compression == "bgzip"
        if source.has_byte_order_mark:
            log.warning("%s has a byte order mark: reading a temporary copy without it", path)
            file, is_bgzip = Path(directory, "genome.fa"), False
            with source.open() as stream, file.open("wb") as copy:
                stream.read(len(codecs.BOM_UTF8))
                shutil.copyfileobj(stream, copy)
        else:
            log.warning(
                "%s has no index: building one for this run; to keep one: samtools faidx", path
            )
        try:
            # As bytes: a name need not be UTF-8.
            places: Any = [os.fsencode(name) for name in (file, "--fai-idx", fai, "--gzi-idx", gzi)]
            pysam.faidx(*places)
        except SamtoolsError as error:
            # Of bgzip, pyfaidx would write an index of the blocks beside the FASTA.
            uneven = None if is_bgzip else _uneven_line(file, Path(directory, "again.fai"))
            if uneven is not None:
                record, line = uneven
                raise InputFileError(
                    path,
                    f"cannot be indexed: this line of record {record!r} is not as long as those "
                    f"around it; seqtk seq -l 60 {path} > NEW makes them equal",
                    line=line,
                ) from error
            raise InputFileError(
                path,
                "cannot be indexed: it is not FASTA, lines of a record differ in length, or the "
                "last record has no bases (samtools faidx says where)",
            ) from error
        return _load(path, file=file, fai=fai, gzi=gzi if is_bgzip else None)


def _uneven_line(file: Path, fai: Path) -> tuple[str, int] | None:
    """Record and number (from 1) of the first line that pyfaidx finds too short for an index."""
    from pyfaidx import Faidx, FastaIndexingError

    try:
        Faidx(str(file), indexname=str(fai)).close()
    except FastaIndexingError as error:
        match = _UNEVEN.search(str(error))
        return (match[1], int(match[2])) if match else None
    except (OSError, ValueError, KeyError):  # another reason, which samtools knows
        return None
    return None


class _Row(NamedTuple):
    """Where a contig is, as one row of a `.fai` says."""

    length: int
    """Bases."""
    offset: int
    """Bytes before its first base, uncompressed."""
    line_bases: int
    line_bytes: int

    @property
    def end(self) -> int:
        """Bytes before what follows its last base."""
        n_line_ends = (self.length - 1) // self.line_bases if self.length else 0
        return self.offset + self.length + n_line_ends * (self.line_bytes - self.line_bases)


def _read_fai(path: Path, fai: Path) -> dict[str, _Row]:
    """The rows of an index by contig. Raises InputFileError naming the line that cannot be."""
    rows: dict[str, _Row] = {}
    with fai.open(encoding="utf-8", newline="\n") as text:
        for number, line in enumerate(text, start=1):
            name, *cells = line.rstrip("\r\n").split("\t")
            if len(cells) != 4 or not all(cell.isascii() and cell.isdigit() for cell in cells):
                problem = "is not a row of a FASTA index (a name and 4 whole numbers)"
                raise InputFileError(fai, f"{problem}; {_renew(path)}", line=number)
            row = _Row(*map(int, cells))
            # Where the only line of a contig ends the file, pyfaidx counts no line end.
            if row.length and not (
                0 < row.line_bases < row.line_bytes
                or 0 < row.length <= row.line_bases == row.line_bytes
            ):
                problem = f"lines of {row.line_bases} bases cannot take {row.line_bytes} bytes"
                raise InputFileError(fai, f"{problem}; {_renew(path)}", line=number)
            # As htslib does: of two contigs of one name, the first.
            rows.setdefault(name, row)
    if not rows:
        raise InputFileError(fai, f"is an empty index; {_renew(path)}")
    return rows


def _renew(path: Path) -> str:
    return f"renew it: samtools faidx {path}"


def _repeated_name(file: Path) -> str | None:
    """The first name that two records have; None if there is none."""
    names = set()
    with file.open("rb") as lines:
        for line in lines:
            if match := _HEADER.match(line):
                if match[1] in names:
                    return match[1].decode(errors="backslashreplace")
                names.add(match[1])
    return None


class _Plain:
    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")

    def read(self, offset: int, n_bytes: int) -> bytes:
        if offset > _FARTHEST:
            return b""
        self.file.seek(offset)
        return self.file.read(n_bytes)


class _Bgzip:
    """Bytes of a bgzip file by their place in the text; OSError where an index is out of date."""

    def __init__(self, path: Path, gzi: Path) -> None:
        numbers = np.fromfile(gzi, "<u8")
        blocks = np.concatenate([np.zeros(2, "<u8"), numbers[1 : 1 + 2 * int(numbers[0])]])
        self._blocks = blocks.reshape(-1, 2)  # compressed and uncompressed starts
        if blocks.max() > _FARTHEST:
            raise ValueError("a block starts behind all files")
        self.file = pysam.BGZFile(str(path), "rb", index=None)
        # Small contigs follow each other in one block, and a header may be in the one before.
        self._text = functools.lru_cache(maxsize=2)(self._inflated)

    def read(self, offset: int, n_bytes: int) -> bytes:
        data = b""
        while len(data) < n_bytes and offset < _FARTHEST:
            place = np.uint64(offset + len(data))
            block = int(np.searchsorted(self._blocks[:, 1], place, side="right")) - 1
            more = self._text(block)[int(place - self._blocks[block, 1]) :]
            if not more:
                break
            data += more[: n_bytes - len(data)]
        return data

    def _inflated(self, block: int) -> bytes:
        self.file.seek(int(self._blocks[block, 0]) << 16)
        size = _BLOCK_BYTES
        if block + 1 < len(self._blocks):
            size = min(size, int(self._blocks[block + 1, 1] - self._blocks[block, 1]))
        return self.file.read(size)
