"""Finished chunks of a run, kept on disk so that an interrupted run need not compute them again.

`X.journal` lies beside the output X while a run lasts, and after one that did not end well:

    hyenadna-journal 2
    {"version": ..., "model": ..., "settings": ..., "inputs": ..., "shard": ...}
    entries: CRC-32 of what follows; length in bytes, 1 if it ends a chunk; the arrays' numbers

The numbers of a chunk are what its computation brought, before any of it is formatted. A resumed
run reads its input again and writes the whole output with the code of any run, so that its bytes
are those of a run that nobody interrupted; only the computation is skipped, chunk by chunk. What a
killed process left half-written fails its checksum or does not end a chunk, and is cut off.

A file of that name that begins otherwise, or a link, is somebody's own and is not touched. Version
1 knew inputs by size and time only; it is refused, or started over.

A lock on the journal keeps a second run from writing the same output at the same time.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.outputs.atomic import output_error, remove_scratch
from hyenadna_cli.errors import OutputError, SkippedRecordsError, UsageError

log = logging.getLogger(__name__)

_OWN = b"hyenadna-journal "
_MAGIC = _OWN + b"2\n"
_CHECKSUM = struct.Struct("<I")
_HEAD = struct.Struct("<QB")
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}

Array = NDArray[Any]


class Journal:
    """Keeps nothing: what runs use that cannot be resumed."""

    is_resumed = False
    """Whether an interrupted run of the same output goes on."""
    n_chunks = 0
    """Finished chunks on disk."""

    @property
    def has_chunk(self) -> bool:
        """Whether the next chunk need not be computed: `recall` has it."""
        return False

    def recall(self, *arrays: Array) -> None:
        """Fill arrays with those of the next entry; they have its shapes and types."""
        raise ValueError("nothing was kept")

    def keep(self, *arrays: Array, ends_chunk: bool = True) -> None:
        """Add an entry. A chunk counts once its last entry is there. Raises OutputError."""


NO_JOURNAL = Journal()


class JournalFile(Journal):
    """A journal on disk; made by `open_journal`."""

    def __init__(self, path: Path, file: BinaryIO, n_chunks: int, *, is_resumed: bool) -> None:
        self._path = path
        self._file = file
        self._n_waiting = n_chunks
        self.n_chunks = n_chunks
        self.is_resumed = is_resumed

    @property
    def has_chunk(self) -> bool:
        """Whether the next chunk need not be computed."""
        return self._n_waiting > 0

    def recall(self, *arrays: Array) -> None:
        """Fill arrays with those of the next entry. Raises UsageError if they do not fit."""
        self._file.read(_CHECKSUM.size)  # checked when the journal was opened
        length, ends_chunk = _HEAD.unpack(self._file.read(_HEAD.size))
        if length != sum(array.nbytes for array in arrays):
            raise UsageError(f"{self._path} does not fit this run; --force starts over")
        for array in arrays:
            array.reshape(-1)[:] = np.frombuffer(self._file.read(array.nbytes), array.dtype)
        self._n_waiting -= ends_chunk

    def keep(self, *arrays: Array, ends_chunk: bool = True) -> None:
        """Add an entry."""
        data = [np.ascontiguousarray(array).data.cast("B") for array in arrays if array.size]
        head = _HEAD.pack(sum(part.nbytes for part in data), ends_chunk)
        checksum = zlib.crc32(head)
        for part in data:
            checksum = zlib.crc32(part, checksum)
        try:
            self._file.write(_CHECKSUM.pack(checksum) + head)
            for part in data:
                self._file.write(part)
            if ends_chunk:
                self._file.flush()
        except OSError as error:
            raise output_error(self._path, error) from error
        self.n_chunks += ends_chunk


def journal_path(output: Path) -> Path:
    """Where the journal of an output lies."""
    return output.with_name(f"{output.name}.journal")


@contextmanager
def open_journal(
    output: Path, identity: Mapping[str, object], *, resume: bool, overwrite: bool
) -> Iterator[JournalFile]:
    """The journal of `output`; removed when the block succeeds, kept if it holds anything else.

    `resume` goes on with one that is there. Raises OutputError if another process is writing this
    output or a file of that name is not a journal, UsageError if the journal is of a run with
    another `identity` (`overwrite` starts over).
    """
    path = journal_path(output)
    file, is_locked = _opened(path)
    try:
        if is_locked:
            # Whoever had the lock before is gone, and its unfinished files are of no use any more.
            remove_scratch(output)
        n_chunks, is_resumed = 0, False
        if before := _read_identity(file):
            n_chunks = _count_chunks(file) if resume else 0
            difference = first_difference(before, identity)
            if resume and difference is None:
                is_resumed = True
                log.info("%s: going on after %s", output, _finished(n_chunks))
            elif resume and not overwrite:
                raise UsageError(
                    f"{path}: the interrupted run had {difference}; --force starts over"
                )
        elif resume and not overwrite and _is_journal(file, or_empty=False):
            raise UsageError(
                f"{path} is damaged, or of another version of hyenadna; --force starts over"
            )
        if not is_resumed:
            n_chunks = 0
            _start(file, identity, path)
        journal = JournalFile(path, file, n_chunks, is_resumed=is_resumed)
        try:
            yield journal
        except SkippedRecordsError:
            path.unlink(missing_ok=True)  # the output is complete
            raise
        except BaseException:
            if journal.n_chunks:
                log.info(
                    "%s keeps %s; --resume goes on from there", path, _finished(journal.n_chunks)
                )
            else:
                path.unlink(missing_ok=True)
            raise
        path.unlink(missing_ok=True)
    finally:
        with suppress(OSError):  # what a full disk refuses now is not needed
            file.close()


def has_journal(output: Path) -> bool:
    """Whether an earlier run of `output` has left a journal."""
    path = journal_path(output)
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return _is_journal(file, or_empty=False)


def remove_journal(output: Path) -> None:
    """Remove what an earlier run of `output` has left; nobody's own file."""
    if has_journal(output):
        journal_path(output).unlink(missing_ok=True)


def _is_journal(file: BinaryIO, *, or_empty: bool) -> bool:
    """`or_empty`: whoever made it may have been killed, or found a full disk, before it was one."""
    file.seek(0)
    head = file.read(len(_OWN))
    return head == _OWN or (or_empty and _OWN.startswith(head))


def _opened(path: Path) -> tuple[BinaryIO, bool]:
    """The journal, and whether it could be locked. Raises OutputError if another run has it."""
    while True:
        is_locked = True
        file = _open(path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise OutputError(
                f"{path} is locked: another run is writing this output; wait for it or end it"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                file.close()
                raise output_error(path, error) from error
            is_locked = False
            log.info("%s: this file system has no locks; make sure that one run writes", path)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file, is_locked
        # Whoever had it has finished and removed it in between.
        file.close()


def _open(path: Path) -> BinaryIO:
    """A journal, or a new file. Raises OutputError for what is not ours to write."""
    try:
        # Links are not followed: a file elsewhere would be overwritten, and the link removed.
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666), "r+b")
    except OSError as error:
        is_foreign = path.is_symlink() or (path.exists() and not path.is_file())
        if not is_foreign:
            raise output_error(path, error) from error
    else:
        if _is_journal(file, or_empty=True):
            return file
        file.close()
    raise OutputError(
        f"{path} is not a journal of hyenadna, and would be overwritten; move it, or name another "
        "output"
    )


def _start(file: BinaryIO, identity: Mapping[str, object], path: Path) -> None:
    try:
        file.seek(0)
        file.truncate()
        file.write(_MAGIC + json.dumps(identity).encode() + b"\n")
        file.flush()
    except OSError as error:
        raise output_error(path, error) from error


def _read_identity(file: BinaryIO) -> dict[str, object] | None:
    """What run a journal is of; None for an empty or strange file."""
    file.seek(0)
    if file.read(len(_MAGIC)) != _MAGIC:
        return None
    try:
        identity: dict[str, object] = json.loads(file.readline())
    except ValueError:
        return None
    return identity


def _count_chunks(file: BinaryIO) -> int:
    """Whole chunks from here on; what follows them is cut off. Leaves the file where it was."""
    start = end = file.tell()
    n_chunks = 0
    size = os.fstat(file.fileno()).st_size
    while len(checksum := file.read(_CHECKSUM.size)) == _CHECKSUM.size:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            break
        length, ends_chunk = _HEAD.unpack(head)
        data = file.read(min(length, size))
        is_whole = _CHECKSUM.pack(zlib.crc32(data, zlib.crc32(head))) == checksum
        if len(data) < length or not is_whole:
            break
        if ends_chunk:
            n_chunks += 1
            end = file.tell()
    file.truncate(end)
    file.seek(start)
    return n_chunks


def first_difference(before: Mapping[str, object], now: Mapping[str, object]) -> str | None:
    """The first thing in which two runs differ, in words."""
    now = json.loads(json.dumps(now))
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            if (inside := first_difference(old, new)) is not None:
                return inside
        elif old != new:
            return f"{name} {old}, not {new}"
    return None


def _finished(n_chunks: int) -> str:
    return f"{n_chunks:,} finished chunk{'' if n_chunks == 1 else 's'}"
