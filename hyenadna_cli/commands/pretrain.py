"""`hyenadna pretrain`: next-nucleotide training from FASTA."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.groups import OptionsOf, Overrides, with_option_groups
from hyenadna_cli.commands.options.model import (
    ComputeRequest,
    ContextParallelOption,
    ModelRequest,
)
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.training_run import TrainingRun
from hyenadna_cli.core.config.flags import in_bases
from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.training.settings import TOLD, DataFiles
from hyenadna_cli.core.training.settings import settings as resolved

if TYPE_CHECKING:
    from hyenadna_cli.core.machine.runtime import Runtime
    from hyenadna_cli.core.training.loop import StepReport
    from hyenadna_cli.core.training.regions import Regions
    from hyenadna_cli.core.training.starting_model import StartingModel

log = logging.getLogger(__name__)

StartOption = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|DIR",
        help="Go on from the weights of this model, in its shape but for further blocks "
        "(--n-layer) and a longer context (--max-length); default: random weights.",
    ),
]
MaxLengthOption = Annotated[
    int | None,
    in_bases("--max-length", "Longest training window; the model reads two tokens more."),
]


@with_option_groups
def pretrain(
    *,
    data: DataFiles,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings as TOML: tables [model] and [train].")
    ] = None,
    preset: tr.PretrainPresetOption = None,
    model: StartOption = None,
    source: Annotated[Overrides, OptionsOf(ModelRequest, without=["filter_shift"])],
    shape: Annotated[Overrides, OptionsOf(ModelConfig, defaults=TOLD)],
    max_length: MaxLengthOption = None,
    steps: Annotated[Overrides, OptionsOf(TrainConfig, defaults=TOLD, without=["weight_decay"])],
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")
    ] = False,
    compute: ComputeRequest,
    context_parallel: ContextParallelOption = 1,
    run_directory: tr.RunDirectory,
    run_options: RunOptions,
) -> None:
    """Train a model to predict the next nucleotide.

    Writes a run directory: metrics.csv, checkpoints/, and in the end config.json,
    model.safetensors and training.json, which every command reads with -m. Stops cleanly on
    SIGTERM, SIGUSR1 and --max-time; --resume goes on exactly where it stopped. Under torchrun the
    processes share each step's batch; with --context-parallel N, N of them share each sequence.

      hyenadna pretrain --fasta test_data/tiny.fa --valid-contigs chr2 --d-model 16 --n-layer 1
      --max-length 256 --batch-bases 1024 --max-steps 20 -o run
    """
    from hyenadna_cli.core.model.context import check_divides, described
    from hyenadna_cli.core.training import pretraining
    from hyenadna_cli.core.training.regions import open_regions
    from hyenadna_cli.core.training.starting_model import StartingModel

    start = StartingModel.find(**source) if model else None
    l_max = {} if max_length is None else {"l_max": max_length + 2}
    configs = resolved(
        model={**shape, **l_max}, train=steps, config_file=config, preset=preset, start=start
    )
    check_divides(context_parallel, configs[0])
    run_directory.check()
    with compute.memory_errors(), open_regions(data, sampling=configs[1].sampling) as regions:
        if run_options.dry_run:
            typer.echo(pretraining.plan(regions, *configs, n_context=context_parallel))
        else:
            runtime = compute.resolve(training=True)
            run = TrainingRun(
                command="pretrain",
                directory=run_directory,
                inputs=data.files,
                settings={**runtime.describe(), **described(context_parallel)},
                model=start.source.identity() if start else None,
                runtime=runtime,
                n_context=context_parallel,
                agreed=dataclasses.asdict(configs[0]) | dataclasses.asdict(configs[1]),
            )
            run.going_on(
                lambda: _run(run, runtime, regions, *configs, start=start, has_events=tensorboard)
            )


def _run(
    run: TrainingRun,
    runtime: Runtime,
    regions: Regions,
    model_config: ModelConfig,
    config: TrainConfig,
    *,
    start: StartingModel | None,
    has_events: bool,
) -> None:
    from hyenadna_cli.core.training import pretraining
    from hyenadna_cli.core.training.curves import with_events
    from hyenadna_cli.core.training.regions import write_regions
    from hyenadna_cli.core.training.run_directory import read_progress

    output = run.directory.output
    log.info("%s", regions.describe())
    with run.started():
        if advice := pretraining.faster_as_processes(
            config, max_length=model_config.l_max - 2, runtime=runtime, world=run.world
        ):
            log.info("%s", advice)
        if run.is_main:
            write_regions(regions, output / "regions.bed")
        steps = pretraining.run(
            regions,
            model_config,
            config,
            run_dir=output,
            runtime=runtime,
            world=run.world,
            made_by=run.made_by,
            start=start,
            should_stop=run.stop,
        )
        run.follow(
            with_events(steps, output / "tensorboard") if has_events and run.is_main else steps,
            total=config.max_steps,
            label="pretraining",
            describe=_describe,
            is_done=lambda: read_progress(output).is_done,
        )
        run.close({str(split): regions.n_bases(split) for split in regions.spans})


def _describe(step: StepReport) -> str:
    perplexity = step.valid_perplexity
    return step.describe("base") + ("" if perplexity is None else f", perplexity {perplexity:.4f}")
