"""What the calls take, checked: models, genomes, regions, sequences; and their progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from hyenadna_cli.core.config.checks import check_types
from hyenadna_cli.core.config.choices import StrandChoice
from hyenadna_cli.core.dna.coordinates import Interval, RegionText, read_region
from hyenadna_cli.core.dna.sequence import clean
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits, Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.records import Record, RecordSource
from hyenadna_cli.core.model.hyenadna import HyenaDNA

Sequences = Iterable[str] | Iterable[Interval] | str | Path
"""DNA strings or a FASTA file; with a genome, regions or a BED file."""
GenomeLike = Genome | str | Path
Row = TypeVar("Row")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How sequences are read, checked: along which strand, in which windows, how many at once."""

    strand: StrandChoice
    window: int | None
    stride: int | None
    batch_size: int | None

    def __post_init__(self) -> None:
        check_types(self)
        check_batch_size(self.batch_size)

    def batcher(self, device: torch.device, *, longest: int) -> Batcher:
        """Windows of at most `longest` bases. Raises ValueError for others."""
        window = longest if self.window is None else self.window
        if not 1 <= window <= longest:
            raise ValueError(f"window {window:,}: this model reads 1 to {longest:,} bases")
        tiling = Tiling(window, window if self.stride is None else self.stride)
        limits = BatchLimits.choose(device, batch_size=self.batch_size)
        return Batcher(tiling=tiling, limits=limits, device=device)


def check_model(model: object) -> None:
    """Raises TypeError for what is not a model."""
    if not isinstance(model, HyenaDNA):
        raise TypeError(f"model must be what load_model gives, got {type(model).__name__}")


def check_batch_size(batch_size: int | None) -> None:
    """Raises ValueError for less than one."""
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size must be 1 or more, got {batch_size:,}")


@contextmanager
def opened_genome(genome: GenomeLike) -> Iterator[Genome]:
    """A genome that is open already, or of that path."""
    if isinstance(genome, Genome):
        yield genome
    elif isinstance(genome, str | Path):
        with Genome(genome) as opened:
            yield opened
    else:
        raise TypeError(f"genome must be a Genome or a path, got {type(genome).__name__}")


def checked_region(region: Interval | str, genome: Genome) -> Interval:
    """A region, or its text (1-based closed), inside the genome."""
    if isinstance(region, str):
        asked = RegionText(region, 0, None) if region in genome.lengths else read_region(region)
        end = genome.lengths.get(asked.contig, asked.start + 1) if asked.end is None else asked.end
        region = Interval(asked.contig, asked.start, max(end, asked.start + 1))
    if not isinstance(region, Interval):
        raise TypeError(f"region must be an Interval or text, got {type(region).__name__}")
    length = genome.lengths.get(region.contig)
    if length is None or region.end > length:
        there = "no such contig" if length is None else f"{length:,} bases there"
        raise ValueError(f"region {region} is not in the genome, which has {there}")
    return region


@contextmanager
def opened_records(
    sequences: Sequences, genome: GenomeLike | None
) -> Iterator[tuple[Iterator[Record], tuple[str, ...]]]:
    """The records that are asked for, and the names of their further columns."""
    if isinstance(sequences, Path) or (isinstance(sequences, str) and Path(sequences).suffix):
        if genome is None:
            source = RecordSource(str(sequences))
        else:
            with opened_genome(genome) as fasta:
                source = RecordSource(str(fasta.path), bed=str(sequences))
        with source:
            yield source.read(), source.columns
        return
    # A string is several strings to Python, and a mapping would give its keys.
    if isinstance(sequences, str | bytes | Mapping) or not isinstance(sequences, Iterable):
        kind = type(sequences).__name__
        raise TypeError(
            f"sequences must be several strings such as ['ACGT', 'GATTACA'], or a file, not {kind}"
        )
    if genome is None:
        yield _given(sequences), ()
        return
    with opened_genome(genome) as fasta:
        yield _regions(sequences, fasta), ()


def _given(sequences: Iterable[object]) -> Iterator[Record]:
    for number, sequence in enumerate(sequences):
        if isinstance(sequence, Interval):
            raise TypeError(f"sequences[{number}] is an Interval: say of which genome")
        if not isinstance(sequence, str):
            kind = type(sequence).__name__
            raise TypeError(f"sequences[{number}] must be a string, not {kind}")
        name = str(number)
        cleaned = clean(sequence).sequence
        yield Record(name, name, 0, len(cleaned), ".", cleaned)


def _regions(regions: Iterable[Interval | str], genome: Genome) -> Iterator[Record]:
    for region in regions:
        place = checked_region(region, genome)
        name = f"{place.contig}:{place.start}-{place.end}"
        bases = genome.fetch(place)
        yield Record(name, place.contig, place.start, place.end, place.strand, bases)


def gathered(done: Iterable[Done[Row]], what: str, *, progress: bool | None) -> list[Row]:
    """All rows. `progress` shows how many bases are done; None: in a notebook only."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not (console.is_jupyter if progress is None else progress):
        # Before version 15, rich ends even a disabled bar with an empty line.
        return [row for batch in done for row in batch.rows]
    text = TextColumn("{task.description}: {task.completed:,.0f} bases")
    rows: list[Row] = []
    with Progress(SpinnerColumn(), text, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(what, total=None)
        for batch in done:
            rows += batch.rows
            bar.advance(task, batch.n_bases)
    return rows
