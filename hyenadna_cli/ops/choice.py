"""Which implementation of the two operators runs, and why."""

from __future__ import annotations

import functools
import importlib.util
import logging
from typing import Literal, TypeGuard

import torch
from torch import Tensor

from hyenadna_cli.errors import UsageError

log = logging.getLogger(__name__)

Kernels = Literal["torch", "numba", "triton", "triton-fp16"]
"""Implementations that exist. `numba` is for float32 on a CPU: see `is_served`; `triton` is for
GPUs, and only where it is asked for, as it has not been measured yet. `triton-fp16` is the same
with the transforms of the long convolution in fp16: docs/gpu-kernels.md states its error."""

Triton = Literal["triton", "triton-fp16"]

KernelsRequest = Literal["auto", "torch", "numba", "triton", "triton-fp16"]


def resolve(requested: KernelsRequest, device: torch.device) -> tuple[Kernels, str]:
    """Pick an implementation for `device` and say why.

    Raises UsageError if the requested one cannot run.
    """
    if requested == "triton" or requested == "triton-fp16":
        if (problem := triton_problem(device, requested)) is not None:
            raise UsageError(f"--kernels {requested}: {problem}; use --kernels auto or torch")
        return requested, "requested; not measured on any GPU yet"
    if requested == "torch":
        return "torch", "requested"
    problem = f"numba serves CPUs, not {device.type}" if device.type != "cpu" else numba_problem()
    if problem is None:
        return "numba", "requested" if requested == "numba" else "compiled loops for the CPU"
    if requested == "numba":
        raise UsageError(f"--kernels numba: {problem}; use --kernels auto or torch")
    if device.type == "cuda":
        return "torch", "cuFFT; the Triton kernels have not been measured, ask for them by name"
    return "torch", f"the portable path serves {device.type}; {problem}"


@functools.cache
def numba_problem() -> str | None:
    """Why the compiled loops cannot be used here; None if they give a known answer."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed (pip install 'hyenadna[fast]')"
    try:
        from numba.core.errors import NumbaError

        from hyenadna_cli.ops import cpu, self_check
    except ImportError as error:
        return f"numba cannot be imported ({error})"
    if not cpu.is_kept():
        log.info("compiling loops for this CPU, once: half a minute or more")
    try:
        is_right = self_check.convolves()
    except NumbaError as error:
        return f"its loops do not compile here ({str(error).splitlines()[0]})"
    return None if is_right else "its compiled loops fail a known-answer check on this machine"


@functools.cache
def triton_problem(device: torch.device, kernels: Triton = "triton") -> str | None:
    """Why the Triton kernels cannot be used here; None if they give a known answer."""
    if device.type != "cuda":
        return f"its kernels serve GPUs, not {device.type}"
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed (its wheels are for Linux on x86-64)"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"{torch.cuda.get_device_name(device)} is older than compute capability 8.0"
    try:
        from triton.errors import TritonError

        from hyenadna_cli.ops import self_check
    except ImportError as error:
        return f"triton cannot be imported ({error})"
    try:
        is_right = self_check.triton_is_right(device, kernels=kernels)
    except (TritonError, RuntimeError) as error:
        # A GPU with too little shared memory, say, or a driver older than the compiler.
        return f"its kernels do not run here ({str(error).strip().splitlines()[0]})"
    return None if is_right else "its kernels fail a known-answer check on this machine"


def is_triton(kernels: str) -> TypeGuard[Triton]:
    """Whether these are Triton kernels, in whichever precision."""
    return kernels in ("triton", "triton-fp16")


def is_served(*tensors: Tensor) -> bool:
    """Whether the compiled loops take these; anything else goes the portable way, by design."""
    return all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
