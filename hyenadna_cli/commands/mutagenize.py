"""`hyenadna mutagenize`: every SNV of a region, in silico."""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options.alleles import (
    AlleleStrand,
    LayoutName,
    LayoutRequest,
    VocabOption,
    settings_of,
    warn_of_rounding,
)
from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import ChosenModel, ComputeRequest, ModelRequest
from hyenadna_cli.commands.reporting.allele_counts import AlleleAccount
from hyenadna_cli.commands.reporting.record_run import (
    Destination,
    exit_code_when_out_of_memory,
    write_rows,
)
from hyenadna_cli.core.outputs.atomic import is_stream
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.dna.coordinates import Interval
    from hyenadna_cli.core.inference.batching import BatchLimits, Done
    from hyenadna_cli.core.io.fasta import Genome
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.variants.chunks import ScoreSettings
    from hyenadna_cli.core.variants.mutagenesis import SnvScores

    Write = Callable[[str, SnvScores], None]

Kind = Literal["tsv", "bedgraph"]

_BEDGRAPH = (".bedgraph", ".bg", ".bedgraph.gz", ".bg.gz")
_TSV = (".tsv", ".txt", ".tsv.gz", ".txt.gz", ".tsv.bgz", ".txt.bgz")


@with_option_groups
def mutagenize(
    *,
    fasta: Annotated[
        str,
        typer.Option(
            "--fasta", envvar="HYENADNA_FASTA", metavar="FILE", help="The genome (indexed FASTA)."
        ),
    ],
    region: Annotated[
        list[str] | None,
        typer.Option(
            "--region",
            metavar="CHR:START-END",
            help="1-based, closed: chr17:43,044,295-43,125,483; repeatable.",
        ),
    ] = None,
    bed: Annotated[
        str | None,
        typer.Option("--bed", metavar="FILE|-", help="Regions (BED: 0-based, half-open)."),
    ] = None,
    output: opt.OutputOption = "-",
    output_type: Annotated[
        Kind | None,
        typer.Option(
            "-O",
            "--output-type",
            help="tsv: a row an SNV; bedgraph: the mean of a base's three SNVs; "
            "default: by suffix.",
        ),
    ] = None,
    model: opt.ModelOption = "builtin",
    full: Annotated[
        bool,
        typer.Option("--full", help="Also the likelihood ratio llr, with a pass for each SNV."),
    ] = False,
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Read around each base; default: the model's limit, at most 32,768.",
        ),
    ] = None,
    layout: Annotated[
        LayoutName,
        typer.Option(
            "--layout",
            help="grid: fixed windows shared by all bases; centred: a window for each base.",
        ),
    ] = "grid",
    min_context: Annotated[
        int | None,
        typer.Option(
            "--min-context",
            parser=opt.parse_bases,
            metavar="BASES",
            help="With --layout grid: on both sides of every base; default: window / 8.",
        ),
    ] = None,
    strand: Annotated[
        AlleleStrand, typer.Option("--strand", help="Strands read; both: their mean.")
    ] = "both",
    vocab: VocabOption = "acgt",
    max_n_fraction: Annotated[
        float,
        typer.Option("--max-n-frac", min=0, max=1, help="More N in a window: status N_WINDOW."),
    ] = 0.5,
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
    """Score every SNV of a region: what the model makes of each base being another.

    Writes TSV, a row an SNV: chrom pos (1-based) ref alt status site, and llr with --full; both as
    in score-variants, negative: less likely than the genome's base. Site scores take no pass of
    their own. As bedGraph: 0-based, half-open, the mean of a base's three SNVs (of llr with
    --full). N has no row.

      hyenadna mutagenize --fasta test_data/tiny.fa --region chr1:4,001-4,100
    """
    from hyenadna_cli.core.inference.batching import BatchLimits
    from hyenadna_cli.core.io.fasta import Genome
    from hyenadna_cli.core.variants.chunks import ScoreSettings

    kind = output_type or _kind(output)
    placed = LayoutRequest(layout, window, None, None, min_context)
    batch = opt.parse_batch_size(batch_size)
    destination.check()
    with exit_code_when_out_of_memory(compute.oom_exit_code), Genome(fasta) as genome:
        regions = _regions(region, bed, genome, contig_map, rename_chrs)
        if destination.shard is not None:
            regions = _part(regions, destination.shard)
        chosen = request.choose(compute)
        warn_of_rounding(chosen)
        settings = ScoreSettings(
            layout=placed.resolve(chosen),
            scores=("site", "llr") if full else ("site",),
            strands=("+", "-") if strand == "both" else (strand,),
            full_vocabulary=vocab == "full",
            max_n_fraction=max_n_fraction,
        )
        limits = BatchLimits.choose(chosen.run.device, batch_size=batch)
        if dry_run:
            from hyenadna_cli.core.variants.scoring import plan_passes

            n_bases = sum(r.interval.length for r in regions)
            n_bytes = plan_passes(settings, chosen.config, limits).peak_bytes
            for name, value in (
                ("regions", len(regions)),
                ("bases", n_bases),
                ("snvs_at_most", 3 * n_bases),
                ("window", settings.layout.window),
                ("peak_memory_mb", -(-n_bytes // 1_000_000)),
            ):
                typer.echo(f"{name}\t{value}")
            return
        inputs = [fasta] if bed is None else [fasta, bed]
        made_by = _made_by(destination, chosen, settings, batch, region or [], inputs)
        if not destination.is_done(made_by):
            _run(destination, kind, chosen, settings, limits, regions, genome, made_by)


def _kind(output: str) -> Kind:
    if output.endswith(_BEDGRAPH):
        return "bedgraph"
    if output.endswith(_TSV) or is_stream(output):
        return "tsv"
    raise UsageError(f"-o {output}: use one of {' '.join((*_TSV[:4], *_BEDGRAPH[:2]))}, or say -O")


def _regions(
    texts: list[str] | None,
    bed: str | None,
    genome: Genome,
    contig_map: Literal["exact", "auto"],
    rename_chrs: Path | None,
) -> list[_Region]:
    """The regions asked for. Raises UsageError or, about the BED, InputFileError."""
    from hyenadna_cli.core.dna.coordinates import Interval, parse_region
    from hyenadna_cli.core.io.bed import read_regions
    from hyenadna_cli.core.io.contigs import ContigNames

    if not texts and bed is None:
        raise UsageError("which region? give --region CHR:START-END or --bed FILE")
    lengths = genome.lengths
    contigs = ContigNames.choose(lengths, contig_map, rename_chrs)
    regions = []
    for text in texts or []:
        try:
            asked = parse_region(text)
        except ValueError as error:
            raise UsageError(f"--region: {error}") from error
        contig = contigs.resolve(asked.contig)
        if contig is None:
            raise UsageError(f"--region {text}: {contigs.explain_missing(asked.contig)}")
        if asked.end > lengths[contig]:
            raise UsageError(f"--region {text}: {contig} has {lengths[contig]:,} bp")
        regions.append(_Region(asked.contig, Interval(contig, asked.start, asked.end)))
    if bed is not None:
        regions += [_Region(r.chrom, r.interval) for r in read_regions(bed, contigs=contigs)]
    return regions


@dataclass(frozen=True, slots=True)
class _Region:
    chrom: str
    """As the user names it."""
    interval: Interval


def _part(regions: list[_Region], shard: str) -> list[_Region]:
    """The pieces of a shard: whole ones, so that every batch holds the same bases whatever N is."""
    from hyenadna_cli.core.outputs.shards import BLOCK_BASES, Shard, shard_range
    from hyenadna_cli.core.variants.mutagenesis import pieces

    cut = [_Region(region.chrom, piece) for region in regions for piece in pieces(region.interval)]
    # A piece is work enough for a block of its own.
    mine = shard_range([BLOCK_BASES] * len(cut), Shard.parse(shard))
    return cut[mine.start : mine.stop]


def _run(
    destination: Destination,
    kind: Kind,
    model: ChosenModel,
    settings: ScoreSettings,
    limits: BatchLimits,
    regions: list[_Region],
    genome: Genome,
    made_by: Provenance,
) -> None:
    from hyenadna_cli.core.variants.mutagenesis import mutagenize

    account = AlleleAccount(command="mutagenize")
    chroms: deque[str] = deque()
    with destination.journal(made_by) as journal:
        loaded = model.load()

        def pieces() -> Iterator[Done[SnvScores]]:
            for region in regions:
                for done in mutagenize(
                    loaded, region.interval, genome, settings, limits=limits, journal=journal
                ):
                    chroms.extend([region.chrom] * len(done.rows))
                    yield done

        output, overwrite = destination.output, destination.force or journal.is_resumed
        is_full = "llr" in settings.scores
        with (
            _bedgraph(output, overwrite=overwrite)
            if kind == "bedgraph"
            else _tsv(output, is_full, overwrite=overwrite)
        ) as write:

            def finish(scores: SnvScores) -> None:
                chrom = chroms.popleft()
                write(chrom, scores)
                for status, count in Counter(
                    status
                    for status, base in zip(scores.statuses, scores.bases, strict=True)
                    if base in "ACGT"
                ).items():
                    account.count(str(scores.interval), status, 3 * count)

            write_rows(
                pieces(),
                finish,
                destination=destination,
                label="mutating",
                n_bases=sum(region.interval.length for region in regions),
            )
        account.close(destination, made_by, model=model, letters=genome.letters)


@contextmanager
def _tsv(output: str, is_full: bool, *, overwrite: bool) -> Iterator[Write]:
    from hyenadna_cli.core.dna.coordinates import to_one_based
    from hyenadna_cli.core.io.tsv import TsvWriter

    columns = ("chrom", "pos", "ref", "alt", "status", "site", *(["llr"] if is_full else []))
    with TsvWriter(output, columns=columns, overwrite=overwrite) as table:

        def write(chrom: str, scores: SnvScores) -> None:
            for row, (base, status) in enumerate(zip(scores.bases, scores.statuses, strict=True)):
                if base not in "ACGT":
                    continue
                pos = to_one_based(scores.interval.start + row)
                for column, alt in enumerate("ACGT"):
                    if alt != base:
                        values = [of[row, column] for of in scores.tables]
                        table.write_row((chrom, pos, base, alt, status, *values))

        yield write


@contextmanager
def _bedgraph(output: str, *, overwrite: bool) -> Iterator[Write]:
    import numpy as np

    from hyenadna_cli.core.outputs.sinks import open_sink

    is_bgzip = output.endswith(".gz")
    with open_sink(output, overwrite=overwrite, is_bgzip=is_bgzip) as sink:

        def write(chrom: str, scores: SnvScores) -> None:
            values = scores.tables[-1]
            # Every row has three values, or none.
            is_scored = np.isfinite(values).any(axis=1)
            means = np.nansum(values, axis=1) / 3
            for row in np.flatnonzero(is_scored).tolist():
                start = scores.interval.start + row
                sink.write(f"{chrom}\t{start}\t{start + 1}\t{means[row]:.6g}\n".encode())

        yield write


def _made_by(
    destination: Destination,
    model: ChosenModel,
    settings: ScoreSettings,
    batch: int | None,
    regions: list[str],
    inputs: list[str],
) -> Provenance:
    from hyenadna_cli.core.outputs import provenance

    return provenance.collect(
        command=["hyenadna", *sys.argv[1:]],
        settings={
            **settings_of(settings),
            "regions": regions,
            "batch_size": "auto" if batch is None else batch,
            **model.settings(),
        },
        inputs=inputs,
        model=model.identity(),
        device=model.run.device_name,
        reproducible=destination.no_version,
    )
