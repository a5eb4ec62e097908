"""Tables: exact text, whole files, quiet streams."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pysam
import pytest

import hyenadna_cli
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.errors import OutputError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(hyenadna_cli.__file__).parents[1])}


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def write(output: Path | str, *rows: tuple[str, int], overwrite: bool = False) -> None:
    with TsvWriter(str(output), columns=["name", "start"], overwrite=overwrite) as writer:
        for row in rows:
            writer.write_row(row)


def test_a_table_is_a_header_and_rows(tmp_path: Path) -> None:
    write(tmp_path / "out.tsv", ("a", 0), ("ß", 1_000_000))

    assert (tmp_path / "out.tsv").read_bytes() == "name\tstart\na\t0\nß\t1000000\n".encode()


def test_an_empty_table_is_its_header(tmp_path: Path) -> None:
    write(tmp_path / "out.tsv")

    assert (tmp_path / "out.tsv").read_text() == "name\tstart\n"


def test_numbers_have_nine_significant_digits(tmp_path: Path) -> None:
    values = [0.1, np.float32(0.1), 1.0, 1e-30, float("nan"), float("-inf"), np.int64(7)]
    columns = [f"c{i}" for i in range(len(values))]

    with TsvWriter(str(tmp_path / "out.tsv"), columns=columns, overwrite=False) as writer:
        writer.write_row(values)

    row = (tmp_path / "out.tsv").read_text().splitlines()[1]
    assert row == "0.1\t0.100000001\t1\t1e-30\tnan\t-inf\t7"


def test_every_float32_is_restored_from_its_text(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=1_000).astype(np.float32)

    with TsvWriter(str(tmp_path / "out.tsv"), columns=["e0"], overwrite=False) as writer:
        for value in values:
            writer.write_row([value])

    restored = np.loadtxt(tmp_path / "out.tsv", skiprows=1).astype(np.float32)
    assert np.array_equal(restored, values)


@pytest.mark.parametrize("suffix", [".gz", ".bgz"])
def test_a_gz_suffix_gives_whole_bgzf(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out.tsv{suffix}"
    rows = [(f"region_{i}", i) for i in range(20_000)]

    write(output, *rows)

    text = gzip.decompress(output.read_bytes()).decode()
    assert text == "name\tstart\n" + "".join(f"{name}\t{start}\n" for name, start in rows)
    with pysam.BGZFile(str(output)) as blocks:
        assert blocks.read().decode() == text
    end_of_file_block = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
    assert output.read_bytes().endswith(end_of_file_block)


def test_two_runs_write_the_same_compressed_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv.gz", ("a", 0))
    write(tmp_path / "b.tsv.gz", ("a", 0))

    assert (tmp_path / "a.tsv.gz").read_bytes() == (tmp_path / "b.tsv.gz").read_bytes()


def test_an_existing_table_needs_force(tmp_path: Path) -> None:
    write(tmp_path / "out.tsv", ("old", 0))

    with pytest.raises(OutputError, match="--force"):
        write(tmp_path / "out.tsv", ("new", 0))
    assert "old" in (tmp_path / "out.tsv").read_text()

    write(tmp_path / "out.tsv", ("new", 0), overwrite=True)
    assert "new" in (tmp_path / "out.tsv").read_text()


@pytest.mark.parametrize("name", ["out.tsv", "out.tsv.gz"])
def test_a_failing_run_leaves_no_table(tmp_path: Path, name: str) -> None:
    def write_and_fail() -> None:
        with TsvWriter(str(tmp_path / name), columns=["name"], overwrite=False) as writer:
            writer.write_row(["a"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()

    assert names_in(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.tsv", "out.tsv.gz"])
def test_a_full_disk_is_an_output_error(small_disk: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 2**62, size=300_000)
    rows = [("noise", int(number)) for number in noise]

    with pytest.raises(OutputError, match="cannot write: No space left on device"):
        write(small_disk / name, *rows)

    assert names_in(small_disk) == []


def test_a_killed_run_leaves_the_old_table(tmp_path: Path) -> None:
    write(tmp_path / "out.tsv", ("old", 0))
    code = """
import os, signal, sys
from hyenadna_cli.core.io.tsv import TsvWriter
with TsvWriter(sys.argv[1], columns=["name"], overwrite=True) as writer:
    for i in range(200_000):
        writer.write_row([f"region_{i}"])
    os.kill(os.getpid(), signal.SIGKILL)
"""

    command = [sys.executable, "-c", code, str(tmp_path / "out.tsv")]
    status = subprocess.run(command, env=ENVIRONMENT, check=False).returncode

    assert status == -signal.SIGKILL
    assert (tmp_path / "out.tsv").read_text() == "name\tstart\nold\t0\n"


def test_a_dash_writes_to_standard_output(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print("before")
    write("-", ("ß", 0))
    print("after")

    assert capsysbinary.readouterr().out == "before\nname\tstart\nß\t0\nafter\n".encode()


WRITE_TO_STDOUT = """
import sys
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.errors import OutputError
try:
    with TsvWriter("-", columns=["name"], overwrite=False) as writer:
        for i in range(int(sys.argv[1])):
            writer.write_row([f"region_{i}"])
except (BrokenPipeError, OutputError) as error:
    sys.stderr.write(f"{type(error).__name__}: {error}")
    sys.stderr.flush()
    import os
    os._exit(9)  # what to do about the unwritten rest is the command line's business
"""


@pytest.mark.parametrize("n_rows", [1, 100_000], ids=["small", "large"])
def test_a_closed_pipe_is_a_broken_pipe_error(n_rows: int) -> None:
    """Raised inside the block or on leaving it, never only when the interpreter ends."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as stdout:
        result = subprocess.run(
            [sys.executable, "-c", WRITE_TO_STDOUT, str(n_rows)],
            env=ENVIRONMENT,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert result.returncode == 9
    assert result.stderr.startswith("BrokenPipeError")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("n_rows", [1, 100_000], ids=["small", "large"])
def test_a_refused_standard_output_is_an_output_error(n_rows: int) -> None:
    with open("/dev/full", "wb") as stdout:
        result = subprocess.run(
            [sys.executable, "-c", WRITE_TO_STDOUT, str(n_rows)],
            env=ENVIRONMENT,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert result.returncode == 9
    assert result.stderr == "OutputError: standard output: cannot write: No space left on device"


def test_a_device_is_written_in_place() -> None:
    write("/dev/null", ("a", 0))

    assert Path("/dev/null").is_char_device()


def test_a_named_pipe_is_written_in_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()

    write(pipe, ("a", 0))

    reader.join(timeout=10)
    assert received == ["name\tstart\na\t0\n"]
    assert pipe.is_fifo()


def test_a_row_of_another_length_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="expected 2 values, got 1"),
        TsvWriter(str(tmp_path / "out.tsv"), columns=["a", "b"], overwrite=False) as writer,
    ):
        writer.write_row(["alone"])


@pytest.mark.parametrize("text", ["a\tb", "a\nb", "a\rb"], ids=["tab", "newline", "return"])
def test_a_cell_must_not_break_the_table(tmp_path: Path, text: str) -> None:
    with (
        pytest.raises(ValueError, match="would break the table"),
        TsvWriter(str(tmp_path / "out.tsv"), columns=["name"], overwrite=False) as writer,
    ):
        writer.write_row([text])
