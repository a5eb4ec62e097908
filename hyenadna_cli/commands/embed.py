"""`hyenadna embed`: sequences or regions to vectors."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    print_plan,
    write_rows,
)
from hyenadna_cli.core.inference.pooling import POOLINGS, Pooled, Pooling, Tokens
from hyenadna_cli.core.outputs.atomic import is_stream
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.inference.batching import Batcher
    from hyenadna_cli.core.inference.token_embedding import TokenRows
    from hyenadna_cli.core.io.embeddings_h5 import EmbeddingRow
    from hyenadna_cli.core.io.records import RecordSource, StrandChoice
    from hyenadna_cli.core.io.tsv import Cell
    from hyenadna_cli.core.outputs.journal import Journal
    from hyenadna_cli.core.outputs.provenance import Provenance

log = logging.getLogger(__name__)

OutDtype = Literal["fp32", "fp16"]

_DTYPES: dict[OutDtype, Literal["float32", "float16"]] = {"fp32": "float32", "fp16": "float16"}
_HDF5 = (".h5", ".hdf5", ".h5ad")
_TEXT = (".tsv", ".txt", ".tsv.gz", ".txt.gz", ".tsv.bgz", ".txt.bgz")
_TSV_COLUMNS = ("name", "chrom", "start", "end", "strand", "length", "status")
_LARGE_BYTES = 10_000_000_000


@with_option_groups
def embed(
    *,
    fasta: opt.FastaOption,
    bed: opt.BedOption = None,
    output: opt.OutputOption = "-",
    model: opt.ModelOption = "builtin",
    pool: Annotated[
        str,
        typer.Option(
            "--pool",
            metavar="NAME,...|token",
            help="mean, max, last, first, center; or token: hidden states of every base.",
        ),
    ] = "mean",
    layers: Annotated[
        str,
        typer.Option(
            "--layers",
            metavar="I,...",
            help="-1: after the final norm; 0: token embeddings; i: after block i.",
        ),
    ] = "-1",
    strand: opt.StrandOption = None,
    exclude_n: Annotated[
        bool, typer.Option("--exclude-n", help="Leave N out of mean and max.")
    ] = False,
    exclude_softmasked: Annotated[
        bool, typer.Option("--exclude-softmasked", help="Leave lower case out of mean and max.")
    ] = False,
    window: opt.WindowOption = None,
    stride: opt.StrideOption = None,
    specials: opt.SpecialsOption = "none",
    bin_size: Annotated[
        int | None,
        typer.Option(
            "--bin", min=1, metavar="N", help="token: the mean of every N bases, from the start."
        ),
    ] = None,
    out_dtype: Annotated[
        OutDtype | None, typer.Option("--out-dtype", help="token: precision on disk, default fp32.")
    ] = None,
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
    """Embed sequences, or the regions of a BED file, as vectors.

    Writes one row a record in input order: TSV (stdout, .tsv, .tsv.gz, .txt) or HDF5 that anndata
    opens too (.h5ad, .h5, .hdf5). --pool token writes one row a base instead, to .h5, in the order
    of the plus strand whatever strand was read. first, last and center are bases in reading
    direction. start and end are 0-based, half-open. Sequences longer than the model are read in
    windows, whose means are averaged by bases. The status is OK, EMPTY (no bases), ALL_EXCLUDED
    (none that counts) or NONFINITE.

      hyenadna embed --fasta test_data/tiny.fa --bed test_data/regions.bed -o regions.h5ad
    """
    from hyenadna_cli.core.io.records import RecordSource

    wanted = _wanted(
        pool=pool,
        layers=layers,
        bin_size=bin_size,
        out_dtype=out_dtype,
        exclude_n=exclude_n,
        exclude_softmasked=exclude_softmasked,
        strand=choose_strand(strand, bed=bed),
    )
    is_token = isinstance(wanted, Tokens)
    _check_kind(output, is_token=is_token)
    windowing = Windowing(window, stride, specials, opt.parse_batch_size(batch_size))
    destination.check()
    with (
        exit_code_when_out_of_memory(compute.oom_exit_code),
        RecordSource(fasta, bed=bed, contig_map=contig_map, rename_chrs=rename_chrs) as source,
    ):
        selected = destination.select(source)
        chosen = request.choose(compute)
        _check_layers(wanted, chosen)
        batcher = windowing.batcher(chosen, keep_order=is_token)
        job = _Job(wanted, destination, source, selected, chosen, batcher)
        if dry_run:
            job.print_plan()
        else:
            job.run()


@dataclass(frozen=True, slots=True)
class _Job:
    """One run, with everything at hand but the weights."""

    wanted: Pooled | Tokens
    destination: Destination
    source: RecordSource
    selected: range | None
    model: ChosenModel
    batcher: Batcher

    def print_plan(self) -> None:
        """--dry-run."""
        from hyenadna_cli.core.inference.run_plan import plan_run

        wanted, config = self.wanted, self.model.config
        lengths = self.source.measured_lengths(self.selected)
        plan = plan_run(
            lengths,
            config=config,
            batcher=self.batcher,
            n_strands=2 if wanted.strand == "both" else 1,
            n_layers=len(wanted.layers) if isinstance(wanted, Pooled) else 1,
        )
        longest = int(max(lengths, default=0))
        if isinstance(wanted, Tokens) and longest > self.batcher.tiling.window:
            # The rows of a record in several windows are put together in memory.
            n_bytes = wanted.n_rows(longest) * config.d_model * 4
            plan = dataclasses.replace(plan, peak_bytes=plan.peak_bytes + n_bytes)
        print_plan(plan)

    def run(self) -> None:
        """Embed and write."""
        settings = {**self.wanted.settings(), **batching_settings(self.batcher)}
        made_by = self.destination.made_by(self.model, self.source, settings)
        if self.destination.is_done(made_by):
            return
        account = Account(command="embed")
        with self.destination.journal(made_by) as journal:
            if isinstance(self.wanted, Tokens):
                self._write_tokens(self.wanted, made_by, account, journal)
            else:
                self._write_pooled(self.wanted, made_by, account, journal)
            account.close(self.destination, made_by, model=self.model, letters=self.source.letters)

    def _write_pooled(
        self, pooled: Pooled, made_by: Provenance, account: Account, journal: Journal
    ) -> None:
        from hyenadna_cli.core.inference.embedding import embed

        batches = embed(
            self.model.load(),
            self.source.read(self.selected),
            pooled,
            batcher=self.batcher,
            journal=journal,
        )
        overwrite = self.destination.force or journal.is_resumed
        with self._pooled_writer(pooled.keys, made_by, overwrite=overwrite) as write:

            def write_and_count(row: EmbeddingRow) -> None:
                write(row)
                account.add(row.name, row.status, row.length)

            write_rows(
                batches,
                write_and_count,
                destination=self.destination,
                label="embedding",
                n_bases=self.source.n_bases(self.selected),
            )

    @contextmanager
    def _pooled_writer(
        self, keys: tuple[str, ...], made_by: Provenance, *, overwrite: bool
    ) -> Iterator[Callable[[EmbeddingRow], None]]:
        from hyenadna_cli.core.io.embeddings_h5 import PooledWriter
        from hyenadna_cli.core.io.tsv import TsvWriter

        d_model, output = self.model.config.d_model, self.destination.output
        if output.endswith(_HDF5):
            with PooledWriter(
                self.destination.path,
                keys=keys,
                d_model=d_model,
                made_by=made_by,
                overwrite=overwrite,
            ) as hdf5:
                yield hdf5.append
            return
        # As in HDF5, the first vector has the plain place and the others are named.
        prefixes = ["", *(f"{key}_" for key in keys[1:])]
        columns = [f"{prefix}e{i}" for prefix in prefixes for i in range(d_model)]
        with TsvWriter(output, columns=[*_TSV_COLUMNS, *columns], overwrite=overwrite) as table:
            yield lambda row: table.write_row(_cells(row, keys))

    def _write_tokens(
        self, tokens: Tokens, made_by: Provenance, account: Account, journal: Journal
    ) -> None:
        from hyenadna_cli.core.inference.token_embedding import embed_tokens
        from hyenadna_cli.core.io.embeddings_h5 import TokenWriter

        self._warn_if_large(tokens)
        batches = embed_tokens(
            self.model.load(),
            self.source.read(self.selected),
            tokens,
            batcher=self.batcher,
            journal=journal,
        )
        with TokenWriter(
            self.destination.path,
            d_model=self.model.config.d_model,
            dtype=tokens.dtype,
            made_by=made_by,
            overwrite=self.destination.force or journal.is_resumed,
        ) as hdf5:

            def write_and_count(rows: TokenRows) -> None:
                record = rows.record
                hdf5.append(
                    record.name, record.chrom, record.start, record.end, rows.strand, rows.data
                )
                account.add(record.name, rows.status, len(record.sequence))

            write_rows(
                batches,
                write_and_count,
                destination=self.destination,
                label="embedding",
                n_bases=self.source.n_bases(self.selected),
            )

    def _warn_if_large(self, tokens: Tokens) -> None:
        lengths = self.source.known_lengths(self.selected)
        if lengths is None:
            return
        n_rows = sum(tokens.n_rows(length) for length in lengths.tolist())
        n_bytes = n_rows * self.model.config.d_model * (4 if tokens.dtype == "float32" else 2)
        if n_bytes > _LARGE_BYTES:
            log.warning(
                "%s: %s rows, about %.1f GB; --bin N and --out-dtype fp16 make it smaller",
                self.destination.output,
                f"{n_rows:,}",
                n_bytes / 1e9,
            )


def _wanted(
    *,
    pool: str,
    layers: str,
    strand: StrandChoice,
    exclude_n: bool,
    exclude_softmasked: bool,
    bin_size: int | None,
    out_dtype: OutDtype | None,
) -> Pooled | Tokens:
    """The options on vectors, checked together. Raises UsageError."""
    names = [name.strip() for name in pool.split(",")]
    numbers = _parse_layers(layers)
    excludes = exclude_n or exclude_softmasked
    if excludes and not {"mean", "max"} & set(names):
        raise UsageError("--exclude-n and --exclude-softmasked are about --pool mean and max")
    if "token" in names:
        if len(names) > 1 or len(numbers) > 1:
            raise UsageError("--pool token goes alone, and with one of --layers")
        dtype = _DTYPES[out_dtype or "fp32"]
        return Tokens(layer=numbers[0], strand=strand, bin_size=bin_size or 1, dtype=dtype)
    if bin_size is not None or out_dtype is not None:
        raise UsageError("--bin and --out-dtype are for --pool token")
    return Pooled(
        poolings=_parse_poolings(names),
        layers=numbers,
        strand=strand,
        exclude_n=exclude_n,
        exclude_softmasked=exclude_softmasked,
    )


def _parse_poolings(names: list[str]) -> tuple[Pooling, ...]:
    by_name: dict[str, Pooling] = {pooling: pooling for pooling in POOLINGS}
    if unknown := [name for name in names if name not in by_name]:
        raise UsageError(f"--pool {unknown[0]!r}: use token, or some of {', '.join(POOLINGS)}")
    return tuple(dict.fromkeys(by_name[name] for name in names))


def _parse_layers(text: str) -> tuple[int, ...]:
    try:
        return tuple(dict.fromkeys(int(number) for number in text.split(",")))
    except ValueError:
        raise UsageError(f"--layers {text!r}: use numbers such as -1 or 0,1,2") from None


def _check_layers(wanted: Pooled | Tokens, model: ChosenModel) -> None:
    for layer in wanted.layers if isinstance(wanted, Pooled) else (wanted.layer,):
        if not -1 <= layer <= model.config.n_layer:
            raise UsageError(
                f"--layers {layer}: {model.source.name} has 0 to {model.config.n_layer}, and -1"
            )


def _check_kind(output: str, *, is_token: bool) -> None:
    """Refuse an output whose suffix says nothing, or something that cannot be."""
    is_hdf5 = output.endswith(_HDF5)
    if is_token and (not is_hdf5 or output.endswith(".h5ad")):
        raise UsageError(
            f"-o {output}: --pool token writes HDF5 of its own layout; name a file .h5 or .hdf5"
        )
    if not (is_hdf5 or output.endswith(_TEXT) or is_stream(output)):
        raise UsageError(
            f"-o {output}: the suffix decides the kind; use one of {' '.join((*_HDF5, *_TEXT[:4]))}"
        )


def _cells(row: EmbeddingRow, keys: tuple[str, ...]) -> list[Cell]:
    cells: list[Cell] = [
        row.name,
        row.chrom,
        row.start,
        row.end,
        row.strand,
        row.length,
        row.status,
    ]
    for key in keys:
        cells += row.vectors[key].tolist()
    return cells
