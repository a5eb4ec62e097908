"""Which implementation of the two operators runs, and why."""

from __future__ import annotations

import functools
import importlib.util
import logging

import torch

from hyenadna_cli.errors import UsageError
from hyenadna_cli.ops import self_check
from hyenadna_cli.ops.kernels import Kernels, KernelsRequest, Triton, is_triton

log = logging.getLogger(__name__)


def resolve(requested: KernelsRequest, device: torch.device) -> tuple[Kernels, str]:
    """Pick an implementation for `device` and say why.

    Raises UsageError if the requested one cannot run.
    """
    if is_triton(requested):
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
        return "numba is not installed (pip install numba)"
    try:
        from numba.core.errors import NumbaError

        from hyenadna_cli.ops import cpu
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
        return "triton is not installed (pip install 'hyenadna[gpu]', on Linux on x86-64)"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return f"{torch.cuda.get_device_name(device)} is older than compute capability 8.0"
    try:
        from triton.errors import TritonError
    except ImportError as error:
        return f"triton cannot be imported ({error})"
    try:
        is_right = self_check.triton_is_right(device, kernels=kernels)
    except (TritonError, RuntimeError) as error:
        # A GPU with too little shared memory, say, or a driver older than the compiler.
        return f"its kernels do not run here ({str(error).strip().splitlines()[0]})"
    return None if is_right else "its kernels fail a known-answer check on this machine"
