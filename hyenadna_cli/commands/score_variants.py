"""`hyenadna score-variants`: how much each allele changes the likelihood of its sequence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.inputs import ContigMapOption
from hyenadna_cli.commands.options.model import BatchedCompute, ModelRequest
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun
from hyenadna_cli.core.outputs.counts import AlleleCounts
from hyenadna_cli.core.variants.settings import VariantSettings, plan_of

if TYPE_CHECKING:
    from hyenadna_cli.core.config.choices import Score
    from hyenadna_cli.core.inference.batching import BatchLimits, Done
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.outputs.journal import Journal
    from hyenadna_cli.core.outputs.provenance import Provenance, Setting
    from hyenadna_cli.core.tasks.alleles.classifier import AlleleClassifier
    from hyenadna_cli.core.variants.background import Background
    from hyenadna_cli.core.variants.chunks import AlleleScore, ScoreSettings
    from hyenadna_cli.core.variants.output import Target
    from hyenadna_cli.core.variants.sites import Scored, Sites
    from hyenadna_cli.core.variants.source import VariantSource


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantFiles:
    """Variants, and the genome that they are variants of."""

    HEADING: ClassVar[str] = "Input"

    vcf: Annotated[
        str, typer.Argument(metavar="FILE|-", help="VCF or BCF; plain, gzip or bgzip; - is stdin.")
    ]
    fasta: Annotated[
        str | None,
        typer.Option(
            "--fasta",
            envvar="HYENADNA_FASTA",
            metavar="FILE",
            help="The genome (indexed FASTA); default: the VCF's ##reference= line.",
        ),
    ] = None
    contig_map: ContigMapOption = "exact"
    rename_chrs: Annotated[
        Path | None,
        typer.Option(
            "--rename-chrs", help="Table of two columns: contig name in the VCF, name in the FASTA."
        ),
    ] = None

    def open(
        self, *, for_bcf: bool, for_index: bool, is_strict: bool, max_n_run: int
    ) -> VariantSource:
        """The records; a context manager. Raises UsageError and InputFileError."""
        from hyenadna_cli.core.variants.source import VariantSource

        return VariantSource(
            self.vcf,
            fasta=self.fasta,
            contig_map=self.contig_map,
            rename_chrs=self.rename_chrs,
            for_bcf=for_bcf,
            for_index=for_index,
            is_strict=is_strict,
            max_n_run=max_n_run,
        )


_OutputType = Annotated[
    Literal["v", "z", "b", "u", "t"] | None,
    typer.Option(
        "-O",
        "--output-type",
        rich_help_panel="Output",
        help="v VCF, z bgzip VCF, b BCF, u uncompressed BCF, t TSV; default: by suffix.",
    ),
]
_WriteIndex = Annotated[
    bool,
    typer.Option(
        "-W",
        "--write-index",
        rich_help_panel="Output",
        help="Write the CSI index of a z or b output.",
    ),
]


_BackgroundOption = Annotated[
    Path | None,
    typer.Option(
        "--background",
        rich_help_panel="Scoring",
        help="Random SNVs (`hyenadna background`) among which each SNV's score is ranked: HD_PCT.",
    ),
]


@with_option_groups
def score_variants(
    *,
    files: VariantFiles,
    output_type: _OutputType = None,
    write_index: _WriteIndex = False,
    scoring: VariantSettings,
    background: _BackgroundOption = None,
    request: ModelRequest,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Score each allele of a VCF by how much it changes the likelihood of the sequence around it.

    Writes the input records, in order and otherwise untouched, with INFO tags of one value per
    allele: HD_LLR = ln P(ALT window) - ln P(REF window), HD_SITE = the same of the first base that
    differs, and HD_STATUS, which says why an allele has no score. Negative: ALT is less likely.
    Scores of the built-in model do not tell harmful variants from harmless ones: AUROC 0.49 on
    ClinVar (0.5 is chance).
    With -m of a directory that `finetune --probe --embeddings` has made of labelled alleles, also
    HD_PROB, its calibrated probability, and of several classes HD_CLASS; windows are then those of
    the directory. --background adds HD_PCT, the percentile of HD_LLR (else HD_SITE) among random
    SNVs of the same trinucleotide change; other alleles than SNVs have none.
    As TSV: chrom pos id ref alt status and the scores, one row per allele (pos: 1-based).

      hyenadna score-variants test_data/variants.vcf --fasta test_data/tiny.fa
    """
    from hyenadna_cli.core.variants.background import Background
    from hyenadna_cli.core.variants.output import Target, kind_of
    from hyenadna_cli.core.variants.sites import Sites

    target = Target(destination.output, output_type or kind_of(destination.output), write_index)
    scores = scoring.score_names()
    destination.check()
    target.check_index(overwrite=destination.force or destination.resume)
    with (
        compute.memory_errors(),
        files.open(
            for_bcf=target.is_bcf,
            for_index=target.is_indexed,
            is_strict=destination.strict,
            max_n_run=scoring.max_n_run,
        ) as source,
    ):
        model = request.choose(compute)
        classifier, settings = _judged(model, scoring, scores)
        ranks = None if background is None else Background(background)
        if ranks is not None:
            ranks.check(model, settings, source.fasta)
        sites = Sites(
            source,
            source.select(destination.shard, bases_per_site=settings.bases_per_site),
            settings,
            check_ref=scoring.check_ref,
            max_allele_length=scoring.max_allele_length,
        )
        sites.check_first()
        _Scoring(sites, scoring, scores, model, classifier, ranks, target).write(
            compute, destination, dry_run=run.dry_run
        )


def _judged(
    model: ChosenModel, scoring: VariantSettings, scores: tuple[Score, ...]
) -> tuple[AlleleClassifier | None, ScoreSettings]:
    """What judges alleles besides the scores, if the model's directory has it; how to score."""
    from hyenadna_cli.core.tasks.alleles.classifier import AlleleClassifier
    from hyenadna_cli.core.tasks.alleles.stored import check_options, score_settings

    classifier = AlleleClassifier.load(model.source.directory)
    if classifier is None:
        return None, scoring.settings(model, scores)
    check_options(scoring, classifier.settings, model=model.source.name)
    features = classifier.features
    return classifier, score_settings(classifier.settings, scores=scores, features=features)


@dataclass(frozen=True, slots=True)
class _Scoring:
    """One run, with everything at hand but the weights."""

    sites: Sites
    scoring: VariantSettings
    written: tuple[Score, ...]
    """Of the scores that are computed."""
    model: ChosenModel
    classifier: AlleleClassifier | None
    background: Background | None
    target: Target

    @property
    def inputs(self) -> list[str]:
        """The files read, but for the model's own."""
        inputs = self.sites.source.inputs
        if self.classifier is not None:
            from hyenadna_cli.core.tasks.alleles.classifier import NAME

            inputs = [*inputs, str(self.model.source.directory / NAME)]
        if self.background is not None:
            inputs = [*inputs, str(self.background.path)]
        return inputs

    def rows(
        self, limits: BatchLimits, journal: Journal, counts: AlleleCounts
    ) -> Iterable[Done[Scored]]:
        """The records with all that is said of their alleles."""
        sites = self.sites
        batches: Iterable[Done[Scored]] = sites.score(self.model, limits=limits, journal=journal)
        if self.classifier is not None:
            from hyenadna_cli.core.tasks.alleles.scoring import classified

            batches = classified(batches, self.classifier, sites.source.genome, sites.settings)
        if self.background is not None:
            from hyenadna_cli.core.variants.background import with_percentiles

            batches = with_percentiles(
                batches,
                self.background,
                sites.source.genome,
                sites.settings,
                counts.without_percentile,
            )
        return batches

    @property
    def more(self) -> list[str]:
        """What is written besides scores."""
        more = [] if self.background is None else ["pct"]
        if self.classifier is not None:
            more += ["prob", *(["class"] if len(self.classifier.classes) > 2 else [])]
        return more

    def write(self, compute: BatchedCompute, destination: Destination, *, dry_run: bool) -> None:
        """Score and write everything, or print the plan."""
        sites, model = self.sites, self.model
        limits, counts = compute.limits(model.run.device), AlleleCounts(command="score-variants")
        record_run = RecordRun(
            label="scoring",
            destination=destination,
            model=model,
            inputs=self.inputs,
            settings={
                **sites.described(),
                **self._described_classes(),
                "batch_size": compute.n_windows or "auto",
            },
            counts=counts,
            letters=sites.source.genome.letters,
            n_bases=sites.source.n_records(sites.selected),
            unit="records",
            plan=sites.plan() | plan_of(sites.settings, model, limits) if dry_run else None,
        )

        def count(scored: Scored) -> None:
            record, site, alleles = scored
            counts.add_record(record.place, _statuses(alleles), ref_agrees=site.ref_agrees)

        record_run.write(
            lambda journal: self.rows(limits, journal, counts),
            writer=self._writer,
            count=count,
        )

    @contextmanager
    def _writer(self, made_by: Provenance, overwrite: bool) -> Iterator[Callable[[Scored], None]]:
        source, settings = self.sites.source, self.sites.settings
        with self.target.open(
            source.header,
            source.missing_header_lines(),
            made_by,
            scores=self.written,
            strands=settings.strands if self.scoring.per_strand else (),
            overwrite=overwrite,
            more=self.more,
        ) as write:

            def write_scored(scored: Scored) -> None:
                record, site, alleles = scored
                if self.sites.keeps(site):
                    write(record, _statuses(alleles), alleles)

            yield write_scored

    def _described_classes(self) -> dict[str, Setting]:
        """What a classifier tells apart; of two classes, the second is the positive one."""
        return {} if self.classifier is None else {"classes": list(self.classifier.classes)}


def _statuses(alleles: list[AlleleScore]) -> list[str]:
    return [allele.status for allele in alleles] or ["NO_ALT"]
