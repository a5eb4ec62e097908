"""The one training loop: optimise, validate, checkpoint, resume, stop cleanly.

Law: stopping at step k and resuming gives the same weights as never stopping.

    run directory/
      config.json model.safetensors training.json   the model, once training has ended
      metrics.csv                                   one row a step
      checkpoints/step_00001000/                    model, optimiser.safetensors, state.json
      last                                          name of the newest checkpoint
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import safetensors.torch
import torch
from torch import Tensor, nn

from hyenadna_cli.core import atomic, checkpoint
from hyenadna_cli.core.config import TrainConfig
from hyenadna_cli.core.distributed import World
from hyenadna_cli.core.model import HyenaDNA
from hyenadna_cli.errors import CheckpointError, UsageError

LossOf = Callable[[HyenaDNA, Tensor], tuple[Tensor, int]]
"""(model, batch) -> summed loss in nats, number of targets."""


class Batches(Protocol):
    """Where examples come from; a function of the step alone."""

    def batch(self, *, step: int, rows: range, length: int, rows_per_step: int) -> Tensor:
        """Token ids (B, L) of the given rows of one step."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """What one optimiser step did; a row of metrics.csv."""

    step: int
    """Steps done, this one included."""
    length: int
    n_bases: int
    """Bases of this step's windows."""
    loss: float
    """Nats per target, over all processes."""
    learning_rate: float
    gradient_norm: float
    seconds: float
    valid_loss: float | None = None
    """Nats per held-out target, on the steps that validate."""

    @property
    def valid_perplexity(self) -> float | None:
        """exp(valid_loss)."""
        return None if self.valid_loss is None else math.exp(self.valid_loss)


def stage_at(step: int, config: TrainConfig, *, max_length: int) -> tuple[int, int]:
    """(length in bases, sequences) of optimiser step `step` (0-based) over all processes."""
    length, passed = max_length, 0
    for stage_length, stage_steps in config.length_schedule:
        length = stage_length
        passed += stage_steps
        if step < passed:
            break
    first_length = config.length_schedule[0][0] if config.length_schedule else max_length
    per_sequence = length if config.keep == "bases" else first_length
    return length, max(1, config.batch_bases // per_sequence)


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Learning rate of optimiser step `step` (0-based)."""
    peak, floor, start = config.learning_rate, config.min_learning_rate, 1e-6
    if step < config.warmup_steps:
        return start + (peak - start) * step / config.warmup_steps
    if config.lr_schedule == "constant":
        return peak
    skipped = 0 if config.lr_schedule == "published" else config.warmup_steps
    end = config.lr_decay_steps or config.max_steps
    progress = min(1.0, (step - skipped) / max(1, end - skipped))
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * progress))


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, object]]:
    """AdamW groups of the parameters that train; `lr_ratio` scales each group's learning rate.

    `published`: everything decays but the filter MLPs and their frequencies. `matrices`: norms,
    biases, skip terms and short convolutions are spared as well.
    """
    decayed, spared, filters = [], [], []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if ".implicit_filter." in name:
            filters.append(parameter)
        elif config.decay == "published" or parameter.ndim == 2:
            decayed.append(parameter)
        else:
            spared.append(parameter)
    groups: list[dict[str, object]] = [
        {"params": decayed, "weight_decay": config.weight_decay, "lr_ratio": 1.0},
        {"params": spared, "weight_decay": 0.0, "lr_ratio": 1.0},
        {"params": filters, "weight_decay": 0.0, "lr_ratio": config.filter_learning_rate_ratio},
    ]
    return [group for group in groups if group["params"]]


def train(
    model: HyenaDNA,
    batches: Batches,
    loss_of: LossOf,
    *,
    config: TrainConfig,
    run_dir: Path,
    max_length: int,
    valid_batches: Sequence[Tensor] = (),
    world: World | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[StepReport]:
    """Optimise `model` in place, going on from the run directory's last checkpoint if there is one.

    Yields one report a step. Stops after a step, with a checkpoint, once `should_stop` says so in
    any process. Raises CheckpointError if the last checkpoint does not fit.
    """
    world = world or World()
    run = _Run(model, config, run_dir)
    step = run.resume(is_main=world.is_main)
    while step < config.max_steps:
        started = time.perf_counter()
        length, n_rows = stage_at(step, config, max_length=max_length)
        learning_rate = learning_rate_at(step, config)
        run.set_learning_rate(learning_rate)
        loss, gradient_norm = _step(
            model, batches, loss_of, run.optimiser,
            step=step, length=length, n_rows=n_rows, config=config, world=world,
        )  # fmt: skip
        step += 1
        is_last = step == config.max_steps
        valid_loss = None
        if valid_batches and (is_last or step % config.valid_every == 0):
            valid_loss = evaluate(model, valid_batches, loss_of, world=world)
        report = StepReport(
            step=step, length=length, n_bases=length * n_rows, loss=loss,
            learning_rate=learning_rate, gradient_norm=gradient_norm,
            seconds=time.perf_counter() - started, valid_loss=valid_loss,
        )  # fmt: skip
        device = next(model.parameters()).device
        stopping = world.sum(float(should_stop()), device) > 0
        if world.is_main:
            run.append(report)
            if is_last or stopping or step % config.save_every == 0:
                run.save(step)
        world.wait()
        yield report
        if stopping:
            return


@torch.no_grad()
def evaluate(
    model: HyenaDNA, batches: Sequence[Tensor], loss_of: LossOf, *, world: World | None = None
) -> float:
    """Nats per target over all batches, dropout off; the processes share the batches."""
    world = world or World()
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    loss_sum, n_targets = 0.0, 0
    for index in world.share(len(batches)):
        loss, n = loss_of(model, batches[index].to(device))
        loss_sum += float(loss.double())
        n_targets += n
    model.train(was_training)
    return world.sum(loss_sum, device) / max(1.0, world.sum(n_targets, device))


def _step(
    model: HyenaDNA,
    batches: Batches,
    loss_of: LossOf,
    optimiser: torch.optim.Optimizer,
    *,
    step: int,
    length: int,
    n_rows: int,
    config: TrainConfig,
    world: World,
) -> tuple[float, float]:
    """One optimiser step; returns its loss per target and the gradient norm before clipping."""
    device = next(model.parameters()).device
    model.train()
    share = world.share(n_rows)
    rows_at_once = max(1, config.micro_batch_bases // length)
    pieces = [share[start : start + rows_at_once] for start in range(0, len(share), rows_at_once)]
    loss_sum, n_targets = 0.0, 0
    devices = [device] if device.type == "cuda" else []
    for piece in pieces:
        ids_BL = batches.batch(step=step, rows=piece, length=length, rows_per_step=n_rows)
        # Dropout is drawn from (seed, step, row), so that it survives a resume as well.
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed((config.seed << 40) ^ (step << 16) ^ piece.start)
            loss, n = loss_of(model, ids_BL.to(device))
        loss.backward()
        loss_sum += loss.item()
        n_targets += n
    parameters = [p for p in model.parameters() if p.requires_grad]
    all_targets = max(1.0, world.sum(n_targets, device))
    world.sum_gradients(parameters)
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.div_(all_targets)
    gradient_norm = nn.utils.clip_grad_norm_(parameters, config.max_grad_norm).item()
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return world.sum(loss_sum, device) / all_targets, gradient_norm


class _Run:
    """A run directory and the state that a checkpoint must hold."""

    def __init__(self, model: HyenaDNA, config: TrainConfig, directory: Path) -> None:
        self.model, self.config, self.directory = model, config, directory
        self.optimiser = torch.optim.AdamW(
            parameter_groups(model, config), lr=config.learning_rate, betas=config.adam_betas
        )
        self.names = {p: name for name, p in model.named_parameters()}

    def set_learning_rate(self, learning_rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate * group["lr_ratio"]

    def append(self, report: StepReport) -> None:
        """Add a row to metrics.csv."""
        path = self.directory / "metrics.csv"
        values = dataclasses.asdict(report)
        is_new = not path.exists()
        with path.open("a", newline="") as handle:
            writer = csv.DictWriter(handle, values, lineterminator="\n")
            if is_new:
                writer.writeheader()
            writer.writerow(
                {k: format(v, ".9g") if isinstance(v, float) else v for k, v in values.items()}
            )

    def save(self, step: int) -> None:
        """Write a checkpoint, point `last` at it, and drop the oldest ones."""
        name = f"step_{step:08d}"
        parent = self.directory / "checkpoints"
        parent.mkdir(exist_ok=True)
        with atomic.replace_dir_on_success(parent / name, overwrite=True) as scratch:
            checkpoint.save(self.model, scratch)
            moments = safetensors.torch.save(self._moments())
            (scratch / "optimiser.safetensors").write_bytes(moments)
            state = {"step": step, "train": dataclasses.asdict(self.config)}
            (scratch / "state.json").write_text(json.dumps(state, indent=2) + "\n")
        atomic.write_text(self.directory / "last", f"{name}\n")
        for old in sorted(parent.glob("step_????????"))[: -self.config.keep_last]:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()

    def resume(self, *, is_main: bool) -> int:
        """Load the last checkpoint, if any; returns the steps that are done."""
        pointer = self.directory / "last"
        if not pointer.exists():
            return 0
        directory = self.directory / "checkpoints" / pointer.read_text().strip()
        state = json.loads((directory / "state.json").read_text())
        saved = TrainConfig.from_mapping(state["train"])
        _require_same(saved, self.config)
        loaded, _ = checkpoint.load(directory)
        if loaded.config != self.model.config:
            raise CheckpointError(f"{directory}: its model has another shape: {loaded.config}")
        self.model.load_state_dict(loaded.state_dict())
        self._restore(safetensors.torch.load_file(directory / "optimiser.safetensors"))
        if is_main:
            self._forget_after(state["step"])
        return int(state["step"])

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
        """Drop the rows of metrics.csv that the resumed run will write again."""
        path = self.directory / "metrics.csv"
        if path.exists():
            header, *rows = path.read_text().splitlines(keepends=True)
            kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= step]
            atomic.write_text(path, "".join([header, *kept]))


_MAY_CHANGE = {"save_every", "keep_last", "valid_every", "valid_bases", "recompute_blocks"}
"""Settings that do not alter the weights, and so may differ on resuming."""


def _require_same(saved: TrainConfig, now: TrainConfig) -> None:
    before, after = dataclasses.asdict(saved), dataclasses.asdict(now)
    changed = [
        f"{name} was {before[name]}, is {after[name]}"
        for name in before
        if name not in _MAY_CHANGE and before[name] != after[name]
    ]
    if changed:
        raise UsageError(f"--resume needs the settings of the first run: {'; '.join(changed)}")
