"""Settings of species classification: defaults < preset < TOML file < options."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from hyenadna_cli.core.config.checks import check_types, checked_number, from_mapping, read_tables
from hyenadna_cli.core.config.choices import ContigMap, Split
from hyenadna_cli.core.config.flags import (
    CONTIG_MAP,
    DROPOUT,
    FREEZE,
    RENAME_CHRS,
    Flag,
    in_bases,
)
from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.config.texts import parse_bases, parse_list
from hyenadna_cli.errors import UsageError

log = logging.getLogger(__name__)

SpeciesPooling = Literal["mean", "last"]

MODEL_DEFAULTS = {"d_model": 128, "n_layer": 2}
TRAIN_DEFAULTS: dict[str, Any] = {
    "max_steps": 2_000,
    "batch_bases": 16_384,
    "learning_rate": 5e-5,
    "valid_every": 200,
    "save_every": 200,
    "warmup_steps": 50,
}
TOLD = MODEL_DEFAULTS | TRAIN_DEFAULTS | {"min_learning_rate": "a tenth of --lr"}
"""Defaults that are not those of ModelConfig and TrainConfig, in words; see `settings`."""
_PAPER: dict[str, dict[str, Any]] = {
    "train": {
        "keep": "sequences",
        "decay": "published",
        "lr_schedule": "published",
        "weight_decay": 0.1,
        "reverse_complement": False,
    },
    "species": {"head_lr_ratio": 1.0, "probe_bases": 0},
}
_PAPER_BY_LENGTH: dict[int, tuple[float, int, SpeciesPooling]] = {
    1_000: (6e-5, 256, "mean"),
    32_000: (3e-4, 256, "mean"),
    250_000: (6e-5, 128, "last"),
    450_000: (6e-4, 128, "last"),
}
"""By bases per window: learning rate, windows per step, pooling (table A.10; the windows from
the published code, 256 below 64,000 bases). 1,000,000 bases have no published rate."""


def paper(length: int, train: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The published recipe for windows of `length` bases: that of the nearest published length.

    How many steps an epoch had is not published unambiguously: --max-steps says. `train` are the
    settings that are given, a warm-up of lengths among them.
    """
    nearest = min(_PAPER_BY_LENGTH, key=lambda published: abs(math.log(length / published)))
    rate, n_windows, pooling = _PAPER_BY_LENGTH[nearest]
    stages = train.get("length_schedule")
    first_length = stages[0][0] if stages else length
    return {
        "train": {
            **_PAPER["train"],
            "learning_rate": rate,
            "min_learning_rate": 0.1 * rate,
            "batch_bases": n_windows * first_length,
        },
        "species": {**_PAPER["species"], "pooling": pooling},
    }


def parse_lengths(text: str) -> tuple[int, ...]:
    """`1k,4k,16k` as bases. Raises ValueError."""
    lengths = tuple(map(parse_bases, text.split(",")))
    if min(lengths) < 2:
        raise ValueError(f"{text!r}: windows have 2 bases or more; commas separate lengths")
    return lengths


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeciesFiles:
    """The genomes to tell apart, and how often each is drawn in training."""

    HEADING: ClassVar[str] = "Genomes"

    manifest: Annotated[
        Path,
        Flag(
            "--manifest", "Tab-separated: species fasta train_contigs valid_contigs test_contigs."
        ),
    ]
    species: Annotated[
        tuple[str, ...],
        Flag(
            "--species",
            "Of the manifest, by commas; default: all.",
            metavar="NAME,...",
            parse=parse_list,
        ),
    ] = ()
    species_weights: Annotated[
        str,
        Flag("--species-weights", "How often each is drawn.", metavar="uniform|bases|NAME=W,..."),
    ] = "uniform"
    contig_weights: Annotated[
        str,
        Flag(
            "--contig-weights",
            "Within a species; a file has three columns: species contig weight.",
            metavar="bases|uniform|FILE",
        ),
    ] = "bases"
    contig_map: Annotated[ContigMap, CONTIG_MAP] = "exact"
    rename_chrs: Annotated[Path | None, RENAME_CHRS] = None
    max_n_run: Annotated[
        int, Flag("--max-n-run", "No window holds a longer run of N (bases).", at_least=0)
    ] = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """How accuracy is measured, on windows of several lengths."""

    HEADING: ClassVar[str] = "Measuring accuracy"

    lengths: Annotated[
        tuple[int, ...],
        Flag(
            "--lengths",
            "Measure accuracy with windows of each length, on held-out contigs.",
            metavar="BASES,...",
            parse=parse_lengths,
        ),
    ] = ()
    split: Annotated[Split, Flag("--split", "Contigs to measure on.")] = "test"
    n_windows: Annotated[
        int, Flag("--test-windows", "Windows per species and length, at most.", at_least=1)
    ] = 100
    strand: Annotated[
        Literal["+", "both"], Flag("--strand", "In measuring; both averages the two strands.")
    ] = "+"

    def described(self) -> dict[str, str | int | list[int]]:
        """What of this shapes the numbers, for provenance."""
        return {
            "split": self.split,
            "test_windows": self.n_windows,
            "strand": self.strand,
            "lengths": list(self.lengths),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeciesConfig:
    """What a species classifier is, beyond how it is optimised; saved in training.json."""

    HEADING: ClassVar[str] = "Classifier"

    length: Annotated[
        int,
        in_bases("--length", "Length of the longest training windows; needed here or in --config."),
    ]
    """Of validation windows too, and by default of those in prediction."""
    pooling: Annotated[
        SpeciesPooling,
        Flag("--pool", "Hidden states to read: the mean over all bases, or the last as published."),
    ] = "mean"
    dropout: Annotated[float, DROPOUT] = 0.0
    """A fitted head tells species by small differences of large numbers: a tenth of them dropped
    costs several nats per window."""
    head_lr_ratio: Annotated[
        float, Flag("--head-lr-ratio", "Learning rate of the head relative to --lr.")
    ] = 10.0
    """The head starts from nothing, the backbone does not."""
    freeze: Annotated[Literal["all", "none"] | int, FREEZE] = "none"
    probe_bases: Annotated[
        int,
        in_bases(
            "--probe-bases",
            "Bases that the head is fitted to before training, at most four times those of the "
            "training contigs; 0: it starts from nothing.",
        ),
    ] = 4_000_000
    """Of training windows, shared between the lengths of the schedule; the backbone stays as it
    is."""
    match_gc: Annotated[
        bool,
        Flag(
            "--match-gc/--no-match-gc",
            "In that fit, weigh species alike in every range of GC content.",
        ),
    ] = True
    """GC differs more between two places of a genome than between two mammals, and training contigs
    may be few places."""
    valid_windows: Annotated[
        int, Flag("--valid-windows", "Validation windows per species, at most.")
    ] = 20

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
    tables = read_tables(config_file, "model", "train", "species")
    if model is None and tables["model"]:
        raise UsageError(f"{config_file}: unknown tables: model; [model] goes with --from-scratch")
    species_values = {**tables["species"], **species}
    train_values = {**tables["train"], **train}
    recipe: dict[str, dict[str, Any]] = {"train": {}, "species": {}}
    try:
        if "length" not in species_values:
            raise ValueError("--length is needed: bases of the longest training windows")
        if preset == "paper":
            length = from_mapping(SpeciesConfig, species_values, called="species").length
            recipe = paper(length, train_values)
            if "learning_rate" in train_values:
                del recipe["train"]["min_learning_rate"]  # a tenth of the other one
        species_values = {**recipe["species"], **species_values}
        train_values = {**TRAIN_DEFAULTS, **recipe["train"], **train_values}
        species_config = from_mapping(SpeciesConfig, species_values, called="species")
        if "min_learning_rate" not in train_values and "learning_rate" in train_values:
            rate = checked_number("learning_rate", train_values)
            train_values["min_learning_rate"] = 0.1 * rate
        model_config = None
        if model is not None:
            values = {**MODEL_DEFAULTS, **tables["model"], **model}
            values.setdefault("d_inner", 4 * checked_number("d_model", values))
            values.setdefault("l_max", species_config.length + 2)
            model_config = ModelConfig.from_mapping(values)
        settings = Settings(
            species=species_config, train=TrainConfig.from_mapping(train_values), model=model_config
        )
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    if settings.longest > species_config.length:
        raise UsageError(
            f"--length-schedule reaches {settings.longest:,} bases; --length is "
            f"{species_config.length:,}"
        )
    for line in _deviations(settings, recipe) if preset == "paper" else ():
        log.info("--preset paper: %s", line)
    return settings


def _deviations(settings: Settings, recipe: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What a run does otherwise than the recipe says, and how a step fits the machine."""
    train, longest = settings.train, settings.longest
    lines = [
        f"{name} is {have}, published {value}"
        for part, values in ((train, recipe["train"]), (settings.species, recipe["species"]))
        for name, value in values.items()
        if (have := getattr(part, name)) != value
    ]
    n_windows = train.sequences_per_step(longest, max_length=settings.species.length)
    n_at_once = max(1, train.micro_batch_bases // longest)
    if n_at_once < n_windows:
        lines.append(
            f"{n_windows:,} windows of {longest:,} bases per step go through the model "
            f"{n_at_once:,} at a time, and their gradients are added up (--micro-batch-bases)"
        )
    is_published = settings.species.length in _PAPER_BY_LENGTH
    if not is_published and train.learning_rate == recipe["train"]["learning_rate"]:
        lines.append(
            f"the learning rate, {train.learning_rate:g}, is that of the nearest published length"
        )
    return lines
