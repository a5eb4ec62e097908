"""Mutagenesis maps: the TSV of `mutagenize` -> columns of one or more bases -> a picture of them.

A column is a base, or where the region is longer than a picture is wide, a bin of equally many
bases with the means of their scores. The track above the map is minus the mean: tall where changes
are unlikely. Up to `_MAX_LETTERS` bases it spells the sequence. Positions are 1-based.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import (
    Interval,
    RegionText,
    from_one_based,
    read_region,
    to_one_based,
)
from hyenadna_cli.core.io.streams import open_text
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, save_figure, whole_numbers
from hyenadna_cli.core.outputs.provenance import manifest_path, read_manifest
from hyenadna_cli.errors import InputFileError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = ("chrom", "start", "end", "ref", "A", "C", "G", "T", "mean")
_BASES = "ACGT"
_LATER_SCORES = ("gradient", "llr")
_MAX_COLUMNS = 1_200
_MAX_LETTERS = 150
_SHOWN_QUANTILE = 0.99
_COLOURS = {"A": "#2f8f4e", "C": "#2b6cb0", "G": "#c98a12", "T": "#b03a2e"}


@dataclass(frozen=True, slots=True)
class MutagenesisMap:
    """Scores of a region, one row per column of the picture."""

    region: Interval
    score: str
    """`site`, `llr` or `gradient`."""
    starts: NDArray[np.int64]
    """First base of each column, 0-based."""
    width: int
    """Bases per column; the last may have fewer."""
    bases: str
    """The genome's, one per column, where a column is a base; else empty. N where unknown."""
    values: NDArray[np.float64]
    """(columns, 4): the mean score of a change to A, C, G or T; NaN where there is none."""
    made_by: str = ""
    """Model and window, where the table's manifest lies beside it."""

    @property
    def means(self) -> NDArray[np.float64]:
        """Of all changes of a column."""
        is_known = np.isfinite(self.values)
        n_known = is_known.sum(axis=1)
        total = np.where(is_known, self.values, 0.0).sum(axis=1)
        means: NDArray[np.float64] = np.where(n_known > 0, total / np.maximum(1, n_known), np.nan)
        return means


def read_map(path: str, *, region: str | None = None, score: str | None = None) -> MutagenesisMap:
    """The scores in a TSV of `mutagenize`, of a region or of the first contig's whole extent.

    `region` as `coordinates.read_region` reads it; `score` defaults to `llr` or `gradient`
    where the table has it. Memory grows with the region that is drawn. Raises ValueError for a
    text that is not a region, InputFileError if the file is no such table or has no row there.
    """
    scores_at: dict[int, tuple[str, list[float]]] = {}
    asked = None if region is None else read_region(region)
    with open_text(path) as text:
        rows = csv.DictReader(text, delimiter="\t")
        names = rows.fieldnames or []
        score_name = score or next((name for name in _LATER_SCORES if name in names), "site")
        if not {"chrom", "pos", "ref", "alt", score_name} <= set(names):
            raise InputFileError(path, f"is not a table of mutagenize with the score {score_name}")
        for row in rows:
            try:
                start = from_one_based(int(row["pos"]))
                value = float(row[score_name])
            except (ValueError, TypeError) as error:
                raise InputFileError(path, f"{error}", line=rows.line_num) from error
            ref, alt = (row["ref"] or "").upper(), (row["alt"] or "").upper()
            if len(alt) != 1 or alt not in _BASES:
                problem = f"alt {row['alt']!r} is none of A, C, G and T"
                raise InputFileError(path, problem, line=rows.line_num)
            if asked is None or row["chrom"] == region:
                asked = RegionText(row["chrom"], 0, None)
            if asked.holds(row["chrom"], start):
                entry = scores_at.setdefault(start, (ref, [np.nan] * 4))
                entry[1][_BASES.index(alt)] = value
    if asked is None or not scores_at:
        raise InputFileError(path, "has no scores" + ("" if region is None else f" in {region}"))
    is_open = asked.end is None
    extent = Interval(
        asked.contig,
        min(scores_at) if is_open else asked.start,
        max(scores_at) + 1 if asked.end is None else asked.end,
    )
    return _binned(extent, score_name, scores_at, _made_by(path))


def _made_by(path: str) -> str:
    """Model and window of a table, if its manifest lies beside it and is of it."""
    table = Path(path)
    if not (table.is_file() and manifest_path(table).is_file()):
        return ""
    try:
        manifest = read_manifest(table)
    except InputFileError:
        return ""  # a picture can do without
    made_by = manifest.made_by
    window = made_by.settings.get("window")
    parts = [made_by.model_name or "", f"window {window:,}" if isinstance(window, int) else ""]
    return ", ".join(part for part in parts if part)


def _binned(
    region: Interval, score: str, scores_at: dict[int, tuple[str, list[float]]], made_by: str
) -> MutagenesisMap:
    width = -(-region.length // _MAX_COLUMNS)
    n_columns = -(-region.length // width)
    padded = np.full((n_columns * width, 4), np.nan)
    for start, (_, of_base) in scores_at.items():
        padded[start - region.start] = of_base
    by_column = padded.reshape(n_columns, width, 4)
    is_known = np.isfinite(by_column)
    totals = np.where(is_known, by_column, 0.0).sum(axis=1)
    n_known = is_known.sum(axis=1)
    values: NDArray[np.float64] = np.where(n_known > 0, totals / np.maximum(1, n_known), np.nan)
    starts = region.start + width * np.arange(n_columns, dtype=np.int64)
    bases = ""
    if width == 1:
        bases = "".join(scores_at.get(start, ("N", []))[0] for start in starts.tolist())
    return MutagenesisMap(region, score, starts, width, bases, values, made_by)


def write_table(picture: MutagenesisMap, path: Path, *, overwrite: bool) -> None:
    """What the picture shows, as TSV; 0-based half-open."""
    with TsvWriter(str(path), columns=COLUMNS, overwrite=overwrite) as table:
        for number, start in enumerate(picture.starts.tolist()):
            end = min(start + picture.width, picture.region.end)
            ref = picture.bases[number] if picture.bases else "."
            mean = picture.means[number]
            table.write_row((picture.region.contig, start, end, ref, *picture.values[number], mean))


def draw(picture: MutagenesisMap, path: Path, *, overwrite: bool) -> None:
    """A track of minus the means over a heat map with a row for each base.

    Raises UsageError if matplotlib is missing, OutputError if `path` cannot be written.
    """
    n_columns = len(picture.starts)
    figure = new_figure(min(16.0, max(6.0, n_columns / 9)), 4.2)
    track, heat = figure.subplots(2, 1, sharex=True, height_ratios=(1.3, 1.0))
    # A base is as wide as one, around its position.
    edges = (to_one_based(picture.region.start) - 0.5, to_one_based(picture.region.end) - 0.5)
    first = edges[0] + picture.width * np.arange(n_columns)
    sizes = np.abs(picture.values[np.isfinite(picture.values)])
    strength = float(np.quantile(sizes, _SHOWN_QUANTILE)) if sizes.size else 0.0
    image = heat.imshow(
        picture.values.T,
        aspect="auto",
        interpolation="nearest",
        cmap="RdBu",
        vmin=-(strength or 1.0),
        vmax=strength or 1.0,
        extent=(first[0], first[-1] + picture.width, 3.5, -0.5),
    )
    heat.set_facecolor("0.85")
    heat.set_yticks(range(4), list(_BASES))
    heat.set_ylabel("changed to")
    is_binned = picture.width > 1
    grey = f"means of {picture.width:,} bases; grey: none" if is_binned else "grey: none, its own"
    heat.set_xlabel(f"{picture.region.contig}, 1-based position; {grey}")
    whole_numbers(heat.xaxis, n=8)
    bar = figure.colorbar(image, ax=[track, heat], pad=0.01, extend="both")
    bar.set_label(f"{picture.score}, nats; red: less likely;\nends at the 99th percentile", size=8)
    if picture.bases and n_columns <= _MAX_LETTERS:
        _spell(track, picture)
    else:
        middle = first + picture.width / 2
        track.fill_between(middle, -picture.means, step="mid", color="#8aa4c8", linewidth=0)
    if not sizes.size:
        track.text(0.5, 0.5, "no scores", transform=track.transAxes, ha="center", color="0.4")
    # After the track, which would widen them.
    heat.set_xlim(*edges)
    track.axhline(0, color="0.5", linewidth=0.6)
    track.set_ylabel("minus the mean\nof changes (nats)", fontsize=8)
    title = ", ".join(part for part in (str(picture.region), picture.made_by) if part)
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path, overwrite=overwrite)


def _spell(track: Axes, picture: MutagenesisMap) -> None:
    """Each base as a letter from 0 to minus the mean score of its changes; turned over below 0."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath
    from matplotlib.transforms import Affine2D

    font = FontProperties(family="DejaVu Sans", weight="bold")
    heights: Sequence[float] = np.nan_to_num(-picture.means).tolist()
    for start, base, height in zip(picture.starts.tolist(), picture.bases, heights, strict=True):
        if base not in _COLOURS or height == 0.0:
            continue
        outline = TextPath((0, 0), base, size=1, prop=font)
        box = outline.get_extents()
        placed = (
            Affine2D()
            .translate(-box.x0, -box.y0)
            .scale(0.92 / box.width, height / box.height)
            .translate(to_one_based(start) - 0.46, 0)
        )
        patch = PathPatch(placed.transform_path(outline), color=_COLOURS[base], linewidth=0)
        track.add_patch(patch)
    lowest, highest = min(0.0, *heights), max(0.0, *heights)
    track.set_ylim(1.05 * lowest, 1.05 * highest if highest or lowest else 1.0)
