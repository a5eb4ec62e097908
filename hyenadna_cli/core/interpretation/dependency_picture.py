"""Dependency maps as pictures: a heat map with the sequence beside it, and its strongest pairs.

Positions are 1-based, as in region strings. Regions longer than a picture is wide are drawn in
squares of bases, each as its largest value.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import to_one_based
from hyenadna_cli.core.interpretation.dependency_file import DependencyMap
from hyenadna_cli.core.io.bed import Region
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, save_figure, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = ("chrom", "query", "query_base", "target", "target_base", "dependency")
SHARES = (0.5, 0.95)
_MAX_PAIRS = 1_000
_MAX_PIXELS = 1_200
_MAX_LETTERS = 80
_SHOWN_QUANTILE = 0.995

Floats = NDArray[np.float32]


def write_table(shown: DependencyMap, path: Path, *, overwrite: bool) -> None:
    """The strongest pairs, at most 1,000, as TSV; positions are 1-based."""
    values = np.nan_to_num(shown.values, nan=-1.0).ravel()
    n_pairs = min(_MAX_PAIRS, int((values >= 0).sum()))
    strongest = np.argsort(-values, kind="stable")[:n_pairs]
    with TsvWriter(str(path), columns=COLUMNS, overwrite=overwrite) as table:
        for query, target in np.column_stack(np.divmod(strongest, len(shown.sequence))).tolist():
            cells = [
                cell
                for base in (query, target)
                for cell in (to_one_based(shown.region.start + base), shown.sequence[base])
            ]
            dependency = float(shown.values[query, target])
            table.write_row((shown.region.contig, *cells, dependency))


def reach(shown: DependencyMap) -> tuple[list[int], int] | None:
    """How far back substitutions move predictions: distances (bases), and the longest looked at.

    Within the first distance lies half of what substitutions move, within the second 95 %: of the
    mean dependency at each distance, summed over distances up to half the region, so that each is
    the mean of many pairs, or up to --max-distance. None for a map without values.
    """
    n_bases = len(shown.sequence)
    means = []
    for distance in range(1, max(1, n_bases // 2) + 1):
        pairs = np.concatenate([np.diagonal(shown.values, k) for k in (distance, -distance)])
        known = pairs[np.isfinite(pairs)]
        if not known.size:
            break
        means.append(float(known.mean()))
    total = np.cumsum(means)
    if not means or total[-1] == 0:
        return None
    return [int(np.searchsorted(total, share * total[-1])) + 1 for share in SHARES], len(means)


def title(shown: DependencyMap) -> str:
    """Region, model and what was read before the region."""
    context = "" if shown.context is None else f"{shown.context:,} bases of context"
    return ", ".join(part for part in (str(shown.region), shown.model, context) if part)


def draw(
    shown: DependencyMap, path: Path, *, features: Sequence[Region] = (), overwrite: bool
) -> None:
    """The map, queries from top to bottom and targets from left to right, features above it.

    The colours end at the 99.5th percentile. Raises UsageError if matplotlib is missing,
    OutputError if `path` cannot be written.
    """
    lanes = lanes_of(features)
    heights = [0.14 + 0.16 * len(lanes), 6.4] if lanes else [6.4]
    figure = new_figure(7.6, sum(heights) + 0.2)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    heat = figure.add_subplot(grid[-1])
    _draw_heat(figure, heat, shown)
    if lanes:
        strip = figure.add_subplot(grid[0], sharex=heat)
        _draw_features(strip, lanes, heat.get_xlim())
    figure.suptitle(title(shown), fontsize=10)
    save_figure(figure, path, overwrite=overwrite)


def _draw_heat(figure: Figure, heat: Axes, shown: DependencyMap) -> None:
    region, n_bases = shown.region, len(shown.sequence)
    binned, width = binned_map(shown.values)
    edges = (to_one_based(region.start) - 0.5, to_one_based(region.end) - 0.5)
    finite = binned[np.isfinite(binned)]
    end = edges[0] + width * len(binned)
    image = heat.imshow(
        binned,
        aspect="auto",
        interpolation="nearest",
        cmap="magma_r",
        vmin=0.0,
        vmax=strongest_shown(binned),
        extent=(edges[0], end, end, edges[0]),
    )
    heat.set_facecolor("0.9")
    heat.set_xlim(*edges)
    heat.set_ylim(*reversed(edges))
    heat.set_ylabel("changed base (query)")
    squares = "" if width == 1 else f"; a point: largest of {width} x {width} bases"
    heat.set_xlabel(f"predicted base (target), {region.contig}, 1-based{squares}")
    if not finite.size:
        heat.text(0.5, 0.5, "no values", transform=heat.transAxes, ha="center", color="0.4")
    if n_bases <= _MAX_LETTERS:
        places = (np.arange(n_bases) + to_one_based(region.start)).tolist()
        size = min(9.0, 420 / n_bases)
        tens = [f"{place:,}" if place % 10 == 0 else "" for place in places]
        named = list(zip(shown.sequence, tens, strict=True))
        heat.set_xticks(places, [f"{base}\n{place}" for base, place in named], fontsize=size)
        heat.set_yticks(places, [f"{place} {base}" for base, place in named], fontsize=size)
    else:
        for axis in (heat.xaxis, heat.yaxis):
            whole_numbers(axis, n=5)
    bar = figure.colorbar(image, ax=heat, pad=0.01, extend="max")
    bar.set_label("largest |change of log2 odds|; ends at the 99.5th percentile; grey: none")


def lanes_of(features: Sequence[Region]) -> list[list[Region]]:
    """Features in rows, none of which overlaps another in its row."""
    lanes: list[list[Region]] = []
    for feature in sorted(features, key=lambda of: (of.interval.start, -of.interval.end)):
        for lane in lanes:
            if lane[-1].interval.end < feature.interval.start:
                lane.append(feature)
                break
        else:
            lanes.append([feature])
    return lanes


def _draw_features(strip: Axes, lanes: list[list[Region]], limits: tuple[float, float]) -> None:
    """A bar each, with its name and strand."""
    for row, lane in enumerate(lanes):
        for feature in lane:
            first = max(to_one_based(feature.interval.start) - 0.5, limits[0])
            last = min(to_one_based(feature.interval.end) - 0.5, limits[1])
            strip.barh(row, last - first, left=first, height=0.8, color="#8aa4c8", linewidth=0)
            strip.text(
                (first + last) / 2,
                row,
                name_of(feature),
                fontsize=6,
                ha="center",
                va="center",
                clip_on=True,
            )
    strip.set_ylim(len(lanes) - 0.4, -0.6)
    strip.set_xlim(*limits)
    strip.set_axis_off()


def name_of(feature: Region) -> str:
    """With an arrow in its reading direction, if it has one."""
    arrow = {"+": " >", "-": " <"}[feature.interval.strand] if feature.has_strand else ""
    return f"{feature.name}{arrow}"


def strongest_shown(values: Floats) -> float:
    """Where the colours end: at the 99.5th percentile; 1 where there is nothing to show."""
    finite = values[np.isfinite(values)]
    return (float(np.quantile(finite, _SHOWN_QUANTILE)) if finite.size else 0.0) or 1.0


def binned_map(values: Floats) -> tuple[Floats, int]:
    """The largest value of each square, and its side in bases."""
    width = -(-len(values) // _MAX_PIXELS)
    if width == 1:
        return values, 1
    n_bins = -(-len(values) // width)
    padded = np.full((n_bins * width, n_bins * width), np.nan, np.float32)
    padded[: len(values), : len(values)] = values
    squares = padded.reshape(n_bins, width, n_bins, width)
    largest = np.where(np.isnan(squares), -np.inf, squares).max(axis=(1, 3))
    return np.where(np.isneginf(largest), np.nan, largest).astype(np.float32), width
