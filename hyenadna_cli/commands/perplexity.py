"""`hyenadna perplexity`: how well a model predicts sequences or regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.inputs import RecordFiles
from hyenadna_cli.commands.options.model import (
    BatchedCompute,
    ContextParallelOption,
    ModelRequest,
    WindowOptions,
)
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun, table_writer
from hyenadna_cli.commands.reporting.sharing import shared
from hyenadna_cli.core.interpretation.settings import ContextOptions, TrackOptions
from hyenadna_cli.core.io.tsv import check_table_name
from hyenadna_cli.core.outputs.counts import Counts
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.perplexity import PerplexityRow, Total
    from hyenadna_cli.core.interpretation.contexts import ContextSettings


_Vocabulary = Annotated[
    Literal["acgt", "full"],
    typer.Option("--vocab", help="acgt: probabilities of the four bases only, renormalised."),
]


@with_option_groups
def perplexity(
    *,
    files: RecordFiles,
    vocab: _Vocabulary = "acgt",
    windows: WindowOptions,
    track: TrackOptions,
    context: ContextOptions,
    request: ModelRequest,
    compute: BatchedCompute,
    context_parallel: ContextParallelOption = 1,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Measure how well a model predicts each base of sequences, or of regions.

    Writes TSV, one row per record in input order. log_likelihood is the natural log of the
    probability of bases 2 to the last, without N; n_bases of them were scored; start and end are
    0-based, half-open. --strand both gives the mean of the strands. A record longer than the window
    is cut, and each base scored where it has most context on its left; the first base of a window
    has none and is left out, unless --stride lets windows overlap. --track writes a value per base.
    --contexts measures how much it helps to read more before a base.

      hyenadna perplexity --fasta test_data/tiny.fa --bed test_data/regions.bed --strand both

      hyenadna perplexity --fasta test_data/tiny.fa --contexts 64,256,1k --targets 2k
    """
    if track.track is not None and context.contexts is not None:
        raise UsageError("--track and --contexts exclude each other")
    if context.contexts is not None:
        if context_parallel > 1:
            raise UsageError("--context-parallel is not for --contexts")
        curve = context.settings(
            window=windows.window, stride=windows.stride, strand=files.strand, vocab=vocab
        )
        _contexts(files, curve, request, compute, destination, run)
    elif track.track is not None:
        _track(files, track, windows, request, compute, context_parallel, destination, run)
    else:
        _table(files, vocab, windows, request, compute, context_parallel, destination, run)


def _table(
    files: RecordFiles,
    vocab: str,
    windows: WindowOptions,
    request: ModelRequest,
    compute: BatchedCompute,
    context_parallel: int,
    destination: Destination,
    run: RunOptions,
) -> None:
    """One row per record."""
    from hyenadna_cli.core.inference import perplexity as core
    from hyenadna_cli.core.inference.run_plan import plan_of_records

    strand = files.strand_choice
    check_table_name(destination.output, writer="perplexity")
    destination.check()
    with compute.memory_errors(), files.open() as source:
        selected = destination.select(source)
        chosen = request.choose(compute)
        with shared(
            chosen, context_parallel, inputs=source.inputs, destination=destination
        ) as model:
            batcher = windows.batcher(model, compute)
            plan = (
                plan_of_records(source, selected, model, batcher, strand) if run.dry_run else None
            )
            counts = Counts(command="perplexity")
            RecordRun.of_source(
                source,
                selected,
                batcher,
                label="scoring",
                destination=destination,
                model=model,
                settings={"strand": strand, "vocab": vocab},
                counts=counts,
                plan=plan,
            ).write(
                lambda journal: core.perplexity(
                    model.load(),
                    source.read(selected),
                    batcher=batcher,
                    strand=strand,
                    full_vocabulary=vocab == "full",
                    journal=journal,
                ),
                writer=table_writer(destination.output, core.COLUMNS, lambda row: [row.cells()]),
                count=_counting(counts, core.Total()),
            )


def _track(
    files: RecordFiles,
    track: TrackOptions,
    windows: WindowOptions,
    request: ModelRequest,
    compute: BatchedCompute,
    context_parallel: int,
    destination: Destination,
    run: RunOptions,
) -> None:
    """`--track`."""
    from hyenadna_cli.core.inference.run_plan import pass_megabytes
    from hyenadna_cli.core.interpretation import tracks
    from hyenadna_cli.core.io.fasta import Genome

    output = track.checked(destination.output, stride=windows.stride)
    to = replace(destination, output=output)
    to.check()
    with compute.memory_errors(), Genome(files.fasta) as genome:
        chosen = request.choose(compute)
        with shared(chosen, context_parallel, inputs=files.inputs, destination=to) as model:
            settings = track.settings(model, window=windows.window, strand=files.strand)
            regions = tracks.of_shard(tracks.regions_of(genome, files), settings, to.shard)
            counts = Counts(command="perplexity")
            limits = replace(compute.limits(model.run.device), backs_off=model.context is None)
            n_bases = sum(region.length for region in regions)
            memory = pass_megabytes(model, limits, n_tokens=settings.window)
            plan = {"regions": len(regions), "bases": n_bases, "peak_memory_mb": memory}
            RecordRun(
                label="scoring",
                destination=to,
                model=model,
                inputs=files.inputs,
                settings={
                    **settings.described(),
                    **files.settings,
                    "batch_size": compute.n_windows or "auto",
                },
                letters=genome.letters,
                counts=counts,
                n_bases=n_bases,
                plan=plan if run.dry_run else None,
            ).write(
                lambda journal: tracks.track(
                    model.load(), regions, genome, settings, limits=limits, journal=journal
                ),
                writer=lambda _, overwrite: tracks.writer(to.output, genome.lengths, overwrite),
                count=lambda piece: counts.add_part(str(piece.region), piece.interval.length),
            )


def _contexts(
    files: RecordFiles,
    settings: ContextSettings,
    request: ModelRequest,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """`--contexts`."""
    from hyenadna_cli.core.interpretation import contexts as core
    from hyenadna_cli.core.interpretation.tracks import regions_of
    from hyenadna_cli.core.io.fasta import Genome

    check_table_name(destination.output, writer="perplexity")
    destination.check()
    with compute.memory_errors(), Genome(files.fasta) as genome:
        model = request.choose(compute)
        l_max = model.config.l_max
        regions = regions_of(genome, files)
        sites = core.draw_sites(genome, regions, settings, is_whole=files.path is None)
        mine = core.selected_contexts(sites, settings, l_max=l_max, shard=destination.shard)
        n_targets = sum(site.interval.length for site in sites)
        n_read = sum(core.n_bases_read(sites, context, settings, l_max) for context in mine)
        plan = {"contexts": len(mine), "targets": n_targets, "sites": len(sites), "bases": n_read}
        counts = Counts(command="perplexity")
        RecordRun(
            label="scoring",
            destination=destination,
            model=model,
            inputs=files.inputs,
            settings={
                **settings.described(),
                **files.settings,
                "batch_size": compute.n_windows or "auto",
            },
            letters=genome.letters,
            counts=counts,
            n_bases=n_read,
            plan=plan if run.dry_run else None,
        ).write(
            lambda journal: core.curve(
                model.load(),
                sites,
                genome,
                settings,
                contexts=mine,
                limits=compute.limits(model.run.device),
                journal=journal,
            ),
            writer=table_writer(destination.output, core.COLUMNS, lambda row: [row.cells()]),
            count=lambda row: counts.add(f"context {row.context:,}", row.status, row.n_bases),
        )


def _counting(counts: Counts, total: Total) -> Callable[[PerplexityRow], None]:
    def count(row: PerplexityRow) -> None:
        counts.add(row.record.name, row.status, len(row.record.sequence))
        total.add(row)
        counts.figures = total.results()

    return count
