"""The one training loop: optimise, validate, keep the best, checkpoint, resume, stop cleanly.

Law: stopping at step k and resuming gives the same weights as never stopping.

A step hands all its work to the device before anything of it is read: a GPU never waits for the
host between two micro-batches, or between a backward pass and its update.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from hyenadna_cli.core.config.settings import TrainConfig
from hyenadna_cli.core.machine.out_of_memory import is_out_of_memory
from hyenadna_cli.core.training.device_batches import BatchT, DeviceBatch, on_device
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.muon import MuonAdamW, is_matrix_of_block
from hyenadna_cli.core.training.run_directory import Progress, RunState
from hyenadna_cli.errors import DeviceMemoryError
from hyenadna_cli.ops.huge_pages import kept_for_steps

NO_RATIOS: Mapping[str, float] = MappingProxyType({})
NOTHING: Mapping[str, Any] = MappingProxyType({})


ModelT = TypeVar("ModelT", bound=nn.Module)
BatchT_co = TypeVar("BatchT_co", bound=DeviceBatch, covariant=True)

LossOf = Callable[[ModelT, BatchT], tuple[Tensor, Tensor | int]]
"""(model, batch) -> summed loss in nats, number of targets: left on the device where that counts
them. Must not read anything from the device."""


class Batches(Protocol[BatchT_co]):
    """Where examples come from; a function of the step alone."""

    def batch(self, *, step: int, rows: range, length: int, rows_per_step: int) -> BatchT_co:
        """The given rows of one step, cut to at most `length` bases."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection(Generic[ModelT]):
    """Keep the weights of the step that scores best, and stop once nothing better comes."""

    score: Callable[[ModelT], float]
    """Of a model on held-out data, dropout off; larger is better. Called in every process."""
    patience: int | None = None
    """Validations in a row without a better score that end the run; None: never."""


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
    valid_score: float | None = None
    """What `Selection.score` gave, on the steps that validate."""

    @property
    def reached(self) -> str:
        """What a run that ends after this step has come to."""
        return f"checkpoint at step {self.step:,}"

    def describe(self, unit: str) -> str:
        """In words; `unit` is what the nats of the loss are per: `base`, `window`."""
        text = f"step {self.step:,}, length {self.length:,}: {self.loss:.4f} nats per {unit}"
        return text if self.valid_loss is None else f"{text}; held out {self.valid_loss:.4f}"

    @property
    def is_validated(self) -> bool:
        """Whether this step was followed by a validation."""
        return self.valid_loss is not None or self.valid_score is not None

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
    return length, config.sequences_per_step(length, max_length=max_length)


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """Learning rate of optimiser step `step` (0-based)."""
    peak, floor = config.learning_rate, config.min_learning_rate
    start = min(1e-6, peak)
    if step < config.warmup_steps:
        return start + (peak - start) * step / config.warmup_steps
    if config.lr_schedule == "constant":
        return peak
    skipped = 0 if config.lr_schedule == "published" else config.warmup_steps
    end = config.lr_decay_steps or config.max_steps
    progress = min(1.0, (step - skipped) / max(1, end - skipped))
    return floor + 0.5 * (peak - floor) * (1 + math.cos(math.pi * progress))


def parameter_groups(
    model: nn.Module, config: TrainConfig, lr_ratios: Mapping[str, float] = NO_RATIOS
) -> list[dict[str, object]]:
    """Groups of the parameters that train; `lr_ratio` scales each group's learning rate.

    `published`: everything decays but the filter MLPs and their frequencies. `matrices`: norms,
    biases, skip terms and short convolutions are spared as well. `lr_ratios` maps the beginning of
    a parameter's name to a further factor. `muon` tells which groups that optimiser is for.
    """
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        is_filter = ".implicit_filter." in name
        decays = not is_filter and (config.decay == "published" or parameter.ndim == 2)
        ratio = config.filter_learning_rate_ratio if is_filter else 1.0
        for prefix, factor in lr_ratios.items():
            ratio *= factor if name.startswith(prefix) else 1.0
        by_muon = config.optimiser == "muon" and is_matrix_of_block(name)
        key = (config.weight_decay if decays else 0.0, ratio, by_muon)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay, "lr_ratio": ratio, "muon": by_muon}
        for (weight_decay, ratio, by_muon), parameters in groups.items()
    ]


def train(
    model: ModelT,
    batches: Batches[BatchT],
    loss_of: LossOf[ModelT, BatchT],
    *,
    config: TrainConfig,
    run_dir: Path,
    max_length: int,
    valid_batches: Sequence[BatchT] = (),
    selection: Selection[ModelT] | None = None,
    lr_ratios: Mapping[str, float] = NO_RATIOS,
    about: Mapping[str, Any] = NOTHING,
    world: World | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[StepReport]:
    """Optimise `model` in place, going on from the run directory's last checkpoint if there is one.

    Yields one report a step. Stops after a step, with a checkpoint, once `should_stop` says so in
    any process. `read_progress` tells whether the run has ended, and `restore_best` loads the
    weights that a `selection` kept. `about` is whatever JSON a resumed run must agree on, such as
    digests of the data. Raises UsageError if the last checkpoint is of other settings,
    CheckpointError if it does not fit, DeviceMemoryError if a micro-batch does not.
    """
    world = world or World()
    kind = MuonAdamW if config.optimiser == "muon" else torch.optim.AdamW
    groups = parameter_groups(model, config, lr_ratios)
    optimiser = kind(groups, lr=config.learning_rate, betas=config.adam_betas)
    patience = selection.patience if selection else None
    agreed = {**about, "lr_ratios": dict(lr_ratios), "patience": patience}
    if selection is not None:
        agreed["valid_every"] = config.valid_every  # decides which weights are compared
    run = RunState(model, optimiser, config, run_dir, about=agreed)
    progress = run.resume(is_main=world.is_main)
    with kept_for_steps():
        while not progress.is_done:
            started = time.perf_counter()
            stage = stage_at(progress.step, config, max_length=max_length)
            report = _step(
                model, batches, loss_of, optimiser, progress.step, stage, config=config, world=world
            )
            if report.step == config.max_steps or report.step % config.valid_every == 0:
                if valid_batches:
                    valid_loss = evaluate(model, valid_batches, loss_of, world=world)
                    report = replace(report, valid_loss=valid_loss)
                if selection is not None:
                    report = replace(report, valid_score=_score(model, selection))
            report = replace(report, seconds=time.perf_counter() - started)
            progress = _advance(progress, report, max_steps=config.max_steps, patience=patience)
            device = next(model.parameters()).device
            stopping = world.sum(float(should_stop()), device) > 0
            if world.is_main:
                run.append(dataclasses.asdict(report))
                is_due = report.step % config.save_every == 0 or progress.best_step == report.step
                if progress.is_done or stopping or is_due:
                    run.save(progress)
            world.wait()
            yield report
            if stopping:
                return


def _score(model: ModelT, selection: Selection[ModelT]) -> float:
    was_training = model.training
    model.eval()
    with torch.no_grad():
        score = selection.score(model)
    model.train(was_training)
    return score


def _advance(
    before: Progress, report: StepReport, *, max_steps: int, patience: int | None
) -> Progress:
    """The progress after one more step; a score that is not a number says nothing."""
    step, score = report.step, report.valid_score
    best_step, best_score, n_since = before.best_step, before.best_score, before.n_since_best
    if score is not None and not math.isnan(score):
        if score > (-math.inf if best_score is None else best_score):
            best_step, best_score, n_since = step, score, 0
        else:
            n_since += 1
    is_hopeless = patience is not None and n_since >= patience
    return Progress(
        step=step,
        best_step=best_step,
        best_score=best_score,
        n_since_best=n_since,
        valid_loss=report.valid_loss,
        is_done=step >= max_steps or is_hopeless,
    )


@torch.no_grad()
def evaluate(
    model: ModelT,
    batches: Sequence[BatchT],
    loss_of: LossOf[ModelT, BatchT],
    *,
    world: World | None = None,
) -> float:
    """Nats per target over all batches, dropout off; the processes share the batches."""
    world = world or World()
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    sums = _Sums(device)
    for index in world.share(len(batches)):
        sums.add(*loss_of(model, on_device(batches[index], device)))
    model.train(was_training)
    loss_sum, n_targets = sums.over_all(world).tolist()
    return float(loss_sum / max(1.0, n_targets))


class _Sums:
    """Loss and number of targets, summed in float64 where they are."""

    def __init__(self, device: torch.device) -> None:
        self._loss, self._n_targets = torch.zeros(2, dtype=torch.float64, device=device).unbind()

    def add(self, loss: Tensor, n_targets: Tensor | int) -> None:
        """Take what a `LossOf` gave."""
        self._loss += loss.detach()
        self._n_targets += n_targets

    def over_all(self, world: World) -> Tensor:
        """Both, over all processes: (2,), on the device."""
        return world.total(torch.stack([self._loss, self._n_targets]))


def _step(
    model: ModelT,
    batches: Batches[BatchT],
    loss_of: LossOf[ModelT, BatchT],
    optimiser: torch.optim.Optimizer,
    step: int,
    stage: tuple[int, int],
    *,
    config: TrainConfig,
    world: World,
) -> StepReport:
    """One optimiser step of a stage, (length, rows); the report's time is still to be taken.

    Raises DeviceMemoryError if a micro-batch does not fit.
    """
    length, n_rows = stage
    learning_rate = learning_rate_at(step, config)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate * group["lr_ratio"]
    try:
        loss, gradient_norm = _update(
            model, batches, loss_of, optimiser, step, stage, config=config, world=world
        ).tolist()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceMemoryError(
            f"out of memory after step {step}, in passes of {config.micro_batch_bases:,} "
            "bases: smaller ones (micro_batch_bases) or --checkpoint-blocks need less"
        ) from error
    return StepReport(
        step=step + 1,
        length=length,
        n_bases=length * n_rows,
        loss=loss,
        learning_rate=learning_rate,
        gradient_norm=gradient_norm,
        seconds=0.0,
    )


def _seed_dropout(seed: int, world: World) -> None:
    """Processes that share a sequence have different positions of it, and drop others."""
    torch.manual_seed(seed)
    if world.context is not None and world.context.rank:
        torch.manual_seed(int(torch.randint(1 << 62, (world.context.rank,))[-1]))


def _update(
    model: ModelT,
    batches: Batches[BatchT],
    loss_of: LossOf[ModelT, BatchT],
    optimiser: torch.optim.Optimizer,
    step: int,
    stage: tuple[int, int],
    *,
    config: TrainConfig,
    world: World,
) -> Tensor:
    """Update the weights once: the loss per target, and the gradient norm before clipping.

    They are left on the device, (2,) in float64, as nothing here waits for it.
    """
    length, n_rows = stage
    device = next(model.parameters()).device
    model.train()
    share = world.share(n_rows)
    rows_at_once = max(1, config.micro_batch_bases // length)
    pieces = [share[start : start + rows_at_once] for start in range(0, len(share), rows_at_once)]
    sums = _Sums(device)
    devices = [device] if device.type == "cuda" else []
    for piece in pieces:
        batch = batches.batch(step=step, rows=piece, length=length, rows_per_step=n_rows)
        # Dropout is drawn from (seed, step, row), so that it survives a resume as well.
        with torch.random.fork_rng(devices=devices):
            _seed_dropout((config.seed << 40) ^ (step << 16) ^ piece.start, world)
            loss, n_targets = loss_of(model, on_device(batch, device))
        loss.backward()
        sums.add(loss, n_targets)
    parameters = [p for p in model.parameters() if p.requires_grad]
    loss_sum, all_targets = sums.over_all(world).unbind()
    all_targets = all_targets.clamp_min(1.0)
    world.sum_gradients(parameters)
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.div_(all_targets)
    gradient_norm = nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return torch.stack([loss_sum / all_targets, gradient_norm.double()])
