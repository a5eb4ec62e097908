"""`hyenadna background`: scores of random SNVs, against which others get a percentile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import BatchedCompute, ModelRequest
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.outputs.counts import AlleleCounts
from hyenadna_cli.core.variants.settings import BackgroundSettings, plan_of
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.batching import Done
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.io.fasta import Genome
    from hyenadna_cli.core.outputs.journal import Journal
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.variants.chunks import AlleleScore, ScoreSettings
    from hyenadna_cli.core.variants.random_snvs import RandomSnv

    _Scored = tuple[RandomSnv, AlleleScore]


@dataclass(frozen=True, kw_only=True, slots=True)
class SampledRegions(RegionFile):
    """The genome that SNVs are drawn from, or regions of it."""

    HEADING: ClassVar[str] = "Input"

    fasta: Annotated[
        str,
        typer.Option(
            "--fasta", envvar="HYENADNA_FASTA", metavar="FILE", help="The genome (indexed FASTA)."
        ),
    ]


@with_option_groups
def background(
    *,
    files: SampledRegions,
    scoring: BackgroundSettings,
    request: ModelRequest,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Score random SNVs of a genome, the same number of each of the 96 trinucleotide changes.

    Writes HDF5 (.h5): the SNVs, their scores, and the model, the settings and the genome that they
    depend on. score-variants --background FILE ranks its SNVs among those of the same change as
    HD_PCT, and refuses a background of another model, window, layout, strand or genome. What is
    drawn depends on the genome, --bed or --gtf and --seed alone.

      hyenadna background --fasta test_data/tiny.fa --per-change 2 --window 128 -o random.h5
    """
    from hyenadna_cli.core.io.fasta import Genome
    from hyenadna_cli.core.outputs.shards import Shard, shard_range
    from hyenadna_cli.core.variants.random_snvs import random_snvs, sampled_regions

    if not destination.output.endswith((".h5", ".hdf5")):
        raise UsageError(f"-o {destination.output}: a background is HDF5; name a file .h5")
    scores = scoring.score_names()
    destination.check()
    with compute.memory_errors(), Genome(files.fasta) as genome:
        model = request.choose(compute)
        settings = scoring.settings(model, scores)
        regions = sampled_regions(files, genome.lengths)
        snvs = random_snvs(genome, regions, per_change=scoring.per_change, seed=scoring.seed)
        if destination.shard is not None:
            costs = [settings.bases_per_site] * len(snvs)
            mine = shard_range(costs, Shard.parse(destination.shard))
            snvs = snvs[mine.start : mine.stop]
        _Background(files, scoring, settings, genome, model, snvs).write(
            compute, destination, dry_run=run.dry_run
        )


@dataclass(frozen=True, slots=True)
class _Background:
    """One run, with everything at hand but the weights."""

    files: SampledRegions
    scoring: BackgroundSettings
    settings: ScoreSettings
    genome: Genome
    model: ChosenModel
    snvs: list[RandomSnv]

    def write(self, compute: BatchedCompute, destination: Destination, *, dry_run: bool) -> None:
        """Score and write all SNVs, or print the plan."""
        from hyenadna_cli.core.inference.batching import Done
        from hyenadna_cli.core.variants.alleles import assess
        from hyenadna_cli.core.variants.scoring import score
        from hyenadna_cli.core.variants.stretches import Stretches

        model, settings, genome = self.model, self.settings, self.genome
        limits, counts = compute.limits(model.run.device), AlleleCounts(command="background")
        plan = {"snvs": len(self.snvs)} | plan_of(settings, model, limits) if dry_run else None
        record_run = RecordRun(
            label="scoring",
            destination=destination,
            model=model,
            inputs=self.files.inputs,
            settings={
                **settings.described(),
                **self.files.settings,
                "per_change": self.scoring.per_change,
                "seed": self.scoring.seed,
                "batch_size": compute.n_windows or "auto",
            },
            counts=counts,
            letters=genome.letters,
            n_bases=len(self.snvs),
            unit="SNVs",
            plan=plan,
        )

        def rows(journal: Journal) -> Iterator[Done[_Scored]]:
            stretches = Stretches(genome, max_n_run=settings.max_n_run)
            sites = (
                assess(snv.variant, stretches, layout=settings.layout, max_allele_length=1)
                for snv in self.snvs
            )
            snvs, loaded = iter(self.snvs), model.load()
            for done in score(loaded, sites, genome, settings, limits=limits, journal=journal):
                yield Done(done.n_bases, [(next(snvs), allele) for (allele,) in done.rows])

        record_run.write(
            rows,
            writer=lambda made_by, overwrite: self._writer(destination, made_by, overwrite),
            count=lambda row: counts.add_record(
                f"{row[0].variant.contig}:{row[0].variant.start + 1}",
                [row[1].status],
                ref_agrees=True,
            ),
        )

    @contextmanager
    def _writer(
        self, destination: Destination, made_by: Provenance, overwrite: bool
    ) -> Iterator[Callable[[_Scored], None]]:
        from hyenadna_cli.core.io.background_h5 import open_background
        from hyenadna_cli.core.variants.background import genome_identity

        with open_background(
            destination.path,
            scores=self.settings.scores,
            genome=genome_identity(self.files.fasta),
            made_by=made_by,
            overwrite=overwrite,
        ) as write:

            def write_snv(scored: _Scored) -> None:
                (variant, change), allele = scored
                place = (variant.contig, variant.start + 1, variant.ref, variant.alts[0])
                write((*place, change, allele.status), allele.values)

            yield write_snv
