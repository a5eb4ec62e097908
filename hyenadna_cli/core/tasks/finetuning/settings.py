"""How to fine-tune: a preset's settings, then a TOML file's, then options; later ones win."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from hyenadna_cli.core.config.checks import check_types, from_mapping, read_tables
from hyenadna_cli.core.config.choices import HeadPooling
from hyenadna_cli.core.config.flags import (
    DROPOUT,
    FREEZE,
    MICRO_BATCH_BASES,
    RECOMPUTE_BLOCKS,
    SEED,
    Flag,
    in_bases,
)
from hyenadna_cli.core.config.settings import TrainConfig
from hyenadna_cli.core.config.texts import parse_length_schedule
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.tasks.labelled.presets import Recipe

Method = Literal["finetune", "probe", "scratch", "attention", "cnn", "kmer"]
METHODS: tuple[Method, ...] = get_args(Method)


def parse_methods(text: str) -> tuple[Method, ...]:
    """Methods by commas; `none` for none. Raises ValueError."""
    names = [] if text == "none" else text.split(",")
    if unknown := [name for name in names if name not in METHODS]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(METHODS)}")
    return tuple(method for name in names for method in METHODS if method == name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What is trained on the same rows, and judged side by side."""

    HEADING: ClassVar[str] = "Methods"

    probe: Annotated[
        bool, Flag("--probe", "A linear model on frozen features, in place of training.")
    ] = False
    embeddings: Annotated[
        Path | None,
        Flag(
            "--embeddings",
            "With --probe: vectors from `hyenadna embed`, in place of a model; --data is then a "
            "table of name, label and split.",
        ),
    ] = None
    label_column: Annotated[
        str | None,
        Flag(
            "--label-column",
            "With --embeddings: the column of /obs to predict, in place of --data; a fifth of the "
            "rows is the test set unless --test-contigs says which.",
            metavar="NAME",
        ),
    ] = None
    min_class: Annotated[
        int,
        Flag("--min-class", "With --label-column: leave out rarer labels (rows).", at_least=1),
    ] = 1
    compare: Annotated[
        tuple[Method, ...],
        Flag(
            "--compare",
            f"Baselines on the same rows: {', '.join(METHODS)}, or none.",
            metavar="METHOD,...",
            parse=parse_methods,
        ),
    ] = ("kmer",)
    n_seeds: Annotated[int, Flag("--seeds", "Runs, with seeds from --seed up.", at_least=1)] = 1

    table: Annotated[
        bool, Flag("--table", "Print results as TSV, a preset's published ones too.")
    ] = False

    def __post_init__(self) -> None:
        if self.embeddings is None and self.label_column is not None:
            raise ValueError("--label-column is a column of --embeddings; see also --label-columns")

    @property
    def methods(self) -> tuple[Method, ...]:
        """All of them, each once; the model of the first is what the run is for."""
        first: Method = "probe" if self.probe else "finetune"
        return tuple(dict.fromkeys((first, *self.compare)))


@dataclass(frozen=True, kw_only=True, slots=True)
class FinetuneConfig:
    """How to fine-tune; saved in training.json."""

    HEADING: ClassVar[str] = "Fine-tuning"

    epochs: Annotated[float, Flag("--epochs", "Passes over the training rows, at most.")] = 10.0
    batch_size: Annotated[
        int, Flag("--batch-size", "Sequences per optimiser step, over all processes.", at_least=1)
    ] = 32
    micro_batch_bases: Annotated[int, MICRO_BATCH_BASES] = 16_384
    learning_rate: Annotated[
        float,
        Flag("--lr", "Peak learning rate of the head, and of networks that start from nothing."),
    ] = 2e-3
    backbone_lr_ratio: Annotated[
        float,
        Flag(
            "--backbone-lr-ratio", "Learning rate of a pretrained backbone relative to the head's."
        ),
    ] = 0.5
    min_lr_ratio: float = 0.05
    """Learning rate at the end relative to the peak."""
    warmup: float = 0.1
    """Fraction of the steps over which the learning rate rises."""
    weight_decay: Annotated[
        float, Flag("--weight-decay", "Weight decay of AdamW, on matrices.")
    ] = 0.1
    adam_betas: tuple[float, float] = (0.9, 0.98)
    """AdamW's decay rates of the first and second moment."""
    decay: Literal["matrices", "published"] = "matrices"
    """What decays; see `TrainConfig`, as for the next."""
    lr_schedule: Literal["cosine", "published", "constant"] = "cosine"
    pooling: Annotated[
        HeadPooling, Flag("--pool", "How the hidden states over the bases become one vector.")
    ] = "mean"
    head_init: Annotated[
        Literal["random", "probe"],
        Flag(
            "--head-init",
            "Where the head of a pretrained backbone starts; probe: fitted to frozen features, for "
            "which a --backbone-lr-ratio of 0.15 and --dropout 0 suit.",
        ),
    ] = "random"
    """The heads of networks from scratch start at random."""
    dropout: Annotated[float, DROPOUT] = 0.1
    freeze: Annotated[Literal["all", "none"] | int, FREEZE] = "none"
    class_weights: Annotated[
        Literal["none", "balanced"],
        Flag("--class-weights", "balanced: every class counts the same in the loss, however rare."),
    ] = "none"
    """Multilabel: positives weigh as much as negatives, up to 20 times."""
    reverse_complement: Annotated[
        bool,
        Flag(
            "--rc-aug/--no-rc-aug",
            "Read each training example from a random strand, for labels that hold on both.",
        ),
    ] = False
    """Those of promoters or splice sites, stored along the gene, do not."""
    both_strands: Annotated[
        bool,
        Flag(
            "--rc-eval/--no-rc-eval",
            "Average both strands in the evaluation; what follows a base then counts too.",
        ),
    ] = False
    max_length: Annotated[
        int | None,
        in_bases(
            "--max-length",
            "Cut longer sequences around their middle; without it they are an error.",
        ),
    ] = None
    length_schedule: Annotated[
        tuple[tuple[int, int], ...],
        Flag(
            "--length-schedule",
            "Sequence-length warm-up on random crops.",
            metavar="BASES:STEPS,...",
            parse=parse_length_schedule,
        ),
    ] = ()
    """(length in bases, steps) stages."""
    recompute_blocks: Annotated[bool, RECOMPUTE_BLOCKS] = False
    select: Annotated[
        str | None,
        Flag(
            "--select",
            "Validation metric that chooses the weights; default: auroc, for regression spearman.",
        ),
    ] = None
    validations: float = 1.0
    """Validations per epoch."""
    patience: Annotated[
        int | None,
        Flag("--patience", "Validations without a better score that end the run.", at_least=1),
    ] = 4
    """None: never."""
    seed: Annotated[int, SEED] = 0

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
        """The settings of the training loop for this number of training rows."""
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
            adam_betas=self.adam_betas,
            decay=self.decay,
            lr_schedule=self.lr_schedule,
            weight_decay=self.weight_decay,
            reverse_complement=self.reverse_complement,
            recompute_blocks=self.recompute_blocks,
            valid_every=max(1, round(steps_per_epoch / self.validations)),
            save_every=max(20, max_steps // 20),
            seed=self.seed,
        )


def settings(
    given: Mapping[str, Any], *, defaults: Mapping[str, Any], config_file: Path | None
) -> FinetuneConfig:
    """Merge defaults (a preset's), a TOML file's table [finetune] and options, later ones winning.

    Raises UsageError for a setting that does not exist or makes no sense, InputFileError for a
    file that is not TOML.
    """
    from_file = read_tables(config_file, "finetune")["finetune"]
    try:
        return FinetuneConfig.from_mapping({**defaults, **from_file, **given})
    except ValueError as error:
        raise UsageError(str(error)) from error


def deviations(
    config: FinetuneConfig, recipe: Recipe, *, model: str, longest: int
) -> Iterator[str]:
    """What a run does otherwise than a published recipe says, and what of that is not published.

    `longest` is the longest sequence, in bases.
    """
    published = FinetuneConfig.from_mapping(recipe.settings)
    if model != recipe.model:
        yield f"the backbone is {model}, published {recipe.model}"
    for of in fields(config):
        have, wanted = getattr(config, of.name), getattr(published, of.name)
        if have != wanted:
            yield f"{of.name} is {have}, published {wanted}"
    n_at_once = max(1, config.micro_batch_bases // max(1, longest))
    if n_at_once < config.batch_size:
        yield (
            f"{config.batch_size:,} sequences per step go through the model up to {n_at_once:,} at "
            "a time, and their gradients are added up (--micro-batch-bases)"
        )
    yield from recipe.notes
