"""Settings of species classification: defaults < preset < TOML file < options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from hyenadna_cli.core.config import ModelConfig, TrainConfig
from hyenadna_cli.core.setting_types import check_types
from hyenadna_cli.core.training import pretraining
from hyenadna_cli.errors import UsageError

SpeciesPooling = Literal["mean", "last"]

_MODEL_DEFAULTS = {"d_model": 128, "n_layer": 2}
_TRAIN_DEFAULTS: dict[str, Any] = {
    "max_steps": 2_000,
    "batch_bases": 16_384,
    "learning_rate": 5e-5,
    "valid_every": 200,
    "save_every": 200,
    "warmup_steps": 50,
}
_PAPER_WINDOWS = 256
_PAPER: dict[str, dict[str, Any]] = {
    "train": {
        "learning_rate": 6e-5,
        "keep": "sequences",
        "decay": "published",
        "lr_schedule": "published",
        "weight_decay": 0.1,
        "reverse_complement": False,
    },
    "species": {"head_lr_ratio": 1.0, "probe_bases": 0},
}
"""The published recipe for 1,000 bases; for 32,000 its learning rate was 3e-4. 256 windows a step,
plus strand. How many steps an epoch had is not published unambiguously: --max-steps says."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeciesConfig:
    """What a species classifier is, beyond how it is optimised; saved in training.json."""

    length: int
    """Bases of the longest training window, of validation windows, and by default in prediction."""
    pooling: SpeciesPooling = "mean"
    """Of the hidden states: over all bases, or the last one as published for long windows."""
    dropout: float = 0.0
    """On the pooled vector, in training. A fitted head tells species by small differences of
    large numbers: a tenth of them dropped costs several nats a window."""
    head_lr_ratio: float = 10.0
    """Learning rate of the head relative to the backbone's: the head starts from nothing."""
    freeze: Literal["all", "none"] | int = "none"
    """Of the backbone: all of it, nothing, or the embedding and this many blocks."""
    probe_bases: int = 4_000_000
    """Bases, shared between the lengths of the schedule, of training windows that the head is
    fitted to at the start, the backbone as it is; 0: the head starts from nothing."""
    match_gc: bool = True
    """Whether that fit weighs species alike in every range of GC content: it differs more between
    two places of a genome than between two mammals, and training contigs may be few places."""
    valid_windows: int = 20
    """At most so many validation windows a species."""

    def __post_init__(self) -> None:
        check_types(self)
        for name, least in (("length", 2), ("valid_windows", 1), ("probe_bases", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.pooling not in get_args(SpeciesPooling):
            raise ValueError(f"pooling must be mean or last, got {self.pooling!r}")
        if not self.head_lr_ratio > 0:
            raise ValueError(f"head_lr_ratio must be more than 0, got {self.head_lr_ratio}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that can be set."""

    species: SpeciesConfig
    train: TrainConfig
    model: ModelConfig | None
    """The shape of a backbone that starts from random weights; None for a pretrained one."""

    @property
    def lengths(self) -> list[int]:
        """Bases of the training windows, the shortest first."""
        return sorted({length for length, _ in self.train.length_schedule}) or [self.species.length]

    @property
    def longest(self) -> int:
        """Bases of the longest window in training."""
        stages = [length for length, _ in self.train.length_schedule]
        return max([self.species.length, *stages])


def settings(
    *,
    model: Mapping[str, Any] | None,
    train: Mapping[str, Any],
    species: Mapping[str, Any],
    config_file: Path | None = None,
    preset: str | None = None,
) -> Settings:
    """Merge defaults, preset, TOML file (tables model, train, species) and options, later ones win.

    `model` is None for a pretrained backbone. Raises UsageError for a setting that does not exist
    or makes no sense, InputFileError for a file that is not TOML.
    """
    if preset not in (None, "paper"):
        raise UsageError(f"--preset {preset}: the only preset is paper")
    tables = pretraining.read_toml(config_file) if config_file else {}
    known = {"train", "species"} | ({"model"} if model is not None else set())
    if unknown := sorted(tables.keys() - known):
        hint = "; [model] goes with --from-scratch" if unknown == ["model"] else ""
        raise UsageError(f"{config_file}: unknown tables: {', '.join(unknown)}{hint}")
    paper = _PAPER if preset == "paper" else {}
    species_values = {**paper.get("species", {}), **tables.get("species", {}), **species}
    train_values = {**_TRAIN_DEFAULTS, **paper.get("train", {}), **tables.get("train", {}), **train}
    try:
        if unknown := sorted(species_values.keys() - {f.name for f in fields(SpeciesConfig)}):
            raise ValueError(f"unknown species settings: {', '.join(unknown)}")
        if "length" not in species_values:
            raise ValueError("--length is needed: bases of the longest training windows")
        species_config = SpeciesConfig(**species_values)
        if preset == "paper":
            train_values.setdefault("batch_bases", _PAPER_WINDOWS * species_config.length)
        if "min_learning_rate" not in train_values and "learning_rate" in train_values:
            train_values["min_learning_rate"] = 0.1 * train_values["learning_rate"]
        model_config = None
        if model is not None:
            values = {**_MODEL_DEFAULTS, **tables.get("model", {}), **model}
            values.setdefault("d_inner", 4 * values["d_model"])
            values.setdefault("l_max", species_config.length + 2)
            model_config = ModelConfig.from_mapping(values)
        found = Settings(
            species=species_config, train=TrainConfig.from_mapping(train_values), model=model_config
        )
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    if found.longest > species_config.length:
        raise UsageError(
            f"--length-schedule reaches {found.longest:,} bases; --length is "
            f"{species_config.length:,}"
        )
    return found
