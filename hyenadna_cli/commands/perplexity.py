"""`hyenadna perplexity`: how well a model predicts sequences or regions."""

from __future__ import annotations

import math
from collections.abc import Callable
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
    from hyenadna_cli.core.inference.perplexity import PerplexityRow
    from hyenadna_cli.core.io.records import RecordSource, StrandChoice
    from hyenadna_cli.core.io.tsv import Cell, TsvWriter

Vocabulary = Literal["acgt", "full"]

_COLUMNS = (
    "name",
    "chrom",
    "start",
    "end",
    "strand",
    "n_bases",
    "log_likelihood",
    "nats_per_base",
    "bits_per_base",
    "perplexity",
)
_TEXT = (".tsv", ".txt", ".tsv.gz", ".txt.gz", ".tsv.bgz", ".txt.bgz")


@with_option_groups
def perplexity(
    *,
    fasta: opt.FastaOption,
    bed: opt.BedOption = None,
    output: opt.OutputOption = "-",
    model: opt.ModelOption = "builtin",
    strand: opt.StrandOption = None,
    vocab: Annotated[
        Vocabulary,
        typer.Option("--vocab", help="acgt: probabilities of the four bases only, renormalised."),
    ] = "acgt",
    window: opt.WindowOption = None,
    stride: opt.StrideOption = None,
    contig_map: opt.ContigMapOption = "exact",
    rename_chrs: opt.RenameChrsOption = None,
    request: ModelRequest,
    batch_size: opt.BatchSizeOption = "auto",
    compute: ComputeRequest,
    destination: Destination,
    dry_run: opt.DryRunOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Measure how well a model predicts each base of sequences, or of the regions of a BED file.

    Writes TSV, one row a record in input order. log_likelihood is the natural log of the
    probability of bases 2 to the last, without N; n_bases of them were scored; start and end are
    0-based, half-open. --strand both gives the mean of the strands. A record longer than the window
    is cut, and each base scored where it has most context on its left; the first base of a window
    has none and is left out, unless --stride lets windows overlap.

      hyenadna perplexity --fasta test_data/tiny.fa --bed test_data/regions.bed --strand both
    """
    from hyenadna_cli.core.io.records import RecordSource

    chosen_strand = choose_strand(strand, bed=bed)
    if not (output.endswith(_TEXT) or is_stream(output)):
        raise UsageError(f"-o {output}: perplexity writes TSV; use one of {' '.join(_TEXT[:4])}")
    windowing = Windowing(window, stride, "none", opt.parse_batch_size(batch_size))
    destination.check()
    with (
        exit_code_when_out_of_memory(compute.oom_exit_code),
        RecordSource(fasta, bed=bed, contig_map=contig_map, rename_chrs=rename_chrs) as source,
    ):
        selected = destination.select(source)
        chosen = request.choose(compute)
        batcher = windowing.batcher(chosen)
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
                vocabulary=vocab,
            )


def _run(
    destination: Destination,
    source: RecordSource,
    selected: range | None,
    model: ChosenModel,
    batcher: Batcher,
    *,
    strand: StrandChoice,
    vocabulary: Vocabulary,
) -> None:
    from hyenadna_cli.core.inference.perplexity import perplexity
    from hyenadna_cli.core.io.tsv import TsvWriter

    settings = {"strand": strand, "vocab": vocabulary, **batching_settings(batcher)}
    made_by = destination.made_by(model, source, settings)
    if destination.is_done(made_by):
        return
    account, total = Account(command="perplexity"), _Total()
    with destination.journal(made_by) as journal:
        batches = perplexity(
            model.load(),
            source.read(selected),
            batcher=batcher,
            strand=strand,
            full_vocabulary=vocabulary == "full",
            journal=journal,
        )
        overwrite = destination.force or journal.is_resumed
        with TsvWriter(destination.output, columns=_COLUMNS, overwrite=overwrite) as table:
            write_rows(
                batches,
                _writer(table, account, total),
                destination=destination,
                n_bases=source.n_bases(selected),
                label="scoring",
            )
        account.figures = total.results()
        account.close(destination, made_by, model=model, letters=source.letters)


class _Total:
    """The log-likelihood of all records together."""

    def __init__(self) -> None:
        self.log_likelihood = 0.0
        self.n_bases = 0.0

    def add(self, row: PerplexityRow) -> None:
        if row.status == "OK":
            self.log_likelihood += row.log_likelihood
            self.n_bases += row.n_bases

    def results(self) -> dict[str, float]:
        """Nothing where no base was scored."""
        if not self.n_bases:
            return {}
        nats = -self.log_likelihood / self.n_bases
        return {"nats_per_base": nats, "bits_per_base": nats / math.log(2)}


def _writer(table: TsvWriter, account: Account, total: _Total) -> Callable[[PerplexityRow], None]:
    def write(row: PerplexityRow) -> None:
        record = row.record
        n_bases: Cell = int(row.n_bases) if row.n_bases.is_integer() else row.n_bases
        table.write_row(
            (
                record.name,
                record.chrom,
                record.start,
                record.end,
                row.strand,
                n_bases,
                row.log_likelihood,
                row.nats_per_base,
                row.bits_per_base,
                row.perplexity,
            )
        )
        account.add(record.name, row.status, len(record.sequence))
        total.add(row)

    return write
