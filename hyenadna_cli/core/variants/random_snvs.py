"""Random SNVs of a genome, as many of each trinucleotide change.

Bases are drawn uniformly, and one of the three other letters for each, until every change is full.
What is drawn depends on the genome, the regions and the seed alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hyenadna_cli.core.dna import intervals
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.trinucleotides import CHANGES, trinucleotide_change
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.region_files import RegionFile
from hyenadna_cli.core.variants.alleles import Variant
from hyenadna_cli.errors import UsageError

log = logging.getLogger(__name__)

_BATCH = 4_096
_DRAWS_PER_SNV = 200
"""Draws for each SNV asked for before what a genome lacks is given up."""


class RandomSnv(NamedTuple):
    """One SNV and its change."""

    variant: Variant
    change: str


def sampled_regions(given: RegionFile, lengths: Mapping[str, int]) -> list[Interval]:
    """The regions of a file, merged, or all contigs (bp). Raises InputFileError."""
    if given.path is None:
        return [Interval(contig, 0, length) for contig, length in lengths.items()]
    return intervals.merged(region.interval for region in given.read(given.contigs(lengths)))


def random_snvs(
    genome: Genome, regions: Sequence[Interval], *, per_change: int, seed: int
) -> list[RandomSnv]:
    """`per_change` SNVs of each of the 96 changes, in the order of the regions; none twice.

    `regions` do not overlap. Raises UsageError where they hold no base with two neighbours.
    """
    ends = np.cumsum([region.length for region in regions])
    random = np.random.default_rng(seed)
    n_left = dict.fromkeys(CHANGES, per_change)
    drawn: dict[tuple[int, int, str], str] = {}
    n_draws, most = 0, _DRAWS_PER_SNV * per_change * len(CHANGES)
    is_counted = False
    while any(n_left.values()) and n_draws < most and len(ends) and ends[-1]:
        places = random.integers(ends[-1], size=_BATCH)
        others = random.integers(3, size=_BATCH)
        numbers = np.searchsorted(ends, places, side="right")
        for place, other, number in zip(places, others, numbers, strict=True):
            region = regions[number]
            start = int(region.end - (ends[number] - place))
            before, ref, after = _three(genome, region.contig, start)
            alts = "ACGT".replace(ref, "") if ref else ""
            if len(alts) != 3:
                continue
            alt = alts[other]
            change = trinucleotide_change(ref, alt, before, after)
            key = int(number), start, f"{ref}{alt}"
            if change is not None and n_left[change] and key not in drawn:
                drawn[key] = change
                n_left[change] -= 1
        n_draws += _BATCH
        if any(n_left.values()) and n_draws > ends[-1] and not is_counted:
            # Small regions: what they do not hold is not waited for. Counting takes as long as the
            # draws have.
            n_of, is_counted = _counts(genome, regions), True
            n_drawn = Counter(drawn.values())
            n_left = {
                change: min(n, n_of[change] - n_drawn[change]) for change, n in n_left.items()
            }
    if not drawn:
        raise UsageError("there is no base with two neighbours to draw from; see --bed")
    n_drawn = Counter(drawn.values())
    if lacking := [change for change in CHANGES if n_drawn[change] < per_change]:
        log.warning(
            "%d of %d trinucleotide changes have fewer than %s SNVs here, such as %s",
            len(lacking),
            len(CHANGES),
            f"{per_change:,}",
            lacking[0],
        )
    return [
        RandomSnv(Variant(regions[number].contig, start, letters[0], (letters[1],)), change)
        for (number, start, letters), change in sorted(drawn.items())
    ]


def _counts(genome: Genome, regions: Sequence[Interval]) -> Counter[str]:
    """How many SNVs of each change there are."""
    threes = Counter(
        _three(genome, region.contig, start)
        for region in regions
        for start in range(region.start, region.end)
    )
    n_of: Counter[str] = Counter()
    for (before, ref, after), n in threes.items():
        for alt in "ACGT".replace(ref, "") if ref else "":
            if (change := trinucleotide_change(ref, alt, before, after)) is not None:
                n_of[change] += n
    return n_of


def _three(genome: Genome, contig: str, start: int) -> tuple[str, str, str]:
    """A base and its neighbours; empty at the ends of a contig."""
    if not 0 < start < genome.lengths[contig] - 1:
        return "", "", ""
    text = genome.peek(Interval(contig, start - 1, start + 2)).upper()
    return text[0], text[1], text[2]
