"""HDF5 files that grow row by row: whole or not at all, with bounded buffers.

What writes the embedding files; it knows nothing of embeddings.

    rows -> GrowingDataset (buffer of some chunks) -> h5py -> _ScratchFile -> X.tmp.* -> X
"""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.outputs.atomic import output_error, replace_on_success

TEXT = h5py.string_dtype()
"""UTF-8 of any length."""

# A chunk is at most this many rows and bytes: a file of three records stays small.
_CHUNK_ROWS = 1_024
_CHUNK_BYTES = 128 * 1_024
_CHUNKS_PER_BUFFER = 8
_CHUNK_CACHE_BYTES = 1 << 20

# Fixed, so that the bytes do not depend on what a newer library prefers; HDF5 1.8 reads it.
_FORMAT_BOUNDS = ("earliest", "v110")


class GrowingDataset:
    """A dataset that grows along its first axis; rows wait in a buffer of about 1 MiB at most."""

    def __init__(self, output: GrowingFile, name: str, *, dtype: np.dtype[Any], width: int | None):
        self._output = output
        row_shape = () if width is None else (width,)
        row_bytes = dtype.itemsize * (width or 1)
        n_rows = min(max(_CHUNK_BYTES // row_bytes, 1), _CHUNK_ROWS)
        self.dataset = output.root.create_dataset(
            name,
            shape=(0, *row_shape),
            maxshape=(None, *row_shape),
            chunks=(n_rows, *row_shape),
            dtype=dtype,
            track_times=False,
        )
        self._buffer: NDArray[Any] = np.empty((n_rows * _CHUNKS_PER_BUFFER, *row_shape), dtype)
        self._n_waiting = 0

    @property
    def n_free(self) -> int:
        """Rows that fit the buffer before it is handed over."""
        return len(self._buffer) - self._n_waiting

    def append(self, row: Any) -> None:
        """Add one row (a number, a text, or an array of `width` numbers)."""
        self._buffer[self._n_waiting] = row
        self._count(1)

    def extend(self, rows: NDArray[Any]) -> None:
        """Add many rows, however many, through the buffer.

        Raises FloatingPointError if a finite number is too large for the dataset's dtype.
        """
        done = 0
        while done < len(rows):
            n = min(self.n_free, len(rows) - done)
            with np.errstate(over="raise"):
                self._buffer[self._n_waiting : self._n_waiting + n] = rows[done : done + n]
            self._count(n)
            done += n

    def flush(self) -> None:
        """Hand the waiting rows to HDF5. Raises OutputError if the disk refuses them."""
        if self._n_waiting:
            self._output.run(self._hand_over)

    def _count(self, n_rows: int) -> None:
        self._n_waiting += n_rows
        if not self.n_free:
            self.flush()

    def _hand_over(self) -> None:
        n_before = len(self.dataset)
        n_after = n_before + self._n_waiting
        self.dataset.resize(n_after, axis=0)
        self.dataset[n_before:n_after] = self._buffer[: self._n_waiting]
        self._n_waiting = 0


class GrowingFile:
    """An HDF5 file being written; made by `growing_file`."""

    root: h5py.File

    def __init__(self, path: Path, scratch: _ScratchFile) -> None:
        self._path = path
        self._scratch = scratch
        self._datasets: list[GrowingDataset] = []

    def dataset(self, name: str, *, dtype: Any, width: int | None = None) -> GrowingDataset:
        """A new dataset with no rows yet: of `width` columns, or one-dimensional."""
        dataset = GrowingDataset(self, name, dtype=np.dtype(dtype), width=width)
        self._datasets.append(dataset)
        return dataset

    def run(self, work: Callable[[], None]) -> None:
        """Let `work` use h5py undisturbed by signals.

        Raises OutputError if the disk refused a write.
        """
        with _signals_wait():
            work()
        if self._scratch.refusal is not None:
            raise output_error(self._path, self._scratch.refusal) from self._scratch.refusal

    def open(self) -> None:
        """Make `root`."""
        self.root = h5py.File(
            self._scratch, "w", libver=_FORMAT_BOUNDS, rdcc_nbytes=_CHUNK_CACHE_BYTES
        )

    def finish(self) -> None:
        """Hand all waiting rows to HDF5 and close the file."""
        for dataset in self._datasets:
            dataset.flush()
        self.run(self.root.close)

    def abandon(self) -> None:
        """Close the file, whatever is in it."""
        self._scratch.drops_writes = True
        if hasattr(self, "root"):
            with _signals_wait():
                self.root.close()


@contextmanager
def growing_file(path: Path, *, overwrite: bool) -> Iterator[GrowingFile]:
    """Yield a new HDF5 file that becomes `path` when the block succeeds.

    Raises OutputError as `atomic.replace_on_success` does.
    """
    with (
        replace_on_success(path, overwrite=overwrite) as scratch_path,
        _ScratchFile(scratch_path, "w+") as scratch,
    ):
        output = GrowingFile(path, scratch)
        try:
            output.run(output.open)
            yield output
            output.finish()
        except BaseException:
            output.abandon()
            raise


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Let no Python signal handler run in the block; signals that came are raised after it."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only
        return
    came: list[int] = []
    handlers = {
        number: handler
        for number in signal.valid_signals()
        if callable(handler := signal.getsignal(number))
    }
    try:
        for number in handlers:
            signal.signal(number, lambda number, _: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for late in dict.fromkeys(came):
            signal.raise_signal(late)


class _ScratchFile(io.FileIO):
    """A file that always accepts what HDF5 writes, and remembers the first refusal.

    HDF5 (2.0) survives neither a refused write nor an exception from a signal handler in the middle
    of one: it cannot close the file any more, and the process may end with a segmentation fault. So
    signals wait, and a refused write is dropped, with all later ones, and raised by
    `GrowingFile.run` once HDF5 has returned.

    This also needs no file locks, which some network file systems do not have; nobody else knows
    the scratch file.
    """

    refusal: OSError | None = None
    drops_writes = False

    def write(self, data: Any, /) -> int:
        """Write all of `data`, or drop it."""
        waiting = memoryview(data).cast("B")
        try:
            while waiting and not self.drops_writes:
                waiting = waiting[super().write(waiting) :]
        except OSError as error:
            self._refuse(error)
        return len(data)

    def truncate(self, size: int | None = None, /) -> int:
        """Set the size, or do nothing."""
        try:
            if not self.drops_writes:
                super().truncate(size)
        except OSError as error:
            self._refuse(error)
        return self.tell() if size is None else size

    def _refuse(self, error: OSError) -> None:
        self.refusal = error
        self.drops_writes = True
