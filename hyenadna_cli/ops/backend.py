"""Which implementation of the two operators runs, and why."""

from __future__ import annotations

from typing import Literal

import torch

from hyenadna_cli.errors import UsageError

Kernels = Literal["torch"]
"""Implementations that exist. A fused one adds its name here and a branch in each operator."""

KernelsRequest = Literal["auto", "torch", "numba", "triton"]


def resolve(requested: KernelsRequest, device: torch.device) -> tuple[Kernels, str]:
    """Pick an implementation for `device` and say why.

    Raises UsageError if the requested one cannot run.
    """
    if requested in ("numba", "triton"):
        raise UsageError(
            f"--kernels {requested} is not part of this version; use --kernels auto or torch"
        )
    reason = "requested" if requested == "torch" else f"the portable path serves {device.type}"
    return "torch", reason
