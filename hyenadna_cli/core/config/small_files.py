"""Files that are small by nature: settings, config.json, manifests."""

from __future__ import annotations

import errno
from pathlib import Path

_MAX_BYTES = 16 << 20


def read_small(path: Path, *, takes_pipes: bool = False) -> str:
    """The text of a file, which is read whole (UTF-8).

    A model directory may be anybody's: a device or a pipe in it would be read, or waited for, for
    ever. `takes_pipes` is for files that the user names, such as `--config <(make-settings)`.

    Raises OSError for what is not such a file or larger than 16 MB, UnicodeDecodeError.
    """
    is_taken = path.is_file() or (takes_pipes and path.is_fifo())
    if path.exists() and not is_taken:
        raise OSError(errno.EINVAL, "is not a file")
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError(errno.EFBIG, f"is larger than {_MAX_BYTES >> 20} MB")
    return data.decode("utf-8")
