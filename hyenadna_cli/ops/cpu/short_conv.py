"""The short convolution on CPU threads: work for the loops of `short_conv_loops`."""

# P = (order + 1) * D channels, B batch, L positions, K taps

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyenadna_cli.ops import workers
from hyenadna_cli.ops.channels_last import empty_channels_last, flat
from hyenadna_cli.ops.cpu.short_conv_adjoint import short_conv_gradients
from hyenadna_cli.ops.cpu.short_conv_loops import short_conv

_CHANNELS = 64
"""Channels whose gradients are one task: whole cache lines of a row, and enough tasks."""

_ROWS = 1_024
"""Positions of a task, more or less."""


def gated(proj_PBL: Tensor, taps_PK: Tensor, bias_P: Tensor, order: int) -> tuple[Tensor, ...]:
    """The gated input and the gates still to come, by all threads."""
    n_channels, n_batch, n_positions = proj_PBL.shape
    width = n_channels // (order + 1)
    outputs = [empty_channels_last(width, n_batch, n_positions, taps_PK) for _ in range(order)]
    n_parts = -(-n_positions // _ROWS)

    def run(task: tuple[int, range]) -> None:
        sequence, part = task
        gate_part(
            proj_PBL[:, sequence : sequence + 1],
            taps_PK,
            bias_P,
            part.start,
            [y[:, sequence : sequence + 1, part.start : part.stop] for y in outputs],
        )

    tasks = [(b, part) for b in range(n_batch) for part in workers.pieces(n_positions, n_parts)]
    workers.for_each(run, tasks)
    return tuple(outputs)


def gate_part(
    proj_PBL: Tensor, taps_PK: Tensor, bias_P: Tensor, first: int, outputs: Sequence[Tensor]
) -> None:
    """Fill `outputs` (D, B, positions from `first` on): the gated input, then the later gates.

    Runs in the calling thread. Zeros precede the first position of the projections.
    """
    order, width = len(outputs), outputs[0].shape[0]
    parts = [(order, order - 1), *((index, -1) for index in range(order - 2, -1, -1))]
    for (part, other), y_DBL in zip(parts, outputs, strict=True):
        other_channels = other * width if other >= 0 else -1
        _convolve(proj_PBL, taps_PK, bias_P, first, y_DBL, part * width, other_channels)


def multiply(y_DBL: Tensor, proj_DBL: Tensor, taps_DK: Tensor, bias_D: Tensor, first: int) -> None:
    """Multiply y, positions from `first` on, by the convolution; in the calling thread."""
    _convolve(proj_DBL, taps_DK, bias_D, first, y_DBL, 0, -1, is_factor=True)


def _convolve(
    proj_PBL: Tensor,
    taps_PK: Tensor,
    bias_P: Tensor,
    first: int,
    y_DBL: Tensor,
    channels: int,
    other_channels: int,
    *,
    is_factor: bool = False,
) -> None:
    width, n_batch, n_positions = y_DBL.shape
    short_conv(
        *flat(proj_PBL),
        taps_PK.detach().numpy(),
        bias_P.detach().numpy(),
        channels,
        other_channels,
        width,
        *flat(y_DBL),
        0,
        n_batch,
        first,
        first + n_positions,
        is_factor,
    )


def gradients(
    proj_PBL: Tensor, taps_PK: Tensor, bias_P: Tensor, d_outputs: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the projections, three taps and bias, from those of the outputs of `gated`."""
    n_channels, n_batch, n_positions = proj_PBL.shape
    order = len(d_outputs)
    width = n_channels // (order + 1)
    d_proj_PBL = empty_channels_last(n_channels, n_batch, n_positions, proj_PBL)
    d_taps_KP = taps_PK.new_zeros(taps_PK.shape[1], n_channels)
    d_bias_P = torch.zeros_like(bias_P)
    proj = flat(proj_PBL)
    taps, bias = taps_PK.detach().numpy(), bias_P.detach().numpy()
    d_proj, batch_step, step = flat(d_proj_PBL)
    if (batch_step, step) != proj[1:]:
        raise ValueError("projections with gaps between their rows")
    d_taps, d_bias = d_taps_KP.view(-1).numpy(), d_bias_P.numpy()
    # Part of the channels, the part it was multiplied with, whose gradients come with it, and
    # which output came of them.
    parts = [(order, order - 1, 0)]
    parts += [(index, -1, order - 1 - index) for index in range(order - 1)]

    def run(task: tuple[int, int, int, int]) -> None:
        part, other, output, channel = task
        short_conv_gradients(
            *proj,
            taps,
            bias,
            part * width + channel,
            other * width + channel if other >= 0 else -1,
            min(_CHANNELS, width - channel),
            *flat(d_outputs[output]),
            channel,
            n_batch,
            n_positions,
            d_proj,
            d_taps,
            d_bias,
        )

    channels = range(0, width, _CHANNELS)
    workers.for_each(run, [(*part, channel) for part in parts for channel in channels])
    return d_proj_PBL, d_taps_KP.T, d_bias_P
