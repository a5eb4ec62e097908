"""How to teach a task by what stands before the input: by a soft prompt, or by demonstrations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from hyenadna_cli.core.config.checks import check_types
from hyenadna_cli.core.config.choices import HeadPooling
from hyenadna_cli.core.config.flags import SEED, Flag, flag_of
from hyenadna_cli.core.config.settings import TrainConfig
from hyenadna_cli.errors import UsageError

MOST_TOKENS = 32_768


def parse_words(text: str) -> dict[str, str]:
    """`CLASS=WORD,...`. Raises ValueError."""
    pairs = (part.partition("=")[::2] for part in text.split(","))
    words = {name.strip(): word.strip() for name, word in pairs}
    if not all(words.values()) or len(words) < len(text.split(",")):
        raise ValueError(f"{text!r} is not CLASS=WORD,CLASS=WORD,...")
    return {name: word.upper() for name, word in words.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """In what a model answers."""

    HEADING: ClassVar[str] = "Answers"

    label_words: Annotated[
        dict[str, str] | None,
        Flag(
            "--label-words",
            "Words of A, C, G, T, N that stand for the classes; default: single letters.",
            metavar="CLASS=WORD,...",
            parse=parse_words,
        ),
    ] = None
    head: Annotated[bool, Flag("--head", "Answer with a linear head in place of words.")] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptConfig:
    """How to tune a prompt; saved in training.json."""

    HEADING: ClassVar[str] = "Soft prompts"

    n_tokens: Annotated[int, Flag("--tokens", f"Soft prompt tokens, 1 to {MOST_TOKENS:,}.")] = 32
    init: Annotated[
        Literal["vocabulary", "random"],
        Flag("--init", "First vectors: embeddings of random bases, or noise."),
    ] = "vocabulary"
    """The noise is N(0, 0.02)."""
    words: tuple[str, ...] = ()
    """What stands for each class; empty: a linear head instead."""
    pooling: Annotated[
        HeadPooling, Flag("--pool", "What --head reads of the bases' hidden states.")
    ] = "mean"
    n_examples: Annotated[
        int | None, Flag("--examples", "Training rows to tune on; default: all.", at_least=1)
    ] = None
    """As many of each class as of any."""
    epochs: Annotated[float, Flag("--epochs", "Passes over the training rows, at most.")] = 10.0
    batch_size: Annotated[
        int,
        Flag(
            "--batch-size", "Sequences per optimiser step; with --shots 2 unless given.", at_least=1
        ),
    ] = 32
    micro_batch_bases: int = 32_768
    """Bases per forward and backward pass; the prompt is run once for each."""
    learning_rate: Annotated[
        float, Flag("--lr", "Peak learning rate; with --shots 1e-4 unless given.")
    ] = 1e-2
    """Of the prompt."""
    head_learning_rate: float = 1e-3
    """Peak learning rate of a head."""
    reverse_complement: Annotated[
        bool, Flag("--rc-aug/--no-rc-aug", "Tune on a random strand of each sequence.")
    ] = False
    validations: float = 1.0
    """Validations per epoch."""
    patience: Annotated[
        int | None,
        Flag("--patience", "Validations without a better loss that end the run.", at_least=1),
    ] = 4
    """None: never."""
    seed: Annotated[int, SEED] = 0

    def __post_init__(self) -> None:
        check_types(self)
        if not 1 <= self.n_tokens <= MOST_TOKENS:
            raise ValueError(f"a prompt has 1 to {MOST_TOKENS:,} tokens")
        for name in (
            "epochs",
            "batch_size",
            "micro_batch_bases",
            "learning_rate",
            "head_learning_rate",
            "validations",
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def train_config(self, *, n_rows: int, longest: int) -> TrainConfig:
        """The settings of the training loop for this number of training rows."""
        steps_per_epoch = n_rows / self.batch_size
        max_steps = max(1, math.ceil(self.epochs * steps_per_epoch))
        return TrainConfig(
            max_steps=max_steps,
            batch_bases=self.batch_size * longest,
            micro_batch_bases=self.micro_batch_bases,
            learning_rate=self.learning_rate,
            min_learning_rate=0.05 * self.learning_rate,
            warmup_steps=round(0.05 * max_steps),
            weight_decay=0.0,
            reverse_complement=self.reverse_complement,
            valid_every=max(1, round(steps_per_epoch / self.validations)),
            save_every=max(50, max_steps // 5),
            seed=self.seed,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class FewShotConfig:
    """How to learn from demonstrations; saved in training.json."""

    HEADING: ClassVar[str] = "Demonstrations"

    n_shots: Annotated[
        int,
        Flag(
            "--shots",
            "No soft prompt: this many demonstrations of each class before every sequence.",
            at_least=0,
        ),
    ]
    n_samples: Annotated[
        int, Flag("--samples", "With --shots: tune all weights on this many samples.", at_least=0)
    ] = 0
    """Once each but for those that fill up the last step; 0: no tuning."""
    words: tuple[str, ...] = ()
    """What stands for each class."""
    batch_size: int = 2
    """Samples per optimiser step."""
    micro_batch_bases: int = 32_768
    """Tokens per forward and backward pass, at least one sample."""
    learning_rate: float = 1e-4
    """Of all weights, constant."""
    recompute_blocks: bool = False
    """Gradient checkpointing."""
    seed: int = 0
    """Of demonstrations, samples, order and dropout."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("n_shots", "n_samples"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("batch_size", "micro_batch_bases", "learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")

    def n_context(self, longest: int) -> int:
        """Tokens of demonstrations with sequences of up to `longest` bases."""
        return self.n_shots * len(self.words) * (longest + len(self.words[0]) + 2)

    def n_tokens(self, longest: int) -> int:
        """Tokens of a whole sample of such sequences: demonstrations, sequence, word."""
        return self.n_context(longest) + longest + 1 + len(self.words[0])

    def train_config(self, *, longest: int) -> TrainConfig:
        """The settings of the training loop for sequences of up to `longest` bases."""
        n_tokens = self.n_tokens(longest)
        max_steps = max(1, math.ceil(self.n_samples / self.batch_size))
        return TrainConfig(
            max_steps=max_steps,
            batch_bases=self.batch_size * n_tokens,
            micro_batch_bases=self.micro_batch_bases,
            learning_rate=self.learning_rate,
            min_learning_rate=self.learning_rate,
            warmup_steps=0,
            lr_schedule="constant",
            weight_decay=0.0,
            reverse_complement=False,
            recompute_blocks=self.recompute_blocks,
            valid_every=max_steps,
            save_every=max(50, max_steps // 5),
            seed=self.seed,
        )


def settings(
    prompt: Mapping[str, Any], shots: Mapping[str, Any], answers: Answers
) -> PromptConfig | FewShotConfig:
    """What the options of both ask for; the words are still to be chosen.

    Raises UsageError for options that do not go together or make no sense.
    """
    try:
        if "n_shots" not in shots:
            if shots.get("n_samples"):
                raise UsageError("--samples goes with --shots; soft prompts have --examples")
            return PromptConfig(**prompt)
        of_both = {name: prompt[name] for name in _OF_BOTH & prompt.keys()}
        others = [flag_of(PromptConfig, n) for n in prompt if n not in _OF_BOTH | {"pooling"}]
        if without_meaning := others + ["--head"] * answers.head:
            raise UsageError(
                f"--shots answers with words after demonstrations: no {', '.join(without_meaning)}"
            )
        return FewShotConfig(**of_both, **shots)
    except ValueError as error:
        raise UsageError(str(error)) from error


_OF_BOTH = frozenset({"batch_size", "learning_rate", "seed"})
