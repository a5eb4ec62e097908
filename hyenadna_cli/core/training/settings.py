"""What to pretrain, and on what: defaults < preset < TOML file < options."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from hyenadna_cli.core.config.checks import checked_number, read_tables
from hyenadna_cli.core.config.flags import Flag
from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.config.texts import parse_list
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.training.starting_model import StartingModel


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFiles:
    """What to learn from, and what to hold out."""

    HEADING: ClassVar[str] = "Genomes"

    fasta: Annotated[
        tuple[Path, ...], Flag("--fasta", "Genomes to learn (indexed FASTA); repeatable.")
    ]
    bed: Annotated[
        Path | None,
        Flag(
            "--bed",
            "Regions with a split column (4th: train, valid or test; 0-based, half-open).",
        ),
    ] = None
    exclude_bed: Annotated[
        Path | None, Flag("--exclude-bed", "Regions never trained on (0-based, half-open).")
    ] = None
    valid_contigs: Annotated[
        tuple[str, ...],
        Flag(
            "--valid-contigs",
            "Contigs held out to validate on, by commas.",
            metavar="NAME,...",
            parse=parse_list,
        ),
    ] = ()
    test_contigs: Annotated[
        tuple[str, ...],
        Flag(
            "--test-contigs",
            "Contigs held out altogether, by commas.",
            metavar="NAME,...",
            parse=parse_list,
        ),
    ] = ()

    @property
    def files(self) -> list[Path]:
        """All of them, for provenance."""
        return [*self.fasta, *filter(None, (self.bed, self.exclude_bed))]


MODEL_DEFAULTS = {"d_model": 128, "n_layer": 2, "l_max": 1026}
TOLD = MODEL_DEFAULTS | {
    "d_inner": "4 times --d-model",
    "min_learning_rate": "a tenth of --lr",
}
"""Defaults that are not those of ModelConfig and TrainConfig, in words; see `settings`."""
_PAPER_TRAIN: dict[str, Any] = {
    "batch_bases": 262_144,
    "learning_rate": 6e-4,
    "min_learning_rate": 6e-5,
    "lr_schedule": "published",
    "decay": "published",
    "weight_decay": 0.1,
    "reverse_complement": False,
    "targets": "all",
    "sampling": "intervals",
    "keep": "sequences",
    "max_steps": 13_300,
    "warmup_steps": 3_815,
    "lr_decay_steps": 381_500,
    "seed": 2222,
}
"""The published tiny-1k run: 256 sequences of 1,024 bases, 100 epochs of 34,021 intervals.

Its schedule was laid out for 381,500 steps, so that the learning rate hardly fell after warm-up.
"""
_PAPER_MODEL: dict[str, Any] = {"filter_shift": 0.0}
"""The published training code adds no floor to the decay window."""


def settings(
    *,
    model: Mapping[str, Any],
    train: Mapping[str, Any],
    config_file: Path | None = None,
    preset: str | None = None,
    start: StartingModel | None = None,
) -> tuple[ModelConfig, TrainConfig]:
    """Merge defaults, preset, TOML file and options, the later ones winning.

    The shape is that of `start`, if there is one. Raises UsageError for a setting that does not
    exist, makes no sense or asks for another shape, InputFileError for a file that is not TOML.
    """
    if preset not in (None, "paper"):
        raise UsageError(f"--preset {preset}: the only preset is paper")
    from_file = read_tables(config_file, "model", "train")
    is_paper = preset == "paper"
    model_values = {
        **(MODEL_DEFAULTS if start is None else dataclasses.asdict(start.config)),
        **(_PAPER_MODEL if is_paper else {}),
        **from_file["model"],
        **model,
    }
    train_values = {**(_PAPER_TRAIN if is_paper else {}), **from_file["train"], **train}
    try:
        model_values.setdefault("d_inner", 4 * checked_number("d_model", model_values))
        if "learning_rate" in train_values and "min_learning_rate" not in train_values:
            rate = checked_number("learning_rate", train_values)
            train_values["min_learning_rate"] = 0.1 * rate
        model_config = ModelConfig.from_mapping(model_values)
        train_config = TrainConfig.from_mapping(train_values)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    if start is not None:
        start.check(model_config)
    longest = max([length for length, _ in train_config.length_schedule], default=0)
    if longest + 2 > model_config.l_max:
        raise UsageError(
            f"--length-schedule reaches {longest:,} bases; --max-length is "
            f"{model_config.l_max - 2:,}"
        )
    return model_config, train_config
