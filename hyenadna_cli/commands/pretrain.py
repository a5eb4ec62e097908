"""`hyenadna pretrain`: next-nucleotide training from FASTA."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import ComputeRequest
from hyenadna_cli.commands.reporting.progress import track
from hyenadna_cli.commands.reporting.stops import on_signals
from hyenadna_cli.commands.reporting.training_counts import TrainingAccount
from hyenadna_cli.errors import DeviceMemoryError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.training.loop import StepReport

log = logging.getLogger(__name__)


@with_option_groups
def pretrain(
    *,
    fasta: Annotated[
        list[Path], typer.Option("--fasta", help="Genomes to learn (indexed FASTA); repeatable.")
    ],
    output: tr.RunDirectoryOption,
    bed: Annotated[
        Path | None,
        typer.Option(
            "--bed",
            help="Regions with a split column (4th: train, valid or test; 0-based, half-open).",
        ),
    ] = None,
    valid_contigs: Annotated[
        str, typer.Option("--valid-contigs", help="Contigs held out to validate on, by commas.")
    ] = "",
    test_contigs: Annotated[
        str, typer.Option("--test-contigs", help="Contigs held out altogether, by commas.")
    ] = "",
    exclude_bed: Annotated[
        Path | None,
        typer.Option("--exclude-bed", help="Regions never trained on (0-based, half-open)."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings as TOML: tables [model] and [train].")
    ] = None,
    preset: tr.PresetOption = None,
    start_model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            metavar="NAME|DIR",
            help="Go on from the weights of this model, in its shape but for further blocks "
            "(--n-layer); default: random weights.",
        ),
    ] = None,
    d_model: Annotated[int | None, typer.Option("--d-model", help="Model width.")] = None,
    n_layer: Annotated[int | None, typer.Option("--n-layer", help="Hyena blocks.")] = None,
    d_inner: Annotated[
        int | None, typer.Option("--d-inner", help="MLP width; default 4 times --d-model.")
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Longest training window; the model reads two tokens more.",
        ),
    ] = None,
    steps: tr.StepOptions,
    valid_bases: Annotated[
        int | None,
        typer.Option("--valid-bases", parser=opt.parse_bases, metavar="BASES", help="At most."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write TensorBoard events.")
    ] = False,
    revision: opt.RevisionOption = None,
    offline: opt.OfflineOption = False,
    cache_dir: opt.CacheOption = None,
    compute: ComputeRequest,
    run_directory: tr.RunDirectory,
    dry_run: opt.DryRunOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Train a model to predict the next nucleotide.

    Writes a run directory: metrics.csv, checkpoints/, and in the end config.json,
    model.safetensors and training.json, which every command reads with -m. Stops cleanly on
    SIGTERM, SIGUSR1 and --max-time; --resume goes on exactly where it stopped. Under torchrun the
    processes share each step's batch.

      hyenadna pretrain --fasta test_data/tiny.fa --valid-contigs chr3 --d-model 16 --n-layer 1
      --max-length 256 --batch-bases 1024 --max-steps 20 -o run
    """
    from hyenadna_cli.core.outputs import provenance
    from hyenadna_cli.core.training import distributed, pretraining
    from hyenadna_cli.core.training import regions as training_regions
    from hyenadna_cli.core.training.run_directory import read_progress
    from hyenadna_cli.core.training.starting_model import StartingModel

    start = (
        StartingModel.find(start_model, revision=revision, offline=offline, cache_dir=cache_dir)
        if start_model
        else None
    )

    model_settings: dict[str, Any] = {
        "d_model": d_model,
        "n_layer": n_layer,
        "d_inner": d_inner,
        "l_max": None if max_length is None else max_length + 2,
    }
    model_config, train_config = pretraining.settings(
        model=tr.given(model_settings),
        train=tr.given(dataclasses.asdict(steps) | {"valid_bases": valid_bases}),
        config_file=config,
        preset=preset,
        start=start,
    )
    data = training_regions.DataFiles(
        fasta=tuple(fasta),
        bed=bed,
        exclude_bed=exclude_bed,
        valid_contigs=tuple(filter(None, valid_contigs.split(","))),
        test_contigs=tuple(filter(None, test_contigs.split(","))),
    )
    run_directory.check()
    regions_file = output / "regions.bed"
    kept_regions = regions_file if run_directory.resume else None
    try:
        with (
            on_signals(run_directory.max_time) as stop,
            training_regions.open_regions(
                data, sampling=train_config.sampling, cache=kept_regions
            ) as regions,
        ):
            if dry_run:
                typer.echo(pretraining.plan(regions, model_config, train_config))
                return
            account = TrainingAccount(command="pretrain")
            run = compute.resolve(training=True)
            log.info("%s", regions.describe())
            with (
                distributed.joined(run.device) as world,
                run_directory.claimed(is_main=world.is_main),
            ):
                if world.is_main:
                    training_regions.write_regions(regions, regions_file)
                world.wait()
                made_by = provenance.collect(
                    command=None if run_directory.no_version else sys.argv,
                    settings=run.describe(),
                    inputs=[*data.fasta, *filter(None, (bed, exclude_bed))],
                    model=start.source.identity() if start else None,
                    device=run.device_name,
                    reproducible=run_directory.no_version,
                )
                reports = pretraining.run(
                    regions,
                    model_config,
                    train_config,
                    run_dir=output,
                    runtime=run,
                    world=world,
                    made_by=made_by,
                    start=start,
                    should_stop=stop,
                )
                with contextlib.ExitStack() as stack:
                    log_step = stack.enter_context(_tensorboard(output)) if tensorboard else None
                    shown = track(
                        reports,
                        total=train_config.max_steps,
                        label="pretraining",
                        describe=_describe,
                    )
                    last = 0
                    for report in shown:
                        last = report.step
                        account.add(report)
                        if log_step and world.is_main:
                            log_step(report)
                        if report.valid_loss is not None:
                            log.info("%s", _describe(report))
                if stop() and not read_progress(output).is_done:
                    raise stop.error(f"checkpoint at step {last:,}; --resume goes on from there")
                if world.is_main:
                    account.close(
                        run_directory,
                        made_by,
                        split_sizes={str(split): regions.n_bases(split) for split in regions.spans},
                        device=run.device_name,
                        model=start.source.identity() if start else None,
                    )
    except DeviceMemoryError as error:
        error.exit_code = compute.oom_exit_code
        raise


def _describe(report: StepReport) -> str:
    text = f"step {report.step:,}, length {report.length:,}: {report.loss:.4f} nats a base"
    if report.valid_loss is not None:
        text += f"; held out {report.valid_loss:.4f}, perplexity {report.valid_perplexity:.4f}"
    return text


@contextlib.contextmanager
def _tensorboard(directory: Path) -> Iterator[Callable[[StepReport], None]]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("--tensorboard needs the package tensorboard") from error
    with SummaryWriter(str(directory / "tensorboard")) as writer:

        def log_step(report: StepReport) -> None:
            for name in ("loss", "learning_rate", "gradient_norm", "valid_loss", "length"):
                if (value := getattr(report, name)) is not None:
                    writer.add_scalar(name, value, report.step)

        yield log_step
