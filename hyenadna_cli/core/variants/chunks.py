"""Chunks of variants as windows to run and a table of values to fill.

    sites of a chunk -> windows of a strand, each with the alleles scored in it -> Tasks
    values of (allele, strand, score) -> mean over strands, statuses -> AlleleScore

Alleles in the same window of a chunk share it. Chunks are fixed by the input alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from hyenadna_cli.core.config.choices import Score
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Strand
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tokenizer import TokenIds
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.variants.alleles import Layout, Site, Status, places, read_window

SCORES: tuple[Score, ...] = get_args(Score)

_GROUP_BASES = 4_000_000
"""Windows whose bases are in memory at once."""

WindowKey = tuple[str, int, Strand]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSettings:
    """What to score, and how."""

    layout: Layout
    scores: tuple[Score, ...] = ("llr", "site")
    strands: tuple[Strand, ...] = ("+", "-")
    full_vocabulary: bool = False
    """Probabilities over all tokens instead of A, C, G, T."""
    max_n_fraction: float = 0.5
    """Windows with more N than this are not scored."""
    state_bytes: int = 4 << 30
    """Room for what REF passes keep; where one window needs more, ALT windows are run whole."""

    @property
    def needs_alt_pass(self) -> bool:
        """Whether the REF pass alone does not tell all scores."""
        return self.scores != ("site",)

    @property
    def needs_embeddings(self) -> bool:
        """Whether hidden states are compared."""
        return "l2" in self.scores or "cos" in self.scores


@dataclass(frozen=True, slots=True)
class AlleleScore:
    """The scores of one allele; NaN where one is not defined or the allele was not scored."""

    status: Status
    values: Mapping[Score, float]
    """Means over the strands scored."""
    llr_of_strand: Mapping[Strand, float]
    """`llr` of each strand scored; empty without `llr`."""


@dataclass(frozen=True, slots=True)
class Allele:
    """One allele in one window, in reading direction."""

    row: int
    """Of the chunk's table of values."""
    offset: int
    ref: str
    alt: str

    def ids(self, bases: TokenIds, length: int) -> TokenIds:
        """The ALT window: `bases` with ALT for REF, cut to `length`."""
        after = bases[self.offset + len(self.ref) :]
        whole = np.concatenate([bases[: self.offset], tokenizer.encode(self.alt), after])
        return whole[:length]


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was read, and the alleles to score in it."""

    strand: Strand
    bases: TokenIds
    """The window, and what deletions bring into it behind its end."""
    length: int
    alleles: list[Allele]
    firsts: list[int]
    """Where each allele's window first differs; the window's length if nowhere."""

    @property
    def token_ids(self) -> TokenIds:
        """The REF window."""
        return self.bases[: self.length]


@dataclass(frozen=True, slots=True)
class Task:
    """An allele of a window of a REF pass."""

    in_batch: int
    """The window's place in the REF pass."""
    window: Window
    allele: Allele
    first: int

    def ids(self) -> TokenIds:
        """The ALT window."""
        return self.allele.ids(self.window.bases, self.window.length)

    def tokens_at_first(self) -> tuple[int, int]:
        """REF and ALT token where the windows first differ."""
        allele, inside = self.allele, self.first - self.allele.offset
        if len(allele.ref) == len(allele.alt):
            alt_id = int(tokenizer.encode(allele.alt[inside])[0])
        else:
            alt_id = int(self.ids()[self.first])
        return int(self.window.bases[self.first]), alt_id


class ChunkScores:
    """Collects what the windows of a chunk bring to the scores of its alleles."""

    def __init__(self, sites: Sequence[Site], genome: Genome, settings: ScoreSettings) -> None:
        self._sites = sites
        self._genome = genome
        self._settings = settings
        self._statuses: list[Status | None] = []
        self._is_edge: list[bool] = []
        self._alleles_of: dict[WindowKey, list[Allele]] = {}
        for site in sites:
            self._add(site)
        shape = (len(self._statuses), len(settings.strands), len(settings.scores))
        self.values = np.full(shape, np.nan)
        self.is_unknown = np.zeros(len(self._statuses), dtype=np.bool_)
        """Of each allele: whether a window of it has too many N to be scored."""
        self.n_windows = len(self._alleles_of)

    def window_groups(self) -> Iterator[list[Window]]:
        """The windows, a few at a time."""
        keys = list(self._alleles_of)
        step = max(1, _GROUP_BASES // self._settings.layout.window)
        for first in range(0, len(keys), step):
            windows = [self._read(key) for key in keys[first : first + step]]
            yield [window for window in windows if window is not None]

    def rows(self) -> list[list[AlleleScore]]:
        """The finished scores, in input order."""
        means = self.values.mean(axis=1)
        rows, row = [], 0
        for site in self._sites:
            scores = []
            for _ in site.variant.alts:
                scores.append(self._score(row, means[row].tolist()))
                row += 1
            rows.append(scores)
        return rows

    def _add(self, site: Site) -> None:
        variant, first_row = site.variant, len(self._statuses)
        self._statuses += site.statuses
        self._is_edge += [False] * len(site.statuses)
        rows = [row for row, status in enumerate(site.statuses) if status is None]
        if not rows:
            return
        assert variant.contig is not None
        place_of = places(variant, self._genome, self._settings.layout)
        assert place_of is not None
        for strand in self._settings.strands:
            place = place_of[strand]
            alleles = self._alleles_of.setdefault((variant.contig, place.start, strand), [])
            ref = _in_direction(variant.ref, strand)
            for row in rows:
                alt = _in_direction(variant.alts[row], strand)
                alleles.append(Allele(first_row + row, place.offset, ref, alt))
                self._is_edge[first_row + row] |= place.is_edge

    def _read(self, key: WindowKey) -> Window | None:
        contig, start, strand = key
        alleles = self._alleles_of.pop(key)
        length = self._settings.layout.window
        extra = max(0, *(len(allele.ref) - len(allele.alt) for allele in alleles))
        text = read_window(self._genome, contig, start, length=length, extra=extra, strand=strand)
        if text.n_fraction > self._settings.max_n_fraction:
            self.is_unknown[[allele.row for allele in alleles]] = True
            return None
        bases = tokenizer.encode(text.bases)
        firsts = [_first_difference(bases, allele, length) for allele in alleles]
        return Window(strand, bases, length, alleles, firsts)

    def _score(self, row: int, means: list[float]) -> AlleleScore:
        settings = self._settings
        status = self._statuses[row]
        if status is None and self.is_unknown[row]:
            status = "N_WINDOW"
        elif status is None:
            status = "OK_EDGE" if self._is_edge[row] else "OK"
            if np.isinf(self.values[row]).any():
                status = "NONFINITE"
        if status not in ("OK", "OK_EDGE"):
            means = [math.nan] * len(means)
        of_strand: dict[Strand, float] = {}
        if "llr" in settings.scores:
            column = settings.scores.index("llr")
            by_strand = self.values[row, :, column].tolist()
            of_strand = {
                strand: value if status in ("OK", "OK_EDGE") else math.nan
                for strand, value in zip(settings.strands, by_strand, strict=True)
            }
        return AlleleScore(status, dict(zip(settings.scores, means, strict=True)), of_strand)


def _in_direction(allele: str, strand: Strand) -> str:
    return allele if strand == "+" else reverse_complement(allele)


def _first_difference(bases: TokenIds, allele: Allele, length: int) -> int:
    """The first position where REF and ALT windows differ; `length` if nowhere."""
    if len(allele.ref) == len(allele.alt):
        pairs = zip(allele.ref.upper(), allele.alt.upper(), strict=True)
        inside = next((i for i, (ref, alt) in enumerate(pairs) if ref != alt), None)
        return length if inside is None else allele.offset + inside
    # In a repeat an indel shows only where the repeat ends.
    differs = allele.ids(bases, length)[allele.offset :] != bases[allele.offset : length]
    return allele.offset + int(differs.argmax()) if differs.any() else length
