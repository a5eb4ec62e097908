"""The published pretrainings, as presets: settings, and what of them is ours.

`paper` is the run that the published code describes, tiny-1k; `paper-2x128` to `paper-8x256` are
the five columns (blocks x channels) of table A.1 of HyenaDNA (arXiv:2306.15794), a table of ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.errors import UsageError

_SEQUENCES = 256
"""Of a step, whatever their length."""
_FIRST_LENGTH = 64
"""Of the warm-up, which doubles it from stage to stage."""

_TRAIN: dict[str, Any] = {
    "learning_rate": 6e-4,
    "min_learning_rate": 6e-5,
    "lr_schedule": "published",
    "decay": "published",
    "weight_decay": 0.1,
    "reverse_complement": False,
    "targets": "all",
    "sampling": "intervals",
    "keep": "sequences",
    "seed": 2222,
}
_MODEL: dict[str, Any] = {"filter_shift": 0.0, "embed_dropout": 0.1, "resid_dropout": 0.0}
"""The published training code adds no floor to the decay window."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A published pretraining. What depends on its length and steps follows from those."""

    model: Mapping[str, Any]
    train: Mapping[str, Any]
    has_length_warmup: bool = False
    note: str = ""
    """What of it is ours, where the publication gives a range or nothing."""

    def complete(self, train: Mapping[str, Any], *, max_length: int) -> dict[str, Any]:
        """Training settings with the stages and the bases of a step, where none are given.

        `max_length` (bases) is that of the longest windows.
        """
        values = dict(train)
        if self.has_length_warmup:
            values.setdefault("length_schedule", doubling(max_length, values["max_steps"]))
        stages = values.get("length_schedule")
        first_length = stages[0][0] if stages else max_length
        values.setdefault("batch_bases", _SEQUENCES * first_length)
        return values

    def deviations(self, model: ModelConfig, train: TrainConfig) -> list[str]:
        """What a run does otherwise than the recipe says, and how a step fits the machine."""
        max_length = model.l_max - 2
        recipe = self.complete({"max_steps": train.max_steps, **self.train}, max_length=max_length)
        wanted = {**self.model, **recipe}
        lines = [
            f"{name} is {have}, published {value}"
            for name, value in wanted.items()
            if (have := getattr(model if name in self.model else train, name)) != value
        ]
        longest = max([length for length, _ in train.length_schedule], default=max_length)
        n_sequences = train.sequences_per_step(longest, max_length=max_length)
        n_at_once = max(1, train.micro_batch_bases // longest)
        if n_at_once < n_sequences:
            lines.append(
                f"{n_sequences:,} sequences of {longest:,} bases per step go through the model "
                f"{n_at_once:,} at a time, and their gradients are added up (--micro-batch-bases)"
            )
        return [*lines, *([self.note] if self.note else [])]


def doubling(
    max_length: int, max_steps: int, *, first: int = _FIRST_LENGTH
) -> tuple[tuple[int, int], ...]:
    """Stages of `first`, twice that, ... bases up to `max_length`, as many steps each."""
    lengths = [min(first, max_length)]
    while lengths[-1] < max_length:
        lengths.append(min(2 * lengths[-1], max_length))
    steps = max(1, max_steps // len(lengths))
    return tuple((length, steps) for length in lengths)


def _of_table(n_layer: int, d_model: int, max_length: int) -> Recipe:
    return Recipe(
        model={**_MODEL, "n_layer": n_layer, "d_model": d_model, "l_max": max_length + 2},
        train={**_TRAIN, "max_steps": 20_000, "warmup_steps": 200},
        has_length_warmup=True,
        note="published are ranges: 64 to 256 sequences per step, a learning rate of 1.5e-4 to "
        "6e-4, 10,000 to 20,000 steps, of which this takes the upper ends; how long each stage "
        "of the length warm-up lasted is not published, and here all are equal",
    )


RECIPES: Mapping[str, Recipe] = {
    # 100 epochs of 34,021 intervals. The schedule was laid out for 381,500 steps, so that the
    # learning rate hardly fell after its warm-up.
    "paper": Recipe(
        model=_MODEL,
        train={
            **_TRAIN,
            "max_steps": 13_300,
            "warmup_steps": 3_815,
            "lr_decay_steps": 381_500,
        },
    ),
    "paper-2x128": _of_table(2, 128, 65_536),
    "paper-2x256": _of_table(2, 256, 65_536),
    "paper-4x128": _of_table(4, 128, 65_536),
    "paper-4x256": _of_table(4, 256, 65_536),
    "paper-8x256": _of_table(8, 256, 1_000_000),
}


def find(preset: str) -> Recipe:
    """A recipe by the name of its preset. Raises UsageError."""
    if preset not in RECIPES:
        raise UsageError(f"--preset {preset}: there are {', '.join(RECIPES)}")
    return RECIPES[preset]
