"""Device, precision, operator implementation and threads: resolved once, passed down."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import torch

from hyenadna_cli.core.config.choices import Dtype, DtypeRequest
from hyenadna_cli.core.machine.hardware import usable_cpus
from hyenadna_cli.core.model import long_conv_choice
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.context import Context
from hyenadna_cli.core.model.long_conv_choice import NOT_MEASURED, LongConvChoice
from hyenadna_cli.errors import UsageError
from hyenadna_cli.ops import choice
from hyenadna_cli.ops.dense import has_bfloat16_products
from hyenadna_cli.ops.kernels import Kernels, KernelsRequest

log = logging.getLogger(__name__)


_DTYPES: dict[Dtype, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Runtime:
    """What will be used, and why."""

    device: torch.device
    dtype: torch.dtype
    """Of the large matrix products; filters, FFT, norms and log-softmax stay float32."""
    kernels: Kernels
    threads: int
    """CPU threads."""
    reasons: tuple[str, ...]
    long_conv: LongConvChoice = NOT_MEASURED
    """What of `triton` convolves a length."""

    def execution(
        self, *, recompute_blocks: bool = False, context: Context | None = None
    ) -> Execution:
        """The model's side of these choices; `context`: the processes that share each sequence."""
        matmul_dtype = None if self.dtype == torch.float32 else self.dtype
        return Execution(
            kernels=self.kernels,
            matmul_dtype=matmul_dtype,
            recompute_blocks=recompute_blocks,
            long_conv=self.long_conv,
            context=context,
        )

    @property
    def device_name(self) -> str:
        """The device in words, for provenance: a GPU's name, or the CPU and its threads."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"cpu, {self.threads} threads"

    def describe(self) -> dict[str, str]:
        """The choices that can change a number, for provenance."""
        dtype: str = next(key for key, value in _DTYPES.items() if value == self.dtype)
        described = {"dtype": dtype, "kernels": self.kernels}
        if self.kernels == "triton":
            described["long_convolution"] = self.long_conv.describe()
        return described


def resolve(
    *,
    device: str = "auto",
    dtype: DtypeRequest = "auto",
    kernels: KernelsRequest = "auto",
    threads: int | None = None,
    training: bool = False,
) -> Runtime:
    """Turn requests into concrete choices, set the CPU threads, and log the reasons once.

    `threads=None` takes the CPUs that this process may use. Raises UsageError for a device,
    precision or implementation that cannot run here.
    """
    chosen_device, why_device = _resolve_device(device)
    chosen_dtype, why_dtype = _resolve_dtype(dtype, chosen_device, training=training)
    if kernels == "triton-fp16" and chosen_dtype == torch.float32:
        raise UsageError("--kernels triton-fp16: rounds its transforms, so ask for --dtype bf16")
    chosen_kernels, why_kernels = choice.resolve(kernels, chosen_device)
    n_threads = threads or usable_cpus()
    torch.set_num_threads(n_threads)
    reasons: tuple[str, ...] = (
        f"device {chosen_device}: {why_device}",
        f"dtype {str(chosen_dtype).removeprefix('torch.')}: {why_dtype}",
        f"kernels {chosen_kernels}: {why_kernels}",
        f"threads {n_threads}",
    )
    if chosen_device.type == "cpu" and chosen_kernels == "torch" and kernels == "auto":
        log.info("slower than need be: %s", why_kernels)
    long_conv = NOT_MEASURED
    if chosen_kernels == "triton":
        long_conv = long_conv_choice.read(chosen_device)
        reasons += (f"long convolution by length: {long_conv.describe()}",)
    log.debug("%s", "; ".join(reasons))
    return Runtime(chosen_device, chosen_dtype, chosen_kernels, n_threads, reasons, long_conv)


def _resolve_device(request: str) -> tuple[torch.device, str]:
    if request == "auto":
        if torch.cuda.is_available():
            # torchrun: a process, a device.
            index = os.environ.get("LOCAL_RANK", "")
            return torch.device(f"cuda:{index}" if index else "cuda"), "a CUDA device is present"
        return torch.device("cpu"), "no CUDA device is present"
    try:
        device = torch.device(request)
    except RuntimeError:
        raise UsageError(f"--device {request}: use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {request}: use auto, cpu, cuda or cuda:N")
    if device.type == "cuda":
        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= n_devices:
            raise UsageError(f"--device {request}: this machine has {n_devices} CUDA devices")
    return device, "requested"


def _resolve_dtype(
    request: DtypeRequest, device: torch.device, *, training: bool
) -> tuple[torch.dtype, str]:
    if request != "auto":
        if request == "bf16" and device.type == "cpu" and not has_bfloat16_products():
            log.info("--dtype bf16: this CPU has no units for it, so it is slower than fp32")
        return _DTYPES[request], "requested"
    if not training:
        return torch.float32, "inference defaults to full precision"
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16, "training on a device with bfloat16"
    return torch.float32, "no fast bfloat16 on this device"
