"""The files that a run reads, and what tells their content from another at little cost.

A file of up to 64 MiB is known by the SHA-256 of all its bytes. Of a larger one, pieces are read:
its SHA-256 is of 16 pieces of 256 KiB, evenly spaced from its start to its end, and the time of its
last change counts too, because a change between the pieces shows nowhere else.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hyenadna_cli.errors import InputFileError

WHOLE_BYTES = 64 << 20
"""Larger files are not read whole."""
_N_PIECES = 16
_PIECE_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class InputFile:
    """An input as named by the user, and what is known of its content."""

    path: str
    size: int | None
    """Bytes; None for a pipe, of which nothing is known."""
    sha256: str | None = None
    """Of all bytes."""
    sampled_sha256: str | None = None
    """Of pieces, where the file is large."""
    modified: str | None = None
    """Time of the last change of a large file, UTC, to the nanosecond."""

    @property
    def has_digest(self) -> bool:
        """Whether its content is known; not in manifests of version 0.1.0."""
        return (self.sha256 or self.sampled_sha256) is not None

    def described(self, *, with_time: bool = True) -> str:
        """What tells it from other inputs: not its folder, as jobs have copies of their own."""
        name = Path(self.path).name
        if self.size is None:
            return f"{name} (a stream)"
        digest = self.sha256 or self.sampled_sha256 or "unknown"
        of_time = f", changed {self.modified}" if with_time and self.modified else ""
        return f"{name} of {self.size:,} bytes, SHA-256 {digest[:16]}{of_time}"

    def as_json(self) -> dict[str, object]:
        """Its entry in a manifest."""
        entries = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in entries.items() if value is not None}

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> InputFile:
        """Read an entry. Raises TypeError or KeyError if it is not one."""
        size = entries.get("size")
        texts = {name: entries.get(name) for name in ("sha256", "sampled_sha256", "modified")}
        given = [entries["path"], *(text for text in texts.values() if text is not None)]
        if not isinstance(size, int | None) or not all(isinstance(text, str) for text in given):
            raise TypeError("not an input")
        return cls(entries["path"], size, **texts)


def read_input(path: Path | str) -> InputFile:
    """What is known of an input; "-" is standard input. Raises InputFileError if it is missing."""
    if str(path) == "-":
        return InputFile("-", None)
    try:
        # Asked before it is opened: opening a pipe would wait for its writer.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return InputFile(str(path), None)
        with Path(path).open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if status.st_size <= WHOLE_BYTES:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                return InputFile(str(path), status.st_size, sha256=digest)
            pieces = hashlib.sha256()
            for number in range(_N_PIECES):
                file.seek((status.st_size - _PIECE_BYTES) * number // (_N_PIECES - 1))
                pieces.update(file.read(_PIECE_BYTES))
    except OSError as error:
        raise InputFileError(path, f"cannot be read: {error.strerror}") from error
    seconds, nanoseconds = divmod(status.st_mtime_ns, 10**9)
    moment = datetime.fromtimestamp(seconds, UTC)
    return InputFile(
        str(path),
        status.st_size,
        sampled_sha256=pieces.hexdigest(),
        modified=f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z",
    )
