"""`classify-species predict`: the species of sequences, contigs or regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.chosen_model import ChosenModel

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.inputs import RecordFiles
from hyenadna_cli.commands.options.model import (
    BatchedCompute,
    ModelRequest,
    WindowOptions,
)
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun, table_writer
from hyenadna_cli.core.config.flags import in_bases
from hyenadna_cli.core.io.tsv import check_table_name
from hyenadna_cli.core.outputs.counts import Counts


@dataclass(frozen=True, kw_only=True, slots=True)
class _Windows(WindowOptions):
    window: Annotated[
        int | None,
        in_bases("--window", "Cut longer records into windows; default: the longest of training."),
    ] = None

    def or_as_trained(self, model: ChosenModel) -> WindowOptions:
        """These windows, or those that the model was trained on."""
        from hyenadna_cli.core.tasks.species.trained_model import prediction_window

        window = prediction_window(model) if self.window is None else self.window
        return WindowOptions(window=window, stride=self.stride)


@with_option_groups
def predict(
    *,
    files: RecordFiles,
    model: Annotated[
        str,
        typer.Option("-m", "--model", metavar="DIR", help="What classify-species train wrote."),
    ],
    min_prob: Annotated[
        float,
        typer.Option("--min-prob", min=0.0, max=1.0, help="Below this probability: unclassified."),
    ] = 0.0,
    windows: _Windows,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Say for each sequence, contig or region which species it comes from.

    Writes TSV, one row per record in input order: id, length, n_windows, the likeliest species and
    its probability, the second and its, and a status. A record longer than --window is cut, and the
    probabilities are the mean over its windows by their bases. Status: OK; UNCLASSIFIED (below
    --min-prob); NO_BASES (nothing but N); NONFINITE.

      hyenadna classify-species predict -m run --fasta contigs.fa --min-prob 0.8 -o calls.tsv
    """
    from hyenadna_cli.core.inference.run_plan import plan_of_records
    from hyenadna_cli.core.tasks.species import calls, trained_model

    strand = files.strand_choice
    check_table_name(destination.output, writer="classify-species")
    destination.check()
    with compute.memory_errors(), files.open() as source:
        selected = destination.select(source)
        chosen = ModelRequest(model=model, offline=True).choose(compute)
        batcher = windows.or_as_trained(chosen).batcher(chosen, compute)
        plan = plan_of_records(source, selected, chosen, batcher, strand) if run.dry_run else None
        counts = Counts(command="classify-species predict", results=calls.RESULTS)
        RecordRun.of_source(
            source,
            selected,
            batcher,
            label="classifying",
            destination=destination,
            model=chosen,
            settings={"strand": strand, "min_prob": min_prob},
            counts=counts,
            plan=plan,
        ).write(
            lambda journal: calls.call_species(
                trained_model.load_classifier(chosen),
                source.read(selected),
                batcher=batcher,
                strand=strand,
                min_prob=min_prob,
                journal=journal,
            ),
            writer=table_writer(destination.output, calls.COLUMNS, lambda call: [call.row()]),
            count=lambda call: counts.add(call.name, call.status, call.length),
        )
