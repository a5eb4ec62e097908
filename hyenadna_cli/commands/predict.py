"""`hyenadna predict`: labels of new sequences by a fine-tuned or prompt-tuned model."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import (
    ChosenModel,
    ComputeRequest,
    ModelRequest,
    Windowing,
    batching_settings,
)
from hyenadna_cli.commands.reporting.record_run import (
    Account,
    Destination,
    exit_code_when_out_of_memory,
    print_plan_of_records,
    write_rows,
)
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.config import HeadConfig
    from hyenadna_cli.core.inference.batching import Batcher
    from hyenadna_cli.core.io.records import RecordSource, StrandChoice
    from hyenadna_cli.core.io.tsv import Cell, TsvWriter
    from hyenadna_cli.core.outputs.provenance import Setting
    from hyenadna_cli.core.tasks.classification import Prediction
    from hyenadna_cli.core.tasks.prompts.soft_prompt import Prompted, StoredPrompt

log = logging.getLogger(__name__)

_TEXT = (".tsv", ".txt", ".tsv.gz", ".txt.gz", ".tsv.bgz", ".txt.bgz")


@with_option_groups
def predict(
    *,
    model: Annotated[
        str,
        typer.Option(
            "-m",
            "--model",
            metavar="DIR",
            help="What `hyenadna finetune` or `hyenadna prompt-tune` wrote.",
        ),
    ],
    fasta: Annotated[
        str | None,
        typer.Option(
            "--fasta",
            metavar="FILE|-",
            help="FASTA, FASTQ, GenBank or 2bit; with --bed or coordinates an indexed FASTA.",
        ),
    ] = None,
    bed: opt.BedOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="TABLE",
            help="CSV or TSV with a column sequence, or chrom, start, end (and strand).",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="NAME|DIR",
            help="Where the model of a prompt is, if not where it was when the prompt was tuned.",
        ),
    ] = None,
    output: opt.OutputOption = "-",
    metrics: Annotated[
        Path | None,
        typer.Option("--metrics", help="Compare with the labels of --data; written as JSON."),
    ] = None,
    strand: opt.StrandOption = None,
    window: opt.WindowOption = None,
    stride: opt.StrideOption = None,
    contig_map: opt.ContigMapOption = "exact",
    rename_chrs: opt.RenameChrsOption = None,
    batch_size: opt.BatchSizeOption = "auto",
    compute: ComputeRequest,
    destination: Destination,
    dry_run: opt.DryRunOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Predict the labels of sequences, regions or table rows with a tuned model.

    Writes TSV, one row a record in input order: the predicted class, the labels above one half, or
    the numbers, then every probability as p_LABEL. For a token model a row is a run of bases of one
    class with its mean probability. start and end are 0-based, half-open. A record longer than the
    window is cut; its answer is the mean over windows, by bases. --strand both averages strands.

      hyenadna predict -m classifier --data test_data/labelled.csv
    """
    source_of = _source_opener(fasta, bed, data, metrics, contig_map, rename_chrs)
    if not (output.endswith(_TEXT) or atomic.is_stream(output)):
        raise UsageError(f"-o {output}: predict writes TSV; use one of {' '.join(_TEXT[:4])}")
    if metrics is not None and destination.shard is not None:
        raise UsageError("--metrics needs all rows; it does not go with --shard")
    if data is None and bed is None and strand == "bed":
        raise UsageError("--strand bed needs --bed or --data; use +, - or both")
    chosen_strand = strand or ("+" if data is None and bed is None else "bed")
    destination.check()
    if metrics is not None:
        atomic.check_output(metrics, overwrite=destination.force or destination.resume)
    windowing = Windowing(window, stride, "none", opt.parse_batch_size(batch_size))
    with exit_code_when_out_of_memory(compute.oom_exit_code):
        prompt = _read_prompt(model, base)
        request = ModelRequest(
            model=model if prompt is None else base or prompt.base_name,
            revision=None if prompt is None or base else prompt.base.revision,
            offline=True,
        )
        chosen = request.choose(compute)
        batcher = windowing.batcher(chosen, n_reserved=0 if prompt is None else prompt.n_reserved)
        classifier = _load(chosen, prompt)
        with source_of(classifier.config) as source:
            selected = destination.select(source)
            if dry_run:
                print_plan_of_records(source, selected, chosen, batcher, chosen_strand)
                return
            _run(
                destination,
                source,
                selected,
                chosen,
                classifier,
                batcher,
                strand=chosen_strand,
                metrics=metrics,
                prompt=prompt,
            )


def _source_opener(
    fasta: str | None,
    bed: str | None,
    data: str | None,
    metrics: Path | None,
    contig_map: Literal["exact", "auto"],
    rename_chrs: Path | None,
) -> Callable[[HeadConfig], RecordSource]:
    """How to open what the options name, once it is known what the model answers."""
    from hyenadna_cli.core.io.records import RecordSource

    if data is None:
        if fasta is None:
            raise UsageError("give sequences with --fasta (and --bed), or a table with --data")
        if metrics is not None:
            raise UsageError("--metrics compares with the labels of --data")
        return lambda _: RecordSource(
            fasta, bed=bed, contig_map=contig_map, rename_chrs=rename_chrs
        )
    if bed is not None:
        raise UsageError("--bed and --data exclude each other")
    if fasta is None and (contig_map != "exact" or rename_chrs is not None):
        raise UsageError("--contig-map and --rename-chrs are about the contigs of --fasta")

    def table(config: HeadConfig) -> RecordSource:
        from hyenadna_cli.core.tasks.labelled.columns import Labelling
        from hyenadna_cli.core.tasks.labelled.table_records import TableSource

        known = Labelling(task=config.task, label_names=config.label_names) if metrics else None
        return TableSource(
            data, fasta=fasta, contig_map=contig_map, rename_chrs=rename_chrs, known=known
        )

    return table


def _read_prompt(model: str, base: str | None) -> StoredPrompt | None:
    """The prompt of a directory, if there is one. Raises UsageError for a base without a prompt."""
    from hyenadna_cli.core.tasks.prompts import soft_prompt as prompts

    prompt = prompts.read(Path(model))
    if prompt is None and base is not None:
        raise UsageError(f"--base {base}: {model} holds no prompt that needs a model")
    return prompt


def _load(chosen: ChosenModel, prompt: StoredPrompt | None) -> Prompted:
    """Raises CheckpointError for a model without a head, or another than the prompt's."""
    from hyenadna_cli.core.model import classifier as heads
    from hyenadna_cli.core.tasks.prompts import soft_prompt as prompts

    if prompt is not None:
        return prompts.attach(prompt, chosen.load())
    classifier, _ = heads.load(chosen.source)
    classifier.set_execution(chosen.run.execution())
    return classifier.to(chosen.run.device)


def _run(
    destination: Destination,
    source: RecordSource,
    selected: range | None,
    chosen: ChosenModel,
    classifier: Prompted,
    batcher: Batcher,
    *,
    strand: StrandChoice,
    metrics: Path | None,
    prompt: StoredPrompt | None,
) -> None:
    from hyenadna_cli.core.io.tsv import TsvWriter
    from hyenadna_cli.core.tasks.classification import predict

    settings: dict[str, Setting] = {"strand": strand, **batching_settings(batcher)}
    if prompt is not None:
        settings["prompt_sha256"] = prompt.sha256
    made_by = destination.made_by(chosen, source, settings)
    if destination.is_done(made_by, beside=metrics):
        return
    config, account = classifier.config, Account(command="predict")
    kept: list[Prediction] = []
    columns = _columns(config)
    with destination.journal(made_by) as journal:
        batches = predict(
            classifier, source.read(selected), batcher=batcher, strand=strand, journal=journal
        )
        # What --resume finds here is of this run: `is_done` has refused all else.
        overwrite = destination.force or destination.resume
        with TsvWriter(destination.output, columns=columns, overwrite=overwrite) as table:
            write = _writer(table, account, config, kept=None if metrics is None else kept)
            write_rows(
                batches,
                write,
                destination=destination,
                n_bases=source.n_bases(selected),
                label="predicting",
            )
        if metrics is not None:
            _write_metrics(metrics, kept, source, config)
        account.close(destination, made_by, model=chosen, letters=source.letters)


def _columns(config: HeadConfig) -> tuple[str, ...]:
    place = ("name", "chrom", "start", "end", "strand")
    if config.task == "token":
        return (*place, "prediction", "probability", "status")
    if config.task == "regression":
        return (*place, "n_windows", *config.label_names, "status")
    probabilities = (f"p_{name}" for name in config.label_names)
    return (*place, "n_windows", "prediction", *probabilities, "status")


def _writer(
    table: TsvWriter, account: Account, config: HeadConfig, *, kept: list[Prediction] | None
) -> Callable[[Prediction], None]:
    cells_of = _runs if config.task == "token" else _one_row

    def write(row: Prediction) -> None:
        for cells in cells_of(row, config):
            table.write_row(cells)
        account.add(row.record.name, row.status, len(row.record.sequence))
        if kept is not None:
            kept.append(row)

    return write


def _one_row(row: Prediction, config: HeadConfig) -> Iterator[tuple[Cell, ...]]:
    record, values = row.record, row.values.tolist()
    place = (record.name, record.chrom, record.start, record.end, row.strand, row.n_windows)
    if config.task == "regression":
        yield (*place, *values, row.status)
        return
    if row.status != "OK":
        answer = "."
    elif config.task == "multilabel":
        pairs = zip(config.label_names, values, strict=True)
        answer = ";".join(name for name, value in pairs if value >= 0.5) or "-"
    else:
        answer = config.label_names[int(row.values.argmax())]
    yield (*place, answer, *values, row.status)


def _runs(row: Prediction, config: HeadConfig) -> Iterator[tuple[Cell, ...]]:
    """Runs of bases of one class, in the order of the plus strand."""
    record = row.record
    if row.status != "OK":
        yield (
            record.name,
            record.chrom,
            record.start,
            record.end,
            row.strand,
            ".",
            "nan",
            row.status,
        )
        return
    best = row.values.argmax(1)
    position = 0
    for label, bases in itertools.groupby(best.tolist()):
        end = position + sum(1 for _ in bases)
        probability = float(row.values[position:end, label].mean())
        yield (
            record.name,
            record.chrom,
            record.start + position,
            record.start + end,
            row.strand,
            config.label_names[label],
            probability,
            row.status,
        )
        position = end


def _write_metrics(
    path: Path, rows: list[Prediction], source: RecordSource, config: HeadConfig
) -> None:
    from hyenadna_cli.core.tasks.classification import against
    from hyenadna_cli.core.tasks.labelled.table_records import TableSource

    assert isinstance(source, TableSource)
    assert source.targets is not None
    found = against(rows, source.targets, config)
    if found.n == 0:
        log.warning("%s has no metrics: no row has both a label and an answer", path)
    atomic.write_text(path, json.dumps(found.as_json(), indent=2) + "\n")
