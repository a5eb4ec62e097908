"""Chunks of variants as windows to run and a table of values to fill.

    sites of a chunk -> windows of a strand, each with the alleles scored in it -> Tasks
    values of (allele, strand, score) -> mean over strands, statuses -> AlleleScore

Alleles in the same window of a chunk share it. Chunks are fixed by the input alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import MAX_N_RUN, Score
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.outputs.provenance import Setting
from hyenadna_cli.core.variants.alleles import Grid, Layout, Site, Status, readings
from hyenadna_cli.core.variants.compared import Allele, Comparison, Window
from hyenadna_cli.core.variants.stretches import Stretches
from hyenadna_cli.core.variants.vectors import VectorChoice

SCORES: tuple[Score, ...] = get_args(Score)

_GROUP_BASES = 4_000_000
"""Windows whose bases are in memory at once."""

WindowKey = tuple[Interval, Strand]


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
    max_n_run: int = MAX_N_RUN
    """Windows end at longer runs of N."""
    vectors: VectorChoice | None = None
    """Which vectors alleles get besides; None for none."""
    state_bytes: int = 4 << 30
    """Room for what REF passes keep; where one window needs more, ALT windows are run whole."""

    @property
    def needs_alt_pass(self) -> bool:
        """Whether the REF pass alone does not tell all scores and vectors."""
        is_of_alt = self.vectors is not None and self.vectors.needs_alt_pass
        return is_of_alt or bool(set(self.scores) - {"site"})

    @property
    def bases_per_site(self) -> int:
        """What is read for a site, about: chunks are cut by it, so that none takes long."""
        of_ref = self.layout.step if isinstance(self.layout, Grid) else self.layout.window
        of_alt = self.layout.window if self.needs_alt_pass else 0
        return len(self.strands) * (of_ref + of_alt)

    @property
    def needs_embeddings(self) -> bool:
        """Whether hidden states are compared."""
        return "l2" in self.scores or "cos" in self.scores

    def described(self) -> dict[str, Setting]:
        """What of this shapes the scores, for provenance."""
        layout = self.layout
        placed: dict[str, Setting] = (
            {"layout": "grid", "min_context": layout.min_context, "step": layout.step}
            if isinstance(layout, Grid)
            else {"layout": "centred", "upstream": layout.upstream, "downstream": layout.downstream}
        )
        return {
            "scores": list[str](self.scores),
            "window": layout.window,
            **placed,
            "strands": list[str](self.strands),
            "vocab": "full" if self.full_vocabulary else "acgt",
            "max_n_frac": self.max_n_fraction,
            "max_n_run": self.max_n_run,
            **self._described_vectors(),
        }

    def _described_vectors(self) -> dict[str, Setting]:
        if self.vectors is None:
            return {}
        pooled = self.vectors.pooled
        return {
            "allele": self.vectors.of,
            "pooling": list[str](pooled.poolings),
            "layer": [*pooled.layers],
            "exclude": ["n"] if pooled.exclude_n else [],
        }


@dataclass(frozen=True, slots=True)
class AlleleScore:
    """The scores of one allele; NaN where one is not defined or the allele was not scored."""

    status: Status
    values: Mapping[Score, float]
    """Means over the strands scored."""
    llr_of_strand: Mapping[Strand, float]
    """`llr` of each strand scored; empty without `llr`."""
    vectors_KD: NDArray[np.float64] | None = None
    """Means over the strands, in the order of `VectorChoice.pooled.keys`; None: not asked for."""
    window: int = 0
    """Bases of the longest window that was read; 0 if none was."""
    n_fraction: float = math.nan
    """Share of N in the windows read."""
    n_windows: int = 0
    """A window for each strand that was read."""
    more: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What is made of the scores: `prob` of a classifier, `pct` among a background's."""
    label: str = ""
    """The likeliest of several classes."""


class ChunkScores:
    """Collects what the windows of a chunk bring to the scores of its alleles."""

    def __init__(
        self,
        sites: Sequence[Site],
        stretches: Stretches,
        settings: ScoreSettings,
        *,
        d_model: int,
    ) -> None:
        self._sites = sites
        self._stretches = stretches
        self._settings = settings
        self._statuses: list[Status | None] = []
        self._is_edge: list[bool] = []
        self._is_indel: list[bool] = []
        self._alleles_of: dict[WindowKey, list[Allele]] = {}
        for site in sites:
            self._add(site)
        by_strand = (len(self._statuses), len(settings.strands))
        n_vectors = 0 if settings.vectors is None else settings.vectors.n_vectors
        self.values = np.full((*by_strand, len(settings.scores)), np.nan)
        self.vectors = np.full((*by_strand, n_vectors, d_model), np.nan)
        self.windows = np.full((*by_strand, 2), np.nan)
        """Of each window read: its bases, and the share of N."""
        self.is_unknown = np.zeros(len(self._statuses), dtype=np.bool_)
        """Of each allele: whether a window of it has too many N to be scored."""
        self.is_compared = np.zeros(len(self._statuses), dtype=np.bool_)
        """Of each allele: whether there is anything to compare on a strand at least."""
        self.n_windows = len(self._alleles_of)

    @property
    def numbers(self) -> list[NDArray[Any]]:
        """All that windows bring."""
        return [self.values, self.vectors, self.windows, self.is_unknown, self.is_compared]

    def window_groups(self) -> Iterator[list[Window]]:
        """The windows, a few at a time."""
        keys = list(self._alleles_of)
        step = max(1, _GROUP_BASES // self._settings.layout.window)
        for first in range(0, len(keys), step):
            windows = [self._read(key) for key in keys[first : first + step]]
            yield [window for window in windows if window is not None]

    def rows(self) -> list[list[AlleleScore]]:
        """The finished scores, in input order."""
        means, vectors = _means(self.values), _means(self.vectors)
        rows, row = [], 0
        for site in self._sites:
            scores = []
            for _ in site.variant.alts:
                scores.append(self._score(row, means[row].tolist(), vectors[row]))
                row += 1
            rows.append(scores)
        return rows

    def _add(self, site: Site) -> None:
        variant, first_row = site.variant, len(self._statuses)
        self._statuses += site.statuses
        self._is_edge += [False] * len(site.statuses)
        self._is_indel += [len(alt) != len(variant.ref) for alt in variant.alts]
        rows = [row for row, status in enumerate(site.statuses) if status is None]
        if not rows:
            return
        assert variant.contig is not None
        reading_of = readings(variant, self._stretches, self._settings.layout)
        assert reading_of is not None
        for strand in self._settings.strands:
            reading = reading_of[strand]
            alleles = self._alleles_of.setdefault((reading.window, strand), [])
            ref = _in_direction(variant.ref, strand)
            for row in rows:
                alt = _in_direction(variant.alts[row], strand)
                alleles.append(Allele(first_row + row, reading.offset, ref, alt))
                self._is_edge[first_row + row] |= reading.is_edge

    def _read(self, key: WindowKey) -> Window | None:
        interval, strand = key
        alleles = self._alleles_of.pop(key)
        n_behind = max(0, *(len(allele.ref) - len(allele.alt) for allele in alleles))
        text = self._stretches.read(interval, strand, n_behind=n_behind)
        length = interval.length - text.n_trimmed
        if text.n_fraction > self._settings.max_n_fraction:
            self.is_unknown[[allele.row for allele in alleles]] = True
            return None
        bases = tokenizer.encode(text.bases)
        column = self._settings.strands.index(strand)
        self.windows[[allele.row for allele in alleles], column] = length, text.n_fraction
        compared = []
        for allele in alleles:
            inside = dataclasses.replace(allele, offset=allele.offset - text.n_trimmed)
            if (comparison := Comparison.of(bases, inside, length)) is not None:
                compared.append((inside, comparison))
                self.is_compared[allele.row] = True
        return Window(strand, bases, length, compared) if compared else None

    def _score(self, row: int, means: list[float], vectors_KD: NDArray[np.float64]) -> AlleleScore:
        settings = self._settings
        status = self._statuses[row]
        if status is None and self.is_unknown[row]:
            status = "N_WINDOW"
        elif status is None and not self.is_compared[row]:
            status = "TOO_LONG" if self._is_indel[row] else "N_WINDOW"
        elif status is None:
            status = "OK_EDGE" if self._is_edge[row] else "OK"
            if np.isinf(self.values[row]).any() or np.isinf(self.vectors[row]).any():
                status = "NONFINITE"
        if status not in ("OK", "OK_EDGE"):
            means = [math.nan] * len(means)
            vectors_KD = np.full_like(vectors_KD, np.nan)
        of_strand: dict[Strand, float] = {}
        if "llr" in settings.scores:
            column = settings.scores.index("llr")
            by_strand = self.values[row, :, column].tolist()
            of_strand = {
                strand: value if status in ("OK", "OK_EDGE") else math.nan
                for strand, value in zip(settings.strands, by_strand, strict=True)
            }
        is_read = ~np.isnan(self.windows[row, :, 0])
        lengths, shares = self.windows[row][is_read].T
        return AlleleScore(
            status,
            dict(zip(settings.scores, means, strict=True)),
            of_strand,
            vectors_KD=None if settings.vectors is None else vectors_KD,
            window=int(lengths.max(initial=0)),
            n_fraction=float(shares.mean()) if is_read.any() else math.nan,
            n_windows=int(is_read.sum()),
        )


def _in_direction(allele: str, strand: Strand) -> str:
    return allele if strand == "+" else reverse_complement(allele)


def _means(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the strands (axis 1) on which a number is defined; NaN where on none."""
    is_known = ~np.isnan(values)
    totals: NDArray[np.float64] = np.where(is_known, values, 0.0).sum(axis=1)
    with np.errstate(invalid="ignore"):
        means: NDArray[np.float64] = totals / is_known.sum(axis=1)
    return means
