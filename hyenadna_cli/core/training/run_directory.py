"""A training run on disk: checkpoints, the newest and the best of them, and going on from there.

    run directory/
      config.json model.safetensors training.json   the model, once training has ended
      metrics.csv                                   one row per step
      checkpoints/step_00001000/                    model, optimiser.safetensors, state.json and
                                                    digests.json (`stored_checkpoints`)
      last                                          name of the newest checkpoint

A checkpoint of a language model is a model directory. Of any other model it holds the parameters
that train (trained.safetensors); the frozen ones come back with what the model was made from.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import logging
import shutil
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from hyenadna_cli.core.config.settings import TrainConfig
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.training.stored_checkpoints import (
    FORMAT_VERSION,
    STATE,
    best_of,
    checkpoint_name,
    checkpoints_in,
    newest_whole,
    problem_of,
    read_state,
    seal,
)
from hyenadna_cli.errors import CheckpointError, UsageError

log = logging.getLogger(__name__)

_TRAINED = "trained.safetensors"

keeps_seconds: ContextVar[bool] = ContextVar("keeps_seconds", default=True)
"""Whether metrics.csv says how long a step took, in which two equal trainings differ."""


class OtherRunError(UsageError):
    """A run directory holds another training than the one that is to go on."""


class NoCheckpointError(CheckpointError):
    """A run directory holds nothing that could go on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run has come; part of every checkpoint."""

    step: int = 0
    """Optimiser steps done."""
    best_step: int | None = None
    """The step whose weights scored best so far."""
    best_score: float | None = None
    n_since_best: int = 0
    """Validations after the best one."""
    valid_loss: float | None = None
    """Nats per held-out target, if the last step measured it."""
    is_done: bool = False
    """Whether the last step, or the one that ended the run early, is behind."""


def read_progress(run_dir: Path) -> Progress:
    """How far the run in a directory has come, by its newest whole checkpoint.

    Raises CheckpointError if none is whole.
    """
    directory, _ = newest_whole(run_dir)
    return Progress() if directory is None else Progress(**read_state(directory)["progress"])


def restore_best(model: nn.Module, run_dir: Path) -> Progress:
    """Load the weights that scored best, or the last ones where nothing was scored.

    Raises CheckpointError if they are not whole.
    """
    progress = read_progress(run_dir)
    best = run_dir / "checkpoints" / checkpoint_name(progress.best_step or progress.step)
    if (problem := problem_of(best)) is not None:
        raise CheckpointError(f"{best}: {problem}; --force starts over")
    _restore_weights(model, best)
    return progress


class RunState:
    """A run directory and the state that a checkpoint must hold."""

    def __init__(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        config: TrainConfig,
        directory: Path,
        *,
        about: Mapping[str, Any],
    ) -> None:
        """`about` is JSON that a resumed run must agree on."""
        self.model, self.optimiser = model, optimiser
        self.config, self.directory = config, directory
        self.about = json.loads(json.dumps(about))  # as a file gives it back: tuples become lists
        self.names = {p: name for name, p in model.named_parameters()}

    def append(self, values: Mapping[str, float | None]) -> None:
        """Add a row to metrics.csv; its columns are the keys. Raises OutputError."""
        path = self.directory / "metrics.csv"
        if not keeps_seconds.get():
            values = {**values, "seconds": None}  # the column stays: a resumed run may keep them
        try:
            is_new = not path.exists()
            with path.open("a", newline="") as handle:
                writer = csv.DictWriter(handle, values, lineterminator="\n")
                if is_new:
                    writer.writeheader()
                writer.writerow(
                    {k: format(v, ".9g") if isinstance(v, float) else v for k, v in values.items()}
                )
        except OSError as error:
            raise atomic.output_error(path, error) from error

    def save(self, progress: Progress) -> None:
        """Write a checkpoint, point `last` at it, and drop all but the newest and their best."""
        name = checkpoint_name(progress.step)
        parent = self.directory / "checkpoints"
        parent.mkdir(exist_ok=True)
        with atomic.replace_dir_on_success(parent / name, overwrite=True) as scratch:
            _save_weights(self.model, scratch)
            moments = safetensors.torch.save(self._moments())
            (scratch / "optimiser.safetensors").write_bytes(moments)
            state = {
                "format-version": FORMAT_VERSION,
                "step": progress.step,
                "progress": dataclasses.asdict(progress),
                "train": dataclasses.asdict(self.config),
                "about": self.about,
            }
            (scratch / STATE).write_text(json.dumps(state, indent=2) + "\n")
            seal(scratch)
        self._point_at(name)
        checkpoints = checkpoints_in(self.directory)
        kept = checkpoints[-self.config.keep_last :]
        # A run that falls back to the older one needs what was the best then.
        bests = {best_of(directory) for directory in kept}
        for old in checkpoints[: -self.config.keep_last]:
            if old not in bests:
                shutil.rmtree(old)

    def resume(self, *, is_main: bool) -> Progress:
        """Load the newest whole checkpoint, if there is any; returns what is done.

        Warns of newer ones that are damaged, and drops them. Raises CheckpointError if none is
        whole, NoCheckpointError if none is left of a finished run, OtherRunError if it is of other
        settings or data.
        """
        directory, problems = newest_whole(self.directory)
        if directory is None:
            if (self.directory / "training.json").exists():
                raise NoCheckpointError(
                    f"{self.directory}: holds a finished run and no checkpoint to go on from; "
                    "--force starts over"
                )
            if is_main:
                if (self.directory / "metrics.csv").exists():
                    log.warning("%s: has no checkpoint yet; starting at step 0", self.directory)
                self._forget_after(0)
            return Progress()
        state = read_state(directory)
        saved = TrainConfig.from_mapping(state["train"])
        require_same(_decisive(saved), _decisive(self.config))
        require_same(state["about"], self.about)
        _restore_weights(self.model, directory)
        self._restore(safetensors.torch.load_file(directory / "optimiser.safetensors"))
        if is_main:
            if problems:
                log.warning(
                    "%s: %s; going on from step %s",
                    self.directory,
                    "; ".join(problems),
                    f"{state['step']:,}",
                )
            self._point_at(directory.name)
            self._forget_after(state["step"])
        return Progress(**state["progress"])

    def _point_at(self, name: str) -> None:
        pointer = self.directory / "last"
        if pointer.is_symlink():  # not ours, and what it points at may not be there
            pointer.unlink()
        atomic.write_text(pointer, f"{name}\n")

    def _moments(self) -> dict[str, Tensor]:
        return {
            f"{name}:{key}": value.contiguous()
            for parameter, name in self.names.items()
            for key, value in self.optimiser.state.get(parameter, {}).items()
        }

    def _restore(self, moments: dict[str, Tensor]) -> None:
        by_parameter: dict[str, dict[str, Tensor]] = {}
        for name, value in moments.items():
            parameter_name, key = name.rsplit(":", 1)
            by_parameter.setdefault(parameter_name, {})[key] = value
        for parameter, name in self.names.items():
            if name in by_parameter:
                # The step counter lives on the CPU; the moments live with their parameter.
                self.optimiser.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device)
                    for key, value in by_parameter[name].items()
                }

    def _forget_after(self, step: int) -> None:
        """Drop the checkpoints and rows of metrics.csv that the resumed run will write again."""
        for directory in checkpoints_in(self.directory):
            if directory.name > checkpoint_name(step):
                shutil.rmtree(directory)
        path = self.directory / "metrics.csv"
        if path.exists():
            # A killed run may have written a part of its last line, even of the first one.
            lines = path.read_text(errors="replace").splitlines(keepends=True)
            header, *rows = [line for line in lines if line.endswith("\n")] or [""]
            steps = [row.split(",")[0] for row in rows]
            kept = [
                row
                for row, done in zip(rows, steps, strict=True)
                if done.isdecimal() and int(done) <= step  # what is damaged is not a row
            ]
            if kept:
                atomic.write_text(path, "".join([header, *kept]))
            else:
                path.unlink()


def _save_weights(model: nn.Module, directory: Path) -> None:
    if isinstance(model, HyenaDNA):
        checkpoint.save(model, directory)
        return
    trained = {
        name: parameter.detach().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    (directory / _TRAINED).write_bytes(safetensors.torch.save(trained))


def _restore_weights(model: nn.Module, directory: Path) -> None:
    """Raises OtherRunError if the weights are those of another model."""
    if isinstance(model, HyenaDNA):
        loaded, _ = checkpoint.load(directory)
        if loaded.config != model.config:
            raise OtherRunError(
                f"{directory}: its model has another shape ({loaded.config}); --force starts over"
            )
        model.load_state_dict(loaded.state_dict())
        return
    trained = safetensors.torch.load_file(directory / _TRAINED)
    shapes = {name: p.shape for name, p in model.named_parameters() if p.requires_grad}
    if {name: tensor.shape for name, tensor in trained.items()} != shapes:
        raise OtherRunError(f"{directory}: holds the weights of another model; --force starts over")
    model.load_state_dict(trained, strict=False)


_MAY_CHANGE = {"save_every", "keep_last", "valid_every", "valid_bases", "recompute_blocks"}
"""Settings that do not alter the weights, and so may differ on resuming."""


def _decisive(config: TrainConfig) -> dict[str, Any]:
    return {
        name: value for name, value in dataclasses.asdict(config).items() if name not in _MAY_CHANGE
    }


def require_same(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raises OtherRunError naming what of settings and data is not that of the first run."""
    changed = [
        f"{name} was {saved.get(name)}, is {now.get(name)}"
        for name in sorted(saved.keys() | now.keys())
        if saved.get(name) != now.get(name)
    ]
    if changed:
        raise OtherRunError(
            f"--resume needs the settings and data of the first run: {'; '.join(changed)}; "
            "--force starts over"
        )
