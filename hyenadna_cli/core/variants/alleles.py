"""Variants: which alleles can be scored, which windows they are read in, and what those hold.

    Variant --assess--> Site (a status for each allele that cannot be scored)
    Site + layout -> Place (a window and the allele's offset in it) -> WindowText

Positions are 0-based half-open. A window always has the same number of bases; where it reaches past
an end of the contig it is padded with N. REF and ALT windows are equally long: what an insertion
adds is cut off at the far end, what a deletion removes is read on there. "Far" is in reading
direction: on the reverse strand everything is mirrored, so that a variant and its reverse
complement on the reverse-complemented contig are read in the same two windows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.io.fasta import Genome

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
    """Whether an end of the contig leaves the allele with less context than others have."""


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
        is_edge = start < 0 or start + self.window > contig_length
        return Place(start, self.upstream, is_edge)


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
        is_edge = number != best or start + self.window > contig_length
        offset = left if strand == "+" else start + self.window - ref.end
        return Place(start, offset, is_edge)

    def of_bases(
        self, region: Interval, strand: Strand, *, contig_length: int
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Starts of the windows of single bases and whether they are at an edge, as `place`."""
        base = np.arange(region.start, region.end, dtype=np.int64)
        best = self._number(base, base + 1, strand)
        starts = np.clip(best, 0, self._last(contig_length)) * self.step
        is_edge = (starts != best * self.step) | (starts + self.window > contig_length)
        return starts, is_edge

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
    """One an allele; None: can be scored as far as known before reading its window."""


def assess(variant: Variant, genome: Genome, *, layout: Layout, max_allele_length: int) -> Site:
    """Find the alleles that cannot be scored, and compare REF with the genome (case apart)."""
    ref_agrees = None if variant.contig is None else _agrees(variant, genome)
    site_status: Status | None = None
    if variant.contig is None:
        site_status = "NO_CONTIG"
    elif not ref_agrees:
        site_status = "REF_MISMATCH"
    elif not _BASES.fullmatch(variant.ref):
        site_status = "NON_ACGT"
    room = None if site_status else _room(variant, genome, layout)
    statuses = []
    for alt in variant.alts:
        status = _allele_status(alt) or site_status
        if status is None:
            longest = max(len(alt), len(variant.ref))
            if room is None or longest > max_allele_length or len(alt) > room:
                status = "TOO_LONG"
        statuses.append(status)
    return Site(variant, ref_agrees, tuple(statuses))


def places(variant: Variant, genome: Genome, layout: Layout) -> dict[Strand, Place] | None:
    """The windows of a variant on both strands; None if it fits into none."""
    assert variant.contig is not None
    ref = Interval(variant.contig, variant.start, variant.end)
    contig_length = genome.lengths[variant.contig]
    forward = layout.place(ref, "+", contig_length=contig_length)
    reverse = layout.place(ref, "-", contig_length=contig_length)
    if forward is None or reverse is None:
        return None
    return {"+": forward, "-": reverse}


def _allele_status(alt: str) -> Status | None:
    if _BASES.fullmatch(alt):
        return None
    if alt in (".", ""):
        return "NO_ALT"
    if alt == "*":
        return "STAR"
    if "[" in alt or "]" in alt or alt.startswith(".") or alt.endswith("."):
        return "BND"
    return "SYMBOLIC" if alt.startswith("<") else "NON_ACGT"


def _agrees(variant: Variant, genome: Genome) -> bool:
    assert variant.contig is not None
    if variant.start < 0 or variant.end > genome.lengths[variant.contig]:
        return False
    bases = genome.fetch(Interval(variant.contig, variant.start, variant.end))
    return bases.upper() == variant.ref.upper()


def _room(variant: Variant, genome: Genome, layout: Layout) -> int | None:
    """The longest ALT that fits into the windows of both strands."""
    place_of = places(variant, genome, layout)
    if place_of is None:
        return None
    return layout.window - max(place.offset for place in place_of.values())


@dataclass(frozen=True, slots=True)
class WindowText:
    """The bases of a window and what follows it, in reading direction; N past the contig."""

    bases: str
    """The window, then as many bases as the longest deletion in it removes."""
    n_fraction: float
    """N of the FASTA among the window's bases, padding apart."""


def read_window(
    genome: Genome, contig: str, start: int, *, length: int, extra: int, strand: Strand
) -> WindowText:
    """`length` bases from `start` on (plus strand, 0-based), and `extra` bases behind them."""
    first = start - extra if strand == "-" else start
    last = first + length + extra
    inside = Interval(
        contig,
        max(0, min(first, genome.lengths[contig])),
        max(0, min(last, genome.lengths[contig])),
    )
    text = genome.fetch(inside)
    n_unknown = text.upper().count("N")
    n_bases = last - first
    bases = ("N" * max(0, -first) + text).ljust(n_bases, "N")[:n_bases]
    if strand == "-":
        bases = reverse_complement(bases)
    return WindowText(bases, n_unknown / max(1, len(text)))
