"""What tests of implicit filters share."""

from __future__ import annotations

import torch
from torch import Tensor

from hyenadna_cli.core.model.filters import ImplicitFilter


def taps_and_gradients(
    filter_fn: ImplicitFilter, n_positions: int, kernels: str, *, first: int = 0
) -> tuple[Tensor, dict[str, Tensor]]:
    """Taps of all filters, and gradients of all weights for random ones of the taps."""
    taps_CL = torch.cat(filter_fn(n_positions, first=first, kernels=kernels))
    d_taps_CL = torch.randn(taps_CL.shape, generator=torch.Generator().manual_seed(1))
    weights = {n: p for n, p in filter_fn.named_parameters() if n != "bias"}
    found = torch.autograd.grad(taps_CL, list(weights.values()), d_taps_CL.to(taps_CL.dtype))
    return taps_CL.detach(), dict(zip(weights, found, strict=True))


def error(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, of the largest number."""
    return float((found.double() - wanted).abs().max() / wanted.abs().max())
