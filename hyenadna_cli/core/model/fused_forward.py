"""The forward pass without gradients: each number through memory as few times as possible.

    residual (B, L, D), updated in place; for each block of the model
      for each group of channels
        tiles of positions   norm -> in_proj -> short convolution, first gate   -> gated, gates
        subgroups of them    long convolution, skip term, next gate, in place   -> gated
      tiles of positions     gated -> out_proj -> residual -> norm -> fc1, GELU, fc2 -> residual

Nothing larger than the residual stream ever exists: projections and MLP live in a tile. Spectra
of the filters are computed once for a length and kept while they fit; where they do not, they are
computed for a few channels after the others.
"""

# B batch, L positions (one base each), N rows of a tile, D d_model, C channels of a group,
# P = (order + 1) * C projected channels, F width of the filter MLP

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from hyenadna_cli.core.model.weight_cache import WeightCache
from hyenadna_cli.ops import rows, workers
from hyenadna_cli.ops.channels_last import is_served
from hyenadna_cli.ops.dense import dense, packed
from hyenadna_cli.ops.huge_pages import empty_huge
from hyenadna_cli.ops.kernels import Kernels, is_triton
from hyenadna_cli.ops.long_conv import (
    Spectra,
    Taps,
    filter_spectra,
    long_conv_gate,
    served_positions,
    spectra_bytes,
)
from hyenadna_cli.ops.short_conv import short_conv_gate_into

if TYPE_CHECKING:
    from hyenadna_cli.core.model.blocks import Block, Execution, HyenaOperator
    from hyenadna_cli.core.model.filters import ImplicitFilter

_TILE_ROWS = {"numba": 1_024, "torch": 16_384, "triton": 65_536}
"""Positions of a tile in float32: what a thread takes at a time, or all threads, or a GPU, whose
launches must not be many. Twice as many of a thread's tile fit in its cache in bfloat16."""

_GATE_BYTES = 256 << 20
"""Gates that wait for the long convolution are kept for as many channels as fit into this."""

_CHANNEL_STEP = 64
"""Groups of channels are multiples of this, so that the products with them stay efficient."""

_PIECE = 16_384
"""Positions of the filter MLP at once."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Tile:
    """Positions that are done together: whole sequences, or a part of one."""

    sequences: slice
    positions: slice

    def of(self, x_BLD: Tensor, *, n_before: int = 0) -> Tensor:
        """Its rows and up to `n_before` positions in front of them."""
        first = max(0, self.positions.start - n_before)
        return x_BLD[self.sequences, first : self.positions.stop]


class FusedForward:
    """The blocks of a model, applied without gradients."""

    rounds_streams = True
    """With products in bfloat16, to hold what the long convolution reads and gives in it too, where
    the kernels can: half a stream less, and what it gives is rounded next in any case."""

    def __init__(self, execution: Execution, weight_cache: WeightCache, x_BLD: Tensor) -> None:
        """`x_BLD` is the residual stream, which this owns and changes."""
        self._x_BLD = x_BLD
        self._weight_cache = weight_cache
        self._kernels = self._conv_kernels = _kernels(execution.kernels, x_BLD)
        if is_triton(self._kernels):
            self._conv_kernels = execution.long_conv_kernels(x_BLD.shape[1], training=False)
        self._dtype = execution.matmul_dtype or x_BLD.dtype
        n_batch, n_positions, _ = x_BLD.shape
        self._on_triton = is_triton(self._kernels)
        self._n_rows = _TILE_ROWS["triton" if self._on_triton else self._kernels]
        if self._kernels == "numba" and self._dtype == torch.bfloat16:
            self._n_rows *= 2
        self._tiles = list(_tiles(n_batch, n_positions, self._n_rows))
        is_rounded = self.rounds_streams and self._kernels == "numba"
        gated_dtype = self._dtype if is_rounded else x_BLD.dtype
        self._gated_BLD = self._empty_stream(x_BLD.shape[-1], dtype=gated_dtype)

    def apply(self, block: Block, *, number: int, n_blocks: int) -> None:
        """Carry the residual stream through block `number` of `n_blocks`."""
        mixer = block.mixer
        d_model = self._x_BLD.shape[-1]
        width = self._group_width(mixer)
        filters = self._filters(mixer.filter_fn, number=number, n_blocks=n_blocks)
        gates_BLG = self._empty_stream(width * (mixer.order - 1))
        for start in range(0, d_model, width):
            channels = slice(start, min(start + width, d_model))
            self._mix(block, channels, gates_BLG, number=number)
            for index, filters_of in enumerate(filters):
                gates = gates_BLG[..., index * width : index * width + channels.stop - start]
                long_conv_gate(
                    self._gated_BLD[..., channels].permute(2, 0, 1),
                    filters_of if width == d_model else _shifted(filters_of, channels),
                    mixer.filter_fn.bias[channels],
                    gates.permute(2, 0, 1),
                    kernels=self._conv_kernels,
                    in_place=True,
                )
        self._finish(block, number=number)

    def leave_out(self, n_positions: int) -> None:
        """From now on do nothing to the first positions that is done to each by itself."""
        if n_positions == 0:
            return
        n_batch, length, _ = self._x_BLD.shape
        n_left = length - n_positions
        # Each of one sequence: the rows of several are no longer behind one another.
        self._tiles = [
            _Tile(slice(row, row + 1), slice(part.start + n_positions, part.stop + n_positions))
            for row in range(n_batch)
            for part in workers.pieces(n_left, -(-n_left // self._n_rows))
        ]

    def normed(self, layer: nn.LayerNorm) -> Tensor:
        """The residual stream, normed in place; nothing can follow."""
        self._for_each(
            lambda tile: rows.norm(
                tile.of(self._x_BLD).reshape(-1, self._x_BLD.shape[-1]),
                layer.weight,
                layer.bias,
                layer.eps,
                kernels=self._kernels,
                in_place=True,
            ),
            self._tiles,
        )
        return self._x_BLD

    def residual(self) -> Tensor:
        """The residual stream, as a copy."""
        return self._x_BLD.clone()

    def _mix(self, block: Block, channels: slice, gates_BLG: Tensor, *, number: int) -> None:
        """Norm, project and convolve a group of channels: to the gated input and the gates."""
        mixer = block.mixer
        d_model, width = self._x_BLD.shape[-1], channels.stop - channels.start
        in_rows = torch.cat(
            [
                torch.arange(channels.start, channels.stop) + part * d_model
                for part in range(mixer.order + 1)
            ]
        )
        picked = None if width == d_model else in_rows
        key = (number, "in", channels.start, channels.stop)
        weight_PD = self._weight((*key, "weight"), mixer.in_proj.weight, picked, cast=True)
        bias_P = self._weight((*key, "bias"), mixer.in_proj.bias, picked, cast=True)
        conv = mixer.short_filter
        taps_PK = self._weight((*key, "taps"), conv.weight, picked, cast=False)[:, 0]
        conv_bias_P = self._weight((*key, "conv bias"), conv.bias, picked, cast=False)
        n_before = taps_PK.shape[-1] - 1
        step = gates_BLG.shape[-1] // (mixer.order - 1)

        def run(tile: _Tile) -> None:
            x_BLD = tile.of(self._x_BLD, n_before=n_before)
            normed_ND = self._norm(x_BLD, block.norm1)
            gates = tile.of(gates_BLG)
            outputs = [tile.of(self._gated_BLD)[..., channels]]
            outputs += [gates[..., at : at + width] for at in range(0, gates.shape[-1], step)]
            short_conv_gate_into(
                [output.permute(2, 0, 1) for output in outputs],
                self._projected(normed_ND, weight_PD, bias_P).unflatten(1, x_BLD.shape[:2]),
                taps_PK,
                conv_bias_P,
                kernels=self._kernels,
            )

        self._for_each(run, self._tiles)

    def _projected(self, x_ND: Tensor, weight_PD: Tensor, bias_P: Tensor) -> Tensor:
        """Products (P, N), in memory as the kernels want them: channels last, or first."""
        if not self._on_triton:
            return dense(x_ND, weight_PD, bias_P).T
        return torch.addmm(bias_P[:, None], weight_PD, x_ND.T)

    def _finish(self, block: Block, *, number: int) -> None:
        """From the gated convolutions to the residual stream after the block."""
        d_model = self._x_BLD.shape[-1]
        (out, out_bias), (fc1, fc1_bias), (fc2, fc2_bias) = (
            (
                self._weight((number, name, "w"), layer.weight, None, cast=True),
                self._weight((number, name, "b"), layer.bias, None, cast=True),
            )
            for name, layer in (
                ("out", block.mixer.out_proj),
                ("fc1", block.mlp.fc1),
                ("fc2", block.mlp.fc2),
            )
        )

        def run(tile: _Tile) -> None:
            x_ND = tile.of(self._x_BLD).view(-1, d_model)
            y_ND = tile.of(self._gated_BLD).reshape(-1, d_model).to(self._dtype)
            mixed_ND = dense(y_ND, out, out_bias)
            hidden = dense(self._norm(x_ND, block.norm2, delta_ND=mixed_ND), fc1, fc1_bias)
            rows.gelu_(hidden, kernels=self._kernels)
            rows.add_(x_ND, dense(hidden, fc2, fc2_bias), kernels=self._kernels)

        self._for_each(run, self._tiles)

    def _norm(self, x: Tensor, layer: nn.LayerNorm, *, delta_ND: Tensor | None = None) -> Tensor:
        return rows.norm(
            x.reshape(-1, x.shape[-1]),
            layer.weight,
            layer.bias,
            layer.eps,
            kernels=self._kernels,
            dtype=self._dtype,
            delta_ND=delta_ND,
        )

    def _weight(
        self, key: object, weight: Tensor | None, picked: Tensor | None, *, cast: bool
    ) -> Tensor:
        """A weight as the products want it: some of its rows, in their precision."""
        assert weight is not None
        dtype = self._dtype if cast else weight.dtype
        is_packed = cast and weight.ndim == 2 and self._kernels == "numba"
        if picked is None and dtype == weight.dtype and not is_packed:
            return weight.detach()

        def make() -> Tensor:
            rows_of = (
                weight.detach() if picked is None else weight.detach()[picked.to(weight.device)]
            )
            rows_of = rows_of.to(dtype)
            return packed(rows_of, n_rows=self._n_rows) if is_packed else rows_of

        return self._weight_cache.get((key, dtype, is_packed), [weight], make)

    def _filters(
        self, filter_fn: ImplicitFilter, *, number: int, n_blocks: int
    ) -> Sequence[Spectra | Taps]:
        """The filters in the order of their use: transformed, or their taps when asked for.

        Spectra are those of the longest input with the same transform, so that inputs of many
        lengths share a few.
        """
        n_positions, d_model = self._x_BLD.shape[1:]
        n_taps = min(
            served_positions(n_positions, kernels=self._conv_kernels),
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

            def make(index: int) -> Spectra:
                if self._on_triton:
                    taps_DL = filter_fn(n_taps, kernels=self._kernels)[index]
                else:
                    hidden_LF = self._hidden(filter_fn, n_taps)
                    channels = slice(0, d_model)
                    taps_DL = filter_fn.taps(hidden_LF, index, channels, kernels=self._kernels)
                return filter_spectra(taps_DL, kernels=self._conv_kernels)

            return [
                self._weight_cache.get((*key, index), weights, functools.partial(make, index))
                for index in range(filter_fn.n_filters)
            ]
        if self._on_triton:
            taps = filter_fn(n_positions, kernels=self._kernels)
            return [_rows_of(taps_DL) for taps_DL in taps]
        hidden_LF = self._hidden(filter_fn, n_positions)
        return [
            functools.partial(filter_fn.taps, hidden_LF, index, kernels=self._kernels)
            for index in range(filter_fn.n_filters)
        ]

    def _hidden(self, filter_fn: ImplicitFilter, n_positions: int) -> Tensor:
        """What the filter MLP gives before its last layer, (L, F)."""
        hidden_LF = self._empty(n_positions, filter_fn.width)
        pieces = [
            slice(start, min(start + _PIECE, n_positions))
            for start in range(0, n_positions, _PIECE)
        ]
        self._for_each(lambda piece: hidden_LF[piece].copy_(filter_fn.hidden(piece)), pieces)
        return hidden_LF

    def _group_width(self, mixer: HyenaOperator) -> int:
        """Channels whose gates are in memory at once."""
        n_batch, n_positions, d_model = self._x_BLD.shape
        n_bytes = n_batch * n_positions * (mixer.order - 1) * self._x_BLD.element_size()
        width = _GATE_BYTES // max(1, n_bytes) // _CHANNEL_STEP * _CHANNEL_STEP
        return min(d_model, max(_CHANNEL_STEP, width))

    def _for_each(self, work: Callable[[Item], object], items: Iterable[Item]) -> None:
        if self._kernels == "numba":
            workers.for_each(work, items)
        else:
            for item in items:
                work(item)

    def _empty_stream(self, n_channels: int, *, dtype: torch.dtype | None = None) -> Tensor:
        """A new (B, L, C); channels are first in memory for the kernels that want whole rows."""
        n_batch, n_positions, _ = self._x_BLD.shape
        if self._on_triton:
            return self._empty(n_channels, n_batch, n_positions).permute(1, 2, 0)
        return self._empty(n_batch, n_positions, n_channels, dtype=dtype)

    def _empty(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        dtype = dtype or self._x_BLD.dtype
        if self._x_BLD.device.type == "cpu":
            return empty_huge(*shape, dtype=dtype)
        return self._x_BLD.new_empty(shape, dtype=dtype)


def _kernels(requested: Kernels, x_BLD: Tensor) -> Kernels:
    """Those asked for where they serve numbers like these."""
    if requested == "numba" and is_served(x_BLD):
        return "numba"
    return requested if is_triton(requested) and x_BLD.dtype == torch.float32 else "torch"


def _tiles(n_batch: int, n_positions: int, n_rows: int) -> Iterable[_Tile]:
    if not n_positions:  # a piece of a sequence that has fewer positions than processes
        return
    # Rounded: suffixes a few rows longer than half a tile still go two at a time.
    n_sequences = max(1, round(n_rows / n_positions))
    for first in range(0, n_batch, n_sequences):
        sequences = slice(first, min(first + n_sequences, n_batch))
        for part in workers.pieces(n_positions, -(-n_positions // n_rows)):
            yield _Tile(sequences, slice(part.start, part.stop))


def _rows_of(taps_DL: Tensor) -> Taps:
    """Taps that are there already."""
    return lambda rows_of: taps_DL[rows_of]


def _shifted(filters: Spectra | Taps, channels: slice) -> Spectra | Taps:
    """The filters of a group of channels."""
    if isinstance(filters, Spectra):
        return filters.of(channels)
    return lambda part: filters(
        slice(channels.start + part.start, min(channels.start + part.stop, channels.stop))
    )
