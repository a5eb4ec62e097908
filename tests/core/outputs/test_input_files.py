"""What tells inputs apart: their content, and of large ones as much of it as costs little."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hyenadna_cli.core.outputs import input_files
from hyenadna_cli.core.outputs.input_files import InputFile, read_input

SIZE = 20_000


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(input_files, "WHOLE_BYTES", 10_000)
    monkeypatch.setattr(input_files, "_PIECE_BYTES", 100)
    path = tmp_path / "genome.fa"
    path.write_bytes(bytes(number % 251 for number in range(SIZE)))
    return path


def changed(path: Path, place: int) -> InputFile:
    """What is known after one byte has changed and the time was set back."""
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=times)
    return read_input(path)


def test_every_byte_of_a_small_file_counts_and_its_time_does_not(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(b">a\nACGT\n")
    first = read_input(path)

    os.utime(path, (0, 0))
    assert read_input(path) == first
    assert (first.size, first.sampled_sha256, first.modified) == (8, None, None)
    for place in range(8):
        assert changed(path, place).sha256 != first.sha256


@pytest.mark.parametrize("place", [0, 99, SIZE - 100, SIZE - 1, (SIZE - 100) * 7 // 15])
def test_pieces_of_a_large_file_count(large: Path, place: int) -> None:
    first = read_input(large)

    assert first.sha256 is None
    assert changed(large, place).described() != first.described()


def test_the_time_of_a_large_file_counts_unless_it_may_be_a_copy(large: Path) -> None:
    first = read_input(large)
    os.utime(large, ns=(0, 1_700_000_000_000_000_005))
    later = read_input(large)

    assert later.modified == "2023-11-14T22:13:20.000000005Z"
    assert first.described() != later.described()
    assert first.described(with_time=False) == later.described(with_time=False)


def test_a_copy_elsewhere_is_the_same_input(tmp_path: Path) -> None:
    paths = [tmp_path / name / "a.fa" for name in ("x", "y")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b">a\n")

    assert read_input(paths[0]).described() == read_input(paths[1]).described()


def test_nothing_is_read_of_a_stream(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for name in ("-", tmp_path / "pipe", "/dev/null"):
        assert read_input(name) == InputFile(str(name), None)
