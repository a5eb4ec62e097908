"""`hyenadna score-variants`: how much each allele changes the likelihood of its sequence."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.options.alleles import (
    AlleleStrand,
    LayoutName,
    LayoutRequest,
    ScoreOption,
    VocabOption,
    parse_scores,
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
from hyenadna_cli.core.variants.output import Kind, Target, kind_of
from hyenadna_cli.errors import InputFileError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.io.vcf import VcfRecord
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.variants.alleles import Layout, Site
    from hyenadna_cli.core.variants.chunks import AlleleScore, ScoreSettings
    from hyenadna_cli.core.variants.source import VariantSource

CheckRef = Literal["e", "w", "x"]


@with_option_groups
def score_variants(
    *,
    vcf: Annotated[
        str, typer.Argument(metavar="FILE|-", help="VCF or BCF; plain, gzip or bgzip; - is stdin.")
    ],
    fasta: Annotated[
        str | None,
        typer.Option(
            "--fasta",
            envvar="HYENADNA_FASTA",
            metavar="FILE",
            help="The genome (indexed FASTA); default: the VCF's ##reference= line.",
        ),
    ] = None,
    output: opt.OutputOption = "-",
    output_type: Annotated[
        Kind | None,
        typer.Option(
            "-O",
            "--output-type",
            help="v VCF, z bgzip VCF, b BCF, u uncompressed BCF, t TSV; default: by suffix.",
        ),
    ] = None,
    write_index: Annotated[
        bool, typer.Option("-W", "--write-index", help="Write the CSI index of a z or b output.")
    ] = False,
    model: opt.ModelOption = "builtin",
    scores: ScoreOption = "llr,site",
    window: Annotated[
        int | None,
        typer.Option(
            "--window",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Read around each variant; default: the model's limit, at most 32,768.",
        ),
    ] = None,
    upstream: Annotated[
        int | None,
        typer.Option(
            "--upstream",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Before the variant, in reading direction; default: half the window.",
        ),
    ] = None,
    downstream: Annotated[
        int | None,
        typer.Option(
            "--downstream",
            parser=opt.parse_bases,
            metavar="BASES",
            help="From the variant's first base on; the fewer, the faster.",
        ),
    ] = None,
    layout: Annotated[
        LayoutName,
        typer.Option(
            "--layout",
            help="centred: a window for each site; grid: fixed windows shared by all sites.",
        ),
    ] = "centred",
    min_context: Annotated[
        int | None,
        typer.Option(
            "--min-context",
            parser=opt.parse_bases,
            metavar="BASES",
            help="With --layout grid: on both sides of every variant; default: window / 8.",
        ),
    ] = None,
    strand: Annotated[
        AlleleStrand, typer.Option("--strand", help="Strands read; both: their mean.")
    ] = "both",
    per_strand: Annotated[
        bool, typer.Option("--per-strand", help="Also write HD_LLR of each strand.")
    ] = False,
    vocab: VocabOption = "acgt",
    check_ref: Annotated[
        CheckRef,
        typer.Option(
            "-c",
            "--check-ref",
            help="Where REF is not the FASTA's: e exit, w mark and keep, x leave out.",
        ),
    ] = "w",
    max_allele_length: Annotated[
        int,
        typer.Option(
            "--max-allele-len",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Longer REF or ALT get the status TOO_LONG.",
        ),
    ] = 1_000,
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
    """Score each allele of a VCF by how much it changes the likelihood of the sequence around it.

    Writes the input records, in order and otherwise untouched, with INFO tags of one value an
    allele: HD_LLR = ln P(ALT window) - ln P(REF window), HD_SITE = the same of the first base that
    differs, and HD_STATUS, which says why an allele has no score. Negative: ALT is less likely.
    As TSV: chrom pos id ref alt status and the scores, a row an allele (pos: 1-based).

      hyenadna score-variants test_data/variants.vcf --fasta test_data/tiny.fa
    """
    from hyenadna_cli.core.variants.source import VariantSource

    target = Target(output, output_type or kind_of(output), write_index)
    wanted = parse_scores(scores)
    if per_strand and "llr" not in wanted:
        raise UsageError("--per-strand is about llr; add it to --scores")
    placed = LayoutRequest(layout, window, upstream, downstream, min_context)
    batch = opt.parse_batch_size(batch_size)
    destination.check()
    target.check_index(overwrite=destination.force or destination.resume)
    with (
        exit_code_when_out_of_memory(compute.oom_exit_code),
        VariantSource(
            vcf,
            fasta=fasta,
            contig_map=contig_map,
            rename_chrs=rename_chrs,
            for_bcf=target.is_bcf,
        ) as source,
    ):
        if target.is_indexed and source.scan is not None and not source.scan.is_sorted:
            raise InputFileError(vcf, "is not sorted, as an index needs it: bcftools sort")
        chosen = request.choose(compute)
        warn_of_rounding(chosen)
        run = _Run(
            source=source,
            selected=source.select(destination.shard),
            layout=placed.resolve(chosen),
            max_allele_length=max_allele_length,
            check_ref=check_ref,
        )
        if check_ref == "e" and source.scan is not None:
            # Not at record 90,000 of a run, but before it.
            run.check_all()
        from hyenadna_cli.core.variants.chunks import ScoreSettings

        settings = ScoreSettings(
            layout=run.layout,
            scores=wanted,
            strands=("+", "-") if strand == "both" else (strand,),
            full_vocabulary=vocab == "full",
            max_n_fraction=max_n_fraction,
        )
        if dry_run:
            run.print_plan(chosen, settings, batch)
        else:
            run.score(destination, target, chosen, settings, batch, per_strand=per_strand)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Run:
    """The variants of a run, and what becomes of them."""

    source: VariantSource
    selected: range | None
    layout: Layout
    max_allele_length: int
    check_ref: CheckRef

    def check_all(self) -> None:
        """Read everything once. Raises InputFileError at the first wrong REF."""
        for _ in self.sites():
            pass

    def sites(self) -> Iterator[tuple[VcfRecord, Site]]:
        """The records with what is known of their alleles."""
        for record, site in self.source.sites(
            layout=self.layout, max_allele_length=self.max_allele_length, selected=self.selected
        ):
            if self.check_ref == "e" and site.ref_agrees is False:
                raise self.source.explain_mismatch(record)
            yield record, site

    def print_plan(self, model: ChosenModel, settings: ScoreSettings, batch: int | None) -> None:
        """`--dry-run`."""
        from hyenadna_cli.core.inference.batching import BatchLimits
        from hyenadna_cli.core.variants.scoring import plan_passes

        account = AlleleAccount(command="score-variants")
        for record, site in self.sites():
            statuses = [status or "TO_SCORE" for status in site.statuses] or ["NO_ALT"]
            account.add(record.place, statuses, ref_agrees=site.ref_agrees)
        limits = BatchLimits.choose(model.run.device, batch_size=batch)
        n_bytes = plan_passes(settings, model.config, limits).peak_bytes
        account.print_plan(window=self.layout.window, peak_memory_mb=-(-n_bytes // 1_000_000))

    def score(
        self,
        destination: Destination,
        target: Target,
        model: ChosenModel,
        settings: ScoreSettings,
        batch: int | None,
        *,
        per_strand: bool,
    ) -> None:
        """Score and write everything."""
        from hyenadna_cli.core.inference.batching import BatchLimits
        from hyenadna_cli.core.variants.scoring import score

        limits = BatchLimits.choose(model.run.device, batch_size=batch)
        made_by = self._made_by(destination, model, settings, batch)
        if destination.is_done(made_by):
            return
        account = AlleleAccount(command="score-variants")
        pending: deque[tuple[VcfRecord, Site]] = deque()

        def sites() -> Iterator[Site]:
            for record, site in self.sites():
                pending.append((record, site))
                yield site

        with destination.journal(made_by) as journal:
            done = score(
                model.load(), sites(), self.source.genome, settings, limits=limits, journal=journal
            )
            overwrite = destination.force or journal.is_resumed
            with target.open(
                self.source, settings, made_by, overwrite=overwrite, per_strand=per_strand
            ) as write:

                def finish(row: list[AlleleScore]) -> None:
                    record, site = pending.popleft()
                    statuses: list[str] = [allele.status for allele in row] or ["NO_ALT"]
                    if site.ref_agrees is not False or self.check_ref != "x":
                        write(record, statuses, row)
                    account.add(record.place, statuses, ref_agrees=site.ref_agrees)

                write_rows(
                    done,
                    finish,
                    destination=destination,
                    label="scoring",
                    n_bases=self.source.n_records(self.selected),
                )
            account.close(destination, made_by, model=model, letters=self.source.genome.letters)

    def _made_by(
        self,
        destination: Destination,
        model: ChosenModel,
        settings: ScoreSettings,
        batch: int | None,
    ) -> Provenance:
        from hyenadna_cli.core.outputs import provenance

        return provenance.collect(
            command=["hyenadna", *sys.argv[1:]],
            settings={
                **settings_of(settings),
                "check_ref": self.check_ref,
                "max_allele_len": self.max_allele_length,
                "batch_size": "auto" if batch is None else batch,
                **model.settings(),
            },
            inputs=self.source.inputs,
            model=model.identity(),
            device=model.run.device_name,
            reproducible=destination.no_version,
        )
