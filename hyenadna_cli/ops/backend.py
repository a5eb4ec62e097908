"""Which implementation of the two operators runs, and why."""

from __future__ import annotations

import functools
import importlib.util
import logging
from typing import Literal

import torch
from torch import Tensor

from hyenadna_cli.errors import UsageError

log = logging.getLogger(__name__)

Kernels = Literal["torch", "numba"]
"""Implementations that exist. `numba` is for float32 on a CPU: see `is_served`."""

KernelsRequest = Literal["auto", "torch", "numba", "triton"]


def resolve(requested: KernelsRequest, device: torch.device) -> tuple[Kernels, str]:
    """Pick an implementation for `device` and say why.

    Raises UsageError if the requested one cannot run.
    """
    if requested == "triton":
        raise UsageError(
            "--kernels triton is not part of this version; use --kernels auto, numba or torch"
        )
    if requested == "torch":
        return "torch", "requested"
    problem = f"numba serves CPUs, not {device.type}" if device.type != "cpu" else numba_problem()
    if problem is None:
        return "numba", "requested" if requested == "numba" else "compiled loops for the CPU"
    if requested == "numba":
        raise UsageError(f"--kernels numba: {problem}; use --kernels auto or torch")
    return "torch", f"the portable path serves {device.type}; {problem}"


@functools.cache
def numba_problem() -> str | None:
    """Why the compiled loops cannot be used here; None if they give a known answer."""
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed (pip install 'hyenadna[fast]')"
    try:
        from numba.core.errors import NumbaError

        from hyenadna_cli.ops import compiled, self_check
    except ImportError as error:
        return f"numba cannot be imported ({error})"
    if not compiled.is_kept():
        log.info("compiling loops for this CPU, once: half a minute or more")
    try:
        is_right = self_check.convolves()
    except NumbaError as error:
        return f"its loops do not compile here ({str(error).splitlines()[0]})"
    return None if is_right else "its compiled loops fail a known-answer check on this machine"


def is_served(*tensors: Tensor) -> bool:
    """Whether the compiled loops take these; anything else goes the portable way, by design."""
    return all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
