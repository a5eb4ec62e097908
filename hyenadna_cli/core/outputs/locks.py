"""Who may write a run directory: one run at a time, and none over a run that was not meant.

The lock is on the directory itself, so it leaves no file, and it ends with the process however that
ends. Torch-free.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import OutputError

log = logging.getLogger(__name__)

_RUN_FILES = (
    "last",
    "metrics.csv",
    "regions.bed",
    "training.json",
    "config.json",
    "model.safetensors",
    "known_answer.json",
    "prompt.safetensors",
    "leakage.json",
    "predictions.tsv",
    "confusion.tsv",
    "calibration.tsv",
    "evaluation.png",
    "metrics.json",
    "comparison.tsv",
)
"""What a training command writes into its directory; all else there is somebody's own."""
_RUN_DIRS = {
    "checkpoints": ("*",),
    "tensorboard": ("events.out.tfevents.*",),
    "evaluation": (
        "accuracy.tsv",
        "species.tsv",
        "confusion.tsv",
        "metrics.json",
        "manifest.json",
        "accuracy.png",
    ),
}
"""Directories inside it, and what of them is the run's."""
_PART = re.compile(r"seed\d+|(finetune|probe|scratch|attention|cnn|kmer)(-seed\d+)?")
"""Run directories of finetune's other methods and seeds."""
_UNFINISHED = re.compile(r".+\.(tmp|old)\.\d+\..*")


def run_files(path: Path) -> list[Path]:
    """What a run may write into its directory, besides what is in directories there."""
    return [path / name for name in _RUN_FILES]


def check_run_dir(path: Path, *, force: bool, resume: bool) -> None:
    """Raise OutputError if the run directory holds a run that was not meant to be touched."""
    atomic.check_is_utf8(path)
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path} exists and is not a directory")
    if force or resume:
        return
    for name in _RUN_FILES:
        if (path / name).exists():
            raise OutputError(
                f"{path} holds a run ({name}); --resume goes on with it, --force starts over"
            )


@contextmanager
def claimed_run_dir(
    path: Path, *, restart: bool, parts: Sequence[Path] = (), is_main: bool = True
) -> Iterator[None]:
    """Make the run directory, and keep other runs out of it until the block ends.

    What killed runs left unfinished is removed; `restart` forgets all of an earlier run, and
    nothing else. `parts` are run directories inside it. Only the process that `is_main` does any of
    this. Raises OutputError, also if another run has the directory.
    """
    if not is_main:
        yield
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
        directory = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise atomic.output_error(path, error) from error
    try:
        is_locked = _lock(directory, path)
        if restart:
            _forget_run(path)
        for part in dict.fromkeys((path, *parts)):
            _prepare(part, is_ours=is_locked)
        yield
    finally:
        os.close(directory)


def _lock(directory: int, path: Path) -> bool:
    """False where the file system has no locks."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"{path} is locked: another run is writing it; wait for it or end it"
        ) from None
    except OSError:
        # Some network file systems lock no directory; one run at a time is up to the user there.
        log.info("%s: this file system has no locks; make sure that one run writes", path)
        return False
    return True


def _forget_run(path: Path) -> None:
    """Of two runs, what only the first one wrote would be taken for the second one's."""
    try:
        _forget_files(path)
        for part in path.iterdir():
            if _PART.fullmatch(part.name) and part.is_dir():
                _forget_files(part)
                _remove_if_empty(part)
    except OSError as error:
        raise atomic.output_error(path, error) from error


def _forget_files(path: Path) -> None:
    for name in _RUN_FILES:
        (path / name).unlink(missing_ok=True)
    for name, patterns in _RUN_DIRS.items():
        if (path / name).is_dir():
            for old in [old for pattern in patterns for old in (path / name).glob(pattern)]:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            _remove_if_empty(path / name)


def _remove_if_empty(directory: Path) -> None:
    if not any(directory.iterdir()):
        directory.rmdir()


def _prepare(path: Path, *, is_ours: bool) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.output_error(path, error) from error
    if is_ours:
        for left in (*path.glob("*"), *path.glob("checkpoints/*")):
            if _UNFINISHED.fullmatch(left.name):
                with suppress(OSError):
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
