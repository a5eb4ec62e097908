"""Next-nucleotide pretraining: settings, the run, and the finished model.

training_regions.Regions -> datasets.GenomeWindows
settings (preset < TOML < options) -> ModelConfig, TrainConfig -> training.train
"""

from __future__ import annotations

import dataclasses
import json
import logging
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from hyenadna_cli.core.config import ModelConfig, TrainConfig
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.model.checkpoints import checkpoint, known_answer
from hyenadna_cli.core.model.cost import describe_training_memory
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import next_base_loss, next_token_loss
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.genome_windows import GenomeWindows
from hyenadna_cli.core.training.loop import StepReport, train
from hyenadna_cli.core.training.regions import SPLITS, Regions, Split
from hyenadna_cli.core.training.run_directory import read_progress
from hyenadna_cli.core.training.starting_model import StartingModel
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)

_MODEL_DEFAULTS = {"d_model": 128, "n_layer": 2, "l_max": 1026}
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
    from_file = read_toml(config_file) if config_file else {}
    if unknown := sorted(from_file.keys() - {"model", "train"}):
        raise UsageError(f"{config_file}: unknown tables: {', '.join(unknown)}")
    is_paper = preset == "paper"
    model_values = {
        **(_MODEL_DEFAULTS if start is None else dataclasses.asdict(start.config)),
        **(_PAPER_MODEL if is_paper else {}),
        **from_file.get("model", {}),
        **model,
    }
    model_values.setdefault("d_inner", 4 * model_values["d_model"])
    train_values = {**(_PAPER_TRAIN if is_paper else {}), **from_file.get("train", {}), **train}
    if "learning_rate" in train_values and "min_learning_rate" not in train_values:
        train_values["min_learning_rate"] = 0.1 * train_values["learning_rate"]
    try:
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


def read_toml(path: Path) -> dict[str, Any]:
    """A settings file. Raises InputFileError if it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise InputFileError(path, error.strerror or str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"not TOML: {error}") from error


def plan(regions: Regions, model_config: ModelConfig, config: TrainConfig) -> str:
    """What a run would do: data, model size, stages."""
    n_parameters = sum(parameter.numel() for parameter in HyenaDNA(model_config).parameters())
    stages = config.length_schedule or ((model_config.l_max - 2, config.max_steps),)
    lines = [
        regions.describe(),
        f"model: {n_parameters:,} parameters, {model_config}",
        f"steps: {config.max_steps:,} of {config.batch_bases:,} bases",
        *(f"stage: {length:,} bases a window for {steps:,} steps" for length, steps in stages),
        describe_training_memory(model_config, config, longest=max(length for length, _ in stages)),
    ]
    return "\n".join(lines)


def run(
    regions: Regions,
    model_config: ModelConfig,
    config: TrainConfig,
    *,
    run_dir: Path,
    runtime: Runtime,
    world: World,
    made_by: Provenance,
    should_stop: Callable[[], bool],
    start: StartingModel | None = None,
) -> Iterator[StepReport]:
    """Train, and write the model into `run_dir` once the last step is done.

    Yields one report a step; the weights are at first those of `start`, or random ones. Raises
    DeviceMemoryError if a micro-batch does not fit the device.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)
        model = HyenaDNA(model_config)
        if start is not None:
            start.load_into(model)
    model.execution = runtime.execution(recompute_blocks=config.recompute_blocks)
    model.to(runtime.device)
    longest = model_config.l_max - 2
    held_out = []
    if regions.spans["valid"]:
        held_out = windows(regions, config, "valid").tile_batches(
            length=longest,
            max_bases=config.valid_bases,
            rows=max(1, config.micro_batch_bases // longest),
        )
    loss_of = next_token_loss if config.targets == "all" else next_base_loss
    yield from train(
        model,
        windows(regions, config, "train"),
        loss_of,
        config=config,
        run_dir=run_dir,
        max_length=longest,
        valid_batches=held_out,
        world=world,
        should_stop=should_stop,
        about={"start": start.source.sha256} if start is not None else {},
    )
    progress = read_progress(run_dir)
    # Not by the steps done here: a run may be killed after its last one.
    if world.is_main and progress.is_done and not (run_dir / "training.json").exists():
        checkpoint.save(model, run_dir)
        known_answer.record_known_answer(model, run_dir)
        record = training_record(config, regions, made_by=made_by, valid_loss=progress.valid_loss)
        atomic.write_text(run_dir / "training.json", record)


def windows(regions: Regions, config: TrainConfig, split: Split) -> GenomeWindows:
    """The spans of a split as a source of training or validation windows."""
    return GenomeWindows(
        regions.spans[split],
        seed=config.seed,
        use_both_strands=config.reverse_complement,
        sampling=config.sampling if split == "train" else "random",
        as_published=config.targets == "all",
    )


def training_record(
    config: TrainConfig, regions: Regions, *, made_by: Provenance, valid_loss: float | None
) -> str:
    """The text of training.json: settings, data and result."""
    record = {
        "task": "next-nucleotide pretraining",
        "settings": dataclasses.asdict(config),
        "data": {
            split: {"spans": len(regions.spans[split]), "bases": regions.n_bases(split)}
            for split in SPLITS
        },
        "valid_nats_per_base": valid_loss,
        "made_by": made_by.as_json(),
    }
    return json.dumps(record, indent=2) + "\n"
