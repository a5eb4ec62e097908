"""The filters of a pass without gradients: kept spectra, or taps that are made when needed."""

# L positions, D d_model, F width of the filter MLP

from __future__ import annotations

import functools
from collections.abc import Sequence

from torch import Tensor

from hyenadna_cli.core.model.filters import ImplicitFilter
from hyenadna_cli.core.model.weight_cache import WeightCache
from hyenadna_cli.ops import workers
from hyenadna_cli.ops.huge_pages import empty_huge
from hyenadna_cli.ops.kernels import Kernels, is_triton
from hyenadna_cli.ops.long_conv import (
    Spectra,
    Taps,
    filter_spectra,
    served_positions,
    spectra_bytes,
)

_PIECE = 16_384
"""Positions of the filter MLP at once."""


class PassFilters:
    """Where the blocks of one pass have their filters from."""

    def __init__(
        self,
        weight_cache: WeightCache,
        n_positions: int,
        *,
        kernels: Kernels,
        conv_kernels: Kernels,
    ) -> None:
        self._weight_cache, self._n_positions = weight_cache, n_positions
        self._kernels, self._conv_kernels = kernels, conv_kernels
        self._hidden_LF: Tensor | None = None

    def of(
        self, filter_fn: ImplicitFilter, *, number: int, n_blocks: int
    ) -> Sequence[Spectra | Taps]:
        """Those of block `number`, in the order of their use; good until the next block's.

        Spectra, where those of all `n_blocks` can be kept: of the longest input with the same
        transform, so that inputs of many lengths share a few.
        """
        d_model = len(filter_fn.bias)
        n_taps = min(
            served_positions(self._n_positions, kernels=self._conv_kernels),
            filter_fn.pos_emb.z.shape[1],
        )
        n_bytes = (
            n_blocks
            * filter_fn.n_filters
            * spectra_bytes(d_model, n_taps, kernels=self._conv_kernels)
        )
        if n_bytes <= self._weight_cache.max_bytes:
            weights = list(filter_fn.parameters())
            key = ("spectra", number, n_taps, self._kernels, self._conv_kernels)
            return [
                self._weight_cache.get(
                    (*key, index),
                    weights,
                    functools.partial(self._spectra, filter_fn, index, n_taps),
                )
                for index in range(filter_fn.n_filters)
            ]
        if is_triton(self._kernels):
            taps = filter_fn(self._n_positions, kernels=self._kernels)
            return [_rows_of(taps_DL) for taps_DL in taps]
        hidden_LF = self._hidden(filter_fn, self._n_positions)
        return [
            functools.partial(filter_fn.taps, hidden_LF, index, kernels=self._kernels)
            for index in range(filter_fn.n_filters)
        ]

    def _spectra(self, filter_fn: ImplicitFilter, index: int, n_taps: int) -> Spectra:
        if is_triton(self._kernels):
            taps_DL = filter_fn(n_taps, kernels=self._kernels)[index]
        else:
            hidden_LF = self._hidden(filter_fn, n_taps)
            channels = slice(0, len(filter_fn.bias))
            taps_DL = filter_fn.taps(hidden_LF, index, channels, kernels=self._kernels)
        return filter_spectra(taps_DL, kernels=self._conv_kernels)

    def _hidden(self, filter_fn: ImplicitFilter, n_positions: int) -> Tensor:
        """What the filter MLP gives before its last layer, (L, F), in memory that blocks share."""
        hidden_LF = self._hidden_LF
        if hidden_LF is None or hidden_LF.shape != (n_positions, filter_fn.width):
            like = filter_fn.bias
            hidden_LF = self._hidden_LF = (
                empty_huge(n_positions, filter_fn.width, dtype=like.dtype)
                if like.device.type == "cpu"
                else like.new_empty(n_positions, filter_fn.width)
            )

        def run(part: range) -> None:
            rows = slice(part.start, part.stop)
            hidden_LF[rows].copy_(filter_fn.hidden(rows, kernels=self._kernels))

        pieces = workers.pieces(n_positions, -(-n_positions // _PIECE))
        if self._kernels == "numba":
            workers.for_each(run, pieces)
        else:
            for part in pieces:
                run(part)
        return hidden_LF


def _rows_of(taps_DL: Tensor) -> Taps:
    """Taps that are there already."""
    return lambda rows_of: taps_DL[rows_of]
