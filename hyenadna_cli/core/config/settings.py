"""Settings as frozen, checked dataclasses: the shape of a model and its head, the training."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from hyenadna_cli.core.config.checks import check_types, from_mapping
from hyenadna_cli.core.config.choices import HEAD_POOLINGS, HeadPooling, Task
from hyenadna_cli.core.config.flags import MICRO_BATCH_BASES, RECOMPUTE_BLOCKS, SEED, Flag, in_bases
from hyenadna_cli.core.config.texts import parse_length_schedule


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The shape of a HyenaDNA model; saved as `config.json` beside its weights."""

    HEADING: ClassVar[str] = "Shape of a new model"

    d_model: Annotated[int, Flag("--d-model", "Channels of the residual stream.")]
    n_layer: Annotated[int, Flag("--n-layer", "Hyena blocks.")]
    d_inner: Annotated[int, Flag("--d-inner", "Hidden channels of each MLP.")]
    l_max: int
    """Longest sequence in tokens; the positions of the implicit filters are normalised by it."""
    vocab_size: int = 12
    """Real tokens; the embedding has `padded_vocab_size` rows."""
    pad_vocab_size_multiple: int = 8
    """The embedding's rows are rounded up to a multiple of this."""
    order: int = 2
    """Hyena order: `order - 1` long convolutions and `order` gates per block."""
    short_filter_order: int = 3
    """Taps of the short causal convolution."""
    emb_dim: int = 5
    """Positional features of the implicit filter; odd, at least 3."""
    filter_order: int = 64
    """Width of the filter MLP."""
    num_inner_mlps: int = 2
    """Hidden layers of the filter MLP after the first."""
    activation_freq: float = 10.0
    """Initial frequency of the filter MLP's sine activations (`w`)."""
    filter_shift: float = 0.05
    """Added to the filters' decay window: 0.05 in the official inference code, 0.0 in its
    training code."""
    embed_dropout: float = 0.1
    """Dropout on the embedded input, in training."""
    resid_dropout: float = 0.0
    """Dropout on every residual branch, in training."""
    layer_norm_epsilon: float = 1e-5
    """Added to the variance in each layer norm."""
    filter_l_max: int = 0
    """Length that normalises the positions of the implicit filters, where it is not `l_max` (0):
    that of a model which was made longer, so that its filters stay as they were and go on."""

    def __post_init__(self) -> None:
        check_types(self)
        for name, most in _MOST.items():
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from 1 to {most:,}, got {getattr(self, name):,}")
        if self.order < 2:
            raise ValueError(f"order must be at least 2, got {self.order}")
        if self.filter_l_max and not 2 <= self.filter_l_max <= self.l_max:
            raise ValueError(
                f"filter_l_max must be 0 or from 2 to l_max, {self.l_max:,}, got "
                f"{self.filter_l_max:,}"
            )
        if self.emb_dim < 3 or self.emb_dim % 2 == 0:
            raise ValueError(f"emb_dim must be odd and at least 3, got {self.emb_dim}")
        if self.emb_dim * self.l_max > _MOST_FEATURES:
            raise ValueError(
                f"emb_dim times l_max must be at most {_MOST_FEATURES:,}, got "
                f"{self.emb_dim} times {self.l_max:,}"
            )
        for name in ("activation_freq", "filter_shift", "layer_norm_epsilon"):
            if abs(getattr(self, name)) > _MOST_SCALE:
                raise ValueError(f"{name} must be at most 1e6, got {getattr(self, name)}")
        for name in ("embed_dropout", "resid_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")

    @property
    def padded_vocab_size(self) -> int:
        """Rows of the embedding and of the LM head."""
        multiple = self.pad_vocab_size_multiple
        return -(-self.vocab_size // multiple) * multiple

    def to_json(self) -> str:
        """The text of `config.json`."""
        values = dataclasses.asdict(self)
        if not self.filter_l_max:
            del values["filter_l_max"]  # as it was before there was one
        return json.dumps({"model_type": MODEL_TYPE, **values}, indent=2) + "\n"

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Read what `to_json` wrote. Raises ValueError on an unknown or missing key."""
        settings = {key: value for key, value in values.items() if key != "model_type"}
        return from_mapping(cls, settings, called="model")


_MOST = {
    "d_model": 1 << 16,
    "n_layer": 1 << 10,
    "d_inner": 1 << 20,
    # float32 numbers no more positions.
    "l_max": 1 << 24,
    "vocab_size": 1 << 20,
    "pad_vocab_size_multiple": 1 << 20,
    "order": 1 << 6,
    "short_filter_order": 1 << 10,
    "emb_dim": 1 << 10,
    "filter_order": 1 << 16,
    "num_inner_mlps": 1 << 6,
}
"""Far above every known model: what is beyond comes of a damaged file or a slip."""
_MOST_FEATURES = 1 << 27
"""Positional features of a model, which are made before anything else: half a gigabyte."""

_MOST_SCALE = 1e6
"""Of what multiplies or shifts: float32 has to hold it, and its products."""

MODEL_TYPE = "hyenadna-cli"
"""`model_type` in the config.json of our own layout; tells it from the official two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadConfig:
    """What a head answers, and how; saved in config.json beside the backbone's shape."""

    task: Task
    label_names: tuple[str, ...]
    """Classes in the order of the outputs, or names of the targets."""
    pooling: HeadPooling = "mean"
    """Of the hidden states over the bases; no meaning for the task `token`."""
    dropout: float = 0.0
    """On what the linear layer reads, in training."""
    target_means: tuple[float, ...] = ()
    """Regression: the outputs are standardised; a target is mean + scale * output."""
    target_scales: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_types(self)
        if not self.label_names:
            raise ValueError("a head needs at least one label")
        if broken := [name for name in self.label_names if re.search(r"[\t\r\n]", name)]:
            raise ValueError(f"the label {broken[0]!r} has a tab or a line break in it")
        if self.pooling not in HEAD_POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(HEAD_POOLINGS)}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        n_scaled = self.n_outputs if self.task == "regression" else 0
        if not len(self.target_means) == len(self.target_scales) == n_scaled:
            raise ValueError("target_means and target_scales are one number a regression target")

    @property
    def n_outputs(self) -> int:
        """Numbers a sequence (task `token`: a base); two classes have two."""
        return len(self.label_names)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> HeadConfig:
        """Read what `dataclasses.asdict` gave. Raises ValueError for what makes no head."""
        return from_mapping(cls, values, called="head")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """How to optimise a model; saved in `training.json` beside the weights."""

    HEADING: ClassVar[str] = "Training"

    max_steps: Annotated[int, Flag("--max-steps", "Optimiser steps in all.")] = 10_000
    batch_bases: Annotated[
        int, in_bases("--batch-bases", "Bases per optimiser step, over all processes.")
    ] = 262_144
    micro_batch_bases: Annotated[int, MICRO_BATCH_BASES] = 16_384
    length_schedule: Annotated[
        tuple[tuple[int, int], ...],
        Flag(
            "--length-schedule",
            "Sequence-length warm-up: stages, the last of which goes on to the last step.",
            metavar="BASES:STEPS,...",
            parse=parse_length_schedule,
        ),
    ] = ()
    keep: Literal["bases", "sequences"] = "bases"
    """What a longer stage keeps: bases per step, or sequences per step as in the paper."""
    learning_rate: Annotated[float, Flag("--lr", "Peak learning rate.")] = 6e-4
    min_learning_rate: Annotated[
        float, Flag("--min-lr", "Learning rate at the end of the schedule.")
    ] = 6e-5
    warmup_steps: Annotated[
        int, Flag("--warmup-steps", "Steps over which the learning rate rises linearly from 1e-6.")
    ] = 100
    lr_schedule: Literal["cosine", "published", "constant"] = "cosine"
    """`cosine` falls from the end of warm-up to the last step; `published` does not shift its
    phase by the warm-up (as the original); `constant` stays at the peak."""
    lr_decay_steps: int | None = None
    """Step at which the cosine reaches its floor; None: the last step."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    """`muon` takes the matrices of the blocks in orthogonalised steps, the rest as `adamw`."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay rates of the first and second moment."""
    weight_decay: Annotated[float, Flag("--weight-decay", "Decoupled weight decay of AdamW.")] = 0.1
    decay: Literal["matrices", "published"] = "matrices"
    """What decays: `matrices` spares norms, biases and filters; `published` the filters only."""
    filter_learning_rate_ratio: float = 1.0
    """Learning rate of the implicit filters relative to the rest."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    reverse_complement: Annotated[
        bool, Flag("--rc-aug/--no-rc-aug", "Read each training window from a random strand.")
    ] = True
    targets: Literal["bases", "all"] = "bases"
    """`bases` learns A, C, G, T only; `all` also pads and separators, with N read as [PAD] and
    [SEP] appended, as the first published pretraining did."""
    sampling: Literal["random", "intervals"] = "random"
    """`random` windows anywhere in the training regions; `intervals`: the first bases of each BED
    interval once per epoch, as published."""
    recompute_blocks: Annotated[bool, RECOMPUTE_BLOCKS] = False
    valid_every: Annotated[
        int, Flag("--valid-every", "Steps between validations; the last step always validates.")
    ] = 500
    valid_bases: Annotated[
        int, in_bases("--valid-bases", "Held-out bases per validation, at most; evenly spread.")
    ] = 1_000_000
    save_every: Annotated[
        int, Flag("--save-every", "Steps between checkpoints; the last step always saves.")
    ] = 500
    keep_last: int = 2
    """Checkpoints kept."""
    seed: Annotated[int, SEED] = 0

    def __post_init__(self) -> None:
        check_types(self)
        for name in (
            "max_steps",
            "batch_bases",
            "micro_batch_bases",
            "valid_every",
            "valid_bases",
            "save_every",
            "keep_last",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.learning_rate > 0 or not 0 <= self.min_learning_rate <= self.learning_rate:
            raise ValueError(
                f"need 0 <= min_learning_rate <= learning_rate, got {self.min_learning_rate} "
                f"and {self.learning_rate}"
            )
        if self.optimiser not in ("adamw", "muon"):
            raise ValueError(f"optimiser must be adamw or muon, got {self.optimiser!r}")
        if any(length < 2 or steps < 1 for length, steps in self.length_schedule):
            raise ValueError(
                f"length_schedule needs lengths >= 2 and steps >= 1: {self.length_schedule}"
            )

    def sequences_per_step(self, length: int, *, max_length: int) -> int:
        """Of `length` bases, over all processes; `max_length` is the length without a schedule."""
        first_length = self.length_schedule[0][0] if self.length_schedule else max_length
        per_sequence = length if self.keep == "bases" else first_length
        return max(1, self.batch_bases // per_sequence)

    def describe_stages(self, *, max_length: int) -> list[str]:
        """One line a stage: what a step reads, and how many steps it has."""
        stages = self.length_schedule or ((max_length, self.max_steps),)
        return [
            f"stage: {self.sequences_per_step(length, max_length=max_length):,} windows of "
            f"{length:,} bases per step, for {steps:,} steps"
            for length, steps in stages
        ]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Settings by name; lists become tuples. Raises ValueError on an unknown name."""
        return from_mapping(cls, values, called="training")
