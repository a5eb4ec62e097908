"""What is done to each position by itself outside training: norm, residual sums, GELU, in place."""

# N rows (positions), D channels

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hyenadna_cli.ops.channels_last import is_served
from hyenadna_cli.ops.kernels import Kernels


def norm(
    x_ND: Tensor,
    weight_D: Tensor,
    bias_D: Tensor,
    eps: float,
    *,
    kernels: Kernels,
    dtype: torch.dtype | None = None,
    in_place: bool = False,
    delta_ND: Tensor | None = None,
) -> Tensor:
    """Layer norm of contiguous rows, in `dtype` (None: that of the rows).

    `delta_ND`, if any, is added to the rows first; it may be less precise.
    """
    dtype = dtype or x_ND.dtype
    if kernels == "numba" and is_served(x_ND, weight_D, bias_D):
        from hyenadna_cli.ops.cpu import rows as loops

        out_ND = x_ND if in_place else torch.empty_like(x_ND, dtype=dtype)
        loops.norm(
            numbers(x_ND),
            # A loop for each pair of precisions is compiled: no more than there need to be.
            numbers(x_ND.new_empty(0, dtype=dtype) if delta_ND is None else delta_ND),
            numbers(weight_D.detach()),
            numbers(bias_D.detach()),
            eps,
            numbers(out_ND),
        )
        return out_ND
    if delta_ND is not None:
        x_ND += delta_ND
    normed_ND = F.layer_norm(x_ND, weight_D.shape, weight_D, bias_D, eps)
    return x_ND.copy_(normed_ND) if in_place else normed_ND.to(dtype)


def add_(x_ND: Tensor, delta_ND: Tensor, *, kernels: Kernels) -> None:
    """Add delta to x, for contiguous rows; delta may be less precise."""
    if kernels == "numba" and is_served(x_ND):
        from hyenadna_cli.ops.cpu import rows as loops

        loops.add(numbers(x_ND), numbers(delta_ND))
    else:
        x_ND += delta_ND


def gelu_(x_ND: Tensor, *, kernels: Kernels) -> None:
    """The tanh form of GELU, of contiguous rows."""
    if kernels == "numba" and x_ND.dtype != torch.float64 and x_ND.device.type == "cpu":
        from hyenadna_cli.ops.cpu import rows as loops

        loops.gelu(numbers(x_ND))
    else:
        torch.ops.aten.gelu_(x_ND, approximate="tanh")


def numbers(x: Tensor) -> object:
    """The numbers of a contiguous tensor as the loops take them; bfloat16 as its bits."""
    x = x.view(-1)
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy()
