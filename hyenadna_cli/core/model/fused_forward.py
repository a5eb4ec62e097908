"""The forward pass without gradients: each number through memory as few times as possible.

    residual (B, L, D), updated in place; for each block of the model
      tiles of positions     norm -> in_proj -> short convolution, first gate   -> gated, gates
      groups of channels     long convolution, skip term, next gate, in place   -> gated
      tiles of positions     gated -> out_proj -> residual -> norm -> fc1, GELU, fc2 -> residual

Nothing larger than the residual stream ever exists: projections and MLP live in a tile. Of long
sequences the later gates are not kept: each is computed from the residual stream, which has not
changed, when its long convolution is done. Spectra of the filters are computed once for a length
and kept while they fit; where they do not, they are computed for a few channels after the others.
"""

# B batch, L positions (one base each), N rows of a tile, D d_model, P projected channels

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from hyenadna_cli.core.model.cost import LONG_BYTES
from hyenadna_cli.core.model.pass_filters import PassFilters
from hyenadna_cli.core.model.weight_cache import WeightCache
from hyenadna_cli.ops import rows, workers
from hyenadna_cli.ops.channels_last import is_served
from hyenadna_cli.ops.dense import dense, packed
from hyenadna_cli.ops.huge_pages import empty_huge
from hyenadna_cli.ops.kernels import Kernels, is_triton
from hyenadna_cli.ops.long_conv import forget_buffers, long_conv_gate
from hyenadna_cli.ops.short_conv import multiply_by_short_conv, short_conv_gate_into

if TYPE_CHECKING:
    from hyenadna_cli.core.model.blocks import Block, Execution, HyenaOperator

_TILE_ROWS = {"numba": 1_024, "torch": 16_384, "triton": 65_536}
"""Positions of a tile in float32: what a thread takes at a time, or all threads, or a GPU, whose
launches must not be many. Twice as many of a thread's tile fit in its cache in bfloat16."""

_ALL = slice(None)

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


@dataclass(frozen=True, slots=True)
class _InWeights:
    """What projects and convolves some channels, as the products and loops want it."""

    weight_PD: Tensor
    bias_P: Tensor
    taps_PK: Tensor
    conv_bias_P: Tensor


class FusedForward:
    """The blocks of a model, applied without gradients."""

    rounds_streams = True
    """With products in bfloat16, to hold what the long convolution reads and gives in it too, where
    the kernels can: half a stream less, and what it gives is rounded next in any case. Of long
    sequences also the residual stream."""

    def __init__(self, execution: Execution, weight_cache: WeightCache, x_BLD: Tensor) -> None:
        """`x_BLD` is the residual stream, which this owns and changes."""
        self._x_BLD = x_BLD
        self._weight_cache = weight_cache
        self._kernels = self._conv_kernels = _kernels(execution.kernels, x_BLD)
        if is_triton(self._kernels):
            self._conv_kernels = execution.long_conv_kernels(x_BLD.shape[1], training=False)
        self._full_dtype = x_BLD.dtype
        self._dtype = execution.matmul_dtype or x_BLD.dtype
        n_batch, n_positions, d_model = x_BLD.shape
        # By the length alone, so that the size of a batch does not show.
        self._is_long = n_positions * d_model * x_BLD.element_size() > LONG_BYTES
        self._on_triton = is_triton(self._kernels)
        self._n_rows = _TILE_ROWS["triton" if self._on_triton else self._kernels]
        if self._kernels == "numba" and self._dtype == torch.bfloat16:
            self._n_rows *= 2
        self._tiles = list(_tiles(n_batch, n_positions, self._n_rows))
        is_rounded = self.rounds_streams and self._kernels == "numba"
        stream_dtype = self._dtype if is_rounded else x_BLD.dtype
        if self._is_long and stream_dtype != x_BLD.dtype:
            self._x_BLD = self._empty(*x_BLD.shape, dtype=stream_dtype).copy_(x_BLD)
            del x_BLD
        self._gated_BLD = self._empty_stream(d_model, dtype=stream_dtype)
        self._filters = PassFilters(
            weight_cache, n_positions, kernels=self._kernels, conv_kernels=self._conv_kernels
        )

    def apply(self, block: Block, *, number: int, n_blocks: int) -> None:
        """Carry the residual stream through block `number` of `n_blocks`."""
        mixer = block.mixer
        filters = self._filters.of(mixer.filter_fn, number=number, n_blocks=n_blocks)
        gates = [] if self._is_long else self._empty_gates(mixer)
        self._mix(block, gates, number=number)
        for index, filters_of in enumerate(filters):
            long_conv_gate(
                self._gated_BLD.permute(2, 0, 1),
                filters_of,
                mixer.filter_fn.bias,
                gates[index].permute(2, 0, 1) if gates else None,
                kernels=self._conv_kernels,
                in_place=True,
            )
            if not gates:
                self._gate(block, index, number=number)
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
        x_BLD, d_model = self._x_BLD, self._x_BLD.shape[-1]
        del self._gated_BLD, self._filters
        if self._is_long:
            forget_buffers(self._conv_kernels)
        normed_BLD = x_BLD if x_BLD.dtype == self._full_dtype else self._empty(*x_BLD.shape)

        def run(tile: _Tile) -> None:
            rows_ND = tile.of(normed_BLD).view(-1, d_model)
            if normed_BLD is not x_BLD:
                rows_ND.copy_(tile.of(x_BLD).view(-1, d_model))
            rows.norm(
                rows_ND, layer.weight, layer.bias, layer.eps, kernels=self._kernels, in_place=True
            )

        self._for_each(run, self._tiles)
        return normed_BLD

    def residual(self) -> Tensor:
        """The residual stream, as a copy."""
        return self._x_BLD.to(self._full_dtype, copy=True)

    def _empty_gates(self, mixer: HyenaOperator) -> list[Tensor]:
        """Room for all later gates (B, L, D), in the order of their use."""
        d_model = self._x_BLD.shape[-1]
        gates_BLG = self._empty_stream((mixer.order - 1) * d_model)
        return list(gates_BLG.split(d_model, dim=-1))

    def _mix(self, block: Block, gates: Sequence[Tensor], *, number: int) -> None:
        """Norm, project, convolve and gate: to the gated input, and to all later gates or none."""
        d_model = self._x_BLD.shape[-1]
        first = 0 if gates else block.mixer.order - 1
        weights = self._in_weights(block, slice(first * d_model, None), number=number)
        n_before = weights.taps_PK.shape[-1] - 1

        def run(tile: _Tile) -> None:
            outputs = [tile.of(stream).permute(2, 0, 1) for stream in (self._gated_BLD, *gates)]
            proj_PBL = self._projected(tile.of(self._x_BLD, n_before=n_before), block, weights)
            short_conv_gate_into(
                outputs, proj_PBL, weights.taps_PK, weights.conv_bias_P, kernels=self._kernels
            )

        self._for_each(run, self._tiles)

    def _gate(self, block: Block, index: int, *, number: int) -> None:
        """Multiply what long convolution `index` gave by the gate behind it, computed only now."""
        d_model = self._x_BLD.shape[-1]
        part = block.mixer.order - 2 - index
        channels = slice(part * d_model, (part + 1) * d_model)
        weights = self._in_weights(block, channels, number=number)
        n_before = weights.taps_PK.shape[-1] - 1

        def run(tile: _Tile) -> None:
            proj_DBL = self._projected(tile.of(self._x_BLD, n_before=n_before), block, weights)
            multiply_by_short_conv(
                tile.of(self._gated_BLD).permute(2, 0, 1),
                proj_DBL,
                weights.taps_PK,
                weights.conv_bias_P,
                kernels=self._kernels,
            )

        self._for_each(run, self._tiles)

    def _in_weights(self, block: Block, channels: slice, *, number: int) -> _InWeights:
        """Of some projected channels."""
        mixer, conv = block.mixer, block.mixer.short_filter
        key = (number, "in", channels.start, channels.stop)
        return _InWeights(
            self._weight((*key, "weight"), mixer.in_proj.weight, channels, cast=True),
            self._weight((*key, "bias"), mixer.in_proj.bias, channels, cast=True),
            self._weight((*key, "taps"), conv.weight, channels, cast=False)[:, 0],
            self._weight((*key, "conv bias"), conv.bias, channels, cast=False),
        )

    def _projected(self, x_BLD: Tensor, block: Block, weights: _InWeights) -> Tensor:
        """Norm and products (P, B, L), in memory as the kernels want it: channels last or first."""
        x_ND = self._norm(x_BLD.to(self._full_dtype), block.norm1)
        if self._on_triton:
            proj_PN = torch.addmm(weights.bias_P[:, None], weights.weight_PD, x_ND.T)
        else:
            proj_PN = dense(x_ND, weights.weight_PD, weights.bias_P).T
        return proj_PN.view(-1, *x_BLD.shape[:2])

    def _finish(self, block: Block, *, number: int) -> None:
        """From the gated convolutions to the residual stream after the block."""
        d_model = self._x_BLD.shape[-1]
        (out, out_bias), (fc1, fc1_bias), (fc2, fc2_bias) = (
            (
                self._weight((number, name, "w"), layer.weight, _ALL, cast=True),
                self._weight((number, name, "b"), layer.bias, _ALL, cast=True),
            )
            for name, layer in (
                ("out", block.mixer.out_proj),
                ("fc1", block.mlp.fc1),
                ("fc2", block.mlp.fc2),
            )
        )

        def run(tile: _Tile) -> None:
            kept_ND = tile.of(self._x_BLD).view(-1, d_model)
            x_ND = kept_ND.to(self._full_dtype)  # itself, unless it is rounded
            y_ND = tile.of(self._gated_BLD).reshape(-1, d_model).to(self._dtype)
            mixed_ND = dense(y_ND, out, out_bias)
            hidden = dense(self._norm(x_ND, block.norm2, delta_ND=mixed_ND), fc1, fc1_bias)
            rows.gelu_(hidden, kernels=self._kernels)
            rows.add_(x_ND, dense(hidden, fc2, fc2_bias), kernels=self._kernels)
            if x_ND is not kept_ND:
                kept_ND.copy_(x_ND)

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

    def _weight(self, key: object, weight: Tensor | None, rows_of: slice, *, cast: bool) -> Tensor:
        """Some rows of a weight as the products want it, in their precision."""
        assert weight is not None
        dtype = self._dtype if cast else weight.dtype
        is_packed = cast and weight.ndim == 2 and self._kernels == "numba"
        if dtype == weight.dtype and not is_packed:
            return weight.detach()[rows_of]

        def make() -> Tensor:
            made = weight.detach()[rows_of].to(dtype)
            return packed(made, n_rows=self._n_rows) if is_packed else made

        return self._weight_cache.get((key, dtype, is_packed), [weight], make)

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
        dtype = dtype or self._full_dtype
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
