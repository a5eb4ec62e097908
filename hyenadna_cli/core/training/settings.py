"""What to pretrain, and on what: defaults < preset < TOML file < options."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from hyenadna_cli.core.config.checks import checked_number, read_tables
from hyenadna_cli.core.config.flags import Flag
from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.config.texts import parse_list
from hyenadna_cli.core.training import recipes
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.training.starting_model import StartingModel

log = logging.getLogger(__name__)


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
    Where a run differs from its preset is logged.
    """
    recipe = None if preset is None else recipes.find(preset)
    from_file = read_tables(config_file, "model", "train")
    model_values = {
        **(MODEL_DEFAULTS if start is None else dataclasses.asdict(start.config)),
        **(recipe.model if recipe else {}),
        **from_file["model"],
        **model,
    }
    train_values = {**(recipe.train if recipe else {}), **from_file["train"], **train}
    try:
        model_values.setdefault("d_inner", 4 * checked_number("d_model", model_values))
        if "learning_rate" in train_values and "min_learning_rate" not in train_values:
            rate = checked_number("learning_rate", train_values)
            train_values["min_learning_rate"] = 0.1 * rate
        if start is not None:
            l_max = checked_number("l_max", model_values)
            model_values["filter_l_max"] = start.filter_l_max(l_max)
        model_config = ModelConfig.from_mapping(model_values)
        if recipe is not None:
            train_values = recipe.complete(train_values, max_length=model_config.l_max - 2)
        train_config = TrainConfig.from_mapping(train_values)
        if start is not None and "length_schedule" not in train_values:
            train_config = start.warmed_up(model_config, train_config)
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
    for line in recipe.deviations(model_config, train_config) if recipe else ():
        log.info("--preset %s: %s", preset, line)
    return model_config, train_config
