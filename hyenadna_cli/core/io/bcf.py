r"""BCF to lines of VCF text, and back: both by the htslib of pysam, so that they agree.

    BCF --printed--> lines --BcfEncoder--> BCF

Lines are encoded in batches, in memory, by the `bcftools view` that pysam brings along: pysam's own
writer adds and drops END. Every record that goes in is counted in what comes out, and none of
htslib's messages reaches stderr.
"""

from __future__ import annotations

import gzip
import os
import re
import struct
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO

import pysam
import pysam.bcftools
from pysam.utils import SamtoolsError

from hyenadna_cli.core.io.fasta_index import quiet_htslib
from hyenadna_cli.errors import InputFileError

_REFUSALS = (OSError, ValueError, TypeError)
"""What pysam raises where htslib refuses; TypeError where it stumbles over its own message."""

_MAGIC = b"BCF\x02\x02"
_VERSION = re.compile(r"^##fileformat=VCFv(\d+)\.(\d+)", re.MULTILINE)
_NEEDED = ("##INFO=", "##FORMAT=", "##FILTER=", "##contig=")
"""What header lines about records begin with."""
_KEY_AND_ID = re.compile(r'##([^=]+)=<(?:[^"]*?,)?\s*ID=([^,>]+)')


class RefusedLineError(ValueError):
    """htslib cannot encode a line."""

    def __init__(self, number: int) -> None:
        super().__init__(f"line {number} of the batch")
        self.number = number
        """Of the lines of a batch, from 0."""


class RefusedHeaderError(ValueError):
    """htslib cannot read a header, or would lose a line of it."""

    def __init__(self, line: str | None) -> None:
        super().__init__(line or "the header")
        self.line = line
        """The line that it refuses, if it is a single one."""


def printed(path: Path | str, source: str | BinaryIO) -> Iterator[str]:
    """The lines of a BCF, with their line ends. Raises InputFileError."""
    try:
        with quiet_htslib(), pysam.VariantFile(source) as bcf:
            header = _header_text(bcf.header)
            yield from (f"{line}\n" for line in header.split("\n")[:-1])
            n_tabs = header.rstrip("\n").rpartition("\n")[2].count("\t")
            tells_first_phase = states_first_phase(header)
            for number, record in enumerate(bcf, start=1):
                line = _record_text(path, record, number)
                if line.count("\t") != n_tabs or line.count("\n") != 1:
                    problem = f"a tab or line break stands in a value of record {number:,}"
                    raise InputFileError(path, f"{problem}: {line.rstrip()[:60]!r}")
                yield _with_plain_phase(line) if tells_first_phase else line
    except _REFUSALS as error:
        raise InputFileError(path, f"is damaged or truncated BCF ({error})") from error


def states_first_phase(header: str) -> bool:
    """Whether genotypes may have a phase in front of the first allele: VCF 4.4 and later."""
    # BCF of cyvcf2 has two lines, its own first; htslib goes by the last.
    return any((int(one), int(two)) >= (4, 4) for one, two in _VERSION.findall(header))


def _with_plain_phase(line: str) -> str:
    """`0|1` where htslib prints `/0|1` because the writer of a BCF knew no first phase.

    The bit was not in use before VCF 4.4, and htslib before 1.22 leaves it out in 4.4 as well. Such
    writers are told by a record in which no genotype has it.
    """
    columns = line.rstrip("\n").split("\t")
    keys = columns[8].split(":") if len(columns) > 9 else []
    if "GT" not in keys:
        return line
    at = keys.index("GT")
    samples = [sample.split(":") for sample in columns[9:]]
    genotypes = [sample[at] if len(sample) > at else "." for sample in samples]
    if any(gt.startswith("|") or ("/" not in gt and gt != ".") for gt in genotypes):
        return line
    for sample, genotype in zip(samples, genotypes, strict=True):
        if genotype.startswith("/"):
            sample[at] = genotype[1:]
    return "\t".join([*columns[:9], *map(":".join, samples)]) + "\n"


def _header_text(header: pysam.VariantHeader) -> str:
    try:
        return str(header)
    except UnicodeDecodeError:
        # Bytes that are not UTF-8 become surrogates, which become the same bytes when written.
        with _file_in_memory() as target:
            pysam.VariantFile(target, "w", header=header).close()
            target.seek(0)
            return target.read().decode("utf-8", "surrogateescape")


def _record_text(path: Path | str, record: pysam.VariantRecord, number: int) -> str:
    try:
        return str(record)
    except UnicodeDecodeError as error:
        place = f"{record.chrom}:{record.pos}"
        raise InputFileError(
            path,
            f"record {number:,} ({place!r}) has bytes that are not UTF-8; where they are Latin-1: "
            f"bcftools view {path} | iconv -f latin1 -t utf-8",
        ) from error


class BcfEncoder:
    """Lines of VCF text to BCF, by the types that a header declares."""

    def __init__(self, header: str) -> None:
        """Take all header lines. Raises RefusedHeaderError."""
        self._text = header
        try:
            self.header, _ = _encoded(header)
        except SamtoolsError as error:
            raise RefusedHeaderError(_refused(header)) from error
        lost = _lost(header, self.header)
        needed = [line for line in lost if line.startswith(_NEEDED)]
        if needed:
            raise RefusedHeaderError(needed[0])
        self.left_out = lost
        """Header lines that are not in the BCF, none of which says anything about records."""

    def encode(self, lines: Sequence[str]) -> bytes:
        """The records of these lines, which end with a line break. Raises RefusedLineError."""
        data = self._records(lines)
        if data is None:
            raise RefusedLineError(self._first_refused(lines))
        return data

    def _records(self, lines: Sequence[str]) -> bytes | None:
        try:
            header, data = _encoded(self._text + "".join(lines))
        except SamtoolsError:
            return None
        # A header that has grown means that a line uses what it does not declare.
        return data if header == self.header and _count(data) == len(lines) else None

    def _first_refused(self, lines: Sequence[str]) -> int:
        for number, line in enumerate(lines):
            if self._records([line]) is None:
                return number
        return len(lines) - 1


def _encoded(text: str) -> tuple[bytes, bytes]:
    """Header and records of a VCF as BCF. Raises SamtoolsError."""
    with _file_in_memory() as source, _file_in_memory() as target, quiet_htslib():
        source.write(text.encode("utf-8", "surrogateescape"))
        source.seek(0)
        pysam.bcftools.view(
            *("--no-version", "-Ou", "-o", f"/dev/fd/{target.fileno()}"),
            f"/dev/fd/{source.fileno()}",
            catch_stdout=False,
        )
        target.seek(0)
        data = gzip.decompress(target.read())
    first = len(_MAGIC) + 4 + int(struct.unpack_from("<I", data, len(_MAGIC))[0])
    return data[:first], data[first:]


def _count(data: bytes) -> int:
    """Records in BCF bytes; -1 if the last is cut off."""
    n_records = at = 0
    while at < len(data):
        shared, individual = struct.unpack_from("<II", data, at)
        at += 8 + shared + individual
        n_records += 1
    return n_records if at == len(data) else -1


def _refused(header: str) -> str | None:
    """The first line that makes htslib refuse a header by itself."""
    first, *rest = header.rstrip("\n").split("\n")
    for line in rest[:-1]:
        alone = f"{first}\n{line}\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        try:
            _encoded(alone)
        except SamtoolsError:
            return line
    return None


def _lost(header: str, encoded: bytes) -> list[str]:
    """The lines of a header that are not in what htslib has made of it."""
    text = encoded[len(_MAGIC) + 4 :].rstrip(b"\0").decode("utf-8", "surrogateescape")
    kept = set(re.sub(r",IDX=\d+>$", ">", text, flags=re.MULTILINE).split("\n"))
    names = {match.groups() for line in kept if (match := _KEY_AND_ID.match(line))}
    lost = []
    for line in header.rstrip("\n").split("\n"):
        match = _KEY_AND_ID.match(line)
        # Spaces between entries, and a second line of the same ID, are put right.
        is_named = match is not None and match.groups() in names and line.count('"') % 2 == 0
        if line not in kept and not is_named:
            lost.append(line)
    return lost


def _file_in_memory() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("bcf"), "r+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)  # macOS
