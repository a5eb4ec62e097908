"""The long filters of a model: how strong they are, and how far back they reach.

A filter is its taps: tap k weighs what lies k bases back. Tap 0 has the direct path (`bias`) too.

| number | of a filter |
|---|---|
| magnitude | root of the sum of squared taps |
| length_50, length_95 | the fewest taps, from tap 0 on, that hold 50 and 95 % of that sum |

The effective context of the model is that of a path that takes a tap of every filter from the first
block to the last, each as often as its share of the squares of the block's channels says: median
and 95 % of the bases that it goes back. It is what the filters allow; what a model makes of a base
so far back, dependency maps tell.

Filters are smooth: of models that read more than 65,536 bases, every n-th tap stands for its
neighbours.
"""

# D d_model, L taps, F width of the filter's MLP

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from hyenadna_cli.core.dna.coordinates import to_one_based
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.model.blocks import Block
from hyenadna_cli.core.model.filters import ImplicitFilter
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.figures import new_figure, save_figure

COLUMNS = ("layer", "filter", "channel", "magnitude", "length_50", "length_95")
SHARES = (0.5, 0.95)
_CHANNELS_AT_ONCE = 16
_MAX_TAPS = 65_536
_BINS_PER_DOUBLING = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LayerFilter:
    """One filter of a block, for all channels."""

    layer: int
    """From 1 on."""
    number: int
    """Of the block's filters, from 1 on; of order 2 there is one."""
    magnitudes: Floats
    """(D,)"""
    lengths: NDArray[np.int64]
    """(D, 2): taps that hold the shares of SHARES."""
    squares: Floats
    """(L / step,): squared taps, summed over channels and over `step` taps."""
    step: int


def layer_filters(model: HyenaDNA) -> Iterator[LayerFilter]:
    """Every filter of every block over all positions that the model reads."""
    for layer, block in enumerate(model.backbone.layers, start=1):
        assert isinstance(block, Block)
        of_block = block.mixer.filter_fn
        for number in range(of_block.n_filters):
            yield _layer_filter(of_block, layer, number, model.config.l_max)


@torch.inference_mode()
def _layer_filter(of: ImplicitFilter, layer: int, number: int, n_taps: int) -> LayerFilter:
    step = -(-n_taps // _MAX_TAPS)
    hidden_LF = of.hidden(slice(0, n_taps, step))
    d_model = len(of.bias)
    squares, magnitudes, lengths = np.zeros(len(hidden_LF)), [], []
    for first in range(0, d_model, _CHANNELS_AT_ONCE):
        channels = slice(first, min(first + _CHANNELS_AT_ONCE, d_model))
        taps_DL = of.taps(hidden_LF, number, channels, step=step).double().cpu().numpy()
        squares_DL = np.square(taps_DL) * step
        direct_D = taps_DL[:, 0] + of.bias[channels].double().cpu().numpy()
        squares_DL[:, 0] += np.square(direct_D) - np.square(taps_DL[:, 0])
        squares += squares_DL.sum(axis=0)
        for squares_L in squares_DL:
            magnitudes.append(np.sqrt(squares_L.sum()))
            lengths.append(shares_within(squares_L))
    taps = np.array(lengths) * step + 1
    return LayerFilter(layer, number + 1, np.array(magnitudes), taps, squares, step)


def shares_within(weights: Floats) -> list[int]:
    """The first index up to which (inclusive) each of SHARES of the sum lies; 0 where it is 0."""
    total = np.cumsum(weights)
    # Not beyond the last: a share of a sum that was rounded.
    return [int(np.searchsorted(total, min(share * total[-1], total[-1]))) for share in SHARES]


def effective_context(filters: Iterable[LayerFilter]) -> list[int]:
    """Bases that a path through all filters goes back: median and 95 %; at most l_max - 1."""
    path, step = np.ones(1), 1
    for of in filters:
        step = of.step
        total = of.squares.sum()
        share = of.squares / total if total else np.eye(1, len(of.squares))[0]
        # Further than the model reads nothing goes; rounding leaves negative shares.
        path = np.maximum(fftconvolve(path, share), 0.0)[: len(share)]
    return [distance * step for distance in shares_within(path)]


def write_table(filters: list[LayerFilter], path: Path, *, overwrite: bool) -> None:
    """A row for each channel, as TSV; layers, filters and channels are counted from 1."""
    with TsvWriter(str(path), columns=COLUMNS, overwrite=overwrite) as table:
        for of in filters:
            for channel, (size, lengths) in enumerate(zip(of.magnitudes, of.lengths, strict=True)):
                table.write_row((of.layer, of.number, to_one_based(channel), size, *lengths))


def draw(filters: list[LayerFilter], path: Path, *, title: str, overwrite: bool) -> None:
    """Magnitude of taps against distance, and the length of every channel, a colour a layer.

    Raises UsageError if matplotlib is missing, OutputError if `path` cannot be written.
    """
    figure = new_figure(9.5, 4.2)
    by_distance, by_channel = figure.subplots(1, 2)
    for place, of in enumerate(filters):
        many = f", filter {of.number}" if any(other.number > 1 for other in filters) else ""
        colour = f"C{place % 10}"
        by_distance.plot(*_curve(of), color=colour, label=f"layer {of.layer}{many}")
        ordered = of.lengths[np.argsort(of.lengths[:, 1], kind="stable")]
        rank = np.arange(1, len(ordered) + 1)
        by_channel.plot(rank, ordered[:, 1], color=colour, linewidth=1.6)
        by_channel.plot(rank, ordered[:, 0], ".", color=colour, markersize=2.5)
    by_distance.set(xscale="log", yscale="log", xlabel="bases back", ylabel="tap (rms of channels)")
    by_channel.set(yscale="log", xlabel="channels, the shortest first", ylabel="effective length")
    by_channel.set_title("taps that hold 95 % (lines) and 50 % (dots) of the squares", fontsize=9)
    by_distance.set_title("magnitude", fontsize=9)
    by_distance.legend(frameon=False, fontsize=8)
    for axes in (by_distance, by_channel):
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=10)
    save_figure(figure, path, overwrite=overwrite)


def _curve(of: LayerFilter) -> tuple[Floats, Floats]:
    """Root mean square of the taps from 1 on, in bins of equal width on a logarithmic axis."""
    distances = np.arange(1, len(of.squares)) * of.step
    bins = np.floor(np.log2(distances) * _BINS_PER_DOUBLING).astype(np.int64)
    n_taps = np.bincount(bins)
    is_used = n_taps > 0
    mean = np.bincount(bins, weights=of.squares[1:])[is_used] / n_taps[is_used]
    middle = np.bincount(bins, weights=distances)[is_used] / n_taps[is_used]
    return middle, np.sqrt(mean / len(of.magnitudes) / of.step)
