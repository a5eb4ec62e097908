"""`classify-species train`: a classifier on random windows of genomes."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.groups import OptionsOf, Overrides, with_option_groups
from hyenadna_cli.commands.options.model import ComputeRequest, ModelRequest
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.training_run import TrainingRun
from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.tasks.species.settings import (
    TOLD,
    Measurement,
    Settings,
    SpeciesConfig,
    SpeciesFiles,
)
from hyenadna_cli.core.tasks.species.settings import settings as resolved
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.machine.runtime import Runtime
    from hyenadna_cli.core.model.hyenadna import HyenaDNA
    from hyenadna_cli.core.tasks.species.manifest import SpeciesGenomes
    from hyenadna_cli.core.tasks.species.windows import SamplingWeights

log = logging.getLogger(__name__)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="Settings as TOML: tables [species], [train], [model]."),
]


@with_option_groups
def train(
    *,
    files: SpeciesFiles,
    config: ConfigOption = None,
    preset: tr.PresetOption = None,
    model: ModelRequest,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Random weights instead of --model.")
    ] = False,
    shape: Annotated[Overrides, OptionsOf(ModelConfig, defaults=TOLD, without=["d_inner"])],
    classifier: Annotated[Overrides, OptionsOf(SpeciesConfig)],
    steps: Annotated[Overrides, OptionsOf(TrainConfig, defaults=TOLD, without=["valid_bases"])],
    asked: Annotated[Overrides, OptionsOf(Measurement, without=["split"])],
    compute: ComputeRequest,
    run_directory: tr.RunDirectory,
    run_options: RunOptions,
) -> None:
    """Train a classifier of species on random windows of their genomes.

    Writes a run directory as pretrain does: metrics.csv, checkpoints/, and in the end a model that
    predict and every other command reads with -m. With --lengths also evaluation/, as evaluate
    writes it. Stops cleanly on SIGTERM, SIGUSR1 and --max-time; --resume goes on exactly. Under
    torchrun the processes share each step's batch.

      hyenadna classify-species train --manifest species.tsv --length 32k --length-schedule
      1k:1500,8k:300,32k:200 --max-steps 2000 --lengths 1k,4k,16k,32k -o run
    """
    from hyenadna_cli.core.tasks.species import training
    from hyenadna_cli.core.tasks.species.manifest import open_genomes
    from hyenadna_cli.core.tasks.species.windows import sampling_weights

    if shape and not from_scratch:
        raise UsageError("--d-model and --n-layer go with --from-scratch")
    settings = resolved(
        model=shape if from_scratch else None,
        train=steps,
        species=classifier,
        config_file=config,
        preset=preset,
    )
    measurement = Measurement(**asked)
    run_directory.check()
    with compute.memory_errors(), open_genomes(files) as genomes:
        chosen = None if from_scratch else model.choose(compute, training=True)
        runtime = chosen.run if chosen else compute.resolve(training=True)
        run = _training_run(run_directory, genomes, runtime, chosen)
        _check_longest(max([settings.longest, *measurement.lengths]), chosen, settings)
        weights = sampling_weights(files, genomes)
        training.check(genomes, settings, weights, measured=measurement.lengths)
        if run_options.dry_run:
            typer.echo(training.plan(genomes, settings, _backbone(chosen, settings)))
        else:
            run.going_on(
                lambda: _run(run, runtime, genomes, settings, weights, measurement, chosen)
            )


def _training_run(
    directory: tr.RunDirectory,
    genomes: SpeciesGenomes,
    runtime: Runtime,
    chosen: ChosenModel | None,
) -> TrainingRun:
    return TrainingRun(
        command="classify-species train",
        directory=directory,
        inputs=genomes.inputs,
        settings=runtime.describe(),
        model=chosen.identity() if chosen else None,
        runtime=runtime,
    )


def _check_longest(longest: int, chosen: ChosenModel | None, settings: Settings) -> None:
    if chosen is not None:
        from hyenadna_cli.core.tasks.species.trained_model import check_longest

        check_longest(chosen, longest)
    elif settings.model is not None and longest > settings.model.l_max:
        raise UsageError(
            f"windows of {longest:,} bases: the model from scratch reads at most "
            f"{settings.model.l_max:,} tokens; l_max in the table [model] of --config sets it"
        )


def _backbone(chosen: ChosenModel | None, settings: Settings) -> HyenaDNA:
    if chosen is not None:
        return chosen.load()
    from hyenadna_cli.core.tasks.species.training import random_backbone

    assert settings.model is not None
    return random_backbone(settings.model, seed=settings.train.seed)


def _run(
    run: TrainingRun,
    runtime: Runtime,
    genomes: SpeciesGenomes,
    settings: Settings,
    weights: SamplingWeights,
    measurement: Measurement,
    chosen: ChosenModel | None,
) -> None:
    """Train, then measure."""
    from hyenadna_cli.core.tasks.species import accuracy, training
    from hyenadna_cli.core.training.run_directory import read_progress

    output = run.directory.output
    for split in ("train", "valid"):
        log.info("%s", genomes.describe(split))
    with run.started():
        classifier = training.new_classifier(
            _backbone(chosen, settings), genomes.names, settings.species, seed=settings.train.seed
        )
        steps = training.run(
            classifier,
            genomes,
            settings,
            weights=weights,
            base=run.model or {"name": "random weights"},
            run_dir=output,
            runtime=runtime,
            world=run.world,
            made_by=run.made_by,
            should_stop=run.stop,
        )
        run.follow(
            steps,
            total=settings.train.max_steps,
            label="training",
            describe=lambda step: step.describe("window"),
            is_done=lambda: read_progress(output).is_done,
        )
        if measurement.lengths and run.is_main:
            is_measured = accuracy.measure(
                classifier.eval(),
                genomes,
                measurement,
                output / "evaluation",
                overwrite=True,
                made_by=run.made_by,
                should_stop=run.stop,
            )
            if not is_measured:
                raise run.stop.error("trained, not yet measured; --resume goes on from there")
        run.close(genomes.split_sizes)
