"""Where real sequence ends: at the ends of contigs, and at long runs of N.

A window of the model is cut there. What a causal model reads in front of a base changes what it
says of that base, and padding is nothing that it has learned: a score must depend on the real bases
around a variant, not on what a window of the asked size would have held.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from hyenadna_cli.core.config.choices import MAX_N_RUN
from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.io.fasta import Genome

_BLOCK = 1 << 16
"""Bases that are searched for gaps at once."""
_KEPT_BLOCKS = 512


@dataclass(frozen=True, slots=True)
class StretchText:
    """The bases of a window, and what follows it, in reading direction."""

    bases: str
    """From the window's first base that is not an N on, past its end as far as asked and real."""
    n_trimmed: int
    """N that the window began with."""
    n_fraction: float
    """N of what is left of the window."""


class Stretches:
    """The real sequence of a genome: contigs cut where more than `max_n_run` N follow one another.

    The N that a contig begins or ends with are not sequence, however few. IUPAC codes are N here.
    Positions are 0-based half-open on the plus strand.
    """

    def __init__(self, genome: Genome, *, max_n_run: int = MAX_N_RUN) -> None:
        if max_n_run < 0:
            raise ValueError(f"max_n_run must be at least 0, got {max_n_run}")
        self.genome = genome
        self.max_n_run = max_n_run
        self._gap = re.compile(f"[Nn]{{{max_n_run + 1},}}")
        self._gaps_of = functools.lru_cache(maxsize=_KEPT_BLOCKS)(self._find_gaps)

    def within(self, contig: str, *, start: int, end: int) -> list[Interval]:
        """All real sequence from `start` to `end`, which may lie outside the contig, in order."""
        start, end = max(0, start), min(end, self.genome.lengths[contig])
        stretches = []
        for gap_start, gap_end in [*self._gaps(contig, start, end), (end, end)]:
            # Gaps of a block may lie behind what was asked for.
            if start < (stretch_end := min(gap_start, end)):
                stretches.append(Interval(contig, start, stretch_end))
            start = max(start, gap_end)
        return stretches

    def around(self, inner: Interval, *, start: int, end: int) -> Interval:
        """The real sequence around `inner`, from `start` to `end` at most.

        These may lie outside the contig; `inner` is part of the result always.
        """
        contig = inner.contig
        start, end = max(0, start), min(end, self.genome.lengths[contig])
        for gap_start, gap_end in self._gaps(contig, start, end):
            if gap_end <= inner.start:
                start = max(start, gap_end)
            elif gap_start >= inner.end:
                end = min(end, gap_start)
        return Interval(contig, min(start, inner.start), max(end, inner.end))

    def read(self, window: Interval, strand: Strand, *, n_behind: int = 0) -> StretchText:
        """A window of `around`, and up to `n_behind` real bases that follow it, as they are read.

        N in front are left out: before the first base there is nothing to know.
        """
        before, behind = (0, n_behind) if strand == "+" else (n_behind, 0)
        whole = self.around(window, start=window.start - before, end=window.end + behind)
        text = self.genome.fetch(whole)
        if strand == "-":
            text = reverse_complement(text)
        bases = text.upper().lstrip("N")
        n_trimmed = len(text) - len(bases)
        n_left = window.length - n_trimmed
        n_fraction = bases[: max(0, n_left)].count("N") / max(1, n_left)
        return StretchText(text[n_trimmed:], n_trimmed, n_fraction)

    def _gaps(self, contig: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The gaps of blocks that overlap, in order; one may come in pieces."""
        for block in range(start // _BLOCK, -(-end // _BLOCK)):
            yield from self._gaps_of(contig, block)

    def _find_gaps(self, contig: str, block: int) -> tuple[tuple[int, int], ...]:
        """The gaps of a block, cut off a little outside it: what is of a gap is seen as one."""
        margin = self.max_n_run
        start = max(0, block * _BLOCK - margin)
        end = min((block + 1) * _BLOCK + margin, self.genome.lengths[contig])
        text = self.genome.peek(Interval(contig, start, end))
        gaps = [m.span() for m in self._gap.finditer(text)]
        n_leading = len(text) - len(text.lstrip("Nn"))
        if start == 0 and n_leading and (not gaps or gaps[0][0] > 0):
            gaps.insert(0, (0, n_leading))
        n_real = len(text.rstrip("Nn"))
        is_end = end == self.genome.lengths[contig]
        if is_end and n_real < len(text) and (not gaps or gaps[-1][1] < len(text)):
            gaps.append((n_real, len(text)))
        return tuple((start + first, start + last) for first, last in gaps)
