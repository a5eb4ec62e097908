"""What a training was made from, and whether a run directory goes on with the same.

Its inputs and the model it begins with count by content, as in every other run. Settings are
compared when a checkpoint is loaded (`run_directory`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hyenadna_cli.core.outputs.input_files import InputFile
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.training.run_directory import require_same
from hyenadna_cli.core.training.stored_checkpoints import newest_whole, read_state
from hyenadna_cli.errors import CheckpointError, UsageError

log = logging.getLogger(__name__)

MADE_FROM = "made_from"
"""The entry of `about` in a checkpoint."""


def made_from(made_by: Provenance) -> dict[str, str | None]:
    """Content of the inputs and digests of the first model: what a resumed run must agree on."""
    return {
        "model": _short(made_by.model_sha256),
        "config.json of the model": _short(made_by.model_config_sha256),
        **{f"input {n}": file.described() for n, file in enumerate(made_by.inputs, start=1)},
    }


def _short(digest: str | None) -> str | None:
    return None if digest is None else f"SHA-256 {digest[:16]}"


def starts_over(
    run_dirs: Iterable[Path], made_by: Provenance, *, resume: bool, force: bool
) -> bool:
    """Whether what is in the run directories is to be forgotten before the training begins.

    With both `resume` and `force`, the same training goes on and any other is started over, with a
    warning that says why. With `resume` alone, raises UsageError if they were made from something
    else, and CheckpointError if nothing whole is left to go on from.
    """
    if not resume:
        return force
    try:
        for run_dir in dict.fromkeys(run_dirs):
            saved = _saved(run_dir)
            if saved is not None:
                require_same(saved, made_from(made_by))
    except (UsageError, CheckpointError) as error:
        if not force:
            raise
        log.warning("starting over, as --force asks for: %s", error)
        return True
    return False


def _saved(run_dir: Path) -> Mapping[str, Any] | None:
    """What a finished run, or the newest checkpoint, was made from; None where there is neither."""
    record = run_dir / "training.json"
    if record.exists():
        return _of_finished(record)
    checkpoint, _ = newest_whole(run_dir)
    if checkpoint is None:
        return None
    saved: Mapping[str, Any] = read_state(checkpoint)["about"].get(MADE_FROM, {})
    return saved


def _of_finished(record: Path) -> Mapping[str, Any]:
    try:
        made_by = json.loads(record.read_text())["made_by"]
        inputs = tuple(InputFile.from_json(entry) for entry in made_by["inputs"])
        model = made_by.get("model", {})
        digests = model.get("sha256"), model.get("config_sha256")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{record}: does not say what the run was made from; --force starts over"
        ) from error
    if not all(file.size is None or file.has_digest for file in inputs):
        raise CheckpointError(
            f"{record}: was written by hyenadna 0.1.0, which kept no digests of inputs to compare; "
            "--force starts over"
        )
    return made_from(
        Provenance(model_sha256=digests[0], model_config_sha256=digests[1], inputs=inputs)
    )
