"""Next-nucleotide pretraining: the run, and the finished model.

regions.Regions -> genome_windows.GenomeWindows
settings.settings -> ModelConfig, TrainConfig -> loop.train
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from hyenadna_cli.core.config.choices import SPLITS, Split
from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.model.checkpoints import checkpoint, known_answer
from hyenadna_cli.core.model.cost import describe_training_memory, n_parameters
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import next_base_loss, next_token_loss
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.genome_windows import GenomeWindows
from hyenadna_cli.core.training.loop import StepReport, train
from hyenadna_cli.core.training.regions import Regions
from hyenadna_cli.core.training.run_directory import read_progress
from hyenadna_cli.core.training.run_identity import MADE_FROM, made_from
from hyenadna_cli.core.training.starting_model import StartingModel

_SHORT_RUN = 1_000
"""Steps below which nobody need think about how they are shared."""


def plan(
    regions: Regions, model_config: ModelConfig, config: TrainConfig, *, n_context: int = 1
) -> str:
    """What a run would do: data, model size, stages."""
    max_length = model_config.l_max - 2
    stages = config.length_schedule or ((max_length, config.max_steps),)
    lines = [
        regions.describe(),
        f"model: {n_parameters(model_config):,} parameters, {model_config}",
        f"steps: {config.max_steps:,}",
        *config.describe_stages(max_length=max_length),
        describe_training_memory(
            model_config,
            config,
            longest=max(length for length, _ in stages),
            n_context=n_context,
        ),
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
    model.execution = runtime.execution(
        recompute_blocks=config.recompute_blocks, context=world.context
    )
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
        about={MADE_FROM: made_from(made_by), "regions": regions.digest()},
    )
    progress = read_progress(run_dir)
    # Not by the steps done here: a run may be killed after its last one.
    if world.is_main and progress.is_done and not (run_dir / "training.json").exists():
        model.execution = runtime.execution()  # the other processes have ended their part
        checkpoint.save(model, run_dir)
        known_answer.record_known_answer(model, run_dir)
        record = training_record(config, regions, made_by=made_by, valid_loss=progress.valid_loss)
        atomic.write_text(run_dir / "training.json", record)


def faster_as_processes(
    config: TrainConfig, *, max_length: int, runtime: Runtime, world: World
) -> str | None:
    """How a long run on CPU threads would take less time; None if it would not."""
    stages = config.length_schedule or ((max_length, config.max_steps),)
    fewest = min(config.sequences_per_step(length, max_length=max_length) for length, _ in stages)
    n = min(runtime.threads, fewest)
    is_short = config.max_steps < _SHORT_RUN
    if runtime.device.type != "cpu" or world.size > 1 or n < 2 or is_short:
        return None
    return (
        f"a step took a tenth less time in processes of one thread each than in threads of one: "
        f"torchrun --nproc-per-node {n} -m hyenadna_cli pretrain ... --threads "
        f"{runtime.threads // n}"
    )


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
