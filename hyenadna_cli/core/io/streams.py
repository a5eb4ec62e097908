"""The bytes of an input file: plain, gzip or bgzip, a file or stdin. A cut-off file is an error.

Every reader of text goes through here: gzip's checksums and bgzip's end marker are checked, so
that a truncated file never reads as a short one.
"""

from __future__ import annotations

import codecs
import gzip
import io
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TextIO

from hyenadna_cli.errors import InputFileError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Compression = Literal["none", "gzip", "bgzip"]
Kind = Literal["FASTA", "FASTQ", "GenBank", "2bit", "BCF", "other", "empty"]

STDIN = "-"
# The empty block that closes every bgzip file (SAM specification, "End-of-file marker").
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEAD_SIZE = 18
_OTHER_COMPRESSION = {
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
}
_KIND_OF_MARK: dict[bytes, Kind] = {
    b">": "FASTA",
    b"@": "FASTQ",
    b"LOCUS": "GenBank",
    b"\x43\x27\x41\x1a": "2bit",
    b"\x1a\x41\x27\x43": "2bit",
    b"BCF": "BCF",
}
_TEXT_KINDS = ("FASTA", "FASTQ", "GenBank")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Input:
    """A file that a run reads, or stdin ("-"): how to open it, and what the first opening has told.

    Made once where a path enters the program, and handed on in its place.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        """As given."""
        self.is_stdin = str(path) == STDIN
        self.reads_once = self.is_stdin or _is_pipe(Path(path))
        """Whether a first reading uses it up."""
        self._facts: tuple[Compression, Kind, bool] | None = None

    @property
    def compression(self) -> Compression:
        """Raises as `open` does."""
        return self._recognised()[0]

    @property
    def kind(self) -> Kind:
        """What the first bytes after blank lines say that it is. Raises as `open` does."""
        return self._recognised()[1]

    @property
    def has_byte_order_mark(self) -> bool:
        """Whether it starts with the mark that some editors put before UTF-8. Raises as `open`."""
        return self._recognised()[2]

    @contextmanager
    def open(self, *, past_blank_lines: bool = False) -> Iterator[io.BufferedReader]:
        """The decompressed bytes, from the start or from the first line that is not blank.

        Raises InputFileError, also while reading, if the file is missing, unreadable, truncated,
        corrupt, or compressed by anything but gzip or bgzip; past blank lines also if the first
        record is indented, which parsers would pass over without a word.
        """
        with self._open_raw() as raw:
            source = _Source(self.path, raw)
            stream: io.BufferedReader = io.BufferedReader(source, 1 << 17)
            try:
                with ExitStack() as stack:
                    if source.compression != "none":
                        unzipped = stack.enter_context(gzip.GzipFile(fileobj=stream))
                        stream = io.BufferedReader(unzipped, 1 << 17)
                    self._look_at_start(stream, source.compression, past_blank_lines)
                    yield stream
            except EOFError:
                raise _truncated(self.path) from None
            except (gzip.BadGzipFile, zlib.error) as error:
                problem = f"the compressed data are corrupt ({error})"
                raise InputFileError(self.path, problem) from error

    @contextmanager
    def open_text(self, *, past_blank_lines: bool = False) -> Iterator[TextIO]:
        """UTF-8 lines with any line ends, without a byte order mark.

        Raises as `open` does, and where bytes are not text.
        """
        with self.open(past_blank_lines=past_blank_lines) as stream:
            head = stream.peek()
            if head.startswith(_UTF16):
                problem = f"is UTF-16; convert it: iconv -f UTF-16 -t UTF-8 {self.path} > NEW"
                raise InputFileError(self.path, problem)
            if head.startswith(codecs.BOM_UTF8):
                stream.read(len(codecs.BOM_UTF8))
            try:
                yield io.TextIOWrapper(stream, encoding="utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                problem = f"is not a text file (byte 0x{byte:02x} is not UTF-8)"
                raise InputFileError(self.path, problem) from None

    def _look_at_start(
        self, stream: io.BufferedReader, compression: Compression, past_blank_lines: bool
    ) -> None:
        """Note what the file is; blank lines are consumed if asked for."""
        n_lines, blank = 0, b""
        while (head := stream.peek()) and past_blank_lines and not head.strip():
            n_lines, blank = n_lines + head.count(b"\n"), head[-1:].replace(b"\n", b"")
            stream.read(len(head))
        has_mark = head.startswith(codecs.BOM_UTF8)
        head = head.removeprefix(codecs.BOM_UTF8)
        text = head.lstrip()
        blank += head[: len(head) - len(text)]
        kind = _kind(text)
        if past_blank_lines and kind in _TEXT_KINDS and blank[-1:] not in b"\r\n":
            line = n_lines + blank.count(b"\n") + 1
            raise InputFileError(
                self.path, "a blank stands before the first record; remove it", line=line
            )
        self._facts = (compression, kind, has_mark)

    def _recognised(self) -> tuple[Compression, Kind, bool]:
        if self._facts is None:
            with self.open(past_blank_lines=True):
                pass
        assert self._facts is not None
        return self._facts

    @contextmanager
    def _open_raw(self) -> Iterator[BinaryIO]:
        if self.is_stdin:
            if sys.stdin is None:  # the shell's <&-
                raise InputFileError(self.path, "standard input is closed")
            yield sys.stdin.buffer
            return
        with ExitStack() as stack:
            try:
                raw = stack.enter_context(Path(self.path).open("rb"))
            except FileNotFoundError:
                raise InputFileError(self.path, "no such file") from None
            except OSError as error:
                raise _unreadable(self.path, error) from error
            yield raw


def open_text(path: Path | str) -> AbstractContextManager[TextIO]:
    """The lines of a file that is read once and of which nothing else matters."""
    return Input(path).open_text()


def _is_pipe(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _kind(head: bytes) -> Kind:
    if not head:
        return "empty"
    return next((kind for mark, kind in _KIND_OF_MARK.items() if head.startswith(mark)), "other")


class _Source(io.RawIOBase):
    """The raw bytes of an input, looked at on both ends.

    The first bytes are read ahead to tell the compression, which works for pipes too. The last
    bytes are kept, because a bgzip file cut between two blocks is still valid gzip.
    """

    def __init__(self, path: Path | str, raw: BinaryIO) -> None:
        super().__init__()
        self._path = path
        self._raw = raw
        self._ahead = b""
        self._tail = b""
        while len(self._ahead) < _HEAD_SIZE and (data := self._read(_HEAD_SIZE)):
            self._ahead += data
        self.compression = _compression(path, self._ahead)
        if self.compression == "bgzip" and raw.seekable():
            # Fail before any work is done, not at the end of a long file.
            self._check_end_now()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        if self._ahead:
            data, self._ahead = self._ahead[: len(view)], self._ahead[len(view) :]
        else:
            data = self._read(len(view))
        if not data and self.compression == "bgzip" and self._tail != _BGZF_END:
            raise _unmarked(self._path)
        view[: len(data)] = data
        self._tail = (self._tail + data)[-len(_BGZF_END) :]
        return len(data)

    def _read(self, n_bytes: int) -> bytes:
        try:
            return self._raw.read(n_bytes)
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def _check_end_now(self) -> None:
        here = self._raw.tell()
        size = self._raw.seek(0, io.SEEK_END)
        self._raw.seek(max(0, size - len(_BGZF_END)))
        if self._raw.read() != _BGZF_END:
            raise _unmarked(self._path)
        self._raw.seek(here)


def _compression(path: Path | str, head: bytes) -> Compression:
    if not head and str(path).endswith((".gz", ".bgz")):
        raise _truncated(path)
    for magic, kind in _OTHER_COMPRESSION.items():
        if head.startswith(magic):
            raise InputFileError(path, f"is compressed with {kind}; recompress it with bgzip")
    if not head.startswith(b"\x1f\x8b"):
        return "none"
    return "bgzip" if head[12:14] == b"BC" else "gzip"


def _truncated(path: Path | str) -> InputFileError:
    return InputFileError(path, "is truncated: the compressed data end early; copy it again")


def _unmarked(path: Path | str) -> InputFileError:
    return InputFileError(
        path,
        "is truncated: it does not end with bgzip's end marker; copy it again. If it is bgzip and "
        f"gzip joined with cat: gunzip -c {path} | bgzip > NEW",
    )


def _unreadable(path: Path | str, error: OSError) -> InputFileError:
    return InputFileError(path, f"cannot be read: {error.strerror or error}")
