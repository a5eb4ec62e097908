"""What the two operators mean: direct sums in float64. For tests and benchmarks only."""

# D channels, B batch, L positions, P = (order + 1) * D projected channels, K taps

from __future__ import annotations

import torch
from torch import Tensor


def short_conv_gate(
    proj_PBL: Tensor, taps_PK: Tensor, bias_P: Tensor, *, order: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """`ops.short_conv.short_conv_gate`, term by term."""
    proj_PBL, taps_PK, bias_P = proj_PBL.double(), taps_PK.double(), bias_P.double()
    n_positions, n_taps = proj_PBL.shape[-1], taps_PK.shape[1]
    columns = []
    for t in range(n_positions):
        column_PB = bias_P[:, None].expand(-1, proj_PBL.shape[1])
        for j in range(n_taps):
            if t - j >= 0:
                column_PB = column_PB + taps_PK[:, n_taps - 1 - j, None] * proj_PBL[:, :, t - j]
        columns.append(column_PB)
    *gates, v_DBL = torch.stack(columns, dim=-1).chunk(order + 1, dim=0)
    return v_DBL * gates[-1], tuple(reversed(gates[:-1]))


def long_conv_gate(u_DBL: Tensor, filter_DL: Tensor, skip_D: Tensor, gate_DBL: Tensor) -> Tensor:
    """`ops.long_conv.long_conv_gate` as the product with a lower-triangular Toeplitz matrix."""
    u_DBL, gate_DBL = u_DBL.double(), gate_DBL.double()
    filter_DL, skip_D = filter_DL.double(), skip_D.double()
    n_positions = u_DBL.shape[-1]
    t, s = torch.meshgrid(torch.arange(n_positions), torch.arange(n_positions), indexing="ij")
    toeplitz_DTS = filter_DL[:, (t - s).clamp_min(0)] * (t >= s)
    conv_DBL = torch.einsum("dts,dbs->dbt", toeplitz_DTS, u_DBL)
    return gate_DBL * (conv_DBL + skip_D[:, None, None] * u_DBL)
