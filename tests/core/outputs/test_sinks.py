"""Output bytes: whole files or none, ends of bgzip files, and refusals as one clear error."""

from __future__ import annotations

import gzip

import pytest

from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.core.outputs.sinks import open_sink
from hyenadna_cli.errors import OutputError


@pytest.mark.parametrize("text", [b"", b"one line\n", b"many lines\n" * 50_000])
def test_bgzip_files_are_complete(tmp_path, text):
    path = tmp_path / "x.gz"

    with open_sink(str(path), overwrite=False, is_bgzip=True) as sink:
        sink.write(text)

    assert Input(path).compression == "bgzip"
    assert gzip.decompress(path.read_bytes()) == text


def test_stdout_stays_open(capsysbinary):
    with open_sink("-", overwrite=False, is_bgzip=True) as sink:
        sink.write(b"text\n")
    with open_sink("-", overwrite=False, is_bgzip=False) as sink:
        sink.write(b"more\n")

    out = capsysbinary.readouterr().out
    assert out.endswith(b"more\n")
    assert gzip.decompress(out.removesuffix(b"more\n")) == b"text\n"


def test_a_failure_leaves_no_file(tmp_path):
    def fail():
        with open_sink(str(tmp_path / "x"), overwrite=False, is_bgzip=False) as sink:
            sink.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_the_complete_file_is_shown_before_it_is_visible(tmp_path):
    path, seen = tmp_path / "x", []

    def look(scratch):
        seen.append((scratch.read_bytes(), path.exists()))

    with open_sink(str(path), overwrite=False, is_bgzip=False, before_visible=look) as sink:
        sink.write(b"all")

    assert seen == [(b"all", False)]
    assert path.read_bytes() == b"all"


@pytest.mark.parametrize("is_bgzip", [False, True])
def test_a_full_device_is_an_output_error(is_bgzip):
    with (
        pytest.raises(OutputError, match="No space left"),
        open_sink("/dev/full", overwrite=False, is_bgzip=is_bgzip) as sink,
    ):
        sink.write(b"x" * 100_000)


def test_a_full_disk_is_an_output_error_and_leaves_nothing(small_disk):
    path = small_disk / "x.vcf"
    with (
        pytest.raises(OutputError, match="No space left"),
        open_sink(str(path), overwrite=False, is_bgzip=False) as sink,
    ):
        sink.write(b"x" * 4_000_000)

    assert list(small_disk.iterdir()) == []
