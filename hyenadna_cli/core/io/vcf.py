r"""VCF and BCF in: header and records as text lines, every column kept as it is.

    VCF (plain, gzip, bgzip, stdin) ------------\
    BCF (file, stdin) ---- bcf.py ---------------+--> VcfRecord, in order

A text record is split at its tabs and never parsed further than needed, so that what is written
again is what was read, to the byte, whatever its samples hold: line ends and bytes that are not
UTF-8 included (`surrogateescape`). BCF is printed as `bcftools view` prints it (floats with 6
digits).
"""

from __future__ import annotations

import codecs
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hyenadna_cli.core.dna.coordinates import from_one_based
from hyenadna_cli.core.io.bcf import printed
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import InputFileError

N_FIXED = 8
"""Columns of a record before FORMAT and the samples."""

_TAGS = ("LLR", "SITE", "JSD", "L2", "COS", "LLR_FWD", "LLR_REV", "STATUS", "PCT", "PROB", "CLASS")
INFO_TAGS = frozenset(f"HD_{name}" for name in _TAGS)
"""The INFO tags of this program. What an earlier run has left of them goes, asked for or not."""

_META = re.compile(r'##(INFO|FORMAT|FILTER|contig)=<(?:[^"]*?,)?\s*ID=([^,>]+)')
_TYPE = re.compile(r"[<,]\s*Type=(\w+)")
_LENGTH = re.compile(r"[<,]\s*length=(\d+)")
_OWN = "##hyenadna_"


class VcfHeader:
    """The header of a VCF: its lines, and the names that they declare."""

    def __init__(
        self, lines: list[str], *, numbers: Sequence[int | None] = (), line_end: str = "\n"
    ) -> None:
        """Take the `##` lines and the `#CHROM` line, without line ends.

        `numbers`: of these lines in their file; `line_end`: what they ended with.
        """
        self.meta = lines[:-1]
        self.columns = lines[-1]
        self.line_end = line_end
        self._numbers = dict(zip(lines, numbers, strict=False))

    def number_of(self, line: str | None) -> int | None:
        """Which line of the file this is, from 1; None if that is not known."""
        return self._numbers.get(line or "")

    def declared(self, kind: str) -> set[str]:
        """IDs of one kind: INFO, FORMAT, FILTER (PASS among them) or contig."""
        names = {name for name, _ in self._entries(kind)}
        return names | {"PASS"} if kind == "FILTER" else names

    def types(self, kind: str) -> dict[str, str]:
        """The type of each INFO or FORMAT entry; of two declarations the first counts."""
        types: dict[str, str] = {}
        for name, line in self._entries(kind):
            if (match := _TYPE.search(line)) is not None:
                types.setdefault(name, match[1])
        return types

    def contig_lengths(self) -> dict[str, int]:
        """The lengths of contigs as far as they are stated, in bases."""
        return {
            name: int(match[1])
            for name, line in self._entries("contig")
            if (match := _LENGTH.search(line)) is not None
        }

    @property
    def n_samples(self) -> int:
        """Sample columns."""
        return max(0, self.columns.count("\t") - N_FIXED)

    @property
    def reference(self) -> str | None:
        """The path in `##reference=`, of a `file://` address too; None if there is none."""
        for line in self.meta:
            if line.startswith("##reference="):
                return line.removeprefix("##reference=").strip().removeprefix("file://") or None
        return None

    def without_own(self) -> VcfHeader:
        """Without what earlier runs of this program have put there."""
        kept = [
            line
            for line in self.meta
            if not line.startswith(_OWN)
            and not ((match := _META.match(line)) and match[1] == "INFO" and match[2] in INFO_TAGS)
        ]
        return self._with(kept)

    def extended(self, lines: Sequence[str]) -> VcfHeader:
        """With more `##` lines at the end."""
        return self._with([*self.meta, *lines])

    def text(self, *, line_end: str | None = None) -> str:
        """All lines, each with its line end."""
        end = self.line_end if line_end is None else line_end
        return "".join(f"{line}{end}" for line in [*self.meta, self.columns])

    def _with(self, meta: list[str]) -> VcfHeader:
        changed = VcfHeader([*meta, self.columns], line_end=self.line_end)
        changed._numbers = self._numbers
        return changed

    def _entries(self, kind: str) -> Iterator[tuple[str, str]]:
        for line in self.meta:
            if (match := _META.match(line)) and match[1] == kind:
                yield match[2], line


class VcfRecord(NamedTuple):
    """One line: the eight fixed columns, and the samples as one text.

    A tuple because there are millions: a frozen dataclass takes three times as long to make.
    """

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
    line_end: str = "\n"

    @property
    def place(self) -> str:
        """`chr1:12345 A>G`, 1-based, for messages."""
        text = f"{self.chrom}:{self.columns[1]} {_short(self.ref)}>{_short(self.columns[4])}"
        return text.encode("utf-8", "backslashreplace").decode()

    def with_info(self, entries: Mapping[str, str]) -> str:
        """The line with INFO entries at the end in place of those of earlier runs."""
        columns = list(self.columns)
        kept = [
            entry for entry in columns[7].split(";") if entry.partition("=")[0] not in INFO_TAGS
        ]
        if kept in ([], [""], ["."]):
            kept = []
        columns[7] = ";".join([*kept, *(f"{key}={value}" for key, value in entries.items())]) or "."
        return "\t".join(columns) + self.line_end


def _short(allele: str) -> str:
    return allele if len(allele) <= 20 else f"{allele[:17]}..."


class VcfFile(Input):
    """VCF (plain, gzip or bgzip) or BCF, told by content; "-" is stdin.

    Raises InputFileError, while reading too, for a file that is missing, truncated, damaged or
    neither VCF nor BCF.
    """

    @contextmanager
    def open_vcf(self) -> Iterator[VcfReader]:
        """The header, and the records in order."""
        with self.open() as stream:
            if self.kind != "BCF":
                yield VcfReader(self.path, _lines(stream))
                return
            with self._bcf_lines(stream) as lines:
                yield VcfReader(self.path, ((None, line) for line in lines))

    @contextmanager
    def _bcf_lines(self, stream: BinaryIO) -> Iterator[Iterator[str]]:
        """A BCF as lines of VCF text."""
        if self.reads_once or self.compression == "gzip":
            # htslib reads a file descriptor; what is read here already is handed on by a pipe.
            read_end, write_end = os.pipe()
            pump = _Pump(stream, write_end)
            pump.start()
            try:
                with os.fdopen(read_end, "rb") as pipe:
                    yield _pumped(printed(self.path, pipe), pump)
            finally:
                pump.join()
        else:
            yield printed(self.path, str(self.path))


def _lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Lines with their ends, cut at LF alone; bytes that are not UTF-8 become surrogates."""
    first = stream.readline().removeprefix(codecs.BOM_UTF8)
    for number, raw in enumerate(chain([first] if first else [], stream), start=1):
        yield number, raw.decode("utf-8", "surrogateescape")


class VcfReader:
    """The header and the records of one file or stream; made by `VcfFile.open_vcf`."""

    def __init__(self, path: Path | str, lines: Iterator[tuple[int | None, str]]) -> None:
        self._path = path
        self._lines = lines
        self.header = self._read_header()

    def records(self) -> Iterator[VcfRecord]:
        """The records, in order. Raises InputFileError naming the line."""
        for number, columns, line_end in self.rows():
            chrom, position, name, ref, alt = columns[:5]
            yield VcfRecord(
                chrom=chrom,
                start=from_one_based(int(position)),
                name=name,
                ref=ref,
                alts=() if alt == "." else tuple(alt.split(",")),
                columns=columns,
                line=number,
                line_end=line_end,
            )

    def rows(self) -> Iterator[tuple[int | None, tuple[str, ...], str]]:
        """Line number, columns as VcfRecord has them, and line end of each record, checked."""
        for number, line in self._lines:
            has_return = "\r" in line
            text, line_end = _without_end(line) if has_return else (line.removesuffix("\n"), "\n")
            columns = tuple(text.split("\t", N_FIXED))
            if len(columns) < N_FIXED:
                if not text.strip():
                    continue
                raise self._bad(number, _why_too_few(text, len(columns)), line)
            if not (columns[1].isascii() and columns[1].isdecimal()):
                problem = f"POS {columns[1]!r} is not a position (1-based)"
                raise self._bad(number, problem, line)
            if not (columns[0] and columns[3] and columns[4]):
                raise self._bad(number, "CHROM, REF and ALT may not be empty", line)
            if has_return and "\r" in text:
                raise self._bad(number, _STRAY_CR, line)
            yield number, columns, line_end

    def _read_header(self) -> VcfHeader:
        lines: list[str] = []
        numbers: list[int | None] = []
        line_end = "\n"
        for number, line in self._lines:
            text, line_end = _without_end(line)
            if text.startswith("#"):
                lines.append(text)
                numbers.append(number)
                if "\r" in text:
                    raise self._bad(number, _STRAY_CR, line)
                if text.startswith("#CHROM\t"):
                    break
            if text.startswith("##") or not text.strip():
                continue
            raise InputFileError(self._path, f"is not VCF: {_why_no_header(text)}", line=number)
        if not lines:
            raise InputFileError(self._path, "is empty: a VCF has a header at least")
        if not lines[0].startswith("##fileformat=VCF") or not lines[-1].startswith("#CHROM\t"):
            raise InputFileError(
                self._path,
                "is not VCF: it needs ##fileformat=VCF... first and a #CHROM line",
            )
        return VcfHeader(lines, numbers=numbers, line_end=line_end)

    def _bad(self, number: int | None, problem: str, line: str) -> InputFileError:
        place = "" if number is not None else f" (in {_short(line.strip())!r})"
        return InputFileError(self._path, f"{problem}{place}", line=number)


_STRAY_CR = (
    "a carriage return stands inside the line; take it out, or where all lines end so: "
    "tr '\\r' '\\n'"
)


def _without_end(line: str) -> tuple[str, str]:
    """A line, and what it ends with; the last may end without a line break, and gets one."""
    if line.endswith("\r\n"):
        return line[:-2], "\r\n"
    return line.removesuffix("\n"), "\n"


def _why_too_few(text: str, n_columns: int) -> str:
    if len(text.split()) >= N_FIXED:
        return "the columns are separated by spaces, where VCF has tabs"
    return f"a record has 8 columns or more, not {n_columns}"


def _why_no_header(text: str) -> str:
    if "\0" in text:
        return "it has NUL bytes; if it is text in UTF-16: iconv -f utf-16 -t utf-8"
    if text.startswith("#CHROM "):
        return "the columns are separated by spaces, where VCF has tabs"
    return "no #CHROM line"


def _pumped(lines: Iterator[str], pump: _Pump) -> Iterator[str]:
    """What comes through a pump; what stops the pump is the reason of what stops the lines."""
    try:
        yield from lines
    except InputFileError:
        if pump.failure is not None:
            raise pump.failure from None
        raise
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


def contig_line(name: str, length: int | None) -> str:
    """A `##contig` header line; `length` in bases, if known."""
    return f"##contig=<ID={name}>" if length is None else f"##contig=<ID={name},length={length}>"


def index_path(output: Path) -> Path:
    """Where the CSI index of a bgzip VCF or BCF lies."""
    return output.with_name(f"{output.name}.csi")
