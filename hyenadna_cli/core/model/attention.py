"""The same language model with causal self-attention in place of the Hyena operator.

Depth, width, MLP, norms, vocabulary and tied head are those of HyenaDNA, so that what is measured
against it is the operator: time and memory in `hyenadna benchmark`, accuracy in fine-tuning.
"""

# B batch, L positions, N = B * L, D d_model, H heads, W width of a head, J = W / 2 rotation planes

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.blocks import MLP, Execution, linear
from hyenadna_cli.core.model.hyenadna import Backbone, HyenaDNA

_HEAD_WIDTH = 64
_ROTATION_BASE = 10_000.0


def default_heads(d_model: int) -> int:
    """Heads of about 64 channels, an even number of channels each.

    Raises ValueError if `d_model` is odd.
    """
    if d_model % 2:
        raise ValueError(f"attention needs an even d_model, got {d_model}")
    n_heads = max(1, d_model // _HEAD_WIDTH)
    while d_model % (2 * n_heads):
        n_heads -= 1
    return n_heads


class SelfAttention(nn.Module):
    """Causal multi-head attention; positions enter as rotations of queries and keys."""

    def __init__(self, config: ModelConfig, n_heads: int) -> None:
        super().__init__()
        if n_heads < 1 or config.d_model % (2 * n_heads):
            raise ValueError(f"{config.d_model} channels do not split into {n_heads} even heads")
        self.n_heads = n_heads
        self.in_proj = nn.Linear(config.d_model, 3 * config.d_model)
        self.out_proj = nn.Linear(config.d_model, config.d_model)

    def forward(self, u_BLD: Tensor, rotation_LJ: Tensor, execution: Execution) -> Tensor:
        """Mix along the sequence; position t sees positions up to t."""
        qkv = linear(u_BLD, self.in_proj, execution).unflatten(-1, (3, self.n_heads, -1))
        q_BHLW, k_BHLW, v_BHLW = (x_BLHW.transpose(1, 2) for x_BLHW in qkv.unbind(2))
        q_BHLW, k_BHLW = rotate(q_BHLW, rotation_LJ), rotate(k_BHLW, rotation_LJ)
        y_BHLW = F.scaled_dot_product_attention(q_BHLW, k_BHLW, v_BHLW, is_causal=True)
        y_BLD = linear(y_BHLW.transpose(1, 2).flatten(2), self.out_proj, execution)
        return y_BLD.to(u_BLD.dtype)


def rotations(n_positions: int, head_width: int, device: torch.device) -> Tensor:
    """Unit complex numbers (L, J), one plane a pair of channels   (RoFormer, arXiv:2104.09864)."""
    # float32 cannot tell late positions apart once they are multiplied by a small frequency.
    exponents_J = torch.arange(0, head_width, 2, device=device, dtype=torch.float64) / head_width
    positions_L = torch.arange(n_positions, device=device, dtype=torch.float64)
    angles_LJ = torch.outer(positions_L, _ROTATION_BASE**-exponents_J).float()
    return torch.polar(torch.ones_like(angles_LJ), angles_LJ)


def rotate(x_BHLW: Tensor, rotation_LJ: Tensor) -> Tensor:
    """Turn each pair of channels by its position's angle, in at least float32; x's dtype again."""
    wide_BHLW = x_BHLW.to(torch.promote_types(x_BHLW.dtype, torch.float32))
    planes_BHLJ = torch.view_as_complex(wide_BHLW.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(planes_BHLJ * rotation_LJ).flatten(-2).to(x_BHLW.dtype)


class AttentionBlock(nn.Module):
    """Two pre-norm residual branches: self-attention and the MLP."""

    def __init__(self, config: ModelConfig, n_heads: int) -> None:
        super().__init__()
        self.mixer = SelfAttention(config, n_heads)
        self.norm1 = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)
        self.norm2 = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.resid_dropout = config.resid_dropout

    def forward(self, residual_BLD: Tensor, rotation_LJ: Tensor, execution: Execution) -> Tensor:
        """The residual stream after this block."""
        mixed_BLD = self.mixer(self.norm1(residual_BLD), rotation_LJ, execution)
        residual_BLD = residual_BLD + F.dropout(mixed_BLD, self.resid_dropout, self.training)
        del mixed_BLD
        mlp_BLD = self.mlp(self.norm2(residual_BLD), execution)
        return residual_BLD + F.dropout(mlp_BLD, self.resid_dropout, self.training)


class AttentionBackbone(Backbone):
    """Embedding, blocks, final norm; the rotations are computed once for all blocks."""

    def forward(
        self, embedded_BLD: Tensor, layers: Sequence[int], execution: Execution
    ) -> list[Tensor]:
        """Hidden states of the asked layers, from embedded tokens."""
        rotation_LJ = self._rotations(embedded_BLD)
        kept = {0: embedded_BLD} if 0 in layers else {}
        x_BLD = F.dropout(embedded_BLD, self.embed_dropout, self.training)
        for number, block in enumerate(self.layers, start=1):
            if execution.recompute_blocks and torch.is_grad_enabled():
                x_BLD = checkpoint(block, x_BLD, rotation_LJ, execution, use_reentrant=False)
            else:
                x_BLD = block(x_BLD, rotation_LJ, execution)
            if number in layers:
                kept[number] = x_BLD
        if -1 in layers:
            kept[-1] = self.ln_f(x_BLD)
        return [kept[layer] for layer in layers]

    def _rotations(self, embedded_BLD: Tensor) -> Tensor:
        _, n_positions, d_model = embedded_BLD.shape
        first = self.layers[0]
        assert isinstance(first, AttentionBlock)
        return rotations(n_positions, d_model // first.mixer.n_heads, embedded_BLD.device)


class AttentionModel(HyenaDNA):
    """The causal language model over attention blocks; used like HyenaDNA, weights of its own."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        n_heads: int | None = None,
        execution: Execution | None = None,
    ) -> None:
        self.n_heads = default_heads(config.d_model) if n_heads is None else n_heads
        super().__init__(config, execution=execution)

    def _make_backbone(self, config: ModelConfig) -> Backbone:
        blocks = (AttentionBlock(config, self.n_heads) for _ in range(config.n_layer))
        return AttentionBackbone(config, blocks)
