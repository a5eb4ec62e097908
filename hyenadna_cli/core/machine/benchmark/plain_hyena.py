"""The whole forward pass as the original runs it: what `hyenadna benchmark` compares with.

A direct transcription of the formulas into torch, over the weights of a HyenaDNA model: batch
first, one call an operation, every intermediate in memory, filters computed anew in every call.
Nothing but the benchmark and the tests uses it.
"""

# B batch, L positions, D d_model, P = (order + 1) * D channels, F width of the filter MLP

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hyenadna_cli.core.model.blocks import Block, HyenaOperator
from hyenadna_cli.core.model.filters import ImplicitFilter, Sine
from hyenadna_cli.core.model.hyenadna import HyenaDNA


def hidden_states(
    model: HyenaDNA, token_ids_BL: Tensor, *, recompute_blocks: bool = False
) -> Tensor:
    """Hidden states (B, L, D) after the final norm, as `model.hidden_states` gives them.

    `model.execution` does not matter here: precision is that of the weights, or of an autocast
    around the call. `recompute_blocks` is gradient checkpointing.
    """
    config = model.config
    hidden_BLD = model.embed_tokens(token_ids_BL)
    residual_BLD = torch.zeros((), dtype=hidden_BLD.dtype, device=hidden_BLD.device)
    dropout = config.embed_dropout
    for block in model.backbone.layers:
        assert isinstance(block, Block)
        arguments = (block, hidden_BLD, residual_BLD, dropout)
        if recompute_blocks and torch.is_grad_enabled():
            hidden_BLD, residual_BLD = checkpoint(_block, *arguments, use_reentrant=False)
        else:
            hidden_BLD, residual_BLD = _block(*arguments)
        dropout = config.resid_dropout
    residual_BLD = F.dropout(hidden_BLD, dropout, model.training) + residual_BLD
    normed_BLD: Tensor = model.backbone.ln_f(residual_BLD)
    return normed_BLD


def _block(
    block: Block, hidden_BLD: Tensor, residual_BLD: Tensor, dropout: float
) -> tuple[Tensor, Tensor]:
    """Dropout, add, norm, sublayer, twice: the residual is carried beside the hidden state."""
    residual_BLD = F.dropout(hidden_BLD, dropout, block.training) + residual_BLD
    hidden_BLD = _operator(block.mixer, block.norm1(residual_BLD))
    residual_BLD = F.dropout(hidden_BLD, block.resid_dropout, block.training) + residual_BLD
    inner = F.gelu(block.mlp.fc1(block.norm2(residual_BLD)), approximate="tanh")
    return block.mlp.fc2(inner), residual_BLD


def _operator(mixer: HyenaOperator, u_BLD: Tensor) -> Tensor:
    n_positions, d_model = u_BLD.shape[1:]
    n_taps = mixer.short_filter.kernel_size[0]
    proj_BPL = mixer.in_proj(u_BLD).transpose(1, 2)
    conv_BPL = F.conv1d(
        proj_BPL,
        mixer.short_filter.weight,
        mixer.short_filter.bias,
        padding=n_taps - 1,
        groups=proj_BPL.shape[1],
    )[..., :n_positions]
    *gates, v_BDL = conv_BPL.split(d_model, dim=1)
    filters = _filters(mixer.filter_fn, n_positions).transpose(1, 2).split(d_model, dim=1)
    for gate_BDL, filter_1DL in zip(reversed(gates[1:]), filters, strict=True):
        v_BDL = _long_conv(v_BDL * gate_BDL, filter_1DL[0], mixer.filter_fn.bias)
    y_BLD = (v_BDL * gates[0]).transpose(1, 2)
    projected_BLD: Tensor = mixer.out_proj(y_BLD)
    return projected_BLD


def _filters(filter_fn: ImplicitFilter, n_positions: int) -> Tensor:
    """The taps (1, L, (order - 1) * D), positions first as in the original."""
    layers = filter_fn.implicit_filter
    sine = layers["1"]
    assert isinstance(sine, Sine)
    x_1LF = filter_fn.pos_emb.z[:, :n_positions]
    for index in range(filter_fn.n_hidden):
        x_1LF = torch.sin(sine.freq * _linear(layers[str(2 * index)], x_1LF))
    taps = _linear(layers[str(2 * filter_fn.n_hidden)], x_1LF)
    window_1LD = torch.exp(
        -filter_fn.pos_emb.t[:, :n_positions] * filter_fn.modulation.deltas.abs()
    )
    n_filters = taps.shape[-1] // window_1LD.shape[-1]
    return taps * (window_1LD + filter_fn.modulation.shift).repeat(1, 1, n_filters)


def _linear(layer: nn.Module, x: Tensor) -> Tensor:
    result: Tensor = layer(x)
    return result


def _long_conv(u_BDL: Tensor, filter_DL: Tensor, skip_D: Tensor) -> Tensor:
    """Transforms of twice the length, whatever its prime factors, as the original does."""
    n_positions = u_BDL.shape[-1]
    n_points = 2 * n_positions
    # Under autocast the gated input is half precision, which no FFT on the CPU takes.
    wide_BDL = u_BDL.to(torch.promote_types(filter_DL.dtype, torch.float32))
    spectrum_DF = torch.fft.rfft(filter_DL.to(wide_BDL.dtype), n=n_points) / n_points
    product_BDF = torch.fft.rfft(wide_BDL, n=n_points) * spectrum_DF
    conv_BDL = torch.fft.irfft(product_BDF, n=n_points, norm="forward")[..., :n_positions]
    mixed_BDL: Tensor = conv_BDL + wide_BDL * skip_D[:, None]
    return mixed_BDL.to(u_BDL.dtype)
