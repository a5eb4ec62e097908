"""`hyenadna finetune`: labelled sequences to a model that predicts their labels."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyenadna_cli.commands.options import training as tr
from hyenadna_cli.commands.options.groups import OptionsOf, Overrides, with_option_groups
from hyenadna_cli.commands.options.model import ComputeRequest, ModelRequest
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.training_run import TrainingRun
from hyenadna_cli.core.tasks.alleles.settings import LabelledAlleleSettings
from hyenadna_cli.core.tasks.finetuning.settings import Comparison, FinetuneConfig, deviations
from hyenadna_cli.core.tasks.finetuning.settings import settings as resolved
from hyenadna_cli.core.tasks.labelled.settings import LabelledFiles
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.tasks.finetuning.comparison_table import ComparisonRow
    from hyenadna_cli.core.tasks.finetuning.experiment import Experiment
    from hyenadna_cli.core.tasks.labelled.presets import Preset, Recipe
    from hyenadna_cli.core.tasks.labelled.rows import LabelledData

log = logging.getLogger(__name__)

BenchmarkOption = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="genomic-benchmarks/NAME, nucleotide-transformer/NAME or chromatin; --data DIR for a "
        "local copy, else from the hub.",
    ),
]

RecipeOption = Annotated[
    Literal["ours", "published"],
    typer.Option(
        "--recipe",
        help="Settings of --preset: ours, or those that were published, with their model; what "
        "differs from them is said.",
    ),
]


@with_option_groups
def finetune(
    *,
    files: LabelledFiles,
    preset: BenchmarkOption = None,
    recipe: RecipeOption = "ours",
    comparison: Comparison,
    alleles: LabelledAlleleSettings,
    model: Annotated[Overrides, OptionsOf(ModelRequest)],
    options: Annotated[Overrides, OptionsOf(FinetuneConfig)],
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings as TOML: table [finetune].")
    ] = None,
    compute: ComputeRequest,
    run_directory: tr.RunDirectory,
    run_options: RunOptions,
) -> None:
    """Train a model on labelled sequences and evaluate it on rows it has not seen.

    Writes a model directory that predict, embed and score-variants read with -m, and beside the
    weights predictions.tsv, metrics.json (with 95 % intervals), confusion.tsv, calibration.tsv,
    leakage.json and comparison.tsv, in which a k-mer baseline stands beside every result.
    Validation rows are cut from the training rows, never from the test rows. Stops cleanly on
    SIGTERM, SIGUSR1 and --max-time; --resume goes on exactly. Under torchrun the processes share
    each step's batch. With --embeddings of `embed --vcf` and --groups chrom it learns scores of
    alleles from labels in the VCF's INFO; score-variants -m then writes HD_PROB.

      hyenadna finetune --data test_data/labelled.csv --epochs 1 -o classifier

      hyenadna finetune --probe --embeddings genes.h5ad --label-column gene_type -o probe
    """
    from hyenadna_cli.core.tasks.finetuning.comparison_table import table_beside
    from hyenadna_cli.core.tasks.finetuning.data import open_data
    from hyenadna_cli.core.tasks.labelled import presets

    benchmark = None if preset is None else presets.find(preset)
    published = _published(benchmark, recipe)
    defaults = {} if benchmark is None else (published or benchmark).settings
    settings = resolved(options, defaults=defaults, config_file=config)
    request = ModelRequest(**{**({"model": published.model} if published else {}), **model})
    run_directory.check()
    dry_run = run_options.dry_run
    if alleles.groups is not None:
        asked = (comparison, files, alleles, settings, preset, request.choose(compute))
        _fit_alleles(*asked, run_directory, dry_run=dry_run)
        return
    if comparison.embeddings is not None:
        _probe_embeddings(comparison, files, settings, run_directory, preset, dry_run=dry_run)
        return
    files = _with_data(files, benchmark, request)
    with compute.memory_errors(), open_data(files) as rows:
        chosen = request.choose(compute, training=True)
        job, run = _prepared(rows, files, comparison, settings, chosen, run_directory)
        _say_deviations(job, rows, settings, benchmark, published, chosen)
        if dry_run:
            typer.echo(job.plan())
            return
        results = run.going_on(lambda: _run(job, run))
    if comparison.table:
        for cells in table_beside(benchmark, results, job.data.task):
            typer.echo("\t".join(cells))


def _with_data(
    files: LabelledFiles, benchmark: Preset | None, request: ModelRequest
) -> LabelledFiles:
    """The files with a benchmark's data, downloaded if need be."""
    from hyenadna_cli.core.tasks.labelled import presets

    if benchmark is not None:
        data = presets.data_of(benchmark, files.data, request.cache_dir, offline=request.offline)
        files = dataclasses.replace(files, data=data)
    if not files.data:
        raise UsageError("give labelled sequences with --data, or a benchmark with --preset")
    return files


def _published(benchmark: Preset | None, recipe: str | None) -> Recipe | None:
    """The published recipe, if it was asked for."""
    if recipe != "published":
        return None
    if benchmark is None:
        raise UsageError("--recipe published is that of a benchmark: give --preset")
    return benchmark.recipe


def _say_deviations(
    job: Experiment,
    rows: LabelledData,
    settings: FinetuneConfig,
    benchmark: Preset | None,
    published: Recipe | None,
    model: ChosenModel,
) -> None:
    """What the run does otherwise than the published recipe, and on other data."""
    if published is not None:
        longest = int(job.data.splits["train"].lengths.max())
        for line in deviations(settings, published, model=model.source.name, longest=longest):
            log.info("--recipe published: %s", line)
    if benchmark and (note := benchmark.note_on_size(sum(rows.split_sizes.values()))):
        log.warning("%s", note)


def _prepared(
    rows: LabelledData,
    files: LabelledFiles,
    comparison: Comparison,
    settings: FinetuneConfig,
    model: ChosenModel,
    run_directory: tr.RunDirectory,
) -> tuple[Experiment, TrainingRun]:
    from hyenadna_cli.core.tasks.finetuning.data import check_lengths, inputs_of
    from hyenadna_cli.core.tasks.finetuning.experiment import experiment

    checked = check_lengths(rows, l_max=model.config.l_max, max_length=settings.max_length)
    run = TrainingRun(
        command="finetune",
        directory=run_directory,
        inputs=inputs_of(rows, files),
        settings=model.settings(),
        model=model.identity(),
        runtime=model.run,
    )
    job = experiment(
        checked,
        settings,
        comparison,
        shape=model.config,
        pretrained=model.load,
        runtime=model.run,
        output=run_directory.output,
        made_by=run.made_by,
    )
    log.info("%s", job.data.describe())
    return job, run


def _run(job: Experiment, run: TrainingRun) -> list[ComparisonRow]:
    from hyenadna_cli.core.tasks.finetuning import comparison
    from hyenadna_cli.core.tasks.finetuning.comparison_table import read_runs, summary

    with run.started(parts=[directory for _, _, directory in job.runs()]):
        if run.is_main:
            comparison.report_leakage(job)
        run.follow(
            comparison.run(job, world=run.world, should_stop=run.stop),
            total=None,
            label="finetuning",
            describe=comparison.Doing.describe,
            is_done=lambda: comparison.is_finished(job),
        )
        run.close(job.data.split_sizes)
    results = read_runs(job.runs())
    for line in summary(results, job.data.task):
        log.info("%s", line)
    return results


def _fit_alleles(
    comparison: Comparison,
    files: LabelledFiles,
    asked: LabelledAlleleSettings,
    settings: FinetuneConfig,
    preset: str | None,
    model: ChosenModel,
    run_directory: tr.RunDirectory,
    *,
    dry_run: bool,
) -> None:
    """Fit, judge and write a classifier of labelled alleles, or print what would be done."""
    from hyenadna_cli.core.tasks.alleles import fitting
    from hyenadna_cli.core.tasks.alleles.data import read_labelled_alleles
    from hyenadna_cli.core.tasks.finetuning import embedded_probe

    embeddings = embedded_probe.alleles_of(comparison, files, preset=preset)
    asked = dataclasses.replace(asked, label_column=comparison.label_column)
    data = read_labelled_alleles(embeddings, asked, seed=settings.seed)
    fitting.check_model(embeddings, data, model)
    log.info("%s", data.describe())
    if dry_run:
        typer.echo(f"{data.describe()}\nrun: probe of alleles -> {run_directory.output}")
        return
    run = TrainingRun(
        command="finetune",
        directory=run_directory,
        inputs=[embeddings, *([] if asked.genes is None else [asked.genes])],
        settings={
            "label_column": str(asked.label_column),
            "positive": asked.positive,
            "negative": asked.negative,
            "groups": str(asked.groups),
            "features": list[str](asked.features),
            "cross_validate": asked.cross_validate,
            "seed": settings.seed,
            **model.settings(),
        },
        model=model.identity(),
        runtime=model.run,
    )
    with run_directory.claimed(run.made_by):
        rows = fitting.fit_alleles(
            data,
            model,
            genes=asked.genes,
            select=settings.select,
            output=run_directory.output,
            made_by=run.made_by,
        )
        run.close(data.split_sizes)
    for line in fitting.printed(rows):
        log.info("%s", line)


def _probe_embeddings(
    comparison: Comparison,
    files: LabelledFiles,
    settings: FinetuneConfig,
    run_directory: tr.RunDirectory,
    preset: str | None,
    *,
    dry_run: bool,
) -> None:
    """Fit, judge and write a probe of stored vectors, or print what would be done."""
    from hyenadna_cli.core.tasks.finetuning import column_labels, embedded_probe

    embeddings, labels = embedded_probe.files_of(comparison, files, preset=preset)
    if labels is None:
        assert comparison.label_column is not None
        data = column_labels.read_column(
            embeddings, comparison.label_column, files, min_class=comparison.min_class
        )
    else:
        data = embedded_probe.read_embedded(embeddings, labels, task=files.task)
    log.info("%s", data.describe())
    # Classes of a column are of any sizes; ranks, which choose otherwise, do not see the largest
    # one swallow the others.
    by_column = labels is None and data.labelling.task in ("binary", "multiclass")
    select = settings.select or ("f1_weighted" if by_column else None)
    if dry_run:
        typer.echo(f"{data.describe()}\nrun: probe -> {run_directory.output}")
        return
    run = TrainingRun(
        command="finetune",
        directory=run_directory,
        inputs=[embeddings, *([] if labels is None else [labels])],
        settings=embedded_probe.described(comparison, files),
        model=None,
        runtime=None,
    )
    with run_directory.claimed(run.made_by):
        embedded_probe.report_shared_names(data, run_directory.output)
        metrics = embedded_probe.probe_embeddings(
            data, select=select, output=run_directory.output, made_by=run.made_by
        )
        run.close(data.split_sizes)
    shown = [name for name in (metrics.main, "f1_weighted") if name in metrics.values]
    values = ", ".join(f"{name} {metrics.values[name]}" for name in shown)
    log.info("probe on %s test rows: %s", f"{metrics.n:,}", values)
