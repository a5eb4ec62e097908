"""Triton kernels of the short causal depthwise convolution, its split and the first gate.

Forward: one read of the projections, one write of the gated values and of the other gates.
Backward: the convolutions are computed again; every program adds up its share of the gradients of
taps and biases, and the shares are summed afterwards, so that results do not depend on timing.
"""

# P = (order + 1) * D projected channels, B batch, L positions, K taps

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

POSITIONS = 1024
"""Of a row in one program."""


def forward(proj_PBL: Tensor, taps_PK: Tensor, bias_P: Tensor, *, order: int) -> tuple[Tensor, ...]:
    """Give v * x_(order-1), x_(order-2), ..., x_0; the projections are contiguous."""
    n_channels, n_batch, n_positions = proj_PBL.shape
    width = n_channels // (order + 1)
    gated_DBL = proj_PBL.new_empty(width, n_batch, n_positions)
    gates_PBL = proj_PBL.new_empty((order - 1) * width, n_batch, n_positions)
    outputs = (gated_DBL, *reversed(gates_PBL.split(width) if order > 1 else ()))
    gate_part(proj_PBL, taps_PK, bias_P, 0, outputs)
    return outputs


def gate_part(
    proj_PBL: Tensor, taps_PK: Tensor, bias_P: Tensor, first: int, outputs: Sequence[Tensor]
) -> None:
    """`forward` of the positions from `first` on, to rows of larger tensors.

    The outputs (D, B, L - first) have neighbouring positions; the later gates are parts of one
    tensor, equally far apart. Projections are contiguous.
    """
    gated_DBL, *gates = outputs
    n_channels, n_batch, n_positions = proj_PBL.shape
    width = n_channels // (len(gates) + 1 + 1)
    # x_0 comes last among the outputs, as it is used last.
    x0_DBL, x1_DBL = (gates[-1] if gates else gated_DBL), (gates[-2] if len(gates) > 1 else None)
    branch = 0 if x1_DBL is None else x1_DBL.data_ptr() - x0_DBL.data_ptr()
    forward_kernel[(triton.cdiv(n_positions - first, POSITIONS), n_batch, width)](
        proj_PBL,
        taps_PK.contiguous(),
        bias_P,
        gated_DBL,
        x0_DBL,
        n_positions,
        first,
        gated_DBL.stride(0),
        gated_DBL.stride(1),
        x0_DBL.stride(0),
        x0_DBL.stride(1),
        branch // x0_DBL.element_size(),
        ORDER=len(gates) + 1,
        K=taps_PK.shape[1],
        POSITIONS=POSITIONS,
    )


def backward(
    d_outputs: Sequence[Tensor],
    proj_PBL: Tensor,
    taps_PK: Tensor,
    bias_P: Tensor,
    *,
    order: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `forward` for projections, taps and biases; everything is contiguous."""
    d_gated_DBL, *d_gates = d_outputs
    n_channels, n_batch, n_positions = proj_PBL.shape
    n_taps, width = taps_PK.shape[1], n_channels // (order + 1)
    d_proj_PBL = torch.empty_like(proj_PBL)
    n_tiles = triton.cdiv(n_positions, POSITIONS)
    sums = proj_PBL.new_empty(n_channels, n_taps + 1, n_batch * n_tiles, dtype=torch.float32)
    d_gates_PBL = torch.cat(tuple(reversed(d_gates))) if d_gates else d_gated_DBL
    backward_kernel[(n_tiles, n_batch, width)](
        d_gated_DBL,
        d_gates_PBL,
        proj_PBL,
        taps_PK.contiguous(),
        bias_P,
        d_proj_PBL,
        sums,
        n_positions,
        ORDER=order,
        K=n_taps,
        POSITIONS=POSITIONS,
    )
    sums_PK = sums.sum(-1)
    return d_proj_PBL, sums_PK[:, :-1].to(taps_PK.dtype), sums_PK[:, -1].to(bias_P.dtype)


@triton.jit
def _convolved(row_ptr, taps_ptr, bias_ptr, channel, t, n_positions, K: tl.constexpr):
    """One channel's convolution at positions `t`; 0 outside the row."""
    conv = tl.zeros(t.shape, tl.float32) + tl.load(bias_ptr + channel).to(tl.float32)
    for j in tl.static_range(K):
        tap = tl.load(taps_ptr + channel * K + K - 1 - j).to(tl.float32)
        earlier = tl.load(row_ptr + t - j, mask=(t >= j) & (t < n_positions), other=0.0)
        conv += tap * earlier.to(tl.float32)
    return tl.where(t < n_positions, conv, 0.0)


@triton.jit
def forward_kernel(
    proj_ptr, taps_ptr, bias_ptr, gated_ptr, gates_ptr, n_positions, first,
    gated_channel_step, gated_batch_step, gates_channel_step, gates_batch_step, gates_step,
    ORDER: tl.constexpr, K: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    """All branches of one channel of the model, for one stretch of one sequence."""
    channel, batch = tl.program_id(2), tl.program_id(1)
    width, n_batch = tl.num_programs(2), tl.num_programs(1)
    t = first + tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    is_inside = t < n_positions
    gated_row = channel.to(tl.int64) * gated_channel_step + batch.to(tl.int64) * gated_batch_step
    gates_row = channel.to(tl.int64) * gates_channel_step + batch.to(tl.int64) * gates_batch_step
    row = (channel * n_batch + batch).to(tl.int64) * n_positions
    branch = n_batch.to(tl.int64) * n_positions * width
    v = _convolved(
        proj_ptr + ORDER * branch + row,
        taps_ptr,
        bias_ptr,
        ORDER * width + channel,
        t,
        n_positions,
        K,
    )
    gate = _convolved(
        proj_ptr + (ORDER - 1) * branch + row,
        taps_ptr,
        bias_ptr,
        (ORDER - 1) * width + channel,
        t,
        n_positions,
        K,
    )
    out = gated_ptr + gated_row + t - first
    tl.store(out, (v * gate).to(gated_ptr.dtype.element_ty), mask=is_inside)
    for index in tl.static_range(ORDER - 1):
        gate = _convolved(
            proj_ptr + index * branch + row,
            taps_ptr,
            bias_ptr,
            index * width + channel,
            t,
            n_positions,
            K,
        )
        out = gates_ptr + tl.cast(gates_step, tl.int64) * index + gates_row + t - first
        tl.store(out, gate.to(gates_ptr.dtype.element_ty), mask=is_inside)


@triton.jit
def _finish(
    d_conv_ptr, other_row_ptr, HAS_OTHER: tl.constexpr, other_channel, row_ptr, d_row_ptr,
    taps_ptr, bias_ptr, sums_ptr, channel, t, n_positions, n_shares, share, K: tl.constexpr,
):  # fmt: skip
    """Carry the gradient of one branch's convolution to its inputs, taps and bias.

    That gradient is `d_conv`, times the other branch's convolution where there is one.
    """
    d_row = tl.zeros(t.shape, tl.float32)
    for j in tl.static_range(K):
        later = t + j
        d_conv = tl.load(d_conv_ptr + later, mask=later < n_positions, other=0.0).to(tl.float32)
        if HAS_OTHER:
            d_conv *= _convolved(
                other_row_ptr, taps_ptr, bias_ptr, other_channel, later, n_positions, K
            )
        d_row += tl.load(taps_ptr + channel * K + K - 1 - j).to(tl.float32) * d_conv
        if j == 0:
            first = sums_ptr + (channel * (K + 1)).to(tl.int64) * n_shares + share
            tl.store(first + K * n_shares, tl.sum(d_conv))
            for i in tl.static_range(K):
                earlier = tl.load(row_ptr + t - i, mask=(t >= i) & (t < n_positions), other=0.0)
                tl.store(first + (K - 1 - i) * n_shares, tl.sum(d_conv * earlier.to(tl.float32)))
    tl.store(d_row_ptr + t, d_row.to(d_row_ptr.dtype.element_ty), mask=t < n_positions)


@triton.jit
def backward_kernel(
    d_gated_ptr, d_gates_ptr, proj_ptr, taps_ptr, bias_ptr, d_proj_ptr, sums_ptr, n_positions,
    ORDER: tl.constexpr, K: tl.constexpr, POSITIONS: tl.constexpr,
):  # fmt: skip
    """All branches of one channel of the model, for one stretch of one sequence."""
    channel, batch = tl.program_id(2), tl.program_id(1)
    width, n_batch = tl.num_programs(2), tl.num_programs(1)
    share = batch * tl.num_programs(0) + tl.program_id(0)
    n_shares = n_batch * tl.num_programs(0)
    t = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    row = (channel * n_batch + batch).to(tl.int64) * n_positions
    branch = n_batch.to(tl.int64) * n_positions * width
    v_row, gate_row = ORDER * branch + row, (ORDER - 1) * branch + row
    v_channel, gate_channel = ORDER * width + channel, (ORDER - 1) * width + channel
    _finish(
        d_gated_ptr + row, proj_ptr + gate_row, True, gate_channel, proj_ptr + v_row,
        d_proj_ptr + v_row, taps_ptr, bias_ptr, sums_ptr, v_channel, t, n_positions, n_shares,
        share, K,
    )  # fmt: skip
    _finish(
        d_gated_ptr + row, proj_ptr + v_row, True, v_channel, proj_ptr + gate_row,
        d_proj_ptr + gate_row, taps_ptr, bias_ptr, sums_ptr, gate_channel, t, n_positions,
        n_shares, share, K,
    )  # fmt: skip
    for index in tl.static_range(ORDER - 1):
        at = index * branch + row
        _finish(
            d_gates_ptr + at, proj_ptr + at, False, 0, proj_ptr + at, d_proj_ptr + at, taps_ptr,
            bias_ptr, sums_ptr, index * width + channel, t, n_positions, n_shares, share, K,
        )  # fmt: skip
