"""Which stretches of which genomes are for training, and which are held out.

FASTA (+ BED with splits, excluded BED) -> runs of known bases -> Regions: spans by split
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hyenadna_cli.core.config.choices import SPLITS, Split
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.intervals import intersected, subtracted
from hyenadna_cli.core.io import bed as bed_io
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.fasta import Genome, acgt_runs
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.training.genome_windows import Span
from hyenadna_cli.core.training.settings import DataFiles
from hyenadna_cli.errors import InputFileError, UsageError

_MAX_GAP = 10
"""Runs of more N than this are never sampled; shorter ones are read and not learned."""


@dataclass(frozen=True, slots=True)
class Regions:
    """Spans by split; the genomes are open."""

    spans: Mapping[Split, list[Span]]

    def n_bases(self, split: Split) -> int:
        """Bases of a split."""
        return sum(span.interval.length for span in self.spans[split])

    def as_bed(self) -> str:
        """The spans as lines of BED: contig, start, end, split, FASTA name."""
        return "".join(
            f"{span.interval.contig}\t{span.interval.start}\t{span.interval.end}\t{split}"
            f"\t{span.genome.path.name}\n"
            for split in SPLITS
            for span in self.spans[split]
        )

    def digest(self) -> str:
        """SHA-256 of all spans: what a resumed run must agree on."""
        return hashlib.sha256(self.as_bed().encode()).hexdigest()

    def describe(self) -> str:
        """One line: bases and spans of each split."""
        return "; ".join(
            f"{split} {self.n_bases(split):,} bases in {len(self.spans[split]):,} spans"
            for split in SPLITS
        )


@contextmanager
def open_regions(data: DataFiles, *, sampling: str) -> Iterator[Regions]:
    """Open the genomes and find the spans of each split."""
    with ExitStack() as stack:
        genomes = [stack.enter_context(Genome(path)) for path in data.fasta]
        yield Regions(_find_regions(genomes, data, sampling))


def _find_regions(genomes: list[Genome], data: DataFiles, sampling: str) -> dict[Split, list[Span]]:
    _check_contigs(genomes, data)
    # A BED may be about all genomes together; where they share names, about the longest contig.
    lengths: dict[str, int] = {}
    for genome in genomes:
        for contig, length in genome.lengths.items():
            lengths[contig] = max(length, lengths.get(contig, 0))
    contigs = ContigNames(lengths)
    excluded = _bed_intervals(data.exclude_bed, contigs)
    from_bed = _splits_of_bed(data.bed, contigs) if data.bed else {}
    spans: dict[Split, list[Span]] = {split: [] for split in SPLITS}
    for genome in genomes:
        by_split = (
            {split: _within(genome, intervals) for split, intervals in from_bed.items()}
            if data.bed
            else _splits_of_contigs(genome, data)
        )
        for split, intervals in by_split.items():
            if sampling == "random":
                named = {interval.contig for interval in intervals}
                runs = [
                    run
                    for contig in genome.lengths
                    if contig in named
                    for run in acgt_runs(genome, contig, max_gap=_MAX_GAP)
                ]
                intervals = intersected(runs, intervals)
            remaining = subtracted(intervals, _within(genome, excluded))
            spans[split] += [Span(genome, interval) for interval in remaining]
    if not spans["train"]:
        raise InputFileError(data.fasta[0], "no bases are left to train on")
    return spans


def _check_contigs(genomes: list[Genome], data: DataFiles) -> None:
    held_out = [*data.valid_contigs, *data.test_contigs]
    if data.bed and held_out:
        raise UsageError("--bed names its own splits; drop --valid-contigs and --test-contigs")
    if both := sorted(set(data.valid_contigs) & set(data.test_contigs)):
        raise UsageError(f"contigs in both --valid-contigs and --test-contigs: {', '.join(both)}")
    for name in held_out:
        if not any(name in genome.lengths for genome in genomes):
            raise InputFileError(
                data.fasta[0], ContigNames(genomes[0].lengths).explain_missing(name)
            )


def _splits_of_contigs(genome: Genome, data: DataFiles) -> dict[Split, list[Interval]]:
    splits: dict[Split, list[Interval]] = {split: [] for split in SPLITS}
    for contig, length in genome.lengths.items():
        split: Split = (
            "valid"
            if contig in data.valid_contigs
            else "test"
            if contig in data.test_contigs
            else "train"
        )
        splits[split].append(Interval(contig, 0, length))
    return splits


def _within(genome: Genome, intervals: list[Interval]) -> list[Interval]:
    """Those of the intervals, in their order, that lie in this one of several genomes."""
    return [i for i in intervals if i.end <= genome.lengths.get(i.contig, 0)]


def _splits_of_bed(path: Path, contigs: ContigNames) -> dict[Split, list[Interval]]:
    splits: dict[Split, list[Interval]] = {split: [] for split in SPLITS}
    for number, region in enumerate(
        bed_io.read_regions(Input(str(path)), contigs=contigs), start=1
    ):
        if region.name not in splits:
            raise InputFileError(
                path, f"region {number}: column 4 is {region.name!r}, not train, valid or test"
            )
        splits[region.name].append(region.interval)
    return splits


def _bed_intervals(path: Path | None, contigs: ContigNames) -> list[Interval]:
    if path is None:
        return []
    return [region.interval for region in bed_io.read_regions(Input(str(path)), contigs=contigs)]


def write_regions(regions: Regions, path: Path) -> None:
    """The spans as BED. Raises OutputError."""
    atomic.write_text(path, regions.as_bed())
