"""What `--resume` finds of an earlier run, and what this one keeps of its finished chunks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyenadna_cli._version import __version__
from hyenadna_cli.core.outputs.atomic import is_stream
from hyenadna_cli.core.outputs.journal import (
    NO_JOURNAL,
    Journal,
    first_difference,
    has_journal,
    journal_path,
    open_journal,
    remove_journal,
)
from hyenadna_cli.core.outputs.provenance import (
    Provenance,
    library_versions,
    manifest_path,
    read_manifest,
    sha256_of,
)
from hyenadna_cli.errors import InputFileError, OutputError, UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOutput:
    """Where a run writes, and what it may do to an older output."""

    name: str
    """A path, or "-"."""
    shard: str | None
    resume: bool
    force: bool


def check_apart(
    written: Iterable[tuple[str, Path | str | None]], read: Iterable[Path | str]
) -> None:
    """Refuse a run that would write over what it reads, or two things into one file.

    `written` are options and their files, or None where one is not given; with the file of "-o" go
    its manifest, journal and index. Streams are never refused. Raises UsageError.
    """
    taken = {_file_id(path): "an input" for path in map(Path, read)}
    for option, name in written:
        if name is None or is_stream(name):
            continue
        files = [path := Path(name)]
        if option == "-o":
            files += [manifest_path(path), journal_path(path), path.with_name(f"{path.name}.csi")]
        for file in files:
            if (owner := taken.get(_file_id(file))) is not None:
                raise UsageError(f"{option} {name} would overwrite {owner}; name another file")
        taken |= {_file_id(file): f"what {option} writes" for file in files}


def _file_id(path: Path) -> object:
    """The same for all names of a file: links, hard ones too."""
    try:
        status = path.stat()
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def is_done(output: RunOutput, made_by: Provenance, *, beside: Path | None = None) -> bool:
    """Whether `--resume` finds the finished output of a run like this one, and `beside`.

    Raises OutputError if there is an output, but of another run, and no `--force`.
    """
    path = Path(output.name)
    if not output.resume or is_stream(output.name) or not path.exists():
        return False
    difference = _finished_otherwise(path, output, made_by)
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
    """What a run keeps of its finished chunks; nothing where an input cannot be read again.

    Raises OutputError if another run writes this output, and as `open_journal` does.
    """
    if is_stream(output.name):
        yield NO_JOURNAL
        return
    identity = {
        **_identity(made_by, output.shard),
        "libraries": {**library_versions(), "hyenadna": __version__},
    }
    with open_journal(
        Path(output.name), identity, resume=output.resume, overwrite=output.force
    ) as journal:
        # Where nothing is kept, it is a lock, and removes what killed runs left.
        yield NO_JOURNAL if any(file.size is None for file in made_by.inputs) else journal


def other_run(before: Provenance, now: Provenance, *, are_copies: bool = False) -> str | None:
    """How two runs differ in what makes the bytes of their outputs, in words; None if they do not.

    `are_copies`: large inputs may have been copied in between, so that their times may differ.
    """
    names = ("model", "settings", "inputs", "version")
    old, new = (
        {**_identity(run, None, with_time=not are_copies), "version": run.version}
        for run in (before, now)
    )
    for name in names:
        if (difference := first_difference({name: old[name]}, {name: new[name]})) is not None:
            return difference if name == "version" else f"other {name}: {difference}"
    return None


def has_digests(made_by: Provenance) -> bool:
    """Whether the content of all files read is known; version 0.1.0 kept their sizes alone."""
    return all(file.size is None or file.has_digest for file in made_by.inputs)


def _finished_otherwise(path: Path, output: RunOutput, made_by: Provenance) -> str | None:
    """How a finished output differs from what this run would make; None if it does not."""
    name = manifest_path(path).name
    try:
        manifest = read_manifest(path)
    except InputFileError:
        return f"has no readable manifest {name} to tell how it was made"
    if any(file.size is None for file in made_by.inputs):
        return "a stream may bring other data than the one that it was made from"
    if not has_digests(manifest.made_by):
        return f"{name} is of an earlier version, which did not record the content of inputs"
    if manifest.shard != output.shard:
        old, new = (shard or "all" for shard in (manifest.shard, output.shard))
        return f"was made with another shard ({old}, not {new})"
    if (difference := other_run(manifest.made_by, made_by)) is not None:
        return f"was made with {difference}"
    try:
        is_whole = manifest.sha256 == sha256_of(path)  # last, as it reads everything
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if is_whole else f"is not the file that {name} describes"


def _identity(
    made_by: Provenance, shard: str | None, *, with_time: bool = True
) -> dict[str, object]:
    """What two runs must have in common to make the same bytes."""
    entries = made_by.as_json()
    return {
        "model": entries.get("model"),
        "settings": entries.get("settings"),
        "inputs": {
            f"input {number}": file.described(with_time=with_time)
            for number, file in enumerate(made_by.inputs, start=1)
        },
        "shard": shard,
    }
