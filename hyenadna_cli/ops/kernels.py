"""The implementations of the operators, by name; what loads torch is elsewhere."""

from __future__ import annotations

from typing import Literal, TypeGuard, get_args

Triton = Literal["triton", "triton-fp16"]
Kernels = Literal["torch", "numba", Triton]
"""Implementations that exist. `numba` is for float32 on a CPU: see `channels_last.is_served`;
`triton` is for GPUs, and only where it is asked for, as it has not been measured yet. `triton-fp16`
is the same with the transforms of the long convolution in fp16: docs/gpu-kernels.md states its
error."""

KernelsRequest = Literal["auto", Kernels]


def is_triton(kernels: str) -> TypeGuard[Triton]:
    """Whether these are Triton kernels, in whichever precision."""
    return kernels in get_args(Triton)
