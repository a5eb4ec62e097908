"""How to fine-tune: a preset's settings, then a TOML file's, then options; later ones win."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hyenadna_cli.core.config import HeadPooling, TrainConfig
from hyenadna_cli.core.setting_types import check_types, from_mapping
from hyenadna_cli.errors import InputFileError, UsageError


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
        check_types(self)
        for name in ("epochs", "batch_size", "micro_batch_bases", "learning_rate", "validations"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("backbone_lr_ratio", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("warmup", "min_lr_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        lengths = [length for length, _ in self.length_schedule]
        if min([*lengths, 1 if self.max_length is None else self.max_length]) < 1:
            raise ValueError("max_length and the lengths of length_schedule are 1 base or more")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> FinetuneConfig:
        """Settings by name. Raises ValueError on an unknown name or an impossible value."""
        return from_mapping(cls, values, called="fine-tuning")

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
        if not isinstance(from_file, dict):
            raise UsageError(f"{config_file}: [finetune] is not a table")
    try:
        return FinetuneConfig.from_mapping({**defaults, **from_file, **given})
    except ValueError as error:
        raise UsageError(str(error)) from error
