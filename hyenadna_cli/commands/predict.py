"""`hyenadna predict`: labels of new sequences by a fine-tuned or prompt-tuned model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.inputs import StrandOption, choose_strand
from hyenadna_cli.commands.options.model import (
    BatchedCompute,
    ModelRequest,
    WindowOptions,
)
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun, table_writer
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.io.tsv import check_table_name
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.counts import Counts
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.config.choices import StrandChoice
    from hyenadna_cli.core.config.settings import HeadConfig
    from hyenadna_cli.core.inference.batching import Batcher
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.io.records import RecordSource
    from hyenadna_cli.core.outputs.provenance import Setting
    from hyenadna_cli.core.tasks.classification import Prediction
    from hyenadna_cli.core.tasks.prompts.soft_prompt import Prompted, StoredPrompt


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictedFiles(RegionFile):
    """Sequences, regions of a genome, or the rows of a table."""

    HEADING: ClassVar[str] = "Input"

    fasta: Annotated[
        str | None,
        typer.Option(
            "--fasta",
            metavar="FILE|-",
            help="FASTA, FASTQ, GenBank or 2bit; for regions or coordinates an indexed FASTA.",
        ),
    ] = None
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="TABLE",
            help="CSV or TSV with a column sequence, or chrom, start, end (and strand).",
        ),
    ] = None
    strand: StrandOption = None

    def __post_init__(self) -> None:
        RegionFile.__post_init__(self)
        if self.data is None and self.fasta is None:
            raise UsageError("give sequences (--fasta), regions (--bed, --gtf) or a table (--data)")
        if self.data is not None and self.path is not None:
            raise UsageError("--data excludes --bed and --gtf")
        if self.fasta is None and (self.contig_map != "exact" or self.rename_chrs is not None):
            raise UsageError("--contig-map and --rename-chrs are about the contigs of --fasta")

    @property
    def strand_choice(self) -> StrandChoice:
        """`--strand`, or its default. Raises UsageError for the strands of records without one."""
        has_regions = self.data is not None or self.path is not None
        return choose_strand(self.strand, has_regions=has_regions, named="--bed, --gtf or --data")

    def open(self, head: HeadConfig, *, with_targets: bool) -> RecordSource:
        """The records; a context manager. Raises UsageError and InputFileError."""
        from hyenadna_cli.core.io.records import RecordSource
        from hyenadna_cli.core.tasks.labelled.columns import Labelling
        from hyenadna_cli.core.tasks.labelled.table_records import TableSource

        if self.data is None:
            assert self.fasta is not None
            return RecordSource(
                self.fasta,
                bed=self.bed,
                gtf=self.gtf,
                feature=self.feature,
                contig_map=self.contig_map,
                rename_chrs=self.rename_chrs,
            )
        known = Labelling(task=head.task, label_names=head.label_names) if with_targets else None
        return TableSource(
            self.data,
            fasta=self.fasta,
            contig_map=self.contig_map,
            rename_chrs=self.rename_chrs,
            known=known,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class TunedModel:
    """A model with a head, or a prompt and the model that it belongs to."""

    HEADING: ClassVar[str] = "Model"

    model: Annotated[
        str,
        typer.Option(
            "-m",
            "--model",
            metavar="DIR",
            help="What `hyenadna finetune` or `hyenadna prompt-tune` wrote.",
        ),
    ]
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            metavar="NAME|DIR",
            help="Where the model of a prompt is, if not where it was when the prompt was tuned.",
        ),
    ] = None

    def read_prompt(self) -> StoredPrompt | None:
        """The prompt, if there is one. Raises UsageError for a base without a prompt."""
        from hyenadna_cli.core.tasks.prompts import soft_prompt

        prompt = soft_prompt.read(Path(self.model))
        if prompt is None and self.base is not None:
            raise UsageError(f"--base {self.base}: {self.model} holds no prompt that needs a model")
        return prompt

    def request(self, prompt: StoredPrompt | None) -> ModelRequest:
        """The model to load."""
        if prompt is None:
            return ModelRequest(model=self.model, offline=True)
        revision = None if self.base else prompt.base.revision
        return ModelRequest(model=self.base or prompt.base_name, revision=revision, offline=True)


@with_option_groups
def predict(
    *,
    files: PredictedFiles,
    tuned: TunedModel,
    metrics: Annotated[
        Path | None,
        typer.Option("--metrics", help="Compare with the labels of --data; written as JSON."),
    ] = None,
    windows: WindowOptions,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Predict the labels of sequences, regions or table rows with a tuned model.

    Writes TSV, one row per record in input order: the predicted class, the labels above one half,
    or the numbers, then every probability as p_LABEL. For a token model a row is a run of bases of
    one class with its mean probability. start and end are 0-based, half-open. A record longer than
    the window is cut; its answer is the mean over windows, by bases. --strand both averages
    strands.

      hyenadna predict -m classifier --data test_data/labelled.csv
    """
    from hyenadna_cli.core.inference.run_plan import plan_of_records
    from hyenadna_cli.core.tasks.prompts import soft_prompt

    strand = files.strand_choice
    check_table_name(destination.output, writer="predict")
    destination.check()
    _check_metrics(metrics, files, destination)
    with compute.memory_errors():
        prompt = tuned.read_prompt()
        chosen = tuned.request(prompt).choose(compute)
        n_reserved = 0 if prompt is None else prompt.n_reserved
        batcher = windows.batcher(chosen, compute, n_reserved=n_reserved)
        classifier = (
            chosen.load_classifier()
            if prompt is None
            else soft_prompt.attach(prompt, chosen.load())
        )
        with files.open(classifier.config, with_targets=metrics is not None) as source:
            work = _Prediction(classifier, source, destination.select(source), batcher, strand)
            selected = work.selected
            plan = (
                plan_of_records(source, selected, chosen, batcher, strand) if run.dry_run else None
            )
            work.write(chosen, destination, metrics, prompt, plan)


def _check_metrics(metrics: Path | None, files: PredictedFiles, destination: Destination) -> None:
    """Raises UsageError and OutputError for metrics that cannot be made or written."""
    if metrics is None:
        return
    if files.data is None:
        raise UsageError("--metrics compares with the labels of --data")
    if destination.shard is not None:
        raise UsageError("--metrics needs all rows; it does not go with --shard")
    atomic.check_output(metrics, overwrite=destination.force or destination.resume)


@dataclass(frozen=True, slots=True)
class _Prediction:
    """One run, with its model loaded."""

    classifier: Prompted
    source: RecordSource
    selected: range | None
    batcher: Batcher
    strand: StrandChoice

    def write(
        self,
        model: ChosenModel,
        destination: Destination,
        metrics: Path | None,
        prompt: StoredPrompt | None,
        plan: Mapping[str, int] | None,
    ) -> None:
        """Predict and write everything, or print the plan."""
        from hyenadna_cli.core.tasks import prediction_table
        from hyenadna_cli.core.tasks.classification import predict

        head, counts = self.classifier.config, Counts(command="predict")
        kept: list[Prediction] = []
        settings: dict[str, Setting] = {"strand": self.strand}
        if prompt is not None:
            settings["prompt_sha256"] = prompt.sha256

        def count(row: Prediction) -> None:
            counts.add(row.record.name, row.status, len(row.record.sequence))
            if metrics is not None:
                kept.append(row)

        RecordRun.of_source(
            self.source,
            self.selected,
            self.batcher,
            label="predicting",
            destination=destination,
            model=model,
            settings=settings,
            counts=counts,
            beside=metrics,
            plan=plan,
        ).write(
            lambda journal: predict(
                self.classifier,
                self.source.read(self.selected),
                batcher=self.batcher,
                strand=self.strand,
                journal=journal,
            ),
            writer=table_writer(
                destination.output,
                prediction_table.columns(head, self.source.columns),
                lambda row: prediction_table.rows(row, head),
            ),
            count=count,
            finish=lambda: self._write_metrics(metrics, kept),
        )

    def _write_metrics(self, path: Path | None, rows: list[Prediction]) -> None:
        from hyenadna_cli.core.tasks import prediction_table
        from hyenadna_cli.core.tasks.labelled.table_records import TableSource

        if path is not None:
            assert isinstance(self.source, TableSource)
            assert self.source.targets is not None
            prediction_table.write_metrics(path, rows, self.source.targets, self.classifier.config)
