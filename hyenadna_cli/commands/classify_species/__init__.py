"""`hyenadna classify-species`: which genome does this stretch of DNA come from?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hyenadna_cli.commands.classify_species import evaluate as evaluation
from hyenadna_cli.commands.classify_species import train as training
from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options.groups import GroupedCommand, with_option_groups
from hyenadna_cli.commands.options.model import (
    ChosenModel,
    ComputeRequest,
    ModelRequest,
    Windowing,
    batching_settings,
    choose_strand,
)
from hyenadna_cli.commands.reporting.record_run import (
    Account,
    Destination,
    exit_code_when_out_of_memory,
    print_plan_of_records,
    write_rows,
)
from hyenadna_cli.core.outputs.atomic import is_stream
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.batching import Batcher
    from hyenadna_cli.core.io.records import RecordSource, StrandChoice

_TEXT = (".tsv", ".txt", ".tsv.gz", ".txt.gz", ".tsv.bgz", ".txt.bgz")

app = typer.Typer(help="Tell species apart by stretches of their DNA.", no_args_is_help=True)
app.command("train", cls=GroupedCommand)(training.train)
app.command("evaluate", cls=GroupedCommand)(evaluation.evaluate)


@app.callback()
def _classify_species() -> None:
    """Tell species apart by stretches of their DNA."""


@app.command(cls=GroupedCommand)
def manifest(
    paper: Annotated[
        bool, typer.Option("--paper", help="The published task: human, lemur, mouse, pig, hippo.")
    ] = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Print the columns of a species manifest, or the published five-species task.

    The genomes are yours: save the text beside FASTA files of the names in its second column, or
    change these. Contigs are separated by commas; --contig-map auto matches chr1 with 1.

      hyenadna classify-species manifest --paper
    """
    from hyenadna_cli.core.tasks.species import manifest as species

    typer.echo(species.paper_manifest() if paper else "\t".join(species.COLUMNS) + "\n", nl=False)


@app.command(cls=GroupedCommand)
@with_option_groups
def predict(
    *,
    fasta: opt.FastaOption,
    model: Annotated[
        str, typer.Option("-m", "--model", metavar="DIR", help="What classify-species train wrote.")
    ],
    bed: opt.BedOption = None,
    output: opt.OutputOption = "-",
    min_prob: Annotated[
        float,
        typer.Option("--min-prob", min=0.0, max=1.0, help="Below this probability: unclassified."),
    ] = 0.0,
    strand: opt.StrandOption = None,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Cut longer records into windows; default: the longest of training.",
        ),
    ] = None,
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
    """Say for each sequence, contig or BED region which species it comes from.

    Writes TSV, one row a record in input order: id, length, n_windows, the likeliest species and
    its probability, the second and its, and a status. A record longer than --window is cut, and the
    probabilities are the mean over its windows by their bases. Status: OK; UNCLASSIFIED (below
    --min-prob); NO_BASES (nothing but N); NONFINITE.

      hyenadna classify-species predict -m run --fasta contigs.fa --min-prob 0.8 -o calls.tsv
    """
    from hyenadna_cli.core.io.records import RecordSource

    chosen_strand = choose_strand(strand, bed=bed)
    if not (output.endswith(_TEXT) or is_stream(output)):
        raise UsageError(
            f"-o {output}: classify-species writes TSV; use one of {' '.join(_TEXT[:4])}"
        )
    n_windows = opt.parse_batch_size(batch_size)
    destination.check()
    with (
        exit_code_when_out_of_memory(compute.oom_exit_code),
        RecordSource(fasta, bed=bed, contig_map=contig_map, rename_chrs=rename_chrs) as source,
    ):
        selected = destination.select(source)
        chosen = ModelRequest(model=model, offline=True).choose(compute)
        bases = evaluation.prediction_window(chosen) if window is None else window
        batcher = Windowing(bases, stride, "none", n_windows).batcher(chosen)
        if dry_run:
            print_plan_of_records(source, selected, chosen, batcher, chosen_strand)
        else:
            _run(
                destination,
                source,
                selected,
                chosen,
                batcher,
                strand=chosen_strand,
                min_prob=min_prob,
            )


def _run(
    destination: Destination,
    source: RecordSource,
    selected: range | None,
    model: ChosenModel,
    batcher: Batcher,
    *,
    strand: StrandChoice,
    min_prob: float,
) -> None:
    from hyenadna_cli.core.io.tsv import TsvWriter
    from hyenadna_cli.core.tasks.species import calls as species_calls

    settings = {"strand": strand, "min_prob": min_prob, **batching_settings(batcher)}
    made_by = destination.made_by(model, source, settings)
    if destination.is_done(made_by):
        return
    classifier = evaluation.load_classifier(model)
    account = Account(command="classify-species predict", results=species_calls.RESULTS)
    columns = species_calls.COLUMNS
    with destination.journal(made_by) as journal:
        calls = species_calls.call_species(
            classifier,
            source.read(selected),
            batcher=batcher,
            strand=strand,
            min_prob=min_prob,
            journal=journal,
        )
        overwrite = destination.force or journal.is_resumed
        with TsvWriter(destination.output, columns=columns, overwrite=overwrite) as table:

            def write(call: species_calls.SpeciesCall) -> None:
                table.write_row(call.row())
                account.add(call.name, call.status, call.length)

            write_rows(
                calls,
                write,
                destination=destination,
                n_bases=source.n_bases(selected),
                label="classifying",
            )
        account.close(destination, made_by, model=model, letters=source.letters)
