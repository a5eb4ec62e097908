"""What a workload should take: operations and bytes at least, memory and time about."""

from __future__ import annotations

from dataclasses import replace

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine.benchmark.cases import Variant, Workload
from hyenadna_cli.core.model import cost

_LIBRARY_BYTES = 300_000_000

# Float32 streams of (positions, d_model) that live at once: measured, for deciding what to try.
_PLAIN_STREAMS, _ATTENTION_STREAMS, _TRAINING_STREAMS_PER_BLOCK = 20, 16, 45


def scaled_seconds(seconds: float, seen: Workload, work: Workload, variant: Variant) -> float:
    """Time of a pass over `work` if the same model took `seconds` over `seen`.

    Linear in tokens; the attention model's is taken to be quadratic in length.
    """
    ratio = work.length / seen.length
    power = 2 if variant.implementation == "attention" and ratio > 1 else 1
    return seconds * ratio**power * work.batch / seen.batch


def expected_bytes(work: Workload, variant: Variant) -> int:
    """About how much memory a process needs for a pass: to decide what can be tried."""
    config = _config(work)
    stream = 4 * work.length * work.batch * work.d_model
    if variant.implementation == "hyenadna" and not work.training:
        return _LIBRARY_BYTES + cost.forward_bytes(
            config, n_windows=work.batch, n_tokens=work.length, n_layers=1
        )
    if variant.implementation == "hyenadna":
        return _LIBRARY_BYTES + cost.training_bytes(
            config,
            n_windows=work.batch,
            n_tokens=work.length,
            recompute_blocks=work.recompute,
            product_bytes=4 if variant.dtype == "fp32" else 2,
            has_fused_filters=variant.kernels != "torch",
        )
    is_attention = variant.implementation == "attention"
    n_streams = _ATTENTION_STREAMS if is_attention else _PLAIN_STREAMS
    if work.training:
        blocks = 1 if work.recompute else work.n_layer
        n_streams = _TRAINING_STREAMS_PER_BLOCK * blocks + work.n_layer
    return _LIBRARY_BYTES + n_streams * stream


def matmul_flops(work: Workload) -> float:
    """Operations of all matrix products of a pass, a backward pass included."""
    stages = cost.forward_stages(_config(work), n_windows=work.batch, n_tokens=work.length)
    # Backward: products with weights and with inputs, and the forward's again to recompute.
    passes = 1 if not work.training else 4 if work.recompute else 3
    return passes * sum(stage.matmul_flops for stage in stages)


def bytes_moved(work: Workload) -> float:
    """The fewest bytes a Hyena pass moves; a backward pass about twice those of the forward."""
    stages = cost.forward_stages(_config(work), n_windows=work.batch, n_tokens=work.length)
    return (3 if work.training else 1) * sum(stage.n_bytes for stage in stages)


def _config(work: Workload) -> ModelConfig:
    # Costs do not depend on l_max, and times are carried on to lengths that no model reads.
    return replace(work, length=1).shape
