"""One measured process: a model, asked over stdin to run passes, answering over stdout.

    python -m hyenadna_cli.core.machine.benchmark.worker    one JSON object per line, both ways

    {"do": "prepare", "case": {...}}       -> {"kernels", "note", "start_bytes", "device", ...}
    {"do": "sample", "length": n, "file"}  -> {"seconds": s}     one pass; numbers to compare, .npy
    {"do": "time", "seconds": s}           -> {"seconds": [...]} passes for at least s seconds
    {"do": "peak"}                         -> {"bytes": ...}     of this process, or of its GPU
    {"do": "operators"}                    -> {"operators": [{"operator": ...}, ...]}
    {"do": "floor"}                        -> {"matmul_flops": {dtype: ...}, "copy_bytes": ...}

A failure is {"error": text, "is_memory": bool}. A process of its own for each case makes peak
memory mean something, and one library's thread pool or cache cannot favour another case.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import resource
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hyenadna_cli.core.machine import runtime
from hyenadna_cli.core.machine.benchmark import operators, plain_hyena
from hyenadna_cli.core.machine.benchmark.cases import Case
from hyenadna_cli.core.machine.benchmark.operators import best_seconds
from hyenadna_cli.core.machine.out_of_memory import is_out_of_memory
from hyenadna_cli.core.model.attention import AttentionModel
from hyenadna_cli.core.model.filters import ImplicitFilter
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import HyenaDNAError
from hyenadna_cli.ops.dense import dense, has_bfloat16_products
from hyenadna_cli.ops.huge_pages import kept_for_steps
from hyenadna_cli.ops.kernels import Kernels

_SAMPLED_POSITIONS = 256
_FIRST_BASE_ID, _AFTER_LAST_BASE_ID = 7, 11
_FUSED_SDPA = (
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
)
_COMPILED_LENGTHS = (64, 32_768)
"""Short transforms and those cut in rows and columns are loops of their own."""

_SDPA_TRIAL_LENGTH = {"cpu": 64, "cuda": 8_192}
_MATMUL_SIZES = {"cpu": 2_048, "cuda": 8_192}
_COPY_BYTES = {"cpu": 1 << 28, "cuda": 1 << 31}


class Subject:
    """A model on its device, and what one pass of it is."""

    def __init__(self, case: Case) -> None:
        work, variant = case.workload, case.variant
        self.work, self.implementation = work, variant.implementation
        # The others have no use for our kernels, and should not pay for loading them.
        kernels = variant.kernels if self.implementation == "hyenadna" else "torch"
        run = runtime.resolve(
            device=case.device, dtype=variant.dtype, kernels=kernels, threads=case.threads
        )
        self.device, self.device_name = run.device, run.device_name
        self.kernels: Kernels | Literal["-"] = (
            run.kernels if self.implementation == "hyenadna" else "-"
        )
        torch.manual_seed(case.seed)
        kind = AttentionModel if self.implementation == "attention" else HyenaDNA
        self.model = kind(work.shape).train(work.training)
        _rescale(self.model, work.length)
        self.model.to(self.device)
        self.model.execution = run.execution(recompute_blocks=work.recompute)
        generator = torch.Generator().manual_seed(case.seed)
        self.token_ids_BL = torch.randint(
            _FIRST_BASE_ID, _AFTER_LAST_BASE_ID, (work.batch, work.length), generator=generator
        ).to(self.device)
        self._autocast = run.dtype if self.implementation == "plain" else torch.float32
        self._sdpa = (
            _choose_sdpa(self.model, run.dtype, self.device, training=work.training)
            if isinstance(self.model, AttentionModel)
            else None
        )
        self._stack = ExitStack()  # until the process ends
        if work.training:
            self._stack.enter_context(kept_for_steps())
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)

    def describe(self) -> dict[str, str | int | None]:
        """What was chosen where the case left a choice, and memory before the first pass."""
        is_gpu = self.device.type == "cuda"
        return {
            "kernels": self.kernels,
            "note": self._note(),
            "start_bytes": self.peak_bytes(),
            "device": str(self.device),
            "device_name": self.device_name,
            "free_bytes": torch.cuda.mem_get_info(self.device)[0] if is_gpu else None,
        }

    def _note(self) -> str:
        if self._sdpa is not None:
            return f"SDPA backend {self._sdpa.name.lower()}"
        conv: str = self.model.execution.long_conv_kernels(
            self.work.length, training=self.work.training
        )
        return "" if self.kernels in ("-", conv) else f"long convolution by {conv}"

    def compile(self) -> None:
        """Pass over little, so that no time or patience goes into compiling: minutes, once."""
        if self.kernels not in ("-", "torch"):
            for length in _COMPILED_LENGTHS:
                self.run(self.token_ids_BL[:1, :length])
        self._forget()

    def _forget(self) -> None:
        """What is kept for other lengths would count in the peak of the passes that are timed."""
        if isinstance(self.model, HyenaDNA):
            self.model.backbone.weight_cache.clear()

    def run(self, token_ids_BL: Tensor) -> Tensor:
        """One pass: hidden states, or the loss after the backward pass. Waits for the device."""
        with self._precision(), self._attention():
            if not self.work.training:
                with torch.inference_mode():
                    result = self._hidden(token_ids_BL)
            else:
                self.model.zero_grad(set_to_none=True)
                logits_BLV = self.model.logits(self._hidden(token_ids_BL))
                result = F.cross_entropy(
                    logits_BLV[:, :-1].flatten(0, 1).float(), token_ids_BL[:, 1:].flatten()
                )
        if self.work.training:
            result.backward()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return result

    def sample(self, length: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Numbers that tell two implementations apart: hidden states here and there, or gradients.

        Positions are spread over the first `length` tokens, the first and last among them.
        """
        result = self.run(self.token_ids_BL[:, :length])
        if length != self.work.length:
            self._forget()
        if not self.work.training:
            n_positions = min(_SAMPLED_POSITIONS, length)
            positions = torch.linspace(0, length - 1, n_positions).long().to(self.device)
            sampled: np.ndarray[Any, np.dtype[np.float32]] = (
                result[:1].index_select(1, positions).float().cpu().numpy()
            )
            return sampled
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return torch.cat([g.float().flatten() for g in gradients]).cpu().numpy()

    def time(self, at_least: float) -> list[float]:
        """Seconds of each of as many passes as fill `at_least` seconds."""
        seconds = list[float]()
        while not seconds or sum(seconds) < at_least:
            started = time.perf_counter()
            self.run(self.token_ids_BL)
            seconds.append(time.perf_counter() - started)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # other cases wait for their turn on the same device
        return seconds

    def operators(self) -> list[operators.OperatorTime]:
        """The parts of a block by themselves, on the kernels that were chosen."""
        assert self.kernels != "-", "only our model has them"
        times = operators.measure(self.work, self.kernels, self.device)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return times

    def peak_bytes(self) -> int:
        """The largest memory so far: of the device's allocator, or the process's resident size."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return largest if sys.platform == "darwin" else 1024 * largest

    def _hidden(self, token_ids_BL: Tensor) -> Tensor:
        if self.implementation == "plain":
            return plain_hyena.hidden_states(
                self.model, token_ids_BL, recompute_blocks=self.work.recompute
            )
        return self.model.hidden_states(token_ids_BL)[0]

    def _precision(self) -> AbstractContextManager[Any]:
        if self._autocast == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self._autocast)

    def _attention(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._sdpa is None else sdpa_kernel(self._sdpa)


def _rescale(model: nn.Module, length: int) -> None:
    """Weights of the size that training gives, so that rounding shows as it would in use."""
    for name, parameter in model.named_parameters():
        if parameter.ndim != 2 or ".implicit_filter." in name or "word_embeddings" in name:
            continue
        nn.init.normal_(parameter, std=1 / math.sqrt(parameter.shape[1]))
    for module in model.modules():
        if isinstance(module, ImplicitFilter):
            # Taps of about unit energy over the whole length.
            last = module.get_parameter(f"implicit_filter.{2 * module.n_hidden}.weight")
            nn.init.normal_(last, std=1 / math.sqrt(length))
    nn.init.normal_(model.get_parameter("backbone.embeddings.word_embeddings.weight"))


def _choose_sdpa(
    model: AttentionModel, dtype: torch.dtype, device: torch.device, *, training: bool
) -> SDPBackend:
    """The fastest fused implementation of attention that runs for these heads on this device."""
    width = model.config.d_model // model.n_heads
    length = _SDPA_TRIAL_LENGTH[device.type]
    shape = (1, model.n_heads, length, width)
    q, k, v = (
        torch.randn(shape, dtype=dtype, device=device, requires_grad=training) for _ in range(3)
    )

    def attend() -> None:
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if training:
            y.sum().backward()

    seconds: dict[SDPBackend, float] = {}
    for backend in _FUSED_SDPA:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the reasons why one cannot run
            try:
                with sdpa_kernel(backend):
                    seconds[backend] = best_seconds(attend, device, n=2)
            except RuntimeError:
                continue
    return min(seconds, key=lambda backend: seconds[backend], default=SDPBackend.MATH)


def measure_floor(device: torch.device) -> dict[str, Any]:
    """Best rates seen: operations of square matrix products, bytes read and written by copies."""
    size = _MATMUL_SIZES[device.type]
    flops = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        products: list[Callable[[], object]] = [functools.partial(dense, a, b, None)]
        if device.type == "cuda" or dtype == torch.float32 or has_bfloat16_products():
            # oneDNN, behind `dense`, is not on every processor the faster one.
            products.append(functools.partial(torch.mm, a, b))
        seconds = min(best_seconds(product, device, n=6) for product in products)
        flops[name] = 2 * size**3 / seconds
    source = torch.ones(_COPY_BYTES[device.type] // 4, device=device)
    target = torch.empty_like(source)
    seconds = best_seconds(lambda: target.copy_(source), device, n=8)
    return {"matmul_flops": flops, "copy_bytes": 2 * 4 * source.numel() / seconds}


def answer(request: dict[str, Any], subject: Subject | None) -> tuple[dict[str, Any], Subject]:
    """Do what one line asks for."""
    match request["do"]:
        case "prepare":
            subject = Subject(Case.from_json(request["case"]))
            described = subject.describe()
            subject.compile()
            return described, subject
    if subject is None:
        raise ValueError("the first request is prepare")
    match request["do"]:
        case "sample":
            started = time.perf_counter()
            np.save(request["file"], subject.sample(request["length"]))
            return {"seconds": time.perf_counter() - started}, subject
        case "time":
            return {"seconds": subject.time(request["seconds"])}, subject
        case "peak":
            return {"bytes": subject.peak_bytes()}, subject
        case "operators":
            times = subject.operators()
            return {"operators": [dataclasses.asdict(each) for each in times]}, subject
        case "floor":
            return measure_floor(subject.device), subject
        case unknown:
            raise ValueError(f"unknown request {unknown!r}")


def main() -> None:
    """Serve until stdin ends."""
    subject: Subject | None = None
    for line in sys.stdin:
        try:
            reply, subject = answer(json.loads(line), subject)
        except HyenaDNAError as error:
            reply = {"error": str(error), "is_memory": False}
        except (RuntimeError, MemoryError) as error:
            text = " ".join(str(error).split())[:300]
            reply = {"error": text, "is_memory": is_out_of_memory(error)}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
