"""Linear layers and the MLP on CPU threads, differentiable: tiles of rows, forward and backward.

Where memory comes first, the backward pass of the MLP computes its hidden layer again, tile by
tile: four times the residual stream is then never in memory. Gradients of weights are summed in
tiles that threads share evenly, in an order that the number of threads fixes. With a `dtype` of
bfloat16 what goes into products is rounded, and what is kept of it for the backward pass; their
sums over tiles are float32.
"""

# N rows (positions), I inputs, O outputs, H hidden

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyenadna_cli.ops import rows, workers
from hyenadna_cli.ops.cpu import rows as loops
from hyenadna_cli.ops.dense import dense
from hyenadna_cli.ops.huge_pages import empty_huge

_TILE = 1_024
"""Rows of a tile. A step is 1 to 6 % slower with half as many, and no faster with twice as many."""

Sums = tuple[Tensor, ...]


def linear(
    x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor, *, dtype: torch.dtype | None = None
) -> Tensor:
    """Compute x W^T + b, the product in `dtype` (None: that of the rows)."""
    result: Tensor = _Linear.apply(  # type: ignore[no-untyped-call]
        x_NI, weight_OI, bias_O, dtype or x_NI.dtype
    )
    return result


def gelu_mlp(
    x_NI: Tensor,
    weight_HI: Tensor,
    bias_H: Tensor,
    weight_OH: Tensor,
    bias_O: Tensor,
    *,
    dtype: torch.dtype | None = None,
    keeps_hidden: bool = True,
) -> Tensor:
    """Two linear layers with the tanh form of GELU between them, in `dtype` as `linear`.

    Without `keeps_hidden` the backward pass computes the hidden layer again: a fifth more of its
    products, for N x H numbers less.
    """
    result: Tensor = _GeluMLP.apply(  # type: ignore[no-untyped-call]
        x_NI, weight_HI, bias_H, weight_OH, bias_O, dtype or x_NI.dtype, keeps_hidden
    )
    return result


def tiles_of(n_rows: int, size: int = _TILE) -> list[slice]:
    """Rows that are done together."""
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]


def gradients_over_tiles(
    work: Callable[[slice, Sums], None],
    n_rows: int,
    weights: Sequence[Tensor],
    *,
    further: Sequence[Tensor] = (),
    tile: int = _TILE,
) -> Sums:
    """Gradients of the weights (O, I) and biases (O,) of layers, one after the other.

    And of `further` parameters. Runs `work` on all tiles, each thread adding to sums of its own.
    """
    tiles = tiles_of(n_rows, tile)
    shares = workers.pieces(len(tiles), workers.count())
    sums = [
        (
            *(part for w in weights for part in (_zeros(*w.shape), torch.zeros(len(w)))),
            *(torch.zeros_like(parameter) for parameter in further),
        )
        for _ in shares
    ]

    def run(number: int) -> None:
        for index in shares[number]:
            work(tiles[index], sums[number])

    workers.for_each(run, range(len(shares)))
    first, *others = sums
    for other in others:
        for total, part in zip(first, other, strict=True):
            total += part
    return tuple(total.contiguous() for total in first)


def _zeros(n_outputs: int, n_inputs: int) -> Tensor:
    """Of a shape (O, I); the more of the two are neighbours, as `add_gradients` adds them."""
    if n_outputs > n_inputs:
        return torch.zeros(n_inputs, n_outputs).T
    return torch.zeros(n_outputs, n_inputs)


def add_gradients(
    d_y_NO: Tensor, x_NI: Tensor, d_weight_OI: Tensor, d_bias_O: Tensor | None
) -> None:
    """Add those of a tile; its rows are all float32 or all bfloat16, and the sums float32."""
    # The fewer of the two as rows of the product: a tenth to a third faster.
    if d_y_NO.shape[1] > x_NI.shape[1]:
        d_weight_OI.T.add_(dense(x_NI.T, d_y_NO.T, None))
    else:
        d_weight_OI.add_(dense(d_y_NO.T, x_NI.T, None))
    if d_bias_O is not None:
        d_bias_O += d_y_NO.sum(0, dtype=torch.float32)


class _Linear(torch.autograd.Function):
    """Saves its input and weight."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor, dtype: torch.dtype
    ) -> Tensor:
        y_NO = empty_huge(len(x_NI), len(bias_O), dtype=x_NI.dtype)
        x_NI, weight_OI, bias_O = x_NI.contiguous().to(dtype), weight_OI.to(dtype), bias_O.to(dtype)
        ctx.save_for_backward(x_NI, weight_OI)

        def run(tile: slice) -> None:
            y_NO[tile] = dense(x_NI[tile], weight_OI, bias_O)

        workers.for_each(run, tiles_of(len(x_NI)))
        return y_NO

    @staticmethod
    def backward(ctx: FunctionCtx, d_y_NO: Tensor) -> tuple[Tensor | None, ...]:
        x_NI, weight_OI = ctx.saved_tensors  # type: ignore[attr-defined]
        d_y_NO = d_y_NO.contiguous()
        weight_IO = weight_OI.T.contiguous()
        d_x_NI = empty_huge(*x_NI.shape, dtype=d_y_NO.dtype)

        def run(tile: slice, sums: Sums) -> None:
            d_y_TO = d_y_NO[tile].to(x_NI.dtype)
            d_x_NI[tile] = dense(d_y_TO, weight_IO, None)
            add_gradients(d_y_TO, x_NI[tile], *sums)

        return (d_x_NI, *gradients_over_tiles(run, len(x_NI), [weight_OI]), None)


class _GeluMLP(torch.autograd.Function):
    """Saves its input, and the hidden layer before its GELU where that is kept."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x_NI: Tensor,
        weight_HI: Tensor,
        bias_H: Tensor,
        weight_OH: Tensor,
        bias_O: Tensor,
        dtype: torch.dtype,
        keeps_hidden: bool,
    ) -> Tensor:
        y_NO = empty_huge(len(x_NI), len(bias_O), dtype=x_NI.dtype)
        x_NI, weight_HI, bias_H = x_NI.contiguous().to(dtype), weight_HI.to(dtype), bias_H.to(dtype)
        weight_OH, bias_O = weight_OH.to(dtype), bias_O.to(dtype)
        kept_NH = empty_huge(len(x_NI), len(bias_H), dtype=dtype) if keeps_hidden else None
        ctx.save_for_backward(x_NI, weight_HI, bias_H, weight_OH, kept_NH)  # type: ignore[arg-type]

        def run(tile: slice) -> None:
            hidden_NH = dense(x_NI[tile], weight_HI, bias_H)
            if kept_NH is not None:
                kept_NH[tile] = hidden_NH
            rows.gelu_(hidden_NH, kernels="numba")
            y_NO[tile] = dense(hidden_NH, weight_OH, bias_O)

        workers.for_each(run, tiles_of(len(x_NI)))
        return y_NO

    @staticmethod
    def backward(ctx: FunctionCtx, d_y_NO: Tensor) -> tuple[Tensor | None, ...]:
        x_NI, weight_HI, bias_H, weight_OH, kept_NH = ctx.saved_tensors  # type: ignore[attr-defined]
        d_y_NO = d_y_NO.contiguous()
        weight_IH, weight_HO = weight_HI.T.contiguous(), weight_OH.T.contiguous()
        d_x_NI = empty_huge(*x_NI.shape, dtype=d_y_NO.dtype)

        def run(tile: slice, sums: Sums) -> None:
            x_TI, d_y_TO = x_NI[tile], d_y_NO[tile].to(x_NI.dtype)
            # A copy, as it is changed in place and another backward pass may follow.
            hidden_TH = dense(x_TI, weight_HI, bias_H) if kept_NH is None else kept_NH[tile].clone()
            d_hidden_TH = dense(d_y_TO, weight_HO, None)
            loops.gelu_gradient(rows.numbers(hidden_TH), rows.numbers(d_hidden_TH))
            add_gradients(d_y_TO, hidden_TH, *sums[2:])
            add_gradients(d_hidden_TH, x_TI, *sums[:2])
            d_x_NI[tile] = dense(d_hidden_TH, weight_IH, None)

        weights = [weight_HI, weight_OH]
        return (d_x_NI, *gradients_over_tiles(run, len(x_NI), weights), None, None)
