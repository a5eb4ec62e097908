"""A dependency map as a page: one HTML file on which a point tells its bases and its value."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from hyenadna_cli.core.dna.coordinates import to_one_based
from hyenadna_cli.core.interpretation.dependency_file import DependencyMap
from hyenadna_cli.core.interpretation.dependency_picture import (
    binned_map,
    lanes_of,
    name_of,
    strongest_shown,
    title,
)
from hyenadna_cli.core.io.bed import Region
from hyenadna_cli.core.outputs.figures import plotly, save_page

_PIXELS = 760
_LANE = 0.03
"""Of the map's height, for each row of features."""


def write_page(
    shown: DependencyMap, path: Path, *, features: Sequence[Region] = (), overwrite: bool
) -> None:
    """The map of `dependency_picture.draw`; hovering over a point tells bases and dependency.

    Raises UsageError if plotly is missing, OutputError if `path` cannot be written.
    """
    objects = plotly()
    values, width = binned_map(shown.values)
    places = _places(shown, width)
    figure = objects.Figure(
        objects.Heatmap(
            z=values,
            x=places,
            y=places,
            zmin=0.0,
            zmax=strongest_shown(values),
            colorscale="Magma",
            reversescale=True,
            hoverongaps=False,
            hovertemplate="changed %{y}<br>predicted %{x}<br>%{z:.3f}<extra></extra>",
            colorbar={"title": "|change of<br>log2 odds|"},
        )
    )
    lanes = lanes_of(features)
    for row, lane in enumerate(lanes):
        for feature in lane:
            _add_feature(figure, feature, shown, width, 1.01 + row * _LANE)
    figure.update_layout(
        title=escape(title(shown)),
        width=_PIXELS,
        height=_PIXELS,
        margin={"t": 80 + int(_LANE * _PIXELS * len(lanes))},
        plot_bgcolor="#e6e6e6",
        xaxis={"title": f"predicted base (target), {escape(shown.region.contig)}, 1-based"},
        yaxis={"title": "changed base (query)", "autorange": "reversed"},
    )
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        axis.update(type="category", nticks=8, showgrid=False)
    save_page(figure, path, overwrite=overwrite)


def _places(shown: DependencyMap, width: int) -> list[str]:
    """What each row and column is called."""
    first, n_bases = to_one_based(shown.region.start), len(shown.sequence)
    if width == 1:
        return [f"{first + n:,} {base}" for n, base in enumerate(shown.sequence)]
    starts = range(0, n_bases, width)
    return [f"{first + n:,}-{first + min(n + width, n_bases) - 1:,}" for n in starts]


def _add_feature(
    figure: object, feature: Region, shown: DependencyMap, width: int, bottom: float
) -> None:
    """A bar above the map, from `bottom` on (1 is the map's upper edge)."""
    ends = np.array([feature.interval.start, feature.interval.end]) - shown.region.start
    # Columns are counted from 0, and each is as wide as 1 around its number.
    x0, x1 = (np.clip(ends, 0, len(shown.sequence)) / width - 0.5).tolist()
    figure.add_shape(  # type: ignore[attr-defined]
        type="rect",
        x0=x0,
        x1=x1,
        yref="paper",
        y0=bottom,
        y1=bottom + 0.8 * _LANE,
        fillcolor="#8aa4c8",
        line_width=0,
        label={"text": escape(name_of(feature)), "font": {"size": 9}},
    )
