"""Fine-tuning: labelled rows and a backbone to a trained classifier, judged on held-out rows.

settings (preset < TOML < options) -> FinetuneConfig -> TrainConfig
rows -> cut to length, thinned -> LabelledBatches -> training.train -> best by validation
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyenadna_cli.core import heads
from hyenadna_cli.core.attention import AttentionModel
from hyenadna_cli.core.batching import Batcher, BatchLimits
from hyenadna_cli.core.classification import predict_rows
from hyenadna_cli.core.config import HeadConfig, HeadPooling, ModelConfig, Task, TrainConfig
from hyenadna_cli.core.distributed import World
from hyenadna_cli.core.heads import HeadLoss, SequenceClassifier
from hyenadna_cli.core.labelled.rows import LabelledData
from hyenadna_cli.core.metrics import evaluate
from hyenadna_cli.core.model import HyenaDNA
from hyenadna_cli.core.runtime import Runtime
from hyenadna_cli.core.supervised.batches import LabelledBatches
from hyenadna_cli.core.training import Selection, StepReport, train
from hyenadna_cli.core.windows import Tiling
from hyenadna_cli.errors import InputFileError, UsageError

Network = Literal["finetune", "scratch", "attention", "cnn"]
NETWORKS: tuple[Network, ...] = get_args(Network)

_SELECT: dict[Task, str] = {
    "binary": "auroc", "multiclass": "auroc", "token": "auroc", "multilabel": "auroc_median",
    "regression": "spearman",
}  # fmt: skip
"""What chooses the best weights: ranks move less than accuracy on small validation sets."""

_MOST_POSITIVE_WEIGHT = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneConfig:
    """How to fine-tune; saved in training.json."""

    epochs: float = 10.0
    """Passes over the training rows, at most."""
    batch_size: int = 32
    """Sequences per optimiser step, over all processes."""
    micro_batch_bases: int = 16_384
    """Bases per forward and backward pass; gradients accumulate over passes."""
    learning_rate: float = 2e-3
    """Peak learning rate of the head, and of networks that start from nothing."""
    backbone_lr_ratio: float = 0.5
    """Learning rate of a pretrained backbone relative to the head's."""
    min_lr_ratio: float = 0.05
    """Learning rate at the end relative to the peak."""
    warmup: float = 0.1
    """Fraction of the steps over which the learning rate rises."""
    weight_decay: float = 0.1
    """AdamW's, on matrices."""
    pooling: HeadPooling = "mean"
    """Of the hidden states over the bases."""
    head_init: Literal["random", "probe"] = "random"
    """Where the head of a pretrained backbone starts: at random, or as a linear probe of the frozen
    backbone. The heads of networks from scratch start at random."""
    dropout: float = 0.1
    """On the pooled vector, in training."""
    freeze: Literal["all", "none"] | int = "none"
    """What of the backbone does not train: all, none, or embedding and first blocks."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: every class counts the same in the loss, however rare; multilabel: positives
    weigh as much as negatives, up to 20 times."""
    reverse_complement: bool = False
    """Read each training example from a random strand: for labels that hold on either one. Those of
    promoters or splice sites, stored along the gene, do not."""
    both_strands: bool = False
    """Average the predictions of both strands in the final evaluation."""
    max_length: int | None = None
    """Cut longer sequences to this many bases around their middle; None: they are an error."""
    length_schedule: tuple[tuple[int, int], ...] = ()
    """Sequence-length warm-up: (length in bases, steps) stages of random crops."""
    recompute_blocks: bool = False
    """Gradient checkpointing."""
    select: str | None = None
    """Validation metric that chooses the weights; None: AUROC, for regression Spearman."""
    validations: float = 1.0
    """Validations per epoch."""
    patience: int | None = 4
    """Validations without a better score that end the run; None: never."""
    seed: int = 0
    """Of the head's first weights, the order, strands and dropout."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "micro_batch_bases", "learning_rate", "validations"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("backbone_lr_ratio", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("warmup", "min_lr_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> FinetuneConfig:
        """Settings by name. Raises ValueError on an unknown name or an impossible value."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise ValueError(f"unknown fine-tuning settings: {', '.join(unknown)}")
        given = dict(values)
        if "length_schedule" in given:
            given["length_schedule"] = tuple(tuple(stage) for stage in given["length_schedule"])
        try:
            return cls(**given)
        except TypeError as error:
            raise ValueError(str(error)) from error

    def train_config(self, *, n_rows: int, max_length: int) -> TrainConfig:
        """The settings of the training loop for so many training rows."""
        steps_per_epoch = math.ceil(n_rows / self.batch_size)
        max_steps = math.ceil(self.epochs * steps_per_epoch)
        first_length = self.length_schedule[0][0] if self.length_schedule else max_length
        return TrainConfig(
            max_steps=max_steps,
            batch_bases=self.batch_size * first_length,
            micro_batch_bases=self.micro_batch_bases,
            length_schedule=self.length_schedule,
            keep="sequences",
            learning_rate=self.learning_rate,
            min_learning_rate=self.learning_rate * self.min_lr_ratio,
            warmup_steps=round(self.warmup * max_steps),
            adam_betas=(0.9, 0.98),
            weight_decay=self.weight_decay,
            reverse_complement=self.reverse_complement,
            recompute_blocks=self.recompute_blocks,
            valid_every=max(1, round(steps_per_epoch / self.validations)),
            save_every=max(20, max_steps // 20),
            keep_last=1,
            seed=self.seed,
        )


def settings(
    given: Mapping[str, Any], *, defaults: Mapping[str, Any], config_file: Path | None
) -> FinetuneConfig:
    """Merge defaults (a preset's), a TOML file's table [finetune] and options, later ones winning.

    Raises UsageError for a setting that does not exist or makes no sense, InputFileError for a
    file that is not TOML.
    """
    from_file: dict[str, Any] = {}
    if config_file is not None:
        try:
            content = tomllib.loads(config_file.read_text())
        except OSError as error:
            raise InputFileError(config_file, error.strerror or str(error)) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputFileError(config_file, f"not TOML: {error}") from error
        if unknown := sorted(content.keys() - {"finetune"}):
            raise UsageError(f"{config_file}: unknown tables: {', '.join(unknown)}")
        from_file = content.get("finetune", {})
    try:
        return FinetuneConfig.from_mapping({**defaults, **from_file, **given})
    except ValueError as error:
        raise UsageError(str(error)) from error


def head_config(data: LabelledData, *, pooling: HeadPooling, dropout: float) -> HeadConfig:
    """A head for a task; a regression learns targets in standard deviations of the training rows.

    Raises UsageError if a regression target is constant.
    """
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    if data.task == "regression":
        targets_NT = np.asarray(data.splits["train"].targets, dtype=np.float64)
        targets_NT = targets_NT.reshape(len(targets_NT), -1)
        means, scales = tuple(targets_NT.mean(0).tolist()), tuple(targets_NT.std(0).tolist())
        if not all(scales):
            raise UsageError("a regression target is the same in every training row")
    return HeadConfig(
        task=data.task, label_names=data.label_names, pooling=pooling, dropout=dropout,
        target_means=means, target_scales=scales,
    )  # fmt: skip


def build(
    network: Network,
    head: HeadConfig,
    config: FinetuneConfig,
    *,
    shape: ModelConfig,
    pretrained: Callable[[], HyenaDNA],
    runtime: Runtime,
) -> SequenceClassifier:
    """A network with a fresh head, on its device, ready to train.

    `finetune` starts from `pretrained()`; `scratch` and `attention` have the same depth and width.
    Raises UsageError for blocks to freeze that do not exist.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        backbone, width = _backbone(network, shape, pretrained)
        classifier = SequenceClassifier(backbone, head, width=width)
    classifier.set_execution(runtime.execution(recompute_blocks=config.recompute_blocks))
    if network == "finetune":
        try:
            heads.freeze(classifier, config.freeze)
        except ValueError as error:
            raise UsageError(f"--freeze {config.freeze}: {error}") from error
    return classifier.to(runtime.device)


def _backbone(
    network: Network, shape: ModelConfig, pretrained: Callable[[], HyenaDNA]
) -> tuple[nn.Module, int]:
    if network == "finetune":
        return pretrained(), shape.d_model
    if network == "scratch":
        return HyenaDNA(shape), shape.d_model
    if network == "attention":
        return AttentionModel(shape), shape.d_model
    from hyenadna_cli.core.supervised.cnn import SmallCNN

    cnn = SmallCNN()
    return cnn, cnn.width


def fit(
    network: Network,
    classifier: SequenceClassifier,
    data: LabelledData,
    config: FinetuneConfig,
    *,
    run_dir: Path,
    runtime: Runtime,
    about: Mapping[str, Any],
    world: World,
    should_stop: Callable[[], bool],
) -> Iterator[StepReport]:
    """Train in `run_dir`, one report a step; `run_directory.restore_best` loads the result.

    Without a validation split the last weights count. Raises DeviceMemoryError if a micro-batch
    does not fit, UsageError for a metric that this task does not have.
    """
    rows = data.splits["train"]
    longest = int(rows.lengths.max())
    train_config = config.train_config(n_rows=len(rows), max_length=longest)
    selection = None
    if "valid" in data.splits:
        valid, batcher = data.splits["valid"], batcher_for(classifier, runtime)

        def score(model: SequenceClassifier) -> float:
            scores = predict_rows(model, valid, batcher=batcher, world=world)
            return judged(data.task, config.select, valid.flat_targets, scores, data.label_names)

        selection = Selection(score=score, patience=config.patience)
    ratios = {"backbone.": config.backbone_lr_ratio} if network == "finetune" else {}
    yield from train(
        classifier,
        LabelledBatches(rows, seed=config.seed, use_both_strands=config.reverse_complement),
        HeadLoss(class_weights(data, config.class_weights)),
        config=train_config, run_dir=run_dir, max_length=longest, selection=selection,
        lr_ratios=ratios, about={**_decisive(config), **about},
        world=world, should_stop=should_stop,
    )  # fmt: skip


def _decisive(config: FinetuneConfig) -> dict[str, Any]:
    """What of the settings a resumed run must agree on."""
    settings = dataclasses.asdict(config)
    del settings["recompute_blocks"]
    return settings


def judged(
    task: Task,
    metric: str | None,
    targets: NDArray[np.generic],
    scores: NDArray[np.float64],
    label_names: Sequence[str],
) -> float:
    """What chooses weights: a metric, by default the task's; NaN for scores that are not finite.

    Raises UsageError for a metric that the task does not have.
    """
    if not np.isfinite(scores).all():
        return math.nan
    found = evaluate(task, targets, scores, label_names, n_bootstrap=1).values
    chosen = metric or _SELECT[task]
    if chosen not in found:
        raise UsageError(f"--select {chosen}: {task} has {', '.join(found)}")
    return found[chosen].value


def batcher_for(classifier: SequenceClassifier, runtime: Runtime) -> Batcher:
    """Windows as long as the backbone reads, in batches that suit the device."""
    backbone = classifier.backbone
    longest = backbone.config.l_max if isinstance(backbone, HyenaDNA) else 1_000_000
    return Batcher(
        tiling=Tiling(longest, longest),
        limits=BatchLimits.choose(runtime.device, batch_size=None),
        device=runtime.device,
    )


def class_weights(data: LabelledData, kind: Literal["none", "balanced"]) -> Tensor | None:
    """Weights of the classes, 1 on average over the training rows; None for equal ones.

    Raises UsageError for a regression, which has no classes.
    """
    if kind == "none":
        return None
    if data.task == "regression":
        raise UsageError("--class-weights balanced: a regression has no classes")
    targets = data.splits["train"].flat_targets
    if data.task == "multilabel":
        n_positive_T = targets.sum(0)
        ratio_T = (len(targets) - n_positive_T) / np.maximum(n_positive_T, 1)
        return torch.tensor(ratio_T.clip(1.0, _MOST_POSITIVE_WEIGHT), dtype=torch.float32)
    counts_C = np.bincount(targets, minlength=data.n_outputs)
    weights_C = len(targets) / (data.n_outputs * np.maximum(counts_C, 1))
    return torch.tensor(weights_C, dtype=torch.float32)
