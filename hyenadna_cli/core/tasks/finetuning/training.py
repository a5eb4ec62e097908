"""Fine-tuning: labelled rows and a backbone to a trained classifier, judged on held-out rows.

rows -> cut to length, thinned -> LabelledBatches -> training.train -> best by validation
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyenadna_cli.core.config.choices import HeadPooling, Task
from hyenadna_cli.core.config.settings import HeadConfig, ModelConfig
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.model.attention import AttentionModel
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.classification import predict_rows
from hyenadna_cli.core.tasks.finetuning.cnn import SmallCNN
from hyenadna_cli.core.tasks.finetuning.settings import FinetuneConfig
from hyenadna_cli.core.tasks.labelled.rows import LabelledData
from hyenadna_cli.core.tasks.labelled_batches import HeadLoss, LabelledBatches, freeze_backbone
from hyenadna_cli.core.tasks.metrics.evaluation import evaluate
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.loop import Selection, StepReport, train
from hyenadna_cli.errors import UsageError

Network = Literal["finetune", "scratch", "attention", "cnn"]
NETWORKS: tuple[Network, ...] = get_args(Network)

_SELECT: dict[Task, str] = {
    "binary": "auroc",
    "multiclass": "auroc",
    "token": "auroc",
    "multilabel": "auroc_median",
    "regression": "spearman",
}
"""What chooses the best weights: ranks move less than accuracy on small validation sets."""

_ERRORS = ("rmse", "mae", "brier", "ece")
"""Metrics of which less is better."""
_MOST_POSITIVE_WEIGHT = 20.0


def head_config(data: LabelledData, *, pooling: HeadPooling, dropout: float) -> HeadConfig:
    """A head for a task; regression targets are learned in standard deviations of training rows."""
    means: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    if data.task == "regression":
        targets_NT = np.asarray(data.splits["train"].targets, dtype=np.float64)
        targets_NT = targets_NT.reshape(len(targets_NT), -1)
        means, scales = tuple(targets_NT.mean(0).tolist()), tuple(targets_NT.std(0).tolist())
    return HeadConfig(
        task=data.task,
        label_names=data.label_names,
        pooling=pooling,
        dropout=dropout,
        target_means=means,
        target_scales=scales,
    )


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
            freeze_backbone(classifier, config.freeze)
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
        config=train_config,
        run_dir=run_dir,
        max_length=longest,
        selection=selection,
        lr_ratios=ratios,
        about={**_decisive(config), **about},
        world=world,
        should_stop=should_stop,
    )


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
    """What chooses weights, larger is better: a metric, by default the task's, an error as -error.

    Of scores that are not finite -inf; NaN for targets that leave the metric undefined. Raises
    UsageError for a metric that the task does not have.
    """
    if not np.isfinite(scores).all():
        return -math.inf
    values = evaluate(task, targets, scores, label_names, n_bootstrap=1).values
    name = metric or _SELECT[task]
    if name not in values:
        raise UsageError(f"--select {name}: {task} has {', '.join(values)}")
    return -values[name].value if name in _ERRORS else values[name].value


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
