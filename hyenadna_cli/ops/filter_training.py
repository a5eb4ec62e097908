"""Taps of implicit filters on CPU threads, differentiable: tiles of positions.

The L x F values of the hidden layers are never in memory: the backward pass computes them again,
tile by tile. Gradients of weights are summed as in `dense_training`.
"""

# L positions, T of a tile, E features, F width of the MLP, C = filters * D channels

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyenadna_cli.ops import workers
from hyenadna_cli.ops.cpu import implicit_filter as loops
from hyenadna_cli.ops.dense import dense
from hyenadna_cli.ops.dense_training import Sums, add_gradients, gradients_over_tiles, tiles_of
from hyenadna_cli.ops.huge_pages import empty_huge
from hyenadna_cli.ops.rows import numbers

_TILE = 2_048
"""Positions of a tile."""


def tiled_taps(
    z_LE: Tensor,
    t_L: Tensor,
    rates_C: Tensor,
    shift: float,
    freq_F: Tensor,
    last_CF: Tensor,
    hidden: Sequence[Tensor],
) -> Tensor:
    """Taps (L, C), as `implicit_filter.fused_taps`; of each layer in `hidden` weight, then bias."""
    result: Tensor = _TiledTaps.apply(  # type: ignore[no-untyped-call]
        shift, z_LE, t_L, rates_C, freq_F, last_CF, *hidden
    )
    return result


class _Network(NamedTuple):
    """What taps are made from."""

    z_LE: Tensor
    t_L: Tensor
    rates_C: Tensor
    freq_F: Tensor
    last_CF: Tensor
    hidden: Sequence[Tensor]
    """Weight and bias of each layer."""

    def angles_and_sines(self, tile: slice) -> tuple[list[Tensor], list[Tensor]]:
        """What each sine reads before its frequency, and what each layer reads, (T, ...)."""
        angles, read = [], [self.z_LE[tile]]
        for weight_FI, bias_F in zip(self.hidden[::2], self.hidden[1::2], strict=True):
            angles.append(dense(read[-1], weight_FI, bias_F))
            read.append(torch.empty_like(angles[-1]))
            loops.sines(numbers(angles[-1]), self.freq_F.numpy(), numbers(read[-1]))
        return angles, read


def _network(saved: Sequence[Tensor]) -> _Network:
    z_LE, t_L, rates_C, freq_F, last_CF, *hidden = (x.detach() for x in saved)
    return _Network(z_LE, t_L, rates_C, freq_F, last_CF, hidden)


class _TiledTaps(torch.autograd.Function):
    """Saves its inputs only."""

    @staticmethod
    def forward(ctx: FunctionCtx, shift: float, *inputs: Tensor) -> Tensor:
        saved = [x.contiguous() for x in inputs]
        ctx.save_for_backward(*saved)
        ctx.shift = shift  # type: ignore[attr-defined]
        network = _network(saved)
        t_L, last_CF = network.t_L, network.last_CF
        taps_LC = empty_huge(len(t_L), len(last_CF))
        taps, times = taps_LC.view(-1).numpy(), network.t_L.numpy()
        rates, last = network.rates_C.numpy(), network.last_CF.numpy()

        def run(tile: slice) -> None:
            hidden_TF = network.angles_and_sines(tile)[1][-1].numpy()
            n_done = tile.stop - tile.start
            out = taps[tile.start * len(last) : tile.stop * len(last)]
            loops.windowed_taps(
                hidden_TF, last, times[tile], rates, shift, out, len(last), 0, n_done
            )

        workers.for_each(run, tiles_of(len(t_L), _TILE))
        return taps_LC

    @staticmethod
    def backward(ctx: FunctionCtx, d_taps_LC: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # type: ignore[attr-defined]
        shift: float = ctx.shift  # type: ignore[attr-defined]
        network = _network(saved)
        d_taps, times = d_taps_LC.contiguous().view(-1).numpy(), network.t_L.numpy()
        rates, freq = network.rates_C.numpy(), network.freq_F.numpy()
        last_FC = network.last_CF.T.contiguous()
        weights = network.hidden[::2]
        transposed = [weight_FI.T.contiguous() for weight_FI in weights]

        def run(tile: slice, sums: Sums) -> None:
            *of_layers, d_freq_F, d_last_CF = sums
            angles, read = network.angles_and_sines(tile)
            d_TC = torch.empty(tile.stop - tile.start, len(rates))
            loops.windowed(d_taps, times, rates, shift, numbers(d_TC), tile.start, tile.stop)
            add_gradients(d_TC, read[-1], d_last_CF, None)
            d_TF = dense(d_TC, last_FC, None)
            for layer in reversed(range(len(angles))):
                d_weight, d_bias = of_layers[2 * layer : 2 * layer + 2]
                loops.sine_gradient(
                    numbers(angles[layer]), freq, numbers(d_TF), d_freq_F.numpy(), d_bias.numpy()
                )
                add_gradients(d_TF, read[layer], d_weight, None)
                if layer:
                    d_TF = dense(d_TF, transposed[layer], None)

        further = (network.freq_F, network.last_CF)
        *of_layers, d_freq_F, d_last_CF = gradients_over_tiles(
            run, len(network.t_L), weights, further=further, tile=_TILE
        )
        return None, None, None, None, d_freq_F, d_last_CF, *of_layers
