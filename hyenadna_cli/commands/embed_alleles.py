"""`hyenadna embed --vcf`: alleles to vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hyenadna_cli.commands.options.groups import Overrides
from hyenadna_cli.commands.options.inputs import RecordFiles
from hyenadna_cli.commands.options.model import BatchedCompute, ModelRequest, WindowOptions
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun
from hyenadna_cli.core.inference.pooling import Pooled, VectorSettings, check_layers
from hyenadna_cli.core.io.embeddings_output import check_embeddings_name
from hyenadna_cli.core.outputs.counts import AlleleCounts
from hyenadna_cli.core.variants.settings import AlleleVectorSettings, plan_of
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.batching import Done
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.io.embeddings_h5 import EmbeddingRow
    from hyenadna_cli.core.io.vcf_info import InfoColumns
    from hyenadna_cli.core.outputs.journal import Journal
    from hyenadna_cli.core.outputs.provenance import Provenance
    from hyenadna_cli.core.variants.sites import Scored, Sites

    _ScoredRows = tuple[Scored, list[EmbeddingRow]]

NOT_OF_VECTORS = ("window", "strand", "vocab", "per_strand")
"""Of the settings of scores: declared by other options of embed, or of no meaning here."""


def _strand(files: RecordFiles) -> Literal["both", "+", "-"]:
    if files.strand == "bed":
        raise UsageError("--strand bed: alleles have no strand; use +, - or both, the default")
    return files.strand or "both"


def _check_options(files: RecordFiles, options: VectorSettings, windows: WindowOptions) -> None:
    """Raise UsageError for options that mean nothing with --vcf."""
    others = {
        "--bed, --gtf": files.path,
        "--stride": windows.stride,
        "--exclude-softmasked": options.exclude_softmasked,
        "--bin": options.bin_size,
        "--out-dtype": options.out_dtype,
        "--specials": options.specials != "none",
        "--pool token": "token" in options.pool.split(","),
    }
    for option, is_given in others.items():
        if is_given:
            raise UsageError(f"{option} and --vcf exclude each other: an allele has one vector")


def embed_alleles(
    vcf: str,
    given: Overrides,
    files: RecordFiles,
    options: VectorSettings,
    windows: WindowOptions,
    request: ModelRequest,
    compute: BatchedCompute,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Check everything, then embed the alleles of `vcf`; `given` are the options about alleles.

    Raises UsageError, InputFileError and OutputError.
    """
    from hyenadna_cli.core.io.vcf_info import InfoColumns
    from hyenadna_cli.core.variants.sites import Sites
    from hyenadna_cli.core.variants.source import VariantSource
    from hyenadna_cli.core.variants.vectors import VectorChoice

    alleles = AlleleVectorSettings(window=windows.window, strand=_strand(files), **given)
    _check_options(files, options, windows)
    check_embeddings_name(destination.output, is_token=False)
    pooled = options.parse(alleles.strand)
    assert isinstance(pooled, Pooled)
    destination.check()
    with (
        compute.memory_errors(),
        VariantSource(
            vcf,
            fasta=files.fasta,
            contig_map=files.contig_map,
            rename_chrs=files.rename_chrs,
            is_strict=destination.strict,
            max_n_run=alleles.max_n_run,
        ) as source,
    ):
        info = InfoColumns(vcf, source.header, alleles.info_keys)
        model = request.choose(compute)
        check_layers(pooled.layers, model.config, model_name=model.source.name)
        choice = VectorChoice(pooled, alleles.allele)
        settings = alleles.settings(model, alleles.score_names(), choice)
        sites = Sites(
            source,
            source.select(destination.shard, bases_per_site=settings.bases_per_site),
            settings,
            check_ref=alleles.check_ref,
            max_allele_length=alleles.max_allele_length,
        )
        sites.check_first()
        _AlleleEmbedding(sites, info, model).write(
            compute, destination, alleles.info_keys, dry_run=run.dry_run
        )


@dataclass(frozen=True, slots=True)
class _AlleleEmbedding:
    """One run over the alleles of a VCF, with everything at hand but the weights."""

    sites: Sites
    info: InfoColumns
    model: ChosenModel

    def write(
        self,
        compute: BatchedCompute,
        destination: Destination,
        info_keys: list[str],
        *,
        dry_run: bool,
    ) -> None:
        """Embed and write everything, or print the plan."""
        from hyenadna_cli.core.inference.batching import Done
        from hyenadna_cli.core.variants.allele_rows import rows_of

        sites, model = self.sites, self.model
        limits, counts = compute.limits(model.run.device), AlleleCounts(command="embed")
        record_run = RecordRun(
            label="embedding",
            destination=destination,
            model=model,
            inputs=sites.source.inputs,
            settings={
                **sites.described(),
                "info": info_keys,
                "batch_size": compute.n_windows or "auto",
            },
            counts=counts,
            letters=sites.source.genome.letters,
            n_bases=sites.source.n_records(sites.selected),
            unit="records",
            plan=sites.plan() | plan_of(sites.settings, model, limits) if dry_run else None,
        )
        genome, d_model = sites.source.genome, model.config.d_model

        def rows(journal: Journal) -> Iterator[Done[_ScoredRows]]:
            for done in sites.score(model, limits=limits, journal=journal):
                yield Done(
                    done.n_bases,
                    [
                        (
                            one,
                            list(rows_of(one, sites.settings, genome, self.info, d_model=d_model)),
                        )
                        for one in done.rows
                    ],
                )

        def count(scored: _ScoredRows) -> None:
            (record, site, _), of_record = scored
            statuses = [row.status for row in of_record]
            counts.add_record(record.place, statuses, ref_agrees=site.ref_agrees)

        record_run.write(
            rows,
            writer=lambda made_by, overwrite: self._writer(
                destination.output, info_keys, made_by, overwrite
            ),
            count=count,
        )

    @contextmanager
    def _writer(
        self, output: str, info_keys: list[str], made_by: Provenance, overwrite: bool
    ) -> Iterator[Callable[[_ScoredRows], None]]:
        from hyenadna_cli.core.io.embeddings_output import open_pooled
        from hyenadna_cli.core.variants.allele_rows import column_kinds, column_names

        settings = self.sites.settings
        assert settings.vectors is not None
        with open_pooled(
            output,
            keys=settings.vectors.pooled.keys,
            d_model=self.model.config.d_model,
            made_by=made_by,
            overwrite=overwrite,
            columns=column_names(settings.scores, info_keys),
            kinds=column_kinds(settings.scores),
        ) as write:

            def write_all(scored: _ScoredRows) -> None:
                (_, site, _), of_record = scored
                for row in of_record if self.sites.keeps(site) else ():
                    write(row)

            yield write_all
