"""What `--resume` finds of an earlier run, and what this one keeps of its finished chunks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyenadna_cli.core.outputs.atomic import is_stream
from hyenadna_cli.core.outputs.journal import (
    NO_JOURNAL,
    Journal,
    has_journal,
    open_journal,
    remove_journal,
)
from hyenadna_cli.core.outputs.provenance import Provenance, library_versions, manifest_difference
from hyenadna_cli.errors import OutputError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutput:
    """Where a run writes, and what it may do to an older output."""

    name: str
    """A path, or "-"."""
    shard: str | None
    resume: bool
    force: bool


def is_done(output: RunOutput, made_by: Provenance, *, beside: Path | None = None) -> bool:
    """Whether `--resume` finds the finished output of a run like this one, and `beside`.

    Raises OutputError if there is an output, but of another run, and no `--force`.
    """
    path = Path(output.name)
    if not output.resume or is_stream(output.name) or not path.exists():
        return False
    difference = manifest_difference(path, made_by, shard=output.shard)
    if difference is None and beside is not None and not beside.exists():
        log.info("%s is complete already; %s is missing", path, beside)
        return False
    if difference is None:
        log.info("%s is complete already; nothing to do", path)
        remove_journal(path)
        return True
    # A run that was killed after its output and before its manifest leaves its journal too.
    if not output.force and not has_journal(path):
        raise OutputError(f"{path} exists and {difference}; --force replaces it")
    return False


@contextmanager
def journal_of(output: RunOutput, made_by: Provenance) -> Iterator[Journal]:
    """What a run keeps of its finished chunks; nothing for what cannot be read again.

    Raises OutputError if another run writes this output, and as `open_journal` does.
    """
    if is_stream(output.name) or any(file.size is None for file in made_by.inputs):
        yield NO_JOURNAL
        return
    entries = made_by.as_json()
    identity = {
        **{name: entries.get(name) for name in ("model", "settings")},
        "inputs": {file.path: _size_and_time(file.path) for file in made_by.inputs},
        "libraries": library_versions(),
        "shard": output.shard,
    }
    with open_journal(
        Path(output.name), identity, resume=output.resume, overwrite=output.force
    ) as journal:
        yield journal


def _size_and_time(path: str) -> list[int]:
    """Bytes, and nanoseconds since 1970 of the last change."""
    status = Path(path).stat()
    return [status.st_size, status.st_mtime_ns]
