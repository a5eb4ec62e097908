"""Variants: which alleles can be scored, and which windows they are read in.

    Variant --assess--> Site (a status for each allele that cannot be scored)
    Site + layout -> Place (the window asked for) --cut to real sequence--> Reading

Positions are 0-based half-open. A window never holds padding: it ends where the contig does, and at
long runs of N (`stretches`). On the reverse strand everything is mirrored, so that a variant and
its reverse complement on the reverse-complemented contig are read in the same two windows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.sequence import share_a_base
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.variants.stretches import Stretches

Status = Literal[
    "OK",
    "OK_EDGE",
    "REF_MISMATCH",
    "NO_CONTIG",
    "SYMBOLIC",
    "STAR",
    "BND",
    "NO_ALT",
    "NON_ACGT",
    "TOO_LONG",
    "N_WINDOW",
    "NONFINITE",
]
STATUSES: tuple[Status, ...] = get_args(Status)
SCORED: frozenset[str] = frozenset({"OK", "OK_EDGE"})
"""The statuses of alleles that have scores."""

_BASES = re.compile(r"[ACGTacgt]+")

Index = TypeVar("Index", int, NDArray[np.int64])


@dataclass(frozen=True, slots=True)
class Variant:
    """One record: REF and its alternatives at a place of the genome."""

    contig: str | None
    """The FASTA's name; None if the FASTA has no such contig."""
    start: int
    """0-based start of REF; -1 for the telomere position 0 that VCF allows."""
    ref: str
    alts: tuple[str, ...]
    """As written; empty if there is none."""

    @property
    def end(self) -> int:
        """One past the last base of REF."""
        return self.start + len(self.ref)


@dataclass(frozen=True, slots=True)
class Place:
    """A window of one strand and where in it an allele begins."""

    start: int
    """The window's first base on the plus strand; negative before the contig."""
    offset: int
    """Bases of the window before the allele, in reading direction."""
    is_edge: bool
    """Whether an end of the contig has moved the window away from where it belongs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Centred:
    """Each site in a window of its own: `upstream` bases, then the allele, to `downstream`."""

    upstream: int
    """Bases read before the allele."""
    downstream: int
    """Bases from the allele's first to the end of the window."""

    def __post_init__(self) -> None:
        if self.upstream < 1 or self.downstream < 1:
            raise ValueError("a window needs a base before the variant and one from it on")

    @property
    def window(self) -> int:
        """Bases of a window."""
        return self.upstream + self.downstream

    @property
    def anchor(self) -> int:
        """Where in their windows most alleles begin."""
        return self.upstream

    def place(self, ref: Interval, strand: Strand, *, contig_length: int) -> Place | None:
        """The window of a REF allele; None if the allele does not fit in it."""
        if ref.length > self.downstream:
            return None
        start = ref.start - self.upstream
        if strand == "-":
            start = ref.end + self.upstream - self.window
        return Place(start, self.upstream, is_edge=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Windows on a grid that is fixed on the contig, shared by everything in them.

    A window begins every `step` bases. On each strand an allele is scored in the window that shows
    the model most of what precedes it, of those with at least `min_context` on both sides.
    """

    window: int
    """Bases of a window."""
    min_context: int
    """Bases on both sides of every allele, contig ends apart."""

    def __post_init__(self) -> None:
        if not 1 <= 2 * self.min_context < self.window:
            raise ValueError(
                f"windows of {self.window:,} bases have no room for {self.min_context:,} bases of "
                "context on both sides"
            )

    @property
    def step(self) -> int:
        """Bases between the starts of two windows."""
        return max(1, min(self.window // 16, (self.window - 2 * self.min_context) // 2))

    @property
    def anchor(self) -> int:
        """Where the rounding of suffixes begins."""
        return 0

    def place(self, ref: Interval, strand: Strand, *, contig_length: int) -> Place | None:
        """The window of a REF allele; None if no window holds it with its context."""
        best = self._number(ref.start, ref.end, strand)
        number = max(0, min(best, self._last(contig_length)))
        start = number * self.step
        left = ref.start - start
        right = min(start + self.window, contig_length) - ref.end
        shortest_left = min(self.min_context, ref.start)
        shortest_right = min(self.min_context, contig_length - ref.end)
        if left < shortest_left or right < shortest_right:
            return None
        offset = left if strand == "+" else start + self.window - ref.end
        return Place(start, offset, is_edge=number != best)

    def of_bases(
        self, region: Interval, strand: Strand, *, contig_length: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Starts of the windows of single bases and whether they are at an edge, as `place`."""
        base = np.arange(region.start, region.end, dtype=np.int64)
        best = self._number(base, base + 1, strand)
        starts = np.clip(best, 0, self._last(contig_length)) * self.step
        return starts, starts != best * self.step

    def _number(self, start: Index, end: Index, strand: Strand) -> Index:
        """Of the window with most before the allele, and `min_context` behind it."""
        if strand == "+":
            return -((self.window - self.min_context - end) // self.step)
        return (start - self.min_context) // self.step

    def _last(self, contig_length: int) -> int:
        """The last window; beyond it there is only padding to see."""
        return max(0, -((self.window - contig_length) // self.step))


Layout = Centred | Grid


@dataclass(frozen=True, slots=True)
class Site:
    """A variant, and why some of its alleles will not be scored."""

    variant: Variant
    ref_agrees: bool | None
    """Whether REF is what the FASTA has; None if the FASTA has no such contig."""
    statuses: tuple[Status | None, ...]
    """One per allele; None: can be scored as far as known before reading its window."""


def assess(
    variant: Variant, stretches: Stretches, *, layout: Layout, max_allele_length: int
) -> Site:
    """Find the alleles that cannot be scored, and compare REF with the genome."""
    genome_ref = _genome_ref(variant, stretches.genome)
    ref_agrees = None if variant.contig is None else _agree(variant.ref, genome_ref)
    site_status: Status | None = None
    if variant.contig is None:
        site_status = "NO_CONTIG"
    elif not ref_agrees:
        site_status = "REF_MISMATCH"
    elif not _BASES.fullmatch(variant.ref) or not _BASES.fullmatch(genome_ref):
        site_status = "NON_ACGT"
    reading_of = None if site_status else readings(variant, stretches, layout)
    statuses = []
    for alt in variant.alts:
        status = _allele_status(alt) or site_status
        if status is None and not _fits(variant.ref, alt, reading_of, max_allele_length):
            status = "TOO_LONG"
        statuses.append(status)
    return Site(variant, ref_agrees, tuple(statuses))


@dataclass(frozen=True, slots=True)
class Reading:
    """The window that an allele is read in on one strand."""

    window: Interval
    """Real sequence, on the plus strand."""
    offset: int
    """Bases of the window before the allele, in reading direction."""
    room: int | None
    """The longest allele that fits; None where sequence ends before the window does, and an allele
    is compared as far as there is anything to compare it with."""
    is_edge: bool
    """Whether there is less context than asked for, on one side or both."""


def readings(
    variant: Variant, stretches: Stretches, layout: Layout
) -> dict[Strand, Reading] | None:
    """The windows of a variant on both strands; None if it fits into none."""
    assert variant.contig is not None
    ref = Interval(variant.contig, variant.start, variant.end)
    forward, reverse = (_reading(ref, strand, stretches, layout) for strand in ("+", "-"))
    if forward is None or reverse is None:
        return None
    return {"+": forward, "-": reverse}


def _reading(ref: Interval, strand: Strand, stretches: Stretches, layout: Layout) -> Reading | None:
    contig_length = stretches.genome.lengths[ref.contig]
    place = layout.place(ref, strand, contig_length=contig_length)
    if place is None:
        return None
    start, end = place.start, place.start + layout.window
    # One base more behind the window: whether the sequence goes on there.
    before, behind = (0, 1) if strand == "+" else (1, 0)
    real = stretches.around(ref, start=start - before, end=end + behind)
    goes_on = real.end > end if strand == "+" else real.start < start
    window = Interval(ref.contig, max(real.start, start), min(real.end, end))
    return Reading(
        window=window,
        offset=ref.start - window.start if strand == "+" else window.end - ref.end,
        room=layout.window - place.offset if goes_on else None,
        is_edge=place.is_edge or window.length < layout.window,
    )


def _fits(
    ref: str, alt: str, reading_of: dict[Strand, Reading] | None, max_allele_length: int
) -> bool:
    if reading_of is None or max(len(ref), len(alt)) > max_allele_length:
        return False
    return all(reading.room is None or len(alt) <= reading.room for reading in reading_of.values())


def _allele_status(alt: str) -> Status | None:
    if _BASES.fullmatch(alt):
        return None
    if alt in (".", ""):
        return "NO_ALT"
    if alt == "*":
        return "STAR"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "BND"
    return "SYMBOLIC" if "<" in alt else "NON_ACGT"


def _genome_ref(variant: Variant, genome: Genome) -> str:
    """What the genome has at REF, IUPAC codes and all; empty where it has nothing."""
    if variant.contig is None or variant.start < 0:
        return ""
    if variant.end > genome.lengths[variant.contig]:
        return ""
    return genome.letters_at(Interval(variant.contig, variant.start, variant.end))


def _agree(ref: str, genome_ref: str) -> bool:
    """Whether REF may be what the genome has: letters that share a base agree."""
    if ref.upper() == genome_ref.upper():
        return True
    if len(ref) != len(genome_ref):
        return False
    pairs = zip(ref.upper(), genome_ref.upper(), strict=True)
    return all(share_a_base(one, other) for one, other in pairs)
