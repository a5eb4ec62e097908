"""Dependency maps as pictures: a heat map with the sequence beside it, and its strongest pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna.coordinates import to_one_based
from hyenadna_cli.core.interpretation.dependency_file import DependencyMap
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, save_figure

COLUMNS = ("chrom", "query", "query_base", "target", "target_base", "dependency")
_MAX_PAIRS = 1_000
_MAX_PIXELS = 1_200
_MAX_LETTERS = 80
_SHOWN_QUANTILE = 0.995


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


def draw(shown: DependencyMap, path: Path, *, overwrite: bool) -> None:
    """The map, queries from top to bottom and targets from left to right.

    The colours end at the 99.5th percentile. Raises UsageError if matplotlib is missing,
    OutputError if `path` cannot be written.
    """
    region, n_bases = shown.region, len(shown.sequence)
    binned, width = _binned(shown.values)
    edges = (to_one_based(region.start) - 0.5, to_one_based(region.end) - 0.5)
    figure = new_figure(7.2, 6.4)
    heat = figure.subplots()
    finite = binned[np.isfinite(binned)]
    image = heat.imshow(
        binned,
        aspect="auto",
        interpolation="nearest",
        cmap="magma_r",
        vmin=0.0,
        vmax=float(np.quantile(finite, _SHOWN_QUANTILE)) if finite.size else 1.0,
        extent=(edges[0], edges[0] + width * len(binned), edges[0] + width * len(binned), edges[0]),
    )
    heat.set_facecolor("0.9")
    heat.set_xlim(*edges)
    heat.set_ylim(*reversed(edges))
    heat.set_title(f"{region}{f', {shown.model}' if shown.model else ''}", fontsize=10)
    heat.set_ylabel("changed base (query)")
    heat.set_xlabel(f"predicted base (target), {region.contig}, 1-based")
    if n_bases <= _MAX_LETTERS:
        places = np.arange(n_bases) + to_one_based(region.start)
        size = min(9.0, 420 / n_bases)
        heat.set_xticks(places, list(shown.sequence), fontsize=size)
        heat.set_yticks(places, list(shown.sequence), fontsize=size)
    else:
        heat.ticklabel_format(style="plain", useOffset=False)
    bar = figure.colorbar(image, ax=heat, pad=0.01)
    bar.set_label("largest change of log2 odds", fontsize=9)
    save_figure(figure, path, overwrite=overwrite)


def _binned(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """The largest value of each square of so many bases."""
    width = -(-len(values) // _MAX_PIXELS)
    if width == 1:
        return values, 1
    n_bins = -(-len(values) // width)
    padded = np.full((n_bins * width, n_bins * width), np.nan, np.float32)
    padded[: len(values), : len(values)] = values
    squares = padded.reshape(n_bins, width, n_bins, width)
    largest = np.where(np.isnan(squares), -np.inf, squares).max(axis=(1, 3))
    return np.where(np.isneginf(largest), np.nan, largest).astype(np.float32), width
