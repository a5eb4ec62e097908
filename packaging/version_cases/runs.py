"""Runs of a case with one version, and all that comes out of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from version_cases.base import Case, Command
from version_cases.levelling import levelled

_TIMEOUT = 900
"""Seconds of one run."""
_ATTEMPTS = 5
"""Runs that may end before the signal reaches them."""
_POLL = 0.002
"""Seconds."""
STOPPED = 143
"""Exit code after SIGTERM or --max-time."""
_OWN_SETTINGS = re.compile(r"(HYENADNA|HF|SLURM|LSB|SGE|NUMBA|PYTHON|TORCH)_?.*|SOURCE_DATE_EPOCH")
"""Variables that change what the program does, or where it comes from."""
_FIXED_SETTINGS = {
    "COLUMNS": "100",
    "LC_ALL": "C.UTF-8",
    "NO_COLOR": "1",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "SOURCE_DATE_EPOCH": "0",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What one run said, levelled."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case brought, levelled."""

    said: list[Said]
    files: dict[str, bytes]
    """Everything written or changed in the folder, by relative path."""
    of_equal: dict[str, bytes]
    """The files that the case compares with each other."""


@dataclass(frozen=True, slots=True)
class Version:
    """A checkout and the folder in which it runs."""

    checkout: Path
    python: str
    folder: Path

    @property
    def places(self) -> dict[str, Path]:
        """Folders that outputs name in full, and what stands for them."""
        return {"FOLDER": self.folder, "CHECKOUT": self.checkout}

    def environment(self) -> dict[str, str]:
        """Those of this process without the user's own settings of the program."""
        kept = {name: text for name, text in os.environ.items() if not _OWN_SETTINGS.match(name)}
        return {**kept, **_FIXED_SETTINGS, "PYTHONPATH": str(self.checkout)}

    def check(self) -> None:
        """Exit unless it is the checkout's program that runs, and not an installed one."""
        where = "import hyenadna_cli; print(hyenadna_cli.__file__)"
        done = subprocess.run(  # noqa: S603
            [self.python, "-c", where], cwd=self.folder, env=self.environment(),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not Path(done.stdout.strip()).is_relative_to(self.checkout):
            raise SystemExit(f"{self.checkout}: not what {self.python} runs: "
                             f"{done.stdout.strip() or done.stderr.strip()}")  # fmt: skip

    def run(self, command: Command, *, is_interrupted: bool) -> Said:
        """Run a command to its end, or until it is stopped."""
        for _ in range(_ATTEMPTS):
            before = _seen(self.folder)
            exit_code, stdout, stderr = self._start(command)
            if not command.stopped_by or exit_code == STOPPED:
                break
            for name in _changed(self.folder, before):
                (self.folder / name).unlink()
        said = {"stdout": stdout, "stderr": stderr}
        return Said(
            exit_code,
            **{
                name: levelled(name, data, self.places, is_interrupted=is_interrupted)
                for name, data in said.items()
            },
        )

    def _start(self, command: Command) -> tuple[int, bytes, bytes]:
        stdin = self.folder / command.stdin if command.stdin else Path(os.devnull)
        with (
            stdin.open("rb") as given,
            tempfile.TemporaryFile() as stdout,
            tempfile.TemporaryFile() as stderr,
        ):
            process = subprocess.Popen(  # noqa: S603
                [self.python, "-m", "hyenadna_cli", *command.arguments], cwd=self.folder,
                env=self.environment(), stdin=given, stdout=stdout, stderr=stderr,
            )  # fmt: skip
            try:
                if command.stopped_by:
                    _stop_after_a_block(process, self.folder / command.stopped_by)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_TIMEOUT)
            finally:
                process.kill()
                process.wait()
            return process.returncode, _all_of(stdout), _all_of(stderr)


def run_case(case: Case, version: Version) -> Outcome:
    """Run all commands of a case."""
    return _outcome(case, [version] * len(case.commands))


def run_handover(case: Case, before: Version, after: Version) -> Outcome:
    """Run all but the last command with `before`, and the last with `after` in its folder."""
    in_its_place = replace(after, folder=before.folder)
    return _outcome(case, [*[before] * (len(case.commands) - 1), in_its_place])


def _outcome(case: Case, versions: list[Version]) -> Outcome:
    folder, places = versions[0].folder, versions[0].places
    (folder / case.name).mkdir(exist_ok=True)
    before = _seen(folder)
    said = [
        version.run(command, is_interrupted=case.is_interrupted)
        for command, version in zip(case.commands, versions, strict=True)
    ]

    def contents(names: set[str]) -> dict[str, bytes]:
        return {
            name: levelled(name, (folder / name).read_bytes(), places)
            for name in sorted(names)
            if (folder / name).is_file()
        }

    compared = {name for pair in case.equal for name in pair}
    return Outcome(said, contents(_changed(folder, before)), contents(compared))


def _stop_after_a_block(process: subprocess.Popen[bytes], journal: Path) -> None:
    """Send SIGTERM once the journal holds more than its two lines about the run."""
    deadline = time.monotonic() + _TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        if journal.exists() and any(journal.read_bytes().split(b"\n", 2)[2:]):
            process.send_signal(signal.SIGTERM)
            return
        time.sleep(_POLL)


def _seen(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Number, size and time of each file."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            status = path.stat()
            found[str(path.relative_to(folder))] = (
                status.st_ino, status.st_size, status.st_mtime_ns
            )  # fmt: skip
    return found


def _changed(folder: Path, before: Mapping[str, tuple[int, int, int]]) -> set[str]:
    return {name for name, state in _seen(folder).items() if before.get(name) != state}


def _all_of(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()
