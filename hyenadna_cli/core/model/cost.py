"""What a pass costs, from shapes alone: operations, bytes moved, memory. docs/performance.md.

Operations count a multiplication and an addition as two. Bytes are the fewest that any program
moves which keeps a tile of tokens in cache: only the long convolution mixes the whole sequence, so
between two of them a stream of (L, D) float32 is read or written once for each name below.
"""

from __future__ import annotations

from dataclasses import dataclass

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig

_FP32_BYTES = 4

LONG_BYTES = 64 << 20
"""Size of a sequence's float32 stream above which a forward pass puts memory first: later gates
are not kept, and with products in bfloat16 the residual stream is rounded too, once per block."""

# What else a forward pass keeps: spectra of all filters up to a size, else of groups of channels at
# a time; projections and MLP of a tile.
_SPECTRA_BYTES, _GROUP_CHANNELS, _SHARED_POINTS = 512 << 20, 16, 1 << 18
_TILE_BYTES = 32 << 20

HIDDEN_BYTES = 1 << 30
"""Of the MLP's hidden layer that training with recomputed blocks holds at once, on a GPU."""
_FFT_BYTES, _FFT_CHANNELS = 8 << 20, 8
"""Of the values that a group of channels is transformed to, or the fewest channels of a group."""
_FFT_COPIES = 10
"""Spectra and products of such a group, forward and backward."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One kind of work of a forward pass, summed over all blocks."""

    name: str
    matmul_flops: float
    """In the large matrix products, which may run in half precision."""
    n_bytes: float
    """To and from memory, at the least."""


def n_parameters(config: ModelConfig) -> int:
    """Trainable numbers of a model, its LM head tied to the embedding, without making it."""
    d_model, width, n_filters = config.d_model, config.filter_order, config.order - 1
    n_channels = (config.order + 1) * d_model
    short = n_channels * (config.short_filter_order + 1)
    filter_mlp = (config.emb_dim + 1) * width + config.num_inner_mlps * (width + 1) * width
    long = d_model + filter_mlp + width + n_filters * d_model * width  # skip, MLP, sine, last layer
    products = (d_model + 1) * n_channels + (d_model + 1) * d_model
    mlp = (d_model + 1) * config.d_inner + (config.d_inner + 1) * d_model
    block = 2 * 2 * d_model + products + short + long + mlp  # with its two norms
    return config.padded_vocab_size * d_model + config.n_layer * block + 2 * d_model


def forward_stages(config: ModelConfig, *, n_windows: int, n_tokens: int) -> tuple[Stage, ...]:
    """The stages of HyenaDNA's forward pass to the final norm over `n_windows` x `n_tokens`."""
    d_model, n_layer, n_filters = config.d_model, config.n_layer, config.order - 1
    n_positions = n_windows * n_tokens
    stream = _FP32_BYTES * n_positions * d_model
    taps = n_tokens * d_model * n_filters
    return (
        Stage("embedding", 0, stream),
        Stage(
            "in_proj, short convolution, gate",
            n_layer * 2 * n_positions * d_model * (config.order + 1) * d_model,
            # Writes v and the gates still to come; the residual was read by the stage before.
            n_layer * config.order * stream,
        ),
        Stage("filters", 0, n_layer * 2 * _FP32_BYTES * taps),
        Stage("long convolution, gate", 0, n_layer * n_filters * 3 * stream),
        Stage(
            "out_proj, norms, MLP",
            n_layer * 2 * n_positions * (d_model**2 + 2 * d_model * config.d_inner),
            n_layer * 3 * stream,
        ),
        Stage("final norm", 0, 2 * stream),
    )


def forward_bytes(config: ModelConfig, *, n_windows: int, n_tokens: int, n_layers: int) -> int:
    """About how many bytes a forward pass of `n_windows` x `n_tokens` needs; docs/performance.md.

    The residual stream, the gated input of the long convolution, its gates where the sequence is
    not long, and a copy of each further layer that is kept; for all windows together the spectra of
    the filters and what they are made from. Weights and libraries are not included.
    """
    stream = _FP32_BYTES * n_windows * n_tokens * config.d_model
    n_filters = config.order - 1
    is_long = _FP32_BYTES * n_tokens * config.d_model > LONG_BYTES
    gates = 0 if is_long else stream * n_filters
    spectra = 2 * _FP32_BYTES * n_tokens * config.d_model * n_filters * config.n_layer
    if spectra > _SPECTRA_BYTES:
        # Taps and a copy, spectrum and work, of a group of channels in each of two threads; of the
        # longest transforms of one, which the threads share.
        n_groups = 1 if n_tokens >= _SHARED_POINTS else 2
        width = min(_GROUP_CHANNELS, config.d_model)
        spectra = n_groups * 7 * _FP32_BYTES * n_tokens * width
    hidden = _FP32_BYTES * n_tokens * config.filter_order
    return (1 + n_layers) * stream + gates + spectra + hidden + _TILE_BYTES


def training_bytes(
    config: ModelConfig,
    *,
    n_windows: int,
    n_tokens: int,
    recompute_blocks: bool,
    product_bytes: int = 4,
    has_fused_filters: bool = False,
) -> int:
    """About how many bytes forward, loss and backward of `n_windows` x `n_tokens` need.

    `product_bytes` are those of a number in the large products: 4 in float32, 2 in bfloat16. Blocks
    keep their inputs where they are recomputed, else all that their backward pass reads. Weights,
    their gradients, the optimiser and libraries are not included.
    """
    n_positions = n_windows * n_tokens
    stream = _FP32_BYTES * n_positions * config.d_model
    product = product_bytes * n_positions * config.d_model
    hidden = product_bytes * n_positions * config.d_inner
    mixer, mlp = saved_bytes(
        config,
        n_windows=n_windows,
        n_tokens=n_tokens,
        product_bytes=product_bytes,
        has_fused_filters=has_fused_filters,
    )
    if recompute_blocks:
        mlp -= 2 * max(0, hidden - HIDDEN_BYTES)
        hidden = min(hidden, HIDDEN_BYTES)
    # Where a block's backward pass begins: gradients of its output, in both precisions, and of the
    # hidden layer before and after its GELU.
    at_mlp = mixer + mlp + stream + product + 2 * hidden
    # Where it convolves: gradients of the residual, of what the long convolution gave and read, of
    # its gates, of the projections and the taps.
    taps = _FP32_BYTES * n_tokens * config.d_model * (config.order - 1)
    fft = max(_FFT_BYTES, _FP32_BYTES * _FFT_CHANNELS * n_windows * 2 * n_tokens)
    at_mixer = mixer + (config.order + 4) * stream + taps + _FFT_COPIES * fft
    # Embedding, last hidden state, the same after its norm, logits and their gradients.
    ends = 3 * stream + 3 * _FP32_BYTES * n_positions * config.padded_vocab_size
    kept = stream if recompute_blocks else stream + mixer + mlp
    return (config.n_layer - 1) * kept + stream + ends + max(at_mlp, at_mixer)


def exchanged_bytes(config: ModelConfig, *, n_windows: int, n_tokens: int, n_context: int) -> int:
    """Bytes that a process sends to others in a forward pass of sequences that `n_context` share.

    To where each long convolution runs its inputs and its taps, and back its result; a backward
    pass sends as many again. The few positions of the short convolution are left out.
    """
    n_streams = config.n_layer * (config.order - 1) * (2 * n_windows + 1)
    n_own = -(-n_tokens // n_context)
    return n_streams * _FP32_BYTES * n_own * config.d_model * (n_context - 1) // n_context


def describe_training_memory(
    config: ModelConfig,
    train: TrainConfig,
    *,
    longest: int,
    n_prompt: int = 0,
    n_context: int = 1,
) -> str:
    """One line: what a micro-batch of windows of `longest` bases takes, in both precisions.

    `n_prompt` soft tokens before them are run once for the micro-batch. `n_context` processes share
    each window, and the line is about one of them.
    """
    n_windows = min(
        max(1, train.micro_batch_bases // longest),
        train.sequences_per_step(longest, max_length=longest),
    )
    passes = [(n_windows, -(-longest // n_context))] + ([(1, n_prompt)] if n_prompt else [])
    fp32, bf16 = (
        sum(
            training_bytes(
                config,
                n_windows=n_rows,
                n_tokens=n_tokens,
                recompute_blocks=train.recompute_blocks,
                product_bytes=product_bytes,
            )
            for n_rows, n_tokens in passes
        )
        for product_bytes in (4, 2)
    )
    behind = f" behind {n_prompt:,} prompt tokens" if n_prompt else ""
    how = "blocks recomputed" if train.recompute_blocks else "blocks kept"
    if n_context > 1:
        sent = exchanged_bytes(config, n_windows=n_windows, n_tokens=longest, n_context=n_context)
        sent *= 3 if train.recompute_blocks else 2
        behind += f" in each of {n_context} processes, which sends {sent / 1e9:.3g} GB"
    return (
        f"memory: about {fp32 / 1e9:.2f} GB in fp32, {bf16 / 1e9:.2f} GB in bf16, for "
        f"{n_windows:,} x {longest:,} bases at once{behind}, {how}; weights, optimiser and "
        "libraries come on top"
    )


def saved_bytes(
    config: ModelConfig,
    *,
    n_windows: int,
    n_tokens: int,
    product_bytes: int = 4,
    has_fused_filters: bool = False,
) -> tuple[int, int]:
    """Bytes that the two halves of a block, operator and MLP, keep for their backward passes.

    The input of the block is not counted, the one between the halves is.
    """
    n_positions, order = n_windows * n_tokens, config.order
    stream = _FP32_BYTES * n_positions * config.d_model
    product = product_bytes * n_positions * config.d_model
    filters = _FP32_BYTES * n_tokens * config.d_model * (order - 1)
    if not has_fused_filters:
        # Beside the taps the window; of each layer of their network what its sine reads, the
        # angle, the sine.
        n_values = 3 * (config.num_inner_mlps + 1) * config.filter_order
        filters += _FP32_BYTES * n_tokens * (config.d_model + n_values)
    # What in_proj reads, projections, the gated input and gates, what is between convolutions,
    # what out_proj reads.
    mixer = product + (3 * order - 1) * stream + product + filters
    # The MLP's input before and after its norm, the hidden layer before and after its GELU.
    mlp = stream + product + 2 * product_bytes * n_positions * config.d_inner
    return mixer, mlp
