"""Checkpoints of a training on disk: sealed with digests, and the newest one that is whole.

checkpoints/step_00001000/digests.json holds the SHA-256 of every other file of the checkpoint, so
that a bit that has changed since is found before anything goes on from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hyenadna_cli.core.outputs.provenance import sha256_of
from hyenadna_cli.errors import CheckpointError

FORMAT_VERSION = 2
"""In state.json; version 0.1.0 wrote none, and no digests."""
STATE = "state.json"
_DIGESTS = "digests.json"


def checkpoint_name(step: int) -> str:
    """The directory of the checkpoint after `step` optimiser steps."""
    return f"step_{step:08d}"


def checkpoints_in(run_dir: Path) -> list[Path]:
    """The checkpoints of a run, oldest first, whole or not."""
    return sorted(run_dir.glob("checkpoints/step_????????"))


def read_state(checkpoint: Path) -> dict[str, Any]:
    """What state.json of a whole checkpoint says."""
    state: dict[str, Any] = json.loads((checkpoint / STATE).read_text())
    return state


def seal(checkpoint: Path) -> None:
    """Write the digests of the files that make a checkpoint; the last thing that is written."""
    digests = {file.name: sha256_of(file) for file in sorted(checkpoint.iterdir())}
    (checkpoint / _DIGESTS).write_text(json.dumps(digests, indent=2) + "\n")


def best_of(checkpoint: Path) -> Path | None:
    """The checkpoint that scored best until this one; None without a score, or if unreadable."""
    try:
        step = read_state(checkpoint)["progress"]["best_step"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if step is None else checkpoint.with_name(checkpoint_name(step))


def newest_whole(run_dir: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint whose files, and those of its best one, are as they were written.

    With it comes what is wrong with `last` and with newer checkpoints; None for a run without
    any. Raises CheckpointError if none is whole, or if version 0.1.0 wrote it.
    """
    checkpoints = checkpoints_in(run_dir)
    problems = _problems_of_pointer(run_dir / "last", any_checkpoint=bool(checkpoints))
    for checkpoint in reversed(checkpoints):
        problem = problem_of(checkpoint)
        best = None if problem else best_of(checkpoint)
        if best is not None and best != checkpoint and (of_best := problem_of(best)):
            problem = f"its best weights, {best.name}: {of_best}"
        if problem is None:
            return checkpoint, problems
        problems.append(f"{checkpoint.name}: {problem}")
    if problems:
        raise CheckpointError(
            f"{run_dir}: no checkpoint is whole ({'; '.join(problems)}); --force starts over"
        )
    return None, []


def problem_of(checkpoint: Path) -> str | None:
    """What is wrong with the files of a checkpoint; None if they are as they were written.

    Raises CheckpointError for one of version 0.1.0.
    """
    try:
        digests = json.loads((checkpoint / _DIGESTS).read_text())
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            _refuse_first_version(checkpoint)
        return _unreadable(_DIGESTS, error)
    if not isinstance(digests, dict) or STATE not in digests:
        return f"{_DIGESTS} is damaged"
    for name, digest in digests.items():
        try:
            if sha256_of(checkpoint / name) != digest:
                return f"{name} is damaged"
        except (OSError, ValueError) as error:
            return _unreadable(name, error)
    return None


def _problems_of_pointer(pointer: Path, *, any_checkpoint: bool) -> list[str]:
    """What is wrong with `last`; that it is older than the newest checkpoint is not.

    A run that is killed between the two leaves it so.
    """
    try:
        name = pointer.read_text().strip()
    except FileNotFoundError:
        return ["last is missing"] if any_checkpoint else []
    except (OSError, ValueError) as error:
        return [_unreadable("last", error)]
    if not name:
        return ["last is empty"]
    if pointer.parent / "checkpoints" / name in checkpoints_in(pointer.parent):
        return []
    return [f"last names {name!r}, which is missing"]


def _unreadable(name: str, error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name} is missing"
    reason = error.strerror if isinstance(error, OSError) else None
    return f"{name} cannot be read: {reason}" if reason else f"{name} is damaged"


def _refuse_first_version(checkpoint: Path) -> None:
    try:
        state = read_state(checkpoint)
    except (OSError, ValueError):
        return
    if isinstance(state, dict) and "format-version" not in state:
        raise CheckpointError(
            f"{checkpoint}: was written by hyenadna 0.1.0, which kept no digests to check it with; "
            "that version can go on with it, --force starts over"
        )
