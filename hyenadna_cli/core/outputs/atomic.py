"""Outputs that appear whole or not at all.

    check_output -> X.tmp.<pid>.<host> -> fsync -> rename to X -> fsync of the directory

A run that fails or is killed leaves the old output or none. A symbolic link is followed: the file
it points to is replaced, the link stays. An index is made visible before its data by nesting:

    with replace_on_success(data) as data_scratch, replace_on_success(index) as index_scratch: ...
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from hyenadna_cli.errors import NO_ROOM, OutputError

_SCRATCH = re.compile(r"\.tmp\.\d+\..*")

scratch_directory: ContextVar[Path | None] = ContextVar("scratch_directory", default=None)
"""Where unfinished files lie, if not beside the final one; they are copied there when finished."""


def output_error(path: Path | str, error: OSError) -> OutputError:
    """`error` as one line about the output `path`."""
    return OutputError(f"{path}: cannot write: {error.strerror or error}")


def is_stream(output: Path | str) -> bool:
    """Whether `output` is standard output ("-"), a pipe or a device.

    A stream is written in place: it has no scratch file, no manifest, and --force does not matter.
    """
    if str(output) == "-":
        return True
    try:
        mode = Path(output).stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def has_suffix(output: Path | str, suffixes: str | tuple[str, ...]) -> bool:
    """Whether a name ends in one of `suffixes` (lower case), in whatever case."""
    return str(output).lower().endswith(suffixes)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse, before any work, an output file that could not be written at the end.

    Raises OutputError if `path` exists and `overwrite` is false, is not a regular file, or if its
    directory is missing or not writable.
    """
    with _os_errors_about(path):
        _check_links(path)
        if path.is_dir():
            raise OutputError(f"{path}: is a directory; name a file")
        if path.exists() and not path.is_file():
            raise OutputError(f"{path}: is not a regular file; name a file")
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: exists already; --force replaces it")
        _check_writable(_followed(path).parent)


def check_output_dir(path: Path, *, overwrite: bool, marker: str = "config.json") -> None:
    """Refuse, before any work, an output directory that could not be written at the end.

    An empty directory is as good as none. One with content is only ever replaced when it holds a
    file called `marker`, so that a mistyped path never deletes someone's data.

    Raises OutputError, also if the parent directory is missing or not writable.
    """
    check_is_utf8(path)
    with _os_errors_about(path):
        _check_links(path)
        if path.exists() and not path.is_dir():
            raise OutputError(f"{path}: is a file; name a directory")
        if path.is_dir() and any(path.iterdir()):
            if not overwrite:
                raise OutputError(f"{path}: exists already; --force replaces it")
            if not (path / marker).is_file():
                raise OutputError(
                    f"{path}: holds no {marker}, so it is not replaced; remove it first"
                )
        _check_writable(_followed(path).parent)


def check_is_utf8(path: Path) -> None:
    """Raise OutputError for a name of a directory in which safetensors could not write."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise OutputError(f"{path}: the name of a model directory must be UTF-8") from None


@contextmanager
def replace_on_success(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a scratch path beside `path` that becomes `path` when the block succeeds.

    The scratch file exists and is empty at the start. It is removed when the block raises anything,
    KeyboardInterrupt included.

    Raises OutputError for what `check_output` refuses, and when the disk is full or the scratch
    file cannot be written; other exceptions pass through.
    """
    check_output(path, overwrite=overwrite)
    target = _followed(path)
    scratch = final_scratch = _beside(target, "tmp")
    if (directory := scratch_directory.get()) is not None:
        scratch = _beside(directory / _named_elsewhere(target), "tmp")
    try:
        with _os_errors_about(path):
            _make_empty(scratch, target)
        with _refused_writes_about(path, scratch):
            yield scratch
        with _os_errors_about(path):
            if scratch != final_scratch:
                _make_empty(final_scratch, target)
                shutil.copyfile(scratch, final_scratch)
                scratch.unlink()
                scratch = final_scratch
            _fsync(scratch)
            # Hours may have passed; what another process put there in the meantime is not ours.
            check_output(path, overwrite=overwrite)
            _keep_mode(scratch, target)
            scratch.replace(target)
    finally:
        for leftover in (scratch, final_scratch):
            with suppress(OSError):  # gone already after success
                leftover.unlink()
    _fsync_directory(target.parent)


@contextmanager
def replace_dir_on_success(
    path: Path, *, overwrite: bool, marker: str = "config.json"
) -> Iterator[Path]:
    """Yield an empty scratch directory beside `path` that becomes `path` when the block succeeds.

    Nothing can exchange two directories in one step everywhere, so an old directory is moved aside
    first: killed between the two renames, there is no `path`, and the old one is `path.old.*`.

    Raises OutputError as `replace_on_success` does, and for what `check_output_dir` refuses.
    """
    check_output_dir(path, overwrite=overwrite, marker=marker)
    target = _followed(path)
    scratch = _beside(target, "tmp")
    try:
        with _os_errors_about(path):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
        with _refused_writes_about(path, scratch):
            yield scratch
        with _os_errors_about(path):
            _fsync_tree(scratch)
            check_output_dir(path, overwrite=overwrite, marker=marker)
            _keep_mode(scratch, target)
            _put_in_place(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _fsync_directory(target.parent)


def remove_scratch(path: Path) -> None:
    """Remove what killed runs left of `path` and of the files named after it.

    Only for who knows that no other process is writing `path`.
    """
    target = _followed(path)
    directory = scratch_directory.get()
    for suffix in ("", ".csi", ".manifest.json"):
        named = target.with_name(target.name + suffix)
        places = [named] if directory is None else [named, directory / _named_elsewhere(named)]
        for place in places:
            for scratch in place.parent.glob(f"{glob.escape(place.name)}.tmp.*"):
                if _SCRATCH.fullmatch(scratch.name.removeprefix(place.name)):
                    with suppress(OSError):
                        scratch.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, replacing what was there. Raises OutputError.

    Bytes of file names that are not UTF-8 are escaped; JSON reads them back as they were.
    """
    with replace_on_success(path, overwrite=True) as scratch:
        scratch.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _put_in_place(scratch: Path, target: Path) -> None:
    """Rename the directory `scratch` to `target`, then delete what `target` was."""
    if not (target.exists() and any(target.iterdir())):
        scratch.rename(target)  # replaces an empty directory too
        return
    aside = _beside(target, "old")
    try:
        target.rename(aside)
        scratch.rename(target)
    except BaseException:
        if aside.exists() and not target.exists():
            aside.rename(target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _followed(path: Path) -> Path:
    """Where `path` really is, so that the scratch lies on the file system of the final file."""
    return Path(os.path.realpath(path))


def _beside(target: Path, kind: str) -> Path:
    # The host tells the jobs of a shared directory apart where process ids repeat.
    host = socket.gethostname().partition(".")[0]
    return target.with_name(f"{target.name}.{kind}.{os.getpid()}.{host}")


def _named_elsewhere(target: Path) -> str:
    """A name in a directory that other outputs of the same name use too."""
    return f"{target.name}.{hashlib.sha256(os.fsencode(target)).hexdigest()[:12]}"


def _make_empty(scratch: Path, target: Path) -> None:
    """Make a file that is never open to more people than the one that it will replace."""
    scratch.write_bytes(b"")
    _keep_mode(scratch, target, also=stat.S_IWUSR | stat.S_IRUSR)


def _keep_mode(scratch: Path, target: Path, *, also: int = 0) -> None:
    """Give `scratch` the permissions of what it will replace, if there is something."""
    if target.exists():
        with suppress(PermissionError):  # some file systems have none
            scratch.chmod(stat.S_IMODE(target.stat().st_mode) | also)


def _check_links(path: Path) -> None:
    """Raise OSError for links that point in a circle: `exists` says that nothing is there."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise


def _check_writable(directory: Path) -> None:
    if not directory.is_dir():
        raise OutputError(f"{directory}: no such directory; make it first")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputError(f"{directory}: no permission to write into this directory")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync_directory(directory: Path) -> None:
    # Some network file systems refuse this; the file itself is already on disk and in place.
    with suppress(OSError):
        _fsync(directory)


def _fsync_tree(directory: Path) -> None:
    for folder, _, names in os.walk(directory):
        for name in names:
            _fsync(Path(folder, name))
        _fsync_directory(Path(folder))


@contextmanager
def _os_errors_about(path: Path) -> Iterator[None]:
    """For our own calls: every OSError is about the output."""
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error


@contextmanager
def _refused_writes_about(path: Path, scratch: Path) -> Iterator[None]:
    """For the caller's block, which also reads inputs: only what is about the output."""
    try:
        yield
    except OSError as error:
        named = None if error.filename is None else Path(os.fsdecode(error.filename))
        if named is None:
            is_ours = error.errno in NO_ROOM
        else:
            is_ours = named == scratch or scratch in named.parents
        if not is_ours:
            raise
        raise output_error(path, error) from error
