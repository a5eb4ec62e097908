"""What a pass costs, from shapes alone: operations, bytes moved, memory. docs/performance.md.

Operations count a multiplication and an addition as two. Bytes are the fewest that any program
moves which keeps one token block in cache: only the long convolution mixes the whole sequence, so
between two of them a stream of (L, D) float32 is read or written once for each name below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hyenadna_cli.core.config import ModelConfig

_FP32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of work of a forward pass, summed over all blocks."""

    name: str
    matmul_flops: float
    """In the large matrix products, which may run in half precision."""
    other_flops: float
    """In the filters, transforms, gates and norms, which stay in float32."""
    n_bytes: float
    """To and from memory, at the least."""


def forward_stages(config: ModelConfig, *, n_windows: int, n_tokens: int) -> tuple[Stage, ...]:
    """The stages of HyenaDNA's forward pass to the final norm over `n_windows` x `n_tokens`."""
    d_model, n_layer, n_filters = config.d_model, config.n_layer, config.order - 1
    n_positions = n_windows * n_tokens
    stream = _FP32_BYTES * n_positions * d_model
    taps = n_tokens * d_model * n_filters
    hidden = config.filter_order
    per_tap_position = config.emb_dim * hidden + config.num_inner_mlps * hidden**2
    return (
        Stage("embedding", 0, 0, stream),
        Stage(
            "in_proj, short convolution, gate",
            n_layer * 2 * n_positions * d_model * (config.order + 1) * d_model,
            n_layer * n_positions * d_model
            * ((config.order + 1) * 2 * config.short_filter_order + 8),
            # Writes v and the gates still to come; the residual was read by the stage before.
            n_layer * config.order * stream,
        ),
        Stage(
            "filters",
            0,
            n_layer * (2 * n_tokens * per_tap_position + 2 * hidden * taps + 20 * taps),
            n_layer * 2 * _FP32_BYTES * taps,
        ),
        Stage(
            "long convolution, gate",
            0,
            n_layer * n_filters * d_model
            * ((2 * n_windows + 1) * _real_fft_flops(n_tokens) + 10 * n_positions),
            n_layer * n_filters * 3 * stream,
        ),
        Stage(
            "out_proj, norms, MLP",
            n_layer * 2 * n_positions * (d_model**2 + 2 * d_model * config.d_inner),
            n_layer * n_positions * (20 * d_model + 10 * config.d_inner),
            n_layer * 3 * stream,
        ),
        Stage("final norm", 0, 8 * n_positions * d_model, 2 * stream),
    )  # fmt: skip


def _real_fft_flops(n_tokens: int) -> float:
    """Of one transform of a causal convolution: real, zero-padded to twice the length."""
    n_points = 2 * n_tokens
    return 2.5 * n_points * math.log2(max(2, n_points))


def attention_matmul_flops(config: ModelConfig, *, n_windows: int, n_tokens: int) -> float:
    """Of the attention model's forward pass; half of the score matrix is never needed."""
    d_model, n_positions = config.d_model, n_windows * n_tokens
    per_position = 4 * d_model**2 + 2 * d_model * config.d_inner
    scores = 2 * n_windows * n_tokens**2 * d_model
    return config.n_layer * (2 * n_positions * per_position + scores)


def forward_bytes(config: ModelConfig, *, n_windows: int, n_tokens: int, n_layers: int) -> int:
    """About how many bytes a forward pass of `n_windows` x `n_tokens` needs, in float32.

    The residual stream, its norm, the projections and the gates exist at once; the taps of the
    filters and the features they are computed from once for all windows.
    """
    per_position = config.d_model * (2 * config.order + 4 + n_layers)
    per_tap = config.d_model * config.order + 2 * config.filter_order
    return 4 * n_tokens * (n_windows * per_position + per_tap)
