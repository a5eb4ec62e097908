"""`hyenadna embed`: sequences or regions to vectors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyenadna_cli.commands.embed_alleles import NOT_OF_VECTORS, embed_alleles
from hyenadna_cli.commands.options.groups import OptionsOf, Overrides, with_option_groups
from hyenadna_cli.commands.options.inputs import RecordFiles
from hyenadna_cli.commands.options.model import (
    BatchedCompute,
    ContextParallelOption,
    ModelRequest,
    WindowOptions,
)
from hyenadna_cli.commands.options.output import Destination
from hyenadna_cli.commands.options.run import RunOptions
from hyenadna_cli.commands.reporting.record_run import RecordRun
from hyenadna_cli.commands.reporting.sharing import shared
from hyenadna_cli.core.config.flags import flag_of
from hyenadna_cli.core.inference.pooling import Pooled, Tokens, VectorSettings, check_layers
from hyenadna_cli.core.io.embeddings_output import check_embeddings_name
from hyenadna_cli.core.outputs.counts import Counts
from hyenadna_cli.core.variants.settings import AlleleVectorSettings
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.batching import Batcher
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.inference.token_embedding import TokenRows
    from hyenadna_cli.core.io.records import RecordSource
    from hyenadna_cli.core.outputs.provenance import Provenance

log = logging.getLogger(__name__)

_LARGE_BYTES = 10_000_000_000


_VcfOption = Annotated[
    str | None,
    typer.Option(
        "--vcf",
        metavar="FILE|-",
        rich_help_panel="Input",
        help="Alleles (VCF or BCF), one row each; both strands are read unless --strand is given.",
    ),
]


@with_option_groups
def embed(
    *,
    files: RecordFiles,
    vcf: _VcfOption = None,
    options: VectorSettings,
    alleles: Annotated[Overrides, OptionsOf(AlleleVectorSettings, without=NOT_OF_VECTORS)],
    windows: WindowOptions,
    request: ModelRequest,
    compute: BatchedCompute,
    context_parallel: ContextParallelOption = 1,
    destination: Destination,
    run: RunOptions,
) -> None:
    """Embed sequences, the regions of a BED or GTF file, or the alleles of a VCF, as vectors.

    Writes one row per record in input order: TSV (stdout, .tsv, .tsv.gz, .txt) or HDF5 that anndata
    opens too (.h5ad, .h5, .hdf5). --pool token writes one row per base instead, to .h5, in the
    order of the plus strand whatever strand was read. first, last and center are bases in reading
    direction. start and end are 0-based, half-open. Columns of the BED after the 6th are kept,
    named by its header line (#chrom start end ...), else column7, column8, ...; of a GTF, gene_id,
    gene_name, gene_type and transcript_id. Sequences longer than the model are read in windows,
    whose means are averaged by bases. The status is OK, EMPTY (no bases), ALL_EXCLUDED (none that
    counts) or NONFINITE.
    --vcf: a row per allele, by default ALT - REF of the pooled windows around it (--window), with
    the status of score-variants, the columns pos (1-based) id ref alt, --scores and --info, and up
    to 50 bases before and after REF.

      hyenadna embed --fasta test_data/tiny.fa --bed test_data/regions.bed -o regions.h5ad
    """
    if vcf is not None:
        if context_parallel > 1:
            raise UsageError("--context-parallel is for sequences and regions, not for --vcf")
        embed_alleles(vcf, alleles, files, options, windows, request, compute, destination, run)
        return
    for name in alleles:
        raise UsageError(f"{flag_of(AlleleVectorSettings, name)} is about the alleles of --vcf")
    vectors = options.parse(files.strand_choice)
    is_token = isinstance(vectors, Tokens)
    check_embeddings_name(destination.output, is_token=is_token)
    destination.check()
    with compute.memory_errors(), files.open() as source:
        selected = destination.select(source)
        chosen = request.choose(compute)
        check_layers(vectors.layers, chosen.config, model_name=chosen.source.name)
        with shared(
            chosen, context_parallel, inputs=source.inputs, destination=destination
        ) as model:
            batcher = windows.batcher(
                model, compute, specials=options.specials, keep_order=is_token
            )
            work = _Embedding(vectors, source, selected, model, batcher)
            work.write(destination, work.plan() if run.dry_run else None)


@dataclass(frozen=True, slots=True)
class _Embedding:
    """One run, with everything at hand but the weights."""

    vectors: Pooled | Tokens
    source: RecordSource
    selected: range | None
    model: ChosenModel
    batcher: Batcher

    def plan(self) -> dict[str, int]:
        """For `--dry-run`."""
        from hyenadna_cli.core.inference.run_plan import plan_of_records

        vectors = self.vectors

        def joined_bytes(longest: int) -> int:
            if not isinstance(vectors, Tokens) or longest <= self.batcher.tiling.window:
                return 0
            # The rows of a record in several windows are put together in memory.
            return vectors.n_rows(longest) * self.model.config.d_model * 4

        return plan_of_records(
            self.source,
            self.selected,
            self.model,
            self.batcher,
            vectors.strand,
            n_layers=len(vectors.layers),
            more_bytes=joined_bytes,
        )

    def write(self, destination: Destination, plan: Mapping[str, int] | None) -> None:
        """Embed and write everything, or print the plan."""
        counts = Counts(command="embed")
        run = RecordRun.of_source(
            self.source,
            self.selected,
            self.batcher,
            label="embedding",
            destination=destination,
            model=self.model,
            settings=self.vectors.settings(),
            counts=counts,
            plan=plan,
        )
        if isinstance(self.vectors, Tokens):
            self._write_tokens(run, self.vectors, counts)
        else:
            self._write_pooled(run, self.vectors, counts)

    def _write_pooled(self, run: RecordRun, pooled: Pooled, counts: Counts) -> None:
        from hyenadna_cli.core.inference.embedding import embed
        from hyenadna_cli.core.io.embeddings_output import open_pooled

        run.write(
            lambda journal: embed(
                self.model.load(),
                self.source.read(self.selected),
                pooled,
                batcher=self.batcher,
                journal=journal,
            ),
            writer=lambda made_by, overwrite: open_pooled(
                run.destination.output,
                keys=pooled.keys,
                d_model=self.model.config.d_model,
                made_by=made_by,
                overwrite=overwrite,
                columns=self.source.columns,
            ),
            count=lambda row: counts.add(row.name, row.status, row.length),
        )

    def _write_tokens(self, run: RecordRun, tokens: Tokens, counts: Counts) -> None:
        from hyenadna_cli.core.inference.token_embedding import embed_tokens

        self._warn_if_large(tokens, run.destination.output)
        run.write(
            lambda journal: embed_tokens(
                self.model.load(),
                self.source.read(self.selected),
                tokens,
                batcher=self.batcher,
                journal=journal,
            ),
            writer=lambda made_by, overwrite: self._token_writer(
                run.destination.path, tokens, made_by, overwrite
            ),
            count=lambda rows: counts.add(rows.record.name, rows.status, len(rows.record.sequence)),
        )

    @contextmanager
    def _token_writer(
        self, path: Path, tokens: Tokens, made_by: Provenance, overwrite: bool
    ) -> Iterator[Callable[[TokenRows], None]]:
        from hyenadna_cli.core.io.embeddings_h5 import TokenWriter

        with TokenWriter(
            path,
            d_model=self.model.config.d_model,
            dtype=tokens.dtype,
            made_by=made_by,
            overwrite=overwrite,
            columns=self.source.columns,
        ) as hdf5:

            def write(rows: TokenRows) -> None:
                of = rows.record
                place = (of.name, of.chrom, of.start, of.end)
                hdf5.append(*place, rows.strand, rows.data, of.columns)

            yield write

    def _warn_if_large(self, tokens: Tokens, output: str) -> None:
        lengths = self.source.known_lengths(self.selected)
        if lengths is None:
            return
        n_rows, n_bytes = tokens.stored_size(lengths.tolist(), d_model=self.model.config.d_model)
        if n_bytes > _LARGE_BYTES:
            log.warning(
                "%s: %s rows, about %.1f GB; --bin N and --out-dtype fp16 make it smaller",
                output,
                f"{n_rows:,}",
                n_bytes / 1e9,
            )
