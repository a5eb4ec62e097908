"""What can go wrong, and the exit code of each: the one table.

| code | class | meaning |
|---|---|---|
| 0 | - | done, valid empty input included |
| 1 | HyenaDNAError | internal error |
| 2 | UsageError | command line: options that make no sense, a device or kernel that cannot run |
| 3 | InputFileError | input data |
| 4 | CheckpointError | model: not cached, wrong hash or keys, window longer than `l_max` |
| 5 | SkippedRecordsError | done, but something was skipped and `--strict` |
| 5 | SlowerError | `benchmark --compare`: measured, and slower than before |
| 6 | OutputError | output exists, no space, no permission |
| 75 | DeviceMemoryError | out of memory, on a device after backing off: safe to retry |
| 130, 143 | InterruptedRunError | SIGINT; SIGTERM, SIGUSR1, SIGHUP or --max-time: a clean stop |
"""

from __future__ import annotations

import errno
from pathlib import Path

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What only a write can raise: about the output, also where it names no file."""


class HyenaDNAError(Exception):
    """An error with one clear line for the user and an exit code."""

    exit_code = 1


class UsageError(HyenaDNAError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class InputFileError(HyenaDNAError):
    """An input file is missing, broken, or does not fit the others."""

    exit_code = 3

    def __init__(self, path: Path | str, problem: str, *, line: int | None = None) -> None:
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {problem}")


class CheckpointError(HyenaDNAError):
    """A model cannot be found, loaded, or used as asked."""

    exit_code = 4


class SkippedRecordsError(HyenaDNAError):
    """The output is complete, but records were skipped and `--strict` was given."""

    exit_code = 5


class SlowerError(HyenaDNAError):
    """What was measured is slower than in the table it was compared with."""

    exit_code = 5


class OutputError(HyenaDNAError):
    """An output exists already, or cannot be written."""

    exit_code = 6


class DeviceMemoryError(HyenaDNAError):
    """The device ran out of memory even with the smallest batch."""

    exit_code = 75


class InterruptedRunError(HyenaDNAError):
    """A signal or a time limit ended the run after a clean stop."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
