from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from hyenadna_cli.core.io.streams import (
    Compression,
    Input,
    open_text,
)
from hyenadna_cli.errors import InputFileError

FileBuilder = Callable[..., Path]
StdinBuilder = Callable[[bytes], None]

# Random digits compress badly, so that bgzip needs several of its blocks of 64 kB.
TEXT = "".join(f"line {i} {random.Random(i).random()}\n" for i in range(8_000))
KINDS = ["none", "gzip", "bgzip"]
ZIPPED = ["gzip", "bgzip"]


def read(path: Path | str) -> str:
    with open_text(path) as text:
        return text.read()


def block_starts(bgzip: bytes) -> list[int]:
    """Where each block of a bgzip file starts; its size is in bytes 16 and 17 of the block."""
    starts = [0]
    while starts[-1] < len(bgzip):
        size = int.from_bytes(bgzip[starts[-1] + 16 : starts[-1] + 18], "little")
        starts.append(starts[-1] + size + 1)
    return starts[:-1]


class Pipe(io.BytesIO):
    """Bytes that cannot seek."""

    def seekable(self) -> bool:
        return False


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> StdinBuilder:
    """Put bytes on stdin."""
    return lambda data: monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Pipe(data)))


@pytest.mark.parametrize("compression", KINDS)
def test_text_is_read_whole_whatever_its_compression(
    text_file: FileBuilder, compression: Compression
) -> None:
    path = text_file(TEXT, name="text", compression=compression)

    assert Input(path).compression == compression
    assert read(path) == TEXT


@pytest.mark.parametrize("compression", KINDS)
def test_stdin_is_read_whole_whatever_its_compression(
    text_file: FileBuilder, stdin: StdinBuilder, compression: Compression
) -> None:
    stdin(text_file(TEXT, name="text", compression=compression).read_bytes())

    assert read("-") == TEXT


@pytest.mark.parametrize("compression", KINDS)
def test_a_named_pipe_is_read_whole(
    tmp_path: Path, text_file: FileBuilder, compression: Compression
) -> None:
    data = text_file(TEXT, name="text", compression=compression).read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=[data], daemon=True)
    writer.start()

    assert read(pipe) == TEXT
    writer.join()


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.99, 0.99999])
@pytest.mark.parametrize("compression", ZIPPED)
def test_a_truncated_file_is_an_error_never_a_short_read(
    text_file: FileBuilder, compression: Compression, share: float
) -> None:
    path = text_file(TEXT, name="text.gz", compression=compression)
    data = path.read_bytes()
    path.write_bytes(data[: max(2, int(share * len(data)))])

    with pytest.raises(InputFileError, match=r"text\.gz: is truncated"):
        read(path)


@pytest.mark.parametrize("from_stdin", [False, True], ids=["file", "stdin"])
def test_a_bgzip_cut_between_two_blocks_is_truncated(
    text_file: FileBuilder, stdin: StdinBuilder, from_stdin: bool
) -> None:
    """Cut there it is valid gzip: only the missing end marker tells."""
    path = text_file(TEXT, name="text.gz", compression="bgzip")
    data = path.read_bytes()
    starts = block_starts(data)
    assert len(starts) > 3

    for start in starts[1:]:
        path.write_bytes(data[:start])
        assert TEXT.startswith(gzip.decompress(data[:start]).decode())
        stdin(data[:start])
        with pytest.raises(InputFileError, match="is truncated"):
            read("-" if from_stdin else path)


def test_a_truncated_bgzip_file_fails_before_its_first_byte_is_read(text_file: FileBuilder) -> None:
    path = text_file(TEXT, name="text.gz", compression="bgzip")
    path.write_bytes(path.read_bytes()[:-28])

    with pytest.raises(InputFileError, match="is truncated"), Input(path).open():
        pytest.fail("it was opened")


@pytest.mark.parametrize("compression", ZIPPED)
def test_a_changed_byte_is_caught_by_the_checksum(
    text_file: FileBuilder, compression: Compression
) -> None:
    path = text_file(TEXT, name="text.gz", compression=compression)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)

    with pytest.raises(InputFileError, match="compressed data are corrupt"):
        read(path)


def test_bytes_after_the_end_of_gzip_are_an_error(text_file: FileBuilder) -> None:
    path = text_file("text\n", name="text.gz", compression="gzip")
    path.write_bytes(path.read_bytes() + b"and more")

    with pytest.raises(InputFileError, match="compressed data are corrupt"):
        read(path)


def test_several_gzip_files_in_one_are_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "two.gz"
    path.write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\n"))

    assert read(path) == "one\ntwo\n"


def test_an_empty_file_is_empty_text(text_file: FileBuilder) -> None:
    assert read(text_file("", name="empty.bed")) == ""


@pytest.mark.parametrize("compression", ZIPPED)
def test_a_compressed_nothing_is_empty_text(
    text_file: FileBuilder, compression: Compression
) -> None:
    assert read(text_file("", name="empty.gz", compression=compression)) == ""


def test_an_empty_file_named_gz_is_truncated(text_file: FileBuilder) -> None:
    with pytest.raises(InputFileError, match="is truncated"):
        read(text_file("", name="empty.gz"))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (bz2.compress(b"text"), "bzip2"),
        (lzma.compress(b"text"), "xz"),
        (b"\x28\xb5\x2f\xfd....", "zstd"),
        (b"PK\x03\x04....", "zip"),
    ],
    ids=["bzip2", "xz", "zstd", "zip"],
)
def test_another_compression_is_named(tmp_path: Path, data: bytes, kind: str) -> None:
    path = tmp_path / "text.gz"
    path.write_bytes(data)

    with pytest.raises(InputFileError, match=f"is compressed with {kind}; recompress it"):
        read(path)


def test_bytes_that_are_not_text_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "noise"
    path.write_bytes(b"text\n" + bytes(range(128, 256)))

    with pytest.raises(InputFileError, match=r"is not a text file \(byte 0x80 is not UTF-8\)"):
        read(path)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old-mac"])
def test_any_line_ends_are_read(tmp_path: Path, line_end: str) -> None:
    path = tmp_path / "lines"
    path.write_bytes(line_end.join(["one", "two", ""]).encode())

    with open_text(path) as text:
        assert list(text) == ["one\n", "two\n"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"gone\.bed: no such file"):
        read(tmp_path / "gone.bed")


def test_a_directory_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="cannot be read: Is a directory"):
        read(tmp_path)


def test_only_stdin_and_pipes_read_once(tmp_path: Path, text_file: FileBuilder) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert Input("-").reads_once
    assert Input(tmp_path / "pipe").reads_once
    assert not Input(text_file("text", name="text")).reads_once
    assert not Input(tmp_path / "gone").reads_once


def test_an_error_of_the_reader_itself_passes_unchanged(text_file: FileBuilder) -> None:
    with pytest.raises(OSError, match="mine"), open_text(text_file("text", name="text")):
        raise OSError("mine")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (">a\nACGT\n", "FASTA"),
        ("\n \n>a\nACGT\n", "FASTA"),
        ("@a\nA\n+\nI\n", "FASTQ"),
        ("LOCUS       X\n", "GenBank"),
        ("chr1\t1\t2\n", "other"),
        (" \n", "empty"),
        ("", "empty"),
    ],
)
@pytest.mark.parametrize("compression", KINDS)
def test_what_a_file_is_stands_in_its_first_bytes(
    text_file: FileBuilder, text: str, kind: str, compression: Compression
) -> None:
    source = Input(text_file(text, name="x", compression=compression))

    assert source.kind == kind
    assert source.compression == compression


def test_what_a_stream_is_is_known_once_it_is_open(stdin: StdinBuilder) -> None:
    stdin(gzip.compress(b"\n\n>a\nACGT\n"))
    source = Input("-")

    with source.open_text(past_blank_lines=True) as text:
        assert (source.kind, source.compression) == ("FASTA", "gzip")
        assert text.read().lstrip() == ">a\nACGT\n"


def test_a_file_is_recognised_once(text_file: FileBuilder) -> None:
    path = text_file(">a\nACGT\n", name="x.fa")
    source = Input(path)
    assert source.kind == "FASTA"
    path.unlink()

    assert (source.kind, source.compression) == ("FASTA", "none")


@pytest.mark.parametrize("compression", KINDS)
def test_a_byte_order_mark_is_no_text(text_file: FileBuilder, compression: Compression) -> None:
    path = text_file("\ufeff>a\nACGT\n", name="text", compression=compression)

    assert read(path) == ">a\nACGT\n"
    assert (Input(path).kind, Input(path).has_byte_order_mark) == ("FASTA", True)
    with Input(path).open() as stream:
        assert stream.read(3) == b"\xef\xbb\xbf"


def test_utf_16_is_named_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("chr1\t0\t10\n", encoding="utf-16")

    with pytest.raises(InputFileError, match="is UTF-16; convert it: iconv -f UTF-16 -t UTF-8"):
        read(path)


@pytest.mark.parametrize("compression", KINDS)
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (" >a\nACGT\n>b\nGGG\n", 1),
        ("\t>a\nACGT\n", 1),
        ("\n\r\n  >a\nACGT\n", 3),
        ("\ufeff >a\nACGT\n", 1),
        ("\n" * 400_000 + " >a\nACGT\n", 400_001),
        (" LOCUS       X1 4 bp DNA\n", 1),
        (" @a\nACGT\n+\nIIII\n", 1),
    ],
    ids=["fasta", "tab", "lines", "mark", "many", "genbank", "fastq"],
)
def test_a_blank_before_the_first_record_is_refused_with_its_line(
    text_file: FileBuilder, compression: Compression, text: str, line: int
) -> None:
    """Parsers look for a line that starts with the mark, and pass over all before it."""
    path = text_file(text, name="text", compression=compression)

    with (
        pytest.raises(InputFileError, match=rf"text:{line}: a blank stands before the first"),
        Input(path).open_text(past_blank_lines=True),
    ):
        pass
    with pytest.raises(InputFileError, match=rf"text:{line}: a blank"):
        _ = Input(path).kind


@pytest.mark.parametrize("from_stdin", [False, True], ids=["file", "stdin"])
def test_gzip_joined_to_bgzip_is_named_with_the_cure(
    text_file: FileBuilder, stdin: StdinBuilder, from_stdin: bool
) -> None:
    path = text_file(TEXT, name="text.gz", compression="bgzip")
    path.write_bytes(path.read_bytes() + gzip.compress(b"more"))
    stdin(path.read_bytes())

    with pytest.raises(InputFileError, match=r"joined with cat: gunzip -c .* \| bgzip > NEW"):
        read("-" if from_stdin else path)


def test_a_closed_standard_input_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)

    with pytest.raises(InputFileError, match="standard input is closed"), Input("-").open():
        pass
