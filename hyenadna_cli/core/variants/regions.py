"""Regions to mutagenize, as text, BED or GTF, and what of them a shard holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hyenadna_cli.core.dna import intervals
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.outputs.shards import CHUNK_BASES, Shard, shard_range
from hyenadna_cli.core.variants.mutagenesis import pieces
from hyenadna_cli.errors import UsageError


class NamedRegion(NamedTuple):
    """A stretch of the genome."""

    chrom: str
    """The contig as the user names it."""
    interval: Interval


def read(texts: Iterable[str], given: RegionFile, lengths: Mapping[str, int]) -> list[NamedRegion]:
    """Regions such as `chr7:140,753,336-140,753,336` (1-based, closed), then those of a file.

    `lengths` of the FASTA's contigs. Raises UsageError or, about the file, InputFileError.
    """
    contigs = given.contigs(lengths)
    regions = []
    for text in texts:
        try:
            regions.append(NamedRegion(*contigs.region(text)))
        except ValueError as error:
            raise UsageError(f"--region: {error}") from error
    if given.path is not None:
        regions += [NamedRegion(region.chrom, region.interval) for region in given.read(contigs)]
    return regions


def merged(regions: Iterable[NamedRegion], contigs: Iterable[str]) -> list[NamedRegion]:
    """Regions without overlaps, in order: of the genome's contigs, then of positions."""
    by_contig: dict[str, list[NamedRegion]] = {contig: [] for contig in contigs}
    for region in regions:
        by_contig[region.interval.contig].append(region)
    result: list[NamedRegion] = []
    for of_contig in filter(None, by_contig.values()):
        chrom = of_contig[0].chrom
        together = intervals.merged([region.interval for region in of_contig])
        result += [NamedRegion(chrom, interval) for interval in together]
    return result


def of_shard(regions: Iterable[NamedRegion], shard: str) -> list[NamedRegion]:
    """The pieces of a shard such as `3/16`: whole ones, so that every batch holds the same."""
    cut = [NamedRegion(chrom, piece) for chrom, interval in regions for piece in pieces(interval)]
    # A piece is work enough for a chunk of its own.
    mine = shard_range([CHUNK_BASES] * len(cut), Shard.parse(shard))
    return cut[mine.start : mine.stop]
