"""`hyenadna mutagenize`: every SNV of a region, in silico."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import BatchedCompute, ModelRequest
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun
from hyenadna_cli.core.interpretation.settings import AttributionOptions, DependencyOptions
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.outputs.counts import AlleleCounts, Counts
from hyenadna_cli.core.variants.mutagenesis_output import Kind, kind_of, open_snv_output
from hyenadna_cli.core.variants.settings import SnvSettings
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.batching import BatchLimits, Done
    from hyenadna_cli.core.io.fasta import Genome
    from hyenadna_cli.core.model.hyenadna import HyenaDNA
    from hyenadna_cli.core.outputs.journal import Journal
    from hyenadna_cli.core.variants.chunks import ScoreSettings
    from hyenadna_cli.core.variants.mutagenesis import SnvScores
    from hyenadna_cli.core.variants.regions import NamedRegion

    Mutated = tuple[str, SnvScores]
    """The contig as the user names it, and the SNVs of a piece of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MutatedRegions(RegionFile):
    """Regions of a genome."""

    HEADING: ClassVar[str] = "Input"

    fasta: Annotated[
        str,
        typer.Option(
            "--fasta", envvar="HYENADNA_FASTA", metavar="FILE", help="The genome (indexed FASTA)."
        ),
    ]
    region: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            metavar="CHR[:START-END]",
            help="1-based, closed: chr17:43,044,295-43,125,483; also chr17 (all of it), "
            "chr17:43,044,295 (one base), {HLA-A*01:01}:1-20; repeatable.",
        ),
    ] = None

    def regions(self, genome: Genome, shard: str | None, *, is_merged: bool) -> list[NamedRegion]:
        """The regions, or those of a shard; `is_merged`: in order, and none overlaps another.

        Raises UsageError or, about the file of regions, InputFileError.
        """
        from hyenadna_cli.core.variants import regions

        if not self.region and self.path is None:
            raise UsageError("which region? give --region CHR:START-END, --bed FILE or --gtf FILE")
        named = regions.read(self.region or (), self, genome.lengths)
        if is_merged:
            named = regions.merged(named, genome.lengths)
        return named if shard is None else regions.of_shard(named, shard)


_OutputType = Annotated[
    Kind | None,
    typer.Option(
        "-O",
        "--output-type",
        rich_help_panel="Output",
        help="tsv: one row per SNV; bedgraph, bigwig (needs pyBigWig): the mean of a base's three "
        "SNVs; default: by suffix.",
    ),
]


@with_option_groups
def mutagenize(
    *,
    files: MutatedRegions,
    output_type: _OutputType = None,
    scoring: SnvSettings,
    attributing: AttributionOptions,
    mapping: DependencyOptions,
    request: ModelRequest,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Score every SNV of a region: what the model makes of each base being another.

    Writes TSV, a row per SNV: chrom pos (1-based) ref alt status site, and llr with --full or
    gradient with --gradients; negative: less likely than the genome's base, site and llr as in
    score-variants. Site scores take no pass of their own. As bedGraph or bigWig: 0-based,
    half-open, the mean of a base's three SNVs (of the last column). N has no row. --dependencies
    writes which bases of a region depend on which instead.

      hyenadna mutagenize --fasta test_data/tiny.fa --region chr1:4,001-4,100
    """
    attributing.check(scoring, mapping)
    if mapping.dependencies is not None:
        _map(files, mapping, scoring, request, compute, destination, run)
        return
    kind: Kind | None = None
    if attributing.attributions is None:
        kind = output_type or kind_of(destination.output)
    else:
        output = attributing.checked(destination.output, destination.shard)
        destination = replace(destination, output=output)
    _score(files, kind, scoring, attributing, request, compute, destination, run)


def _score(
    files: MutatedRegions,
    kind: Kind | None,
    scoring: SnvSettings,
    attributing: AttributionOptions,
    request: ModelRequest,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Scores as a table or a track, or as arrays of `--attributions`: then `kind` is None."""
    from hyenadna_cli.core.io.fasta import Genome

    destination.check()
    with compute.memory_errors(), Genome(files.fasta) as genome:
        regions = files.regions(genome, destination.shard, is_merged=kind in ("bedgraph", "bigwig"))
        if kind is None:
            attributing.check_lengths(regions)
        model = request.choose(compute)
        settings = scoring.settings(model, ("site", "llr") if scoring.full else ("site",))
        limits = compute.limits(model.run.device)
        n_bases = sum(region.interval.length for region in regions)
        sizes = {"regions": len(regions), "bases": n_bases, "snvs_at_most": 3 * n_bases}
        record_run = RecordRun(
            label="mutating",
            destination=destination,
            model=model,
            settings={
                **settings.described(),
                **files.settings,
                "regions": list(files.region or ()),
                "gradients": attributing.gradients,
                "batch_size": compute.n_windows or "auto",
            },
            inputs=files.inputs,
            letters=genome.letters,
            counts=AlleleCounts(command="mutagenize"),
            n_bases=n_bases,
            plan=sizes | attributing.plan(settings, model, limits) if run.dry_run else None,
        )
        record_run.write(
            lambda journal: _rows(
                model.load(), regions, genome, settings, limits, journal, attributing.gradients
            ),
            writer=lambda _, overwrite: _writer(
                destination.output,
                kind,
                (regions, genome),
                last=attributing.column(scoring),
                overwrite=overwrite,
            ),
            count=lambda mutated: _count(mutated[1], record_run.counts),
        )


def _map(
    files: MutatedRegions,
    mapping: DependencyOptions,
    scoring: SnvSettings,
    request: ModelRequest,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """`--dependencies`."""
    from hyenadna_cli.core.interpretation.dependencies import dependencies
    from hyenadna_cli.core.interpretation.dependency_file import open_map
    from hyenadna_cli.core.io.fasta import Genome

    to = replace(destination, output=mapping.checked(destination.output, destination.shard))
    to.check()
    with compute.memory_errors(), Genome(files.fasta) as genome:
        region = mapping.one_region(files.regions(genome, None, is_merged=False), genome)
        model = request.choose(compute)
        settings = mapping.settings(scoring, model, region)
        counts = Counts(command="mutagenize")
        limits = compute.limits(model.run.device)
        RecordRun(
            label="mapping",
            destination=to,
            model=model,
            settings={**settings.described(region), "batch_size": compute.n_windows or "auto"},
            inputs=files.inputs,
            letters=genome.letters,
            counts=counts,
            n_bases=region.length,
            plan={"bases": region.length, "alt_passes": 6 * region.length} if run.dry_run else None,
        ).write(
            lambda journal: dependencies(
                model.load(), region, genome, settings, limits=limits, journal=journal
            ),
            writer=lambda made_by, overwrite: open_map(
                to.path, region, genome, made_by=made_by, overwrite=overwrite
            ),
            count=lambda rows: counts.add_part(str(region), len(rows.values)),
        )


def _rows(
    model: HyenaDNA,
    regions: list[NamedRegion],
    genome: Genome,
    settings: ScoreSettings,
    limits: BatchLimits,
    journal: Journal,
    are_gradients: bool,
) -> Iterator[Done[Mutated]]:
    from hyenadna_cli.core.inference.batching import Done
    from hyenadna_cli.core.interpretation.gradients import gradients
    from hyenadna_cli.core.variants.mutagenesis import mutagenize

    score = gradients if are_gradients else mutagenize
    for chrom, interval in regions:
        for done in score(model, interval, genome, settings, limits=limits, journal=journal):
            yield Done(done.n_bases, [(chrom, scores) for scores in done.rows])


@contextmanager
def _writer(
    output: str,
    kind: Kind | None,
    of: tuple[list[NamedRegion], Genome],
    *,
    last: str,
    overwrite: bool,
) -> Iterator[Callable[[Mutated], None]]:
    """Of a table, or of the attributions of regions; `last`: the last column's name."""
    if kind is None:
        from hyenadna_cli.core.interpretation.attributions import open_attributions

        regions, genome = [region.interval for region in of[0]], of[1]
        with open_attributions(
            Path(output), regions, genome, score=last, overwrite=overwrite
        ) as write_arrays:
            yield lambda mutated: write_arrays(mutated[1])
        return
    columns = ("site",) if last == "site" else ("site", last)
    lengths = of[1].lengths
    with open_snv_output(
        output, kind, columns=columns, lengths=lengths, overwrite=overwrite
    ) as write:
        yield lambda mutated: write(*mutated)


def _count(scores: SnvScores, counts: Counts) -> None:
    of_bases = zip(scores.statuses, scores.bases, strict=True)
    for status, n_bases in Counter(s for s, base in of_bases if base in "ACGT").items():
        counts.count(str(scores.interval), status, 3 * n_bases)
