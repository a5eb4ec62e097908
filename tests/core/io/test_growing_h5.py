"""HDF5 files that grow: all rows, bounded memory, and a process that survives a full disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import hyenadna_cli
from hyenadna_cli.core.io.growing_h5 import TEXT, growing_file
from hyenadna_cli.errors import OutputError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(hyenadna_cli.__file__).parents[1])}


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


FILL_THE_DISK = """
import sys
from pathlib import Path
import numpy as np
from hyenadna_cli.core.io.growing_h5 import TEXT, growing_file
from hyenadna_cli.errors import OutputError
path, n_rows, n_names = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if len(sys.argv) > 4:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    with growing_file(path, overwrite=True) as output:
        data = output.dataset("data", dtype="float32", width=128)
        names = output.dataset("names", dtype=TEXT)
        for i in range(n_names):
            names.append(f"region_{i}")
        data.extend(np.ones((n_rows, 128), "float32"))
except OutputError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def fill_the_disk(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("n_rows", [0, 1, 2_047, 2_048, 2_049, 10_000])
def test_every_row_arrives_in_order(tmp_path: Path, n_rows: int) -> None:
    with growing_file(tmp_path / "x.h5", overwrite=False) as output:
        data = output.dataset("a/data", dtype="float32", width=128)
        names = output.dataset("a/names", dtype=TEXT)
        for i in range(n_rows):
            data.append(np.full(128, i, np.float32))
            names.append(f"ß{i}")

    with h5py.File(tmp_path / "x.h5") as file:
        assert file["a/data"].shape == (n_rows, 128)
        assert np.array_equal(file["a/data"][:, 127], np.arange(n_rows))
        assert list(file["a/names"].asstr()[:]) == [f"ß{i}" for i in range(n_rows)]


@pytest.mark.parametrize("sizes", [[0], [1, 2_048, 0, 3], [5_000, 5_000]], ids=str)
def test_many_rows_at_once_are_the_same_as_one_by_one(tmp_path: Path, sizes: list[int]) -> None:
    rows = np.random.default_rng(0).normal(size=(sum(sizes), 16)).astype(np.float32)

    with growing_file(tmp_path / "x.h5", overwrite=False) as output:
        data = output.dataset("data", dtype="float32", width=16)
        for part in np.split(rows, np.cumsum(sizes)[:-1]):
            data.extend(part)

    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(file["data"][:], rows)


def test_a_number_too_large_is_not_made_infinite(tmp_path: Path) -> None:
    with (
        pytest.raises(FloatingPointError),
        growing_file(tmp_path / "x.h5", overwrite=False) as output,
    ):
        output.dataset("data", dtype="float16", width=1).extend(np.array([[1e6]], np.float32))


def test_a_small_file_stays_small(tmp_path: Path) -> None:
    with growing_file(tmp_path / "x.h5", overwrite=False) as output:
        output.dataset("data", dtype="float32", width=256).append(np.ones(256, np.float32))

    assert (tmp_path / "x.h5").stat().st_size < 200_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_rows", "n_names"),
    [(10_000, 0), (1_500, 20_000), (10, 100_000)],
    ids=["while_writing_numbers", "while_closing", "while_writing_texts"],
)
def test_a_full_disk_is_an_output_error(small_disk: Path, n_rows: int, n_names: int) -> None:
    """HDF5 left to itself ends the process with a segmentation fault here."""
    result = fill_the_disk(small_disk / "x.h5", n_rows, n_names)

    assert result.returncode == OutputError.exit_code, result.stderr
    assert result.stdout.endswith("x.h5: cannot write: No space left on device\n")
    assert result.stderr == ""
    assert names_in(small_disk) == []


def test_a_file_that_may_not_grow_is_an_output_error(tmp_path: Path) -> None:
    """A file-size limit stands in for a quota: it needs no permission to set up."""
    (tmp_path / "x.h5").write_text("old")

    result = fill_the_disk(tmp_path / "x.h5", 10_000, 0, "limited")

    assert result.returncode == OutputError.exit_code, result.stderr
    assert result.stdout.endswith("x.h5: cannot write: File too large\n")
    assert (tmp_path / "x.h5").read_text() == "old"
    assert names_in(tmp_path) == ["x.h5"]


@pytest.mark.slow
def test_an_interruption_at_any_moment_leaves_nothing_behind(tmp_path: Path) -> None:
    """A signal handler that raises may run while HDF5 is in the middle of a write."""
    code = """
import signal, sys
from pathlib import Path
import numpy as np
from hyenadna_cli.core.io.growing_h5 import growing_file
def interrupt(number, frame):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
rows = np.ones((20_000, 128), "float32")
for milliseconds in range(1, 31):
    try:
        signal.setitimer(signal.ITIMER_REAL, milliseconds / 1_000)
        with growing_file(Path(sys.argv[1]), overwrite=True) as output:
            data = output.dataset("data", dtype="float32", width=128)
            for _ in range(100):
                data.extend(rows)
    except KeyboardInterrupt:
        continue
    raise AssertionError("never interrupted")
"""
    command = [sys.executable, "-c", code, str(tmp_path / "x.h5")]

    result = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )

    assert (result.returncode, result.stderr) == (0, "")
    assert names_in(tmp_path) == []


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from hyenadna_cli.core.io.growing_h5 import TEXT, growing_file
with growing_file(Path(sys.argv[1]), overwrite=True) as output:
    data = output.dataset("data", dtype="float32", width=128)
    names = output.dataset("names", dtype=TEXT)
    row = np.ones(128, "float32")
    for i in range(int(sys.argv[2])):
        data.append(row)
        names.append(f"a rather long name of a region, number {i}")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""

    def peak_kib(n_rows: int) -> int:
        command = [sys.executable, "-c", code, str(tmp_path / "x.h5"), str(n_rows)]
        result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
        return int(result.stdout)

    assert peak_kib(200_000) < 1.1 * peak_kib(20_000)
