"""Short causal depthwise convolution, split into gates, and the first gate.

Channels come first in shape (P, B, L). In memory they come first for the torch path, whose rows are
then contiguous along the sequence, and last for the compiled loops; either is a single matrix
product away from the positions.
"""

# B batch, L positions, D d_model, P = (order + 1) * D projected channels, K taps

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyenadna_cli.ops.channels_last import is_served, is_served_stream, to_channels_last
from hyenadna_cli.ops.kernels import Kernels, is_triton


def short_conv_gate(
    proj_PBL: Tensor, taps_PK: Tensor, bias_P: Tensor, *, order: int, kernels: Kernels
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Convolve, split into x_0 ... x_(order-1) and v, and apply the first gate.

    c[p, t] = bias[p] + sum over j < K of taps[p, K-1-j] * proj[p, t-j]     (zeros before t = 0)
    c is cut into order + 1 parts of D channels: x_0, ..., x_(order-1), v   (arXiv:2302.10866)

    Returns v * x_(order-1), and the gates still to come in the order of their use:
    x_(order-2), ..., x_0. Raises ValueError if the shapes do not fit.
    """
    n_channels, n_taps = taps_PK.shape
    if proj_PBL.ndim != 3 or proj_PBL.shape[0] != n_channels or bias_P.shape != (n_channels,):
        raise ValueError(
            f"short_conv_gate: projections {tuple(proj_PBL.shape)}, taps {tuple(taps_PK.shape)} "
            f"and bias {tuple(bias_P.shape)} do not fit"
        )
    if n_channels % (order + 1) != 0 or n_taps < 1:
        raise ValueError(f"{n_channels} channels do not split into {order + 1} parts")
    if kernels not in get_args(Kernels):
        raise ValueError(f"unknown kernels {kernels!r}")
    outputs = _ShortConvGate.apply(  # type: ignore[no-untyped-call]
        proj_PBL, taps_PK, bias_P, order, kernels
    )
    gated_DBL, *gates = outputs
    return gated_DBL, tuple(gates)


def short_conv_gate_into(
    outputs: Sequence[Tensor],
    proj_PBL: Tensor,
    taps_PK: Tensor,
    bias_P: Tensor,
    *,
    kernels: Kernels,
) -> None:
    """As `short_conv_gate`, not differentiable, written to `outputs`: gated input, later gates.

    Outputs (D, B, S) with S < L are the last S positions: what precedes them is looked back at.
    Runs in the calling thread where the kernels are compiled. Triton wants contiguous projections
    and what `gpu.short_conv.gate_part` says of outputs.
    """
    order, n_outputs = len(outputs), outputs[0].shape[-1]
    first = proj_PBL.shape[-1] - n_outputs
    if kernels == "numba" and is_served(taps_PK, bias_P) and is_served_stream(*outputs):
        from hyenadna_cli.ops.cpu import short_conv as on_cpu

        on_cpu.gate_part(proj_PBL, taps_PK, bias_P, first, outputs)
        return
    if is_triton(kernels):
        from hyenadna_cli.ops.gpu import short_conv as on_gpu

        on_gpu.gate_part(proj_PBL, taps_PK, bias_P, first, outputs)
        return
    proj_PBL = proj_PBL.to(taps_PK.dtype)
    conv_PBL = _causal_conv(proj_PBL, taps_PK, bias_P)[..., first:]
    *gates, v_DBL = conv_PBL.chunk(order + 1)
    torch.mul(v_DBL, gates.pop(), out=outputs[0])
    for output, gate in zip(outputs[1:], reversed(gates), strict=True):
        output.copy_(gate)


def multiply_by_short_conv(
    y_DBS: Tensor, proj_DBL: Tensor, taps_DK: Tensor, bias_D: Tensor, *, kernels: Kernels
) -> None:
    """Multiply y, in place, by a later gate: the convolution of as many channels.

    y are the last S <= L positions. Not differentiable. Runs in the calling thread where the
    kernels are compiled.
    """
    first = proj_DBL.shape[-1] - y_DBS.shape[-1]
    if kernels == "numba" and is_served(taps_DK, bias_D) and is_served_stream(y_DBS):
        from hyenadna_cli.ops.cpu import short_conv as on_cpu

        on_cpu.multiply(y_DBS, proj_DBL, taps_DK, bias_D, first)
        return
    y_DBS *= _causal_conv(proj_DBL.to(taps_DK.dtype), taps_DK, bias_D)[..., first:]


def _causal_conv(proj_PBL: Tensor, taps_PK: Tensor, bias_P: Tensor) -> Tensor:
    """Shifted multiply-adds: several times faster than a grouped Conv1d on the CPU."""
    n_positions, n_taps = proj_PBL.shape[-1], taps_PK.shape[1]
    conv_PBL = torch.addcmul(
        bias_P[:, None, None], proj_PBL, taps_PK[:, -1, None, None].to(proj_PBL.dtype)
    )
    for shift in range(1, min(n_taps, n_positions)):
        conv_PBL[..., shift:].addcmul_(
            proj_PBL[..., : n_positions - shift], taps_PK[:, n_taps - 1 - shift, None, None]
        )
    return conv_PBL


class _ShortConvGate(torch.autograd.Function):
    """Saves the projections only; the backward pass convolves them again."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        proj_PBL: Tensor,
        taps_PK: Tensor,
        bias_P: Tensor,
        order: int,
        kernels: Kernels,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(proj_PBL, taps_PK, bias_P)
        ctx.order, ctx.kernels = order, kernels  # type: ignore[attr-defined]
        n_parts = order + 1
        if kernels == "numba" and is_served(proj_PBL, taps_PK, bias_P):
            from hyenadna_cli.ops.cpu import short_conv as on_cpu

            return on_cpu.gated(to_channels_last(proj_PBL), taps_PK, bias_P, order)
        if is_triton(kernels):
            from hyenadna_cli.ops.gpu import short_conv as on_gpu

            return on_gpu.forward(proj_PBL.contiguous(), taps_PK, bias_P, order=order)
        width = proj_PBL.shape[0] // n_parts

        def part(index: int) -> Tensor:
            rows = slice(index * width, (index + 1) * width)
            return _causal_conv(proj_PBL[rows], taps_PK[rows], bias_P[rows])

        gated_DBL = part(order).mul_(part(order - 1))
        return (gated_DBL, *(part(index) for index in range(order - 2, -1, -1)))

    @staticmethod
    def backward(
        ctx: FunctionCtx, d_gated_DBL: Tensor, *d_gates: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        proj_PBL, taps_PK, bias_P = ctx.saved_tensors  # type: ignore[attr-defined]
        order: int = ctx.order  # type: ignore[attr-defined]
        is_compiled = ctx.kernels == "numba" and taps_PK.shape[1] == 3  # type: ignore[attr-defined]
        if is_compiled and is_served(proj_PBL, taps_PK, bias_P):
            from hyenadna_cli.ops.cpu import short_conv as on_cpu

            d_outputs = [to_channels_last(d) for d in (d_gated_DBL, *d_gates)]
            # Rows without gaps, so that their gradients can have the same steps.
            proj_BLP = proj_PBL.permute(1, 2, 0).contiguous()
            gradients = on_cpu.gradients(proj_BLP.permute(2, 0, 1), taps_PK, bias_P, d_outputs)
            return (*gradients, None, None)
        if is_triton(ctx.kernels):  # type: ignore[attr-defined]
            from hyenadna_cli.ops.gpu import short_conv as on_gpu

            gradients = on_gpu.backward(
                [d.contiguous() for d in (d_gated_DBL, *d_gates)],
                proj_PBL.contiguous(),
                taps_PK,
                bias_P,
                order=order,
            )
            return (*gradients, None, None)
        width = proj_PBL.shape[0] // (order + 1)
        n_positions, n_taps = proj_PBL.shape[-1], taps_PK.shape[1]
        d_proj_PBL = torch.empty_like(proj_PBL, memory_format=torch.contiguous_format)
        d_taps_PK = torch.zeros_like(taps_PK)
        d_bias_P = torch.empty_like(bias_P)

        def finish(index: int, d_conv_DBL: Tensor) -> None:
            """Carry the gradient of one part's convolution to its inputs, taps and bias."""
            rows = slice(index * width, (index + 1) * width)
            p_DBL, taps_DK, d_p_DBL = proj_PBL[rows], taps_PK[rows], d_proj_PBL[rows]
            d_bias_P[rows] = d_conv_DBL.sum((1, 2))
            torch.mul(d_conv_DBL, taps_DK[:, -1, None, None], out=d_p_DBL)
            for shift in range(min(n_taps, n_positions)):
                tap = n_taps - 1 - shift
                later, earlier = d_conv_DBL[..., shift:], p_DBL[..., : n_positions - shift]
                d_taps_PK[rows, tap] = torch.linalg.vecdot(later, earlier).sum(1)
                if shift:
                    d_p_DBL[..., : n_positions - shift].addcmul_(later, taps_DK[:, tap, None, None])

        v_rows, gate_rows = slice(order * width, None), slice((order - 1) * width, order * width)
        v_DBL = _causal_conv(proj_PBL[v_rows], taps_PK[v_rows], bias_P[v_rows])
        finish(order - 1, d_gated_DBL * v_DBL)
        del v_DBL
        gate_DBL = _causal_conv(proj_PBL[gate_rows], taps_PK[gate_rows], bias_P[gate_rows])
        finish(order, d_gated_DBL * gate_DBL)
        for index, d_gate_DBL in zip(range(order - 2, -1, -1), d_gates, strict=True):
            finish(index, d_gate_DBL)
        return d_proj_PBL, d_taps_PK, d_bias_P, None, None
