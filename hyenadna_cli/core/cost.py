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

# What core.inference keeps: gates up to a size, but at least those of so many channels; spectra of
# all filters up to a size, else of groups of channels at a time; projections and MLP of a tile.
_GATE_BYTES, _GATE_CHANNELS = 256 << 20, 64
_SPECTRA_BYTES, _GROUP_CHANNELS = 512 << 20, 16
_TILE_BYTES = 32 << 20


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
    """About how many bytes a forward pass of `n_windows` x `n_tokens` needs; docs/performance.md.

    The residual stream, the gated input of the long convolution, its gates for a block of channels,
    and a copy of each further layer that is kept; for all windows together the spectra of the
    filters and what they are made from. Weights and libraries are not included.
    """
    stream = _FP32_BYTES * n_windows * n_tokens * config.d_model
    n_filters = config.order - 1
    gates = min(stream * n_filters, max(_GATE_BYTES, stream * n_filters * _GATE_CHANNELS
                                        // config.d_model))  # fmt: skip
    spectra = 2 * _FP32_BYTES * n_tokens * config.d_model * n_filters * config.n_layer
    if spectra > _SPECTRA_BYTES:
        # Taps, window and a copy, spectrum and work, of two groups of channels at a time.
        spectra = 2 * 7 * _FP32_BYTES * n_tokens * min(_GROUP_CHANNELS, config.d_model)
    hidden = _FP32_BYTES * n_tokens * config.filter_order
    return (1 + n_layers) * stream + gates + spectra + hidden + _TILE_BYTES
