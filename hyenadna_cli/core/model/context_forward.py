"""The forward pass without gradients over the own piece of a sequence that processes share.

As `fused_forward`, behind the few rows of the piece before that the short convolution looks back
at. Each group of channels goes to its processes for the long convolution, and comes back.
"""

# B batch, L positions of the sequence, S of this process, D d_model, C = D / N channels

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hyenadna_cli.core.model.context import Context
from hyenadna_cli.core.model.fused_forward import FusedForward
from hyenadna_cli.core.model.weight_cache import WeightCache
from hyenadna_cli.ops.kernels import is_triton
from hyenadna_cli.ops.long_conv import Spectra, filter_spectra, long_conv_gate, spectra_bytes

if TYPE_CHECKING:
    from hyenadna_cli.core.model.blocks import Block, Execution
    from hyenadna_cli.core.model.filters import ImplicitFilter


_GROUP_CHANNELS, _GROUP_BYTES = 16, 64 << 20
"""What a process convolves of one exchange: this number of channels or bytes, whichever is more."""
_ROWS = 16_384
"""Positions of the filter network at once."""


class ContextForward(FusedForward):
    """The blocks of a model, applied without gradients to a piece of a sequence."""

    rounds_streams = False

    def __init__(
        self,
        execution: Execution,
        weight_cache: WeightCache,
        x_BSD: Tensor,
        *,
        context: Context,
        n_lookback: int,
    ) -> None:
        """`n_lookback` rows of the piece before are kept in front of the own ones."""
        before_BKD = context.lookback(x_BSD, n_lookback)
        super().__init__(execution, weight_cache, torch.cat([before_BKD, x_BSD], dim=1))
        if is_triton(self._kernels):
            self._conv_kernels = execution.long_conv_kernels(context.n_positions, training=False)
        self._context, self._n_lookback = context, n_lookback
        self._before, self._own = before_BKD.shape[1], slice(before_BKD.shape[1], None)

    def apply(self, block: Block, *, number: int, n_blocks: int) -> None:
        """Carry the residual stream through block `number` of `n_blocks`."""
        context, mixer, own = self._context, block.mixer, self._own
        d_model = self._x_BLD.shape[-1]
        self._x_BLD[:, : self._before] = context.lookback(self._x_BLD[:, own], self._n_lookback)
        gates = [] if self._is_long else self._empty_gates(mixer)
        self._mix(block, gates, number=number)
        n_bytes = context.n_positions * len(self._x_BLD) * self._x_BLD.element_size()
        step = context.size * max(_GROUP_CHANNELS, _GROUP_BYTES // n_bytes)
        filters_of = self._own_filters(mixer.filter_fn, number=number, n_blocks=n_blocks)
        for index in range(mixer.order - 1):
            for first in range(0, d_model, step):
                part = slice(first, min(first + step, d_model))
                gates_BSG = gates[index][:, own, part] if gates else None
                self._convolve(part, gates_BSG, mixer.filter_fn.bias, filters_of(index, part))
            if not gates:
                self._gate(block, index, number=number)
        self._finish(block, number=number)

    def _convolve(
        self,
        channels: slice,
        gates_BSG: Tensor | None,
        skip_D: Tensor,
        filters: Spectra | Tensor,
    ) -> None:
        """Convolve and gate some channels, a part of which this process convolves."""
        context = self._context
        part = context.channels(channels.stop - channels.start)
        gated_GBS = self._gated_BLD[:, self._own, channels].permute(2, 0, 1)
        v_CBL = long_conv_gate(
            context.to_channels(gated_GBS),
            filters,
            skip_D[channels][part],
            kernels=self._conv_kernels,
            in_place=True,
        )
        v_GBS = context.to_positions(v_CBL)
        if gates_BSG is None:
            gated_GBS.copy_(v_GBS)
        else:
            torch.mul(v_GBS, gates_BSG.permute(2, 0, 1), out=gated_GBS)

    def normed(self, layer: nn.LayerNorm) -> Tensor:
        """The own rows of the residual stream, normed in place; nothing can follow."""
        return super().normed(layer)[:, self._own]

    def residual(self) -> Tensor:
        """The own rows of the residual stream, as a copy."""
        return self._x_BLD[:, self._own].clone()

    def _own_filters(
        self, filter_fn: ImplicitFilter, *, number: int, n_blocks: int
    ) -> Callable[[int, slice], Spectra | Tensor]:
        """From a filter's index and a group of channels to those that this process convolves.

        All processes ask for the same groups, in the same order.
        """
        context = self._context
        piece, n_positions = context.piece(), context.n_positions

        @functools.cache
        def hidden() -> Tensor:
            hidden_SF = self._empty(piece.stop - piece.start, filter_fn.width)
            for start in range(0, len(hidden_SF), _ROWS):
                rows = slice(start, min(start + _ROWS, len(hidden_SF)))
                positions = slice(piece.start + rows.start, piece.start + rows.stop)
                hidden_SF[rows] = filter_fn.hidden(positions, kernels=self._kernels)
            return hidden_SF

        def taps(index: int, channels: slice) -> Tensor:
            if self._on_triton:
                n_own = piece.stop - piece.start
                all_taps = filter_fn(n_own, first=piece.start, kernels=self._kernels)
                taps_DS = all_taps[index][channels]
            else:
                taps_DS = filter_fn.taps(
                    hidden(), index, channels, kernels=self._kernels, first=piece.start
                )
            return context.to_channels(taps_DS[:, None])[:, 0]

        def spectra(index: int, channels: slice) -> Spectra:
            key = (
                "spectra of own channels",
                number,
                n_positions,
                self._kernels,
                self._conv_kernels,
            )
            return self._weight_cache.get(
                (*key, index, channels.start, channels.stop),
                list(filter_fn.parameters()),
                lambda: filter_spectra(taps(index, channels), kernels=self._conv_kernels),
            )

        n_own_channels = self._x_BLD.shape[-1] // context.size
        n_bytes = spectra_bytes(n_own_channels, n_positions, kernels=self._conv_kernels)
        # Of N processes each keeps an N-th of what one would: memory has to fall with N.
        budget = self._weight_cache.max_bytes // context.size
        fits = n_blocks * filter_fn.n_filters * n_bytes <= budget
        # Either all processes have kept a spectrum or none, whatever kernels an empty piece takes.
        return spectra if fits and all(context.lengths) else taps
