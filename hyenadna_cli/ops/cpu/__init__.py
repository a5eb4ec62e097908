"""Loops that Numba compiles, over channels side by side; imported only where they are chosen.

Compiling takes tens of seconds, once: the machine code is kept in a folder named after the source
it was made from, so that no version runs the code of another. Many processes may fill it at once:
each file appears whole, and what one has compiled is linked with what another has, by name. So no
two compiled functions may share one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numba
from numba.misc.appdirs import AppDirs


def _cache_dir() -> Path:
    """A folder of this source that only this user can write."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    shared = Path(tempfile.gettempdir(), f"hyenadna-{os.getuid()}")
    for folder in (Path(AppDirs("hyenadna").user_cache_dir), shared):
        if _is_own(folder):
            return folder / f"compiled-{digest[:16]}"
    return Path(tempfile.mkdtemp(prefix="hyenadna-"))


def _is_own(folder: Path) -> bool:
    """Whether the folder is this user's alone to write: what is read there is run."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
        with tempfile.TemporaryFile(dir=folder):
            return status.st_uid == os.getuid() and not status.st_mode & 0o022
    except OSError:
        return False


def is_kept() -> bool:
    """Whether there is machine code from an earlier run."""
    return Path(numba.config.CACHE_DIR).exists()


# Here and not in a function: Numba reads the setting when it comes to the first cached loop.
if not numba.config.CACHE_DIR:  # NUMBA_CACHE_DIR
    numba.config.CACHE_DIR = str(_cache_dir())
