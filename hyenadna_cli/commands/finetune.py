"""`hyenadna finetune`: labelled sequences to a model that predicts their labels."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hyenadna_cli.commands.embedded_probe import probe_embeddings
from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.labelled import LabelledFiles, Task
from hyenadna_cli.commands.options.model import ChosenModel, ComputeRequest, ModelRequest
from hyenadna_cli.commands.reporting.progress import track
from hyenadna_cli.commands.reporting.record_run import exit_code_when_out_of_memory
from hyenadna_cli.commands.reporting.stops import on_signals
from hyenadna_cli.commands.reporting.training_counts import TrainingAccount
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.tasks.finetuning.comparison_table import ComparisonRow
    from hyenadna_cli.core.tasks.finetuning.data import DataRequest
    from hyenadna_cli.core.tasks.finetuning.experiment import Experiment
    from hyenadna_cli.core.tasks.finetuning.settings import FinetuneConfig
    from hyenadna_cli.core.tasks.labelled.presets import Preset
    from hyenadna_cli.core.tasks.labelled.rows import LabelledData

log = logging.getLogger(__name__)


@with_option_groups
def finetune(
    *,
    output: tr.RunDirectoryOption,
    files: LabelledFiles,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME",
            help="genomic-benchmarks/NAME, nucleotide-transformer/NAME or chromatin; --data DIR "
            "for a local copy, else from the hub.",
        ),
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Print results as TSV, a preset's published ones too.")
    ] = False,
    task: Annotated[
        Task | None, typer.Option("--task", help="Default: inferred from the labels, and printed.")
    ] = None,
    label_columns: Annotated[
        str, typer.Option("--label-columns", help="Label columns of a table, by commas.")
    ] = "",
    group_by: Annotated[
        Literal["overlap", "contig"],
        typer.Option("--group-by", help="What stays together when validation rows are cut."),
    ] = "overlap",
    n_train: Annotated[
        int | None,
        typer.Option("--max-train-rows", min=1, help="Learn from a random part of the rows."),
    ] = None,
    model: opt.ModelOption = "builtin",
    probe: Annotated[
        bool,
        typer.Option("--probe", help="A linear model on frozen features, in place of training."),
    ] = False,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            help="With --probe: vectors from `hyenadna embed`, in place of a model; --data is then "
            "a table of name, label and split.",
        ),
    ] = None,
    compare: Annotated[
        Any,
        typer.Option(
            "--compare",
            parser=tr.parse_methods,
            metavar="METHOD,...",
            help=f"Baselines on the same rows: {', '.join(tr.METHODS)}, or none.",
        ),
    ] = "kmer",
    n_seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="Runs, with seeds from --seed up.")
    ] = 1,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings as TOML: table [finetune].")
    ] = None,
    pooling: Annotated[
        Literal["mean", "last", "first", "max"] | None,
        typer.Option("--pool", help="Of the hidden states over the bases."),
    ] = None,
    freeze: Annotated[
        Any,
        typer.Option(
            "--freeze",
            parser=tr.parse_freeze,
            metavar="all|none|N",
            help="What of the backbone does not train; N: embedding and first N blocks.",
        ),
    ] = None,
    head_init: Annotated[
        Literal["random", "probe"] | None,
        typer.Option(
            "--head-init",
            help="Where the head starts; probe: fitted to frozen features, for which a "
            "--backbone-lr-ratio of 0.15 and --dropout 0 suit.",
        ),
    ] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", help="At most.")] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="Sequences per optimiser step.")
    ] = None,
    micro_batch_bases: tr.MicroBatchBasesOption = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="Peak learning rate of the head.")
    ] = None,
    backbone_lr_ratio: Annotated[
        float | None, typer.Option("--backbone-lr-ratio", help="Backbone relative to the head.")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option("--weight-decay")] = None,
    dropout: Annotated[
        float | None, typer.Option("--dropout", help="On the pooled vector, in training.")
    ] = None,
    class_weights: Annotated[
        Literal["none", "balanced"] | None,
        typer.Option("--class-weights", help="balanced: every class counts the same."),
    ] = None,
    reverse_complement: Annotated[
        bool | None,
        typer.Option("--rc-aug/--no-rc-aug", help="Train on random strands: labels hold on both."),
    ] = None,
    both_strands: Annotated[
        bool | None,
        typer.Option(
            "--rc-eval/--no-rc-eval",
            help="Average both strands in the evaluation; what follows a base then counts too.",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Cut longer sequences around their middle.",
        ),
    ] = None,
    length_schedule: Annotated[
        Any,
        typer.Option(
            "--length-schedule",
            parser=tr.parse_length_schedule,
            metavar="BASES:STEPS,...",
            help="Sequence-length warm-up on random crops.",
        ),
    ] = None,
    recompute_blocks: tr.RecomputeBlocksOption = None,
    select: Annotated[
        str | None, typer.Option("--select", help="Validation metric that chooses the weights.")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option("--patience", min=1, help="Validations without gain that end the run."),
    ] = None,
    seed: tr.OptionalSeedOption = None,
    model_request: ModelRequest,
    compute: ComputeRequest,
    run_directory: tr.RunDirectory,
    dry_run: opt.DryRunOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Train a model on labelled sequences, and judge it on rows it has not seen.

    Writes a model directory that predict, embed and score-variants read with -m, and beside the
    weights predictions.tsv, metrics.json (with 95 % intervals), confusion.tsv, calibration.tsv,
    leakage.json and comparison.tsv, in which a k-mer baseline stands beside every result.
    Validation rows are cut from the training rows, never from the test rows. Stops cleanly on
    SIGTERM, SIGUSR1 and --max-time; --resume goes on exactly. Under torchrun the processes share
    each step's batch.

      hyenadna finetune --data test_data/labelled.csv --epochs 1 -o classifier
    """
    from hyenadna_cli.core.tasks.finetuning import settings as supervised
    from hyenadna_cli.core.tasks.finetuning.data import open_data
    from hyenadna_cli.core.tasks.labelled import presets

    given: dict[str, Any] = {
        "pooling": pooling,
        "freeze": freeze,
        "head_init": head_init,
        "epochs": epochs,
        "batch_size": batch_size,
        "micro_batch_bases": micro_batch_bases,
        "learning_rate": learning_rate,
        "backbone_lr_ratio": backbone_lr_ratio,
        "weight_decay": weight_decay,
        "dropout": dropout,
        "class_weights": class_weights,
        "reverse_complement": reverse_complement,
        "both_strands": both_strands,
        "max_length": max_length,
        "length_schedule": length_schedule,
        "select": select,
        "recompute_blocks": recompute_blocks,
        "patience": patience,
        "seed": seed,
    }
    benchmark = None if preset is None else presets.find(preset)
    settings = supervised.settings(
        tr.given(given),
        defaults={} if benchmark is None else benchmark.settings,
        config_file=config,
    )
    run_directory.check()
    data = files.data
    if embeddings is not None:
        if not probe or data is None or len(data) != 1 or benchmark is not None:
            raise UsageError("--embeddings goes with --probe and one table of labels as --data")
        without_meaning = {
            "--compare": compare not in ((), ("kmer",)),
            "--seeds": n_seeds > 1,
            "--table": table,
            "--valid": files.valid,
            "--test": files.test,
            "--fasta": files.fasta,
            "--valid-contigs": files.valid_contigs,
            "--test-contigs": files.test_contigs,
            "--label-columns": label_columns,
            "--max-train-rows": n_train,
        }
        if given_too := [option for option, value in without_meaning.items() if value]:
            raise UsageError(
                f"{given_too[0]} means nothing with --embeddings: the table's columns name, label "
                "and split say it all"
            )
        probe_embeddings(
            embeddings, Path(data[0]), task, settings, run_directory=run_directory, dry_run=dry_run
        )
        return
    if benchmark is not None:
        data = [
            _preset_data(
                benchmark, data, cache_dir=model_request.cache_dir, offline=model_request.offline
            )
        ]
    if not data:
        raise UsageError("give labelled sequences with --data, or a benchmark with --preset")
    request = files.request(
        data,
        label_columns=tuple(filter(None, label_columns.split(","))),
        task=task,
        group_by=group_by,
        n_train=n_train,
    )
    methods = tuple(dict.fromkeys(("probe" if probe else "finetune", *compare)))
    with exit_code_when_out_of_memory(compute.oom_exit_code), open_data(request) as rows:
        chosen = model_request.choose(compute, training=True)
        experiment = _experiment(
            rows, request, settings, chosen, methods, n_seeds=n_seeds, run_directory=run_directory
        )
        log.info("%s", experiment.data.describe())
        if benchmark is not None:
            n_rows = sum(rows.split_sizes.values())
            if (note := benchmark.note_on_size(n_rows)) is not None:
                log.warning("%s", note)
        if dry_run:
            typer.echo(experiment.plan())
            return
        found = _run(experiment, chosen, run_directory)
    if table:
        _print_table(found, experiment.data.task, benchmark)


def _preset_data(
    preset: Preset, given: list[str] | None, *, cache_dir: Path | None, offline: bool
) -> str:
    """Where the rows of a benchmark are: a local copy, or the hub's."""
    from hyenadna_cli.core.tasks.labelled import presets

    if not given:
        return presets.download(preset, cache_dir=cache_dir, offline=offline)
    if len(given) > 1:
        raise UsageError("with --preset, --data is the one directory that holds its files")
    return presets.local_data(preset, Path(given[0]))


def _experiment(
    rows: LabelledData,
    request: DataRequest,
    settings: FinetuneConfig,
    chosen: ChosenModel,
    methods: tuple[str, ...],
    *,
    n_seeds: int,
    run_directory: tr.RunDirectory,
) -> Experiment:
    from hyenadna_cli.core.outputs import provenance
    from hyenadna_cli.core.tasks.finetuning.data import check_lengths
    from hyenadna_cli.core.tasks.finetuning.experiment import experiment

    checked = check_lengths(rows, l_max=chosen.config.l_max, max_length=settings.max_length)
    inputs = [source.path for source in rows.sources]
    made_by = provenance.collect(
        command=None if run_directory.no_version else ["hyenadna", *sys.argv[1:]],
        settings=chosen.settings(),
        inputs=inputs if request.fasta is None else [*inputs, request.fasta],
        model=chosen.identity(),
        device=chosen.run.device_name,
        reproducible=run_directory.no_version,
    )
    return experiment(
        checked,
        settings,
        methods,
        n_seeds=n_seeds,
        shape=chosen.config,
        pretrained=chosen.load,
        runtime=chosen.run,
        output=run_directory.output,
        made_by=made_by,
    )


def _run(
    experiment: Experiment, chosen: ChosenModel, run_directory: tr.RunDirectory
) -> list[ComparisonRow]:
    from hyenadna_cli.core.tasks.finetuning import comparison
    from hyenadna_cli.core.tasks.finetuning.comparison import Doing
    from hyenadna_cli.core.tasks.finetuning.comparison_table import read_runs, summary
    from hyenadna_cli.core.training import distributed

    account = TrainingAccount(command="finetune")
    parts = [directory for _, _, directory in experiment.runs()]
    with (
        on_signals(run_directory.max_time) as stop,
        distributed.joined(chosen.run.device) as world,
        run_directory.claimed(parts=parts, is_main=world.is_main),
    ):
        if world.is_main:
            comparison.report_leakage(experiment)
        world.wait()
        steps = comparison.run(experiment, world=world, should_stop=stop)
        last = "nothing yet"
        for doing in track(steps, total=None, label="finetuning", describe=Doing.describe):
            last = doing.describe()
            account.add(doing.report)
            if doing.report.valid_score is not None:
                log.info("%s", last)
        if not comparison.is_finished(experiment):
            raise stop.error(f"{last}; --resume goes on from there")
        if world.is_main:
            account.close(
                run_directory,
                experiment.made_by,
                split_sizes=experiment.data.split_sizes,
                device=chosen.run.device_name,
                model=chosen.identity(),
            )
    found = read_runs(experiment.runs())
    for line in summary(found, experiment.data.task):
        log.info("%s", line)
    return found


def _print_table(rows: list[ComparisonRow], task: Task, preset: Preset | None) -> None:
    from hyenadna_cli.core.tasks.finetuning.comparison_table import SHOWN, table

    published = {} if preset is None else preset.published
    metrics = SHOWN[task] if preset is None else tuple(published) or (preset.metric,)
    for cells in table(rows, metrics, published):
        typer.echo("\t".join(cells))
