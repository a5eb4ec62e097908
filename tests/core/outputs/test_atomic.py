"""The law of atomicity: a failing or killed run leaves the old output or none."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import hyenadna_cli
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import OutputError

REPOSITORY = Path(hyenadna_cli.__file__).parents[1]


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def run_python(code: str, *arguments: Path) -> int:
    """Run `code` in a new process; returns its exit status, negative for a signal."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def write_and_fail(output: Path, failure: type[BaseException]) -> None:
    with atomic.replace_on_success(output, overwrite=True) as scratch:
        scratch.write_text("half of the n")
        raise failure


def write_directory_and_fail(output: Path, failure: type[BaseException]) -> None:
    with atomic.replace_dir_on_success(output, overwrite=True) as scratch:
        (scratch / "config.json").write_text("half of the n")
        raise failure


def write_while_another_does(output: Path) -> None:
    with atomic.replace_on_success(output, overwrite=False) as scratch:
        scratch.write_text("ours")
        output.write_text("theirs")


KILLED_FILE = """
import os, signal, sys
from pathlib import Path
from hyenadna_cli.core.outputs.atomic import replace_on_success
with replace_on_success(Path(sys.argv[1]), overwrite=True) as scratch:
    scratch.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""

KILLED_DIRECTORY = """
import os, signal, sys
from pathlib import Path
from hyenadna_cli.core.outputs.atomic import replace_dir_on_success
with replace_dir_on_success(Path(sys.argv[1]), overwrite=True) as scratch:
    (scratch / "config.json").write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_appears_when_the_block_succeeds(tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"

    with atomic.replace_on_success(output, overwrite=False) as scratch:
        scratch.write_text("new")
        assert not output.exists()

    assert output.read_text() == "new"
    assert names_in(tmp_path) == ["out.tsv"]


def test_the_scratch_file_lies_beside_the_output(tmp_path: Path) -> None:
    with atomic.replace_on_success(tmp_path / "out.tsv", overwrite=False) as scratch:
        assert scratch.parent == tmp_path
        assert scratch.name.startswith(f"out.tsv.tmp.{os.getpid()}.")
        assert scratch.read_bytes() == b""


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_failing_block_leaves_the_old_output_and_nothing_else(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    output = tmp_path / "out.tsv"
    output.write_text("old")

    with pytest.raises(failure):
        write_and_fail(output, failure)

    assert output.read_text() == "old"
    assert names_in(tmp_path) == ["out.tsv"]


def test_a_killed_run_leaves_the_old_output(tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    output.write_text("old")

    status = run_python(KILLED_FILE, output)

    assert status == -signal.SIGKILL
    assert output.read_text() == "old"


def test_a_killed_run_leaves_no_output_where_none_was(tmp_path: Path) -> None:
    status = run_python(KILLED_FILE, tmp_path / "out.tsv")

    assert status == -signal.SIGKILL
    assert not (tmp_path / "out.tsv").exists()
    assert [name for name in names_in(tmp_path) if not name.startswith("out.tsv.tmp.")] == []


def test_an_existing_output_is_refused_before_the_work(tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"
    output.write_text("old")

    with pytest.raises(OutputError, match=r"out\.tsv: exists already; --force replaces it"):
        atomic.check_output(output, overwrite=False)
    with (
        pytest.raises(OutputError, match="--force"),
        atomic.replace_on_success(output, overwrite=False),
    ):
        pytest.fail("the work has begun")

    assert output.read_text() == "old"


def test_an_output_that_appeared_during_the_work_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "out.tsv"

    with pytest.raises(OutputError, match="exists already"):
        write_while_another_does(output)

    assert output.read_text() == "theirs"
    assert names_in(tmp_path) == ["out.tsv"]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nowhere: no such directory"):
        atomic.check_output(tmp_path / "nowhere" / "out.tsv", overwrite=False)


def test_a_directory_is_not_an_output_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a directory"):
        atomic.check_output(tmp_path, overwrite=True)


def test_a_device_is_never_replaced_by_a_file() -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        atomic.check_output(Path("/dev/null"), overwrite=True)

    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_name_too_long_for_its_scratch_file_is_an_output_error(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="File name too long"),
        atomic.replace_on_success(tmp_path / ("x" * 250), overwrite=False),
    ):
        pytest.fail("the work has begun")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(OutputError, match="no permission"):
        atomic.check_output(tmp_path / "out.tsv", overwrite=False)


def test_a_read_only_disk_is_an_output_error(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    with pytest.raises(OutputError, match="no permission"):
        atomic.check_output(small_disk / "out.tsv", overwrite=False)


def test_a_full_disk_is_an_output_error_and_leaves_the_old_output(small_disk: Path) -> None:
    output = small_disk / "out.bin"
    output.write_text("old")

    with (
        pytest.raises(OutputError, match=r"out\.bin: cannot write: No space left on device"),
        atomic.replace_on_success(output, overwrite=True) as scratch,
    ):
        scratch.write_bytes(bytes(2 << 20))

    assert output.read_text() == "old"
    assert names_in(small_disk) == ["out.bin"]


def test_an_error_about_an_input_passes_through(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        atomic.replace_on_success(tmp_path / "out.tsv", overwrite=False),
    ):
        (tmp_path / "missing.fa").read_text()


def test_a_closed_pipe_passes_through(tmp_path: Path) -> None:
    with (
        pytest.raises(BrokenPipeError),
        atomic.replace_on_success(tmp_path / "out.tsv", overwrite=False),
    ):
        raise BrokenPipeError


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "out.tsv"
    link.symlink_to(tmp_path / "elsewhere" / "real.tsv")

    with atomic.replace_on_success(link, overwrite=False) as scratch:
        assert scratch.parent == tmp_path / "elsewhere"
        scratch.write_text("new")

    assert link.is_symlink()
    assert (tmp_path / "elsewhere" / "real.tsv").read_text() == "new"


def test_an_output_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")

    atomic.write_text(tmp_path / "out.txt", "text")

    assert (tmp_path / "out.txt").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_an_index_is_visible_before_its_data(tmp_path: Path) -> None:
    data, index = tmp_path / "out.vcf.gz", tmp_path / "out.vcf.gz.csi"

    with atomic.replace_on_success(data, overwrite=False):
        with atomic.replace_on_success(index, overwrite=False):
            assert not index.exists()
        assert index.exists()
        assert not data.exists()

    assert data.exists()


def test_text_replaces_what_was_there(tmp_path: Path) -> None:
    atomic.write_text(tmp_path / "last", "step_1\n")
    atomic.write_text(tmp_path / "last", "Größe\n")

    assert (tmp_path / "last").read_bytes() == "Größe\n".encode()


def test_streams_are_told_from_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")

    assert atomic.is_stream("-")
    assert atomic.is_stream("/dev/null")
    assert atomic.is_stream(tmp_path / "pipe")
    assert not atomic.is_stream(tmp_path / "file")
    assert not atomic.is_stream(tmp_path / "missing")


def model_directory(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "config.json").write_text(text)
    (path / "only_in_the_old_one").write_text("")
    return path


def test_a_directory_appears_when_the_block_succeeds(tmp_path: Path) -> None:
    output = tmp_path / "model"

    with atomic.replace_dir_on_success(output, overwrite=False) as scratch:
        (scratch / "weights").mkdir()
        (scratch / "weights" / "part").write_text("new")
        assert not output.exists()

    assert (output / "weights" / "part").read_text() == "new"
    assert names_in(tmp_path) == ["model"]


def test_a_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    output = model_directory(tmp_path / "model", "old")

    with atomic.replace_dir_on_success(output, overwrite=True) as scratch:
        (scratch / "config.json").write_text("new")

    assert names_in(output) == ["config.json"]
    assert (output / "config.json").read_text() == "new"
    assert names_in(tmp_path) == ["model"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failing_block_leaves_the_old_directory(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    output = model_directory(tmp_path / "model", "old")

    with pytest.raises(failure):
        write_directory_and_fail(output, failure)

    assert (output / "config.json").read_text() == "old"
    assert names_in(tmp_path) == ["model"]


def test_a_killed_run_leaves_the_old_directory(tmp_path: Path) -> None:
    output = model_directory(tmp_path / "model", "old")

    status = run_python(KILLED_DIRECTORY, output)

    assert status == -signal.SIGKILL
    assert (output / "config.json").read_text() == "old"


def test_a_full_disk_leaves_the_old_directory(small_disk: Path) -> None:
    output = model_directory(small_disk / "model", "old")

    with (
        pytest.raises(OutputError, match="No space left on device"),
        atomic.replace_dir_on_success(output, overwrite=True) as scratch,
    ):
        (scratch / "model.safetensors").write_bytes(bytes(2 << 20))

    assert (output / "config.json").read_text() == "old"
    assert names_in(small_disk) == ["model"]


def test_an_existing_directory_needs_force(tmp_path: Path) -> None:
    output = model_directory(tmp_path / "model", "old")

    with pytest.raises(OutputError, match="exists already; --force replaces it"):
        atomic.check_output_dir(output, overwrite=False)


def test_a_directory_of_something_else_is_never_replaced(tmp_path: Path) -> None:
    """A mistyped path with --force must not delete someone's data."""
    (tmp_path / "thesis.tex").write_text("years of work")

    with (
        pytest.raises(OutputError, match=r"holds no config\.json"),
        atomic.replace_dir_on_success(tmp_path, overwrite=True),
    ):
        pytest.fail("the work has begun")

    assert (tmp_path / "thesis.tex").exists()


def test_an_empty_directory_is_as_good_as_none(tmp_path: Path) -> None:
    output = tmp_path / "model"
    output.mkdir()

    with atomic.replace_dir_on_success(output, overwrite=False) as scratch:
        (scratch / "config.json").write_text("new")

    assert (output / "config.json").read_text() == "new"


def test_a_file_is_not_an_output_directory(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("")

    with pytest.raises(OutputError, match="is a file"):
        atomic.check_output_dir(tmp_path / "model", overwrite=True)


def test_a_link_that_points_at_itself_is_refused_and_stays(tmp_path: Path) -> None:
    loop, second = tmp_path / "x.tsv", tmp_path / "second"
    loop.symlink_to(second)
    second.symlink_to(loop)

    for check in (atomic.check_output, atomic.check_output_dir):
        with pytest.raises(OutputError, match="symbolic links"):
            check(loop, overwrite=True)

    assert loop.is_symlink()


@pytest.mark.parametrize("has_tmp_dir", [False, True])
def test_an_output_keeps_the_mode_of_the_file_that_it_replaces(
    tmp_path: Path, has_tmp_dir: bool
) -> None:
    path, directory = tmp_path / "x.tsv", tmp_path / "scratch"
    directory.mkdir()
    token = atomic.scratch_directory.set(directory if has_tmp_dir else None)
    try:
        for mode in (0o640, 0o600, 0o444, 0o664):
            path.touch()
            path.chmod(mode)
            with atomic.replace_on_success(path, overwrite=True) as scratch:
                # Nor is what is still being written open to others.
                assert scratch.stat().st_mode & 0o077 == mode & 0o077
                scratch.write_text("new")
            assert path.stat().st_mode & 0o777 == mode
    finally:
        atomic.scratch_directory.reset(token)


def test_a_directory_keeps_the_mode_of_the_one_that_it_replaces(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.mkdir(mode=0o700)
    (path / "config.json").touch()

    with atomic.replace_dir_on_success(path, overwrite=True) as scratch:
        (scratch / "config.json").write_text("{}")

    assert path.stat().st_mode & 0o777 == 0o700


def test_what_killed_runs_left_in_another_directory_is_removed_by_runs_of_the_same_output(
    tmp_path: Path,
) -> None:
    scratch, outputs = tmp_path / "scratch", [tmp_path / name / "x.tsv" for name in ("a", "b")]
    scratch.mkdir()
    (scratch / "x.tsv.tmp.12.node").touch()
    token = atomic.scratch_directory.set(scratch)
    try:
        for output in outputs:
            output.parent.mkdir()
            for suffix in ("", ".csi", ".manifest.json"):
                path = output.with_name(f"x.tsv{suffix}")
                with atomic.replace_on_success(path, overwrite=False) as unfinished:
                    left = scratch / unfinished.name.replace(f".{os.getpid()}.", ".999999.")
                    left.touch()
        atomic.remove_scratch(outputs[0])
        after = {path.name for path in scratch.iterdir()}
        atomic.remove_scratch(outputs[1])
    finally:
        atomic.scratch_directory.reset(token)

    assert len(after) == 4
    assert [path.name for path in scratch.iterdir()] == ["x.tsv.tmp.12.node"]
