"""Matrix products of the model: rows times a weight, in float32 or bfloat16."""

# N rows, I inputs, O outputs

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor


@functools.cache
def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@functools.cache
def has_bfloat16_products() -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32 (AVX-512 BF16, AMX, Arm BF16)."""
    return _has_onednn() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def packed(weight_OI: Tensor, *, n_rows: int) -> Tensor:
    """A weight for `dense` alone, in the layout that oneDNN multiplies about `n_rows` rows with.

    Otherwise each product makes it for itself. The weight as it is where oneDNN would not take it.
    """
    dtype = weight_OI.dtype
    is_multiplied = dtype == torch.float32 or (dtype == torch.bfloat16 and has_bfloat16_products())
    if weight_OI.device.type != "cpu" or not is_multiplied or not _can_pack():
        return weight_OI
    result: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight_OI.contiguous(), n_rows)
    return result


@functools.cache
def _can_pack() -> bool:
    """Whether torch has this function, in the form that takes a plain weight."""
    if not _has_onednn() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    x_NI, weight_OI = torch.ones(2, 2), torch.ones(3, 2)
    try:
        made = torch.ops.mkldnn._reorder_linear_weight(weight_OI, 2)
        product = torch.ops.mkldnn._linear_pointwise(x_NI, made, None, "none", [], "")
    except RuntimeError:
        return False
    return torch.equal(product, torch.full((2, 3), 2.0))


def dense(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
    """Compute x W^T + b, not differentiable.

    CPUs without bfloat16 units multiply the rounded numbers in float32: the same result, where
    torch would take ten times as long.

    By oneDNN where torch has it: on AMD's processors it is twice as fast in float32 as MKL, which
    `F.linear` takes, and elsewhere as fast.
    """
    on_cpu = x_NI.device.type == "cpu"
    if on_cpu and x_NI.dtype == torch.bfloat16 and not has_bfloat16_products():
        bias = None if bias_O is None else bias_O.float()
        return F.linear(x_NI.float(), weight_OI.float(), bias).to(torch.bfloat16)
    if on_cpu and x_NI.dtype != torch.float64 and _has_onednn():
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x_NI, weight_OI, bias_O, "none", [], "")
        return result
    return F.linear(x_NI, weight_OI, bias_O)
