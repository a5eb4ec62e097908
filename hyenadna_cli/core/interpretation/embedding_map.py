"""Vectors as points on a plane: an embedding file -> coordinates -> a picture or a page.

| method | what it keeps |
|---|---|
| pca | the two directions along which the vectors differ most, of standardised dimensions |
| tsne | neighbours (van der Maaten and Hinton 2008), of the first 50 of those directions |
| umap | neighbours (McInnes et al. 2018), of the same; needs umap-learn |

Distances between far groups mean nothing with tsne and umap. Rows without a vector are left out.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.embeddings_reading import Embeddings, read_embeddings
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, plotly, save_figure, save_page
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)

Method = Literal["pca", "tsne", "umap"]

_MOST_GROUPS = 20
"""Of a colour each; rarer ones are one group."""
_OTHERS = "others"
_FIRST_DIRECTIONS = 50
_STRONG_COLOURS = 10
_MOST_WITHOUT_WEBGL = 5_000
_PALETTES = ("tab10", "tab20")
_PLACE = ("chrom", "start", "end", "strand")


@dataclass(frozen=True, slots=True)
class EmbeddingMap:
    """Points on a plane, and what is known of each."""

    names: list[str]
    xy_N2: NDArray[np.float64]
    groups: list[str]
    """What each is coloured by; "" where nothing is."""
    obs: dict[str, list[str]]
    """Columns of /obs as text."""
    axes: tuple[str, str]
    """What the coordinates are."""
    color: str | None

    @property
    def shown_groups(self) -> dict[str, list[int]]:
        """Rows by group, the largest first; those beyond 20 together."""
        sizes = Counter(self.groups)
        large = [name for name, _ in sizes.most_common(_MOST_GROUPS - (len(sizes) > _MOST_GROUPS))]
        rows: dict[str, list[int]] = {name: [] for name in large}
        for number, name in enumerate(self.groups):
            rows.setdefault(name if name in large else _OTHERS, []).append(number)
        return rows


def make_map(path: Path, *, method: Method, color: str | None, seed: int) -> EmbeddingMap:
    """The points of a file. Raises InputFileError for one without such a column, or with fewer than
    three vectors, UsageError where umap-learn is missing.
    """
    vectors = read_embeddings(path)
    if color is not None and color not in vectors.obs:
        raise InputFileError(path, f"has no column {color!r}; there are {', '.join(vectors.obs)}")
    kept_N = np.flatnonzero(np.isfinite(vectors.X).all(axis=1))
    if n_left_out := len(vectors.X) - len(kept_N):
        log.warning("%s of %s rows have no vector", f"{n_left_out:,}", f"{len(vectors.X):,}")
    if len(kept_N) < 3:
        raise InputFileError(path, f"has {len(kept_N)} vectors; a map needs three or more")
    xy_N2, axes = _coordinates(vectors.X[kept_N], method, seed)
    obs = {name: _texts(vectors, name, kept_N) for name in vectors.obs}
    return EmbeddingMap(
        names=[vectors.names[index] for index in kept_N.tolist()],
        xy_N2=xy_N2,
        groups=obs[color] if color is not None else [""] * len(kept_N),
        obs=obs,
        axes=axes,
        color=color,
    )


def write_table(points: EmbeddingMap, path: Path, *, overwrite: bool) -> None:
    """Name, region, coordinates and the columns of /obs, one row a point; start is 0-based."""
    further = [name for name in points.obs if name not in _PLACE]
    columns = ("name", *_PLACE, "x", "y", *further)
    with TsvWriter(str(path), columns=columns, overwrite=overwrite) as table:
        for number, name in enumerate(points.names):
            place = [points.obs[column][number] for column in _PLACE]
            rest = [points.obs[column][number] for column in further]
            table.write_row((name, *place, *points.xy_N2[number].tolist(), *rest))


def draw(points: EmbeddingMap, path: Path, *, overwrite: bool) -> None:
    """A picture. Raises UsageError if matplotlib is missing, OutputError."""
    figure = new_figure(8, 6)
    from matplotlib import colormaps

    axes = figure.add_subplot()
    size = float(np.clip(15_000 / len(points.names), 4, 30))
    n_groups = len(points.shown_groups)
    colours = colormaps[_PALETTES[n_groups > _STRONG_COLOURS]].colors  # type: ignore[attr-defined]
    for number, (name, rows) in enumerate(points.shown_groups.items()):
        x, y = points.xy_N2[rows].T
        label = f"{name or 'none'} ({len(rows):,})"
        colour = colours[number % len(colours)]
        axes.scatter(x, y, s=size, color=colour, label=label, linewidths=0, alpha=0.8)
    axes.set_xlabel(points.axes[0])
    axes.set_ylabel(points.axes[1])
    if points.color is not None:
        axes.legend(
            title=points.color,
            frameon=False,
            loc="center left",
            bbox_to_anchor=(1, 0.5),
            fontsize=8,
            markerscale=2,
        )
    save_figure(figure, path, overwrite=overwrite)


def write_page(points: EmbeddingMap, path: Path, *, overwrite: bool) -> None:
    """One HTML file that needs no network: a point tells its name, region and columns.

    Raises UsageError if plotly is missing, OutputError.
    """
    objects = plotly()
    figure = objects.Figure()
    # Without WebGL, which browsers on servers may lack, up to a number that stays quick.
    scatter = objects.Scatter if len(points.names) <= _MOST_WITHOUT_WEBGL else objects.Scattergl
    for name, rows in points.shown_groups.items():
        x, y = points.xy_N2[rows].T
        figure.add_trace(
            scatter(
                x=x,
                y=y,
                mode="markers",
                name=f"{name or 'none'} ({len(rows):,})",
                text=[_about(points, row) for row in rows],
                hovertemplate="%{text}<extra></extra>",
                marker={"size": 6, "opacity": 0.8},
            )
        )
    figure.update_layout(
        template="plotly_white",
        xaxis_title=points.axes[0],
        yaxis_title=points.axes[1],
        legend_title=points.color,
        showlegend=points.color is not None,
    )
    save_page(figure, path, overwrite=overwrite)


def _about(points: EmbeddingMap, row: int) -> str:
    """What hovering over a point shows; start is 1-based there, as in regions."""
    from html import escape

    obs = {name: values[row] for name, values in points.obs.items()}
    start = int(obs["start"]) + 1
    region = f"{obs['chrom']}:{start:,}-{int(obs['end']):,} {obs['strand']}"
    lines = [f"<b>{escape(points.names[row])}</b>", escape(region)]
    lines += [f"{escape(k)}: {escape(v)}" for k, v in obs.items() if k not in _PLACE]
    return "<br>".join(lines)


def _texts(vectors: Embeddings, name: str, kept_N: NDArray[np.int64]) -> list[str]:
    values = vectors.obs[name][kept_N].tolist()
    return [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values]


def _coordinates(
    vectors_ND: NDArray[np.float32], method: Method, seed: int
) -> tuple[NDArray[np.float64], tuple[str, str]]:
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    scaled_ND = StandardScaler().fit_transform(vectors_ND.astype(np.float64))
    n_directions = min(_FIRST_DIRECTIONS if method != "pca" else 2, *scaled_ND.shape)
    pca = PCA(n_components=n_directions, svd_solver="full").fit(scaled_ND)
    directions_ND: NDArray[np.float64] = pca.transform(scaled_ND)
    if method == "pca":
        shares = [float(share) for share in pca.explained_variance_ratio_]
        xy_N2 = np.zeros((len(directions_ND), 2))
        xy_N2[:, :n_directions] = directions_ND
        first, second = ([*shares, 0.0])[:2]
        return xy_N2, (f"PC1 ({first:.1%})", f"PC2 ({second:.1%})")
    made: Any
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, (len(directions_ND) - 1) / 3)
        made = TSNE(
            perplexity=perplexity, random_state=seed, init="pca" if n_directions > 1 else "random"
        )
    else:
        try:
            import umap
        except ImportError as error:
            raise UsageError(
                "--method umap needs umap-learn: pip install 'hyenadna[umap]'"
            ) from error
        n_neighbors = min(15, len(directions_ND) - 1)
        made = umap.UMAP(n_neighbors=n_neighbors, random_state=seed, n_jobs=1)
    xy_N2 = np.asarray(made.fit_transform(directions_ND), dtype=np.float64)
    return xy_N2, (f"{method} 1", f"{method} 2")
