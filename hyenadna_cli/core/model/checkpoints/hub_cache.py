"""Whether a file in the cache of the Hugging Face hub is still what the hub sent.

    models--OWNER--NAME/snapshots/COMMIT/config.json -> ../../blobs/HASH

A blob is called by the hash that the hub gave for it: the SHA-256 of large files, and of small ones
git's hash, the SHA-1 of "blob LENGTH", a zero byte and the content.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from hyenadna_cli.core.outputs.provenance import sha256_of
from hyenadna_cli.errors import CheckpointError

_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def check_as_downloaded(file: Path, *, sha256: str | None = None) -> None:
    """Raises CheckpointError for a cached file that has changed; others have no hash to compare.

    `sha256` is that of the file, where it is known already.
    """
    blob = file.resolve()
    if blob.parent.name != "blobs" or not _HASH.fullmatch(blob.name):
        return
    is_large = len(blob.name) == 64
    found = (sha256 or sha256_of(blob)) if is_large else _git_hash(blob)
    if found != blob.name:
        raise CheckpointError(
            f"{file}: is not what the hub sent: its {'SHA-256' if is_large else 'git hash'} is "
            f"{found}, should be {blob.name}; remove {blob} and download it again"
        )


def _git_hash(file: Path) -> str:
    data = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
