r"""VCF and BCF in: header and records as text lines, every column kept as it is.

    VCF (plain, gzip, bgzip, stdin) ------------\
    BCF (file, stdin) --htslib, as VCF text------+--> VcfRecord, in order

A text record is split at its tabs and never parsed further than needed, so that what is written
again is what was read, to the byte, whatever its samples hold. BCF is printed by htslib, as
`bcftools view` prints it (floats with 6 digits).

`VcfFile.scan` reads a whole file once, before any other work: what is wrong with it, how many
records and which contigs it has, whether it is sorted, and what its header does not declare.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import pysam

from hyenadna_cli.core.dna.coordinates import from_one_based
from hyenadna_cli.core.io.fasta_index import quiet_htslib
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import InputFileError

_META = re.compile(r"##(INFO|FORMAT|FILTER|contig)=<ID=([^,>]+)")
_N_FIXED = 8


class VcfHeader:
    """The header of a VCF: its lines, and the names that they declare."""

    def __init__(self, lines: list[str]) -> None:
        """Take the `##` lines and the `#CHROM` line, without line ends."""
        self.meta = lines[:-1]
        self.columns = lines[-1]

    def declared(self, kind: str) -> set[str]:
        """IDs of one kind: INFO, FORMAT, FILTER (PASS among them) or contig."""
        names = {
            match[2] for line in self.meta if (match := _META.match(line)) and match[1] == kind
        }
        return names | {"PASS"} if kind == "FILTER" else names

    @property
    def n_samples(self) -> int:
        """Sample columns."""
        return max(0, self.columns.count("\t") - _N_FIXED)

    @property
    def reference(self) -> str | None:
        """The path in `##reference=`, of a `file://` address too; None if there is none."""
        for line in self.meta:
            if line.startswith("##reference="):
                return line.removeprefix("##reference=").strip().removeprefix("file://") or None
        return None

    def extended(self, lines: list[str], *, replacing: frozenset[str] = frozenset()) -> VcfHeader:
        """With more `##` lines at the end; INFO declarations of `replacing` are dropped before."""
        kept = [
            line
            for line in self.meta
            if not ((match := _META.match(line)) and match[1] == "INFO" and match[2] in replacing)
        ]
        return VcfHeader([*kept, *lines, self.columns])

    def text(self) -> str:
        """All lines, each with its line end."""
        return "".join(f"{line}\n" for line in [*self.meta, self.columns])


@dataclass(frozen=True, slots=True)
class VcfRecord:
    """One line: the eight fixed columns, and the samples as one text."""

    chrom: str
    start: int
    """0-based."""
    name: str
    """Column ID; "." where there is none."""
    ref: str
    alts: tuple[str, ...]
    """As written; empty where ALT is "."."""
    columns: tuple[str, ...]
    """The first eight, and the rest of the line (FORMAT and samples) as a ninth if there is any."""
    line: int | None
    """Line of the file, from 1; None in BCF."""

    @property
    def place(self) -> str:
        """`chr1:12345 A>G`, 1-based, for messages."""
        return f"{self.chrom}:{self.columns[1]} {_short(self.ref)}>{_short(self.columns[4])}"

    def with_info(self, entries: dict[str, str]) -> str:
        """The line with INFO entries added at the end, replacing those of the same name."""
        columns = list(self.columns)
        kept = [
            entry
            for entry in columns[7].split(";")
            if entry not in ("", ".") and entry.partition("=")[0] not in entries
        ]
        columns[7] = ";".join([*kept, *(f"{key}={value}" for key, value in entries.items())])
        return "\t".join(columns) + "\n"


def _short(allele: str) -> str:
    return allele if len(allele) <= 20 else f"{allele[:17]}..."


class VcfFile(Input):
    """VCF (plain, gzip or bgzip) or BCF, told by content; "-" is stdin.

    Both methods raise InputFileError, while reading too, for a file that is missing, truncated,
    damaged or neither VCF nor BCF.
    """

    @contextmanager
    def open_vcf(self) -> Iterator[VcfReader]:
        """The header, and the records in order."""
        with self.open_text() as text:
            if self.kind != "BCF":
                yield VcfReader(self.path, enumerate(text, start=1))
                return
            with self._bcf_lines(text.buffer) as lines:
                yield VcfReader(self.path, lines)

    def scan(self, *, for_bcf: bool = False) -> VcfScan:
        """Read to the end, and raise for the first thing that is wrong.

        What the header does not declare is looked for only where BCF will be written.
        """
        with self.open_vcf() as reader:
            return _scan(reader, for_bcf=for_bcf)

    @contextmanager
    def _bcf_lines(self, stream: BinaryIO) -> Iterator[Iterator[tuple[int | None, str]]]:
        """A BCF as lines of VCF text."""
        if self.reads_once or self.compression == "gzip":
            # htslib reads a file descriptor; what is read here already is handed on by a pipe.
            read_end, write_end = os.pipe()
            pump = _Pump(stream, write_end)
            pump.start()
            try:
                with os.fdopen(read_end, "rb") as pipe:
                    yield _printed(self.path, pipe, pump)
            finally:
                pump.join()
        else:
            yield _printed(self.path, str(self.path), None)


class VcfReader:
    """The header and the records of one file or stream; made by `VcfFile.open_vcf`."""

    def __init__(self, path: Path | str, lines: Iterator[tuple[int | None, str]]) -> None:
        self._path = path
        self._lines = lines
        self.header = self._read_header()

    def records(self) -> Iterator[VcfRecord]:
        """The records, in order. Raises InputFileError naming the line."""
        for number, columns in self.rows():
            chrom, position, name, ref, alt = columns[:5]
            yield VcfRecord(
                chrom=chrom,
                start=from_one_based(int(position)),
                name=name,
                ref=ref,
                alts=() if alt == "." else tuple(alt.split(",")),
                columns=columns,
                line=number,
            )

    def rows(self) -> Iterator[tuple[int | None, tuple[str, ...]]]:
        """Line number and columns of each record, checked, as VcfRecord has them."""
        for number, line in self._lines:
            columns = tuple(line.rstrip("\n").split("\t", _N_FIXED))
            if len(columns) < _N_FIXED:
                if not line.strip():
                    continue
                problem = f"a record has 8 columns or more, not {len(columns)}"
                raise self._bad(number, problem, line)
            if not columns[1].isdecimal():
                problem = f"POS {columns[1]!r} is not a position (1-based)"
                raise self._bad(number, problem, line)
            if not (columns[0] and columns[3] and columns[4]):
                raise self._bad(number, "CHROM, REF and ALT may not be empty", line)
            yield number, columns

    def _read_header(self) -> VcfHeader:
        lines: list[str] = []
        for number, line in self._lines:
            if line.startswith("##"):
                lines.append(line.rstrip("\n"))
            elif line.startswith("#CHROM\t"):
                lines.append(line.rstrip("\n"))
                break
            elif line.strip():
                raise InputFileError(self._path, "is not VCF: no #CHROM line", line=number)
        if not lines:
            raise InputFileError(self._path, "is empty: a VCF has a header at least")
        if not lines[0].startswith("##fileformat=VCF") or not lines[-1].startswith("#CHROM\t"):
            raise InputFileError(
                self._path,
                "is not VCF: it needs ##fileformat=VCF... first and a #CHROM line",
            )
        return VcfHeader(lines)

    def _bad(self, number: int | None, problem: str, line: str) -> InputFileError:
        place = "" if number is not None else f" (in {_short(line.strip())!r})"
        return InputFileError(self._path, f"{problem}{place}", line=number)


def _printed(
    path: Path | str, source: str | BinaryIO, pump: _Pump | None
) -> Iterator[tuple[int | None, str]]:
    try:
        with quiet_htslib(), pysam.VariantFile(source) as bcf:
            for line in str(bcf.header).splitlines(keepends=True):
                yield None, line
            for record in bcf:
                yield None, str(record)
    except (OSError, ValueError) as error:
        if pump is not None and pump.failure is not None:
            raise pump.failure from None
        raise InputFileError(path, f"is damaged or truncated BCF ({error})") from error
    if pump is not None:
        pump.join()
        if pump.failure is not None:
            raise pump.failure


class _Pump(threading.Thread):
    """Copies a stream into a pipe."""

    def __init__(self, stream: BinaryIO, write_end: int) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._write_end = write_end
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            with os.fdopen(self._write_end, "wb") as pipe:
                while data := self._stream.read(1 << 16):
                    pipe.write(data)
        except BrokenPipeError:
            pass  # the reader has stopped early, for a reason of its own
        except (OSError, EOFError, ValueError, InputFileError) as error:
            self.failure = _as_input_error(error)


def _as_input_error(error: BaseException) -> BaseException:
    if isinstance(error, EOFError):
        return InputFileError("-", "is truncated: the compressed data end early; copy it again")
    return error


@dataclass(slots=True)
class VcfScan:
    """What one reading of a whole file has found."""

    header: VcfHeader
    n_records: int = 0
    contigs: dict[str, int] = field(default_factory=dict)
    """Records of each contig, in order of appearance."""
    is_sorted: bool = True
    """Each contig in one piece, positions ascending in it, as an index needs it."""
    undeclared: list[str] = field(default_factory=list)
    """Header lines for INFO, FORMAT and FILTER that records use and the header does not declare."""


def _scan(reader: VcfReader, *, for_bcf: bool) -> VcfScan:
    result = VcfScan(reader.header)
    undeclared = Undeclared(reader.header)
    contigs, last_chrom, last_position = result.contigs, None, -1
    for _, columns in reader.rows():
        chrom, position = columns[0], int(columns[1])
        if chrom != last_chrom:
            result.is_sorted &= chrom not in contigs
            contigs.setdefault(chrom, 0)
        elif position < last_position:
            result.is_sorted = False
        contigs[chrom] += 1
        last_chrom, last_position = chrom, position
        if for_bcf:
            result.undeclared += undeclared.new_in(columns)
    result.n_records = sum(contigs.values())
    return result


class Undeclared:
    """Names that records use and the header does not declare: VCF is lenient there, BCF is not."""

    def __init__(self, header: VcfHeader) -> None:
        self._known = {kind: header.declared(kind) for kind in ("INFO", "FORMAT", "FILTER")}
        self._seen: set[tuple[str, str]] = set()

    def new_in(self, columns: tuple[str, ...]) -> list[str]:
        """Header lines for what a record uses and none before it has used."""
        lines: list[str] = []
        # Most records repeat the filters, the format and the INFO keys of others.
        if ("FILTER", columns[6]) not in self._seen:
            self._seen.add(("FILTER", columns[6]))
            for name in columns[6].split(";"):
                lines += self._line("FILTER", name, '##FILTER=<ID={},Description="Not declared">')
        for entry in columns[7].split(";"):
            name, equals, _ = entry.partition("=")
            if name not in self._known["INFO"]:
                number = "Number=1,Type=String" if equals else "Number=0,Type=Flag"
                lines += self._line(
                    "INFO", name, f'##INFO=<ID={{}},{number},Description="Not declared">'
                )
        if len(columns) > _N_FIXED:
            keys = columns[8].partition("\t")[0]
            if ("FORMAT", keys) not in self._seen:
                self._seen.add(("FORMAT", keys))
                for name in keys.split(":"):
                    lines += self._line(
                        "FORMAT",
                        name,
                        '##FORMAT=<ID={},Number=1,Type=String,Description="Not declared">',
                    )
        return lines

    def _line(self, kind: str, name: str, template: str) -> list[str]:
        if name in self._known[kind] or name in ("", "."):
            return []
        self._known[kind].add(name)
        return [template.format(name)]


def contig_line(name: str, length: int | None) -> str:
    """A `##contig` header line; `length` in bases, if known."""
    return f"##contig=<ID={name}>" if length is None else f"##contig=<ID={name},length={length}>"


def index_path(output: Path) -> Path:
    """Where the CSI index of a bgzip VCF or BCF lies."""
    return output.with_name(f"{output.name}.csi")
