"""The operators of one block by themselves: seconds, and bytes per second against a large copy's.

    short convolution, first gate    5 streams forward, 8 backward
    filters                          taps written forward, their gradients read backward
    long convolution, skip, gate     3 streams and the taps forward, 5 and twice the taps backward

A stream is (B, L, D) float32. These are the fewest bytes that any program moves, so the share says
how far an operator is from what memory allows, passes over intermediates counted against it.
"""

# D channels, B batch, L positions, P = 3 D projected channels

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine.benchmark.cases import Workload
from hyenadna_cli.core.model.filters import ImplicitFilter
from hyenadna_cli.ops.kernels import Kernels
from hyenadna_cli.ops.long_conv import long_conv_gate
from hyenadna_cli.ops.short_conv import short_conv_gate

_ORDER = 2
_REPEATS = 6


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """One operator, one direction, at one shape."""

    operator: str
    direction: str
    """forward or backward."""
    seconds: float
    """The best of several."""
    n_bytes: int
    """To and from memory, at the least."""


def measure(work: Workload, kernels: Kernels, device: torch.device) -> list[OperatorTime]:
    """Every operator of a block, forward and backward, on random numbers."""
    times = []
    for name, run, inputs, n_bytes in _operators(work, kernels, device):
        with torch.no_grad():
            seconds = best_seconds(run, device, n=_REPEATS)
        times.append(OperatorTime(name, "forward", seconds, n_bytes[0]))
        outputs = run()
        d_outputs = [torch.ones_like(output) for output in outputs]

        def backward(
            outputs: Sequence[Tensor] = outputs,
            d_outputs: Sequence[Tensor] = d_outputs,
            inputs: Sequence[Tensor] = inputs,
        ) -> Sequence[Tensor]:
            return torch.autograd.grad(outputs, inputs, d_outputs, retain_graph=True)

        seconds = best_seconds(backward, device, n=_REPEATS)
        times.append(OperatorTime(name, "backward", seconds, n_bytes[1]))
    return times


def best_seconds(work: Callable[[], object], device: torch.device, *, n: int) -> float:
    """The shortest of `n` runs after one that warms up, the device waited for."""
    best = math.inf
    for _ in range(n + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best


def _operators(
    work: Workload, kernels: Kernels, device: torch.device
) -> Iterator[tuple[str, Callable[[], Sequence[Tensor]], Sequence[Tensor], tuple[int, int]]]:
    """Name, the operator on inputs that want gradients, those inputs, bytes of both directions."""
    d_model, n_batch, n_positions = work.d_model, work.batch, work.length
    stream, taps_bytes = 4 * d_model * n_batch * n_positions, 4 * d_model * n_positions

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device).requires_grad_()

    config = ModelConfig(
        d_model=d_model, n_layer=1, d_inner=d_model, l_max=n_positions, order=_ORDER
    )
    n_channels = (_ORDER + 1) * d_model
    proj_PBL = random(n_channels, n_batch, n_positions)
    taps_PK, bias_P = random(n_channels, config.short_filter_order), random(n_channels)

    def short() -> Sequence[Tensor]:
        gated_DBL, gates = short_conv_gate(proj_PBL, taps_PK, bias_P, order=_ORDER, kernels=kernels)
        return gated_DBL, *gates

    yield "short convolution", short, (proj_PBL, taps_PK, bias_P), (5 * stream, 8 * stream)

    filter_fn = ImplicitFilter(config).to(device)
    weights = [p for name, p in filter_fn.named_parameters() if name != "bias"]

    def filters() -> Sequence[Tensor]:
        taps: tuple[Tensor, ...] = filter_fn(n_positions, kernels=kernels)
        return taps

    yield "filters", filters, weights, (taps_bytes, taps_bytes)
    filter_DL = filter_fn(n_positions)[0].detach().requires_grad_()
    u_DBL, gate_DBL = (random(d_model, n_batch, n_positions) for _ in range(2))
    skip_D = random(d_model)

    def long() -> Sequence[Tensor]:
        return (long_conv_gate(u_DBL, filter_DL, skip_D, gate_DBL, kernels=kernels),)

    n_bytes = (3 * stream + taps_bytes, 5 * stream + 2 * taps_bytes)
    yield "long convolution", long, (u_DBL, filter_DL, skip_D, gate_DBL), n_bytes
