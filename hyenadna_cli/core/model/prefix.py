"""A prefix run once, and continued any number of times without running it again.

The model is causal and its long convolutions are linear: of a prefix, what follows needs, in every
layer, the last few projections (the short convolution looks back at them) and what the prefix adds
to each later output of each long convolution. That is a constant for a given prefix.

    run_prefix     embedded prefix -> Prefix       once
    continue_from  Prefix + what follows -> hidden states, each the same as in a plain pass

Nothing is approximated, and both differentiate: a prefix may be learned through its continuations.
Without gradients a continuation is a pass of `fused_forward`: its tiles, kernels, kept spectra.
"""

# B prefixes (1: the same for all sequences), L positions of the prefix, S of what follows it,
# M at most as many, K short-filter taps, P projected channels, D d_model

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hyenadna_cli.core.model.blocks import Block, HyenaOperator, linear
from hyenadna_cli.core.model.fused_forward import FusedForward
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.ops.long_conv import long_conv_gate
from hyenadna_cli.ops.online_conv import carry_over
from hyenadna_cli.ops.short_conv import short_conv_gate


@dataclass(frozen=True, slots=True)
class PrefixLayer:
    """What one block keeps of a prefix."""

    lookback_BKD: Tensor
    """Its last rows of the residual stream, as many as the short convolution looks back at."""
    projections_PBK: Tensor
    """The last K - 1 projections, zero where the prefix is shorter; (P, B, K - 1)."""
    carried: list[Tensor]
    """What the prefix adds to later outputs of each long convolution; (D, B, M)."""


@dataclass(frozen=True, slots=True)
class Prefix:
    """What continuations of a prefix need."""

    n_positions: int
    """Of the prefix."""
    n_later: int
    """Positions that may follow it."""
    last_BD: Tensor
    """Its last hidden state, after the final norm: what predicts the next token."""
    layers: list[PrefixLayer]


def run_prefix(model: HyenaDNA, embedded_BLD: Tensor, *, n_later: int) -> Prefix:
    """Run a prefix that up to `n_later` positions will follow.

    Raises ValueError for an empty prefix, or if it and what follows are longer than `l_max`.
    """
    n_positions = embedded_BLD.shape[1]
    if not 0 < n_positions <= model.config.l_max - n_later:
        raise ValueError(
            f"a prefix of {n_positions:,} positions and {n_later:,} after it; this model reads "
            f"at most {model.config.l_max:,}"
        )
    n_lookback = model.config.short_filter_order - 1
    x_BLD, layers = embedded_BLD, []
    for block in blocks_of(model):
        mixer = block.mixer
        proj_PBL = _projected(model, block, x_BLD)
        tail_PBK = F.pad(proj_PBL, (max(0, n_lookback - n_positions), 0))
        tail_PBK = tail_PBK[..., tail_PBK.shape[-1] - n_lookback :].clone()
        v_DBL, gates = _gated(model, mixer, proj_PBL)
        carried = []
        for filter_DL, gate_DBL in zip(mixer.filter_fn(n_positions + n_later), gates, strict=True):
            carried.append(carry_over(v_DBL, filter_DL, n_later))
            v_DBL = _long_conv(model, mixer, v_DBL, filter_DL, gate_DBL)
        lookback_BKD = x_BLD[:, max(0, n_positions - n_lookback) :].clone()
        layers.append(PrefixLayer(lookback_BKD, tail_PBK, carried))
        x_BLD = finish_block(model, block, x_BLD, v_DBL)
    last_BD = model.backbone.ln_f(x_BLD[:, -1])
    return Prefix(n_positions, n_later, last_BD, layers)


def continue_from(model: HyenaDNA, prefix: Prefix, embedded_BSD: Tensor) -> Tensor:
    """Hidden states (B, S, D), after the final norm, of what follows the prefix.

    Raises ValueError if that is more than the prefix was prepared for.
    """
    n_batch, n_positions, _ = embedded_BSD.shape
    if n_positions > prefix.n_later:
        raise ValueError(f"{n_positions:,} positions follow; prepared for {prefix.n_later:,}")
    if model.backbone.can_infer:
        return _Continuation(model, prefix, embedded_BSD).run()
    x_BSD = embedded_BSD
    for block, layer in zip(blocks_of(model), prefix.layers, strict=True):
        mixer = block.mixer
        n_before = layer.projections_PBK.shape[-1]
        before_PBK = layer.projections_PBK.expand(-1, n_batch, -1)
        proj_PBS = torch.cat([before_PBK, _projected(model, block, x_BSD)], dim=-1)
        v_DBS, gates = _gated(model, mixer, proj_PBS)
        v_DBS = v_DBS[..., n_before:].contiguous()
        stages = zip(mixer.filter_fn(n_positions), gates, layer.carried, strict=True)
        for filter_DS, gate_DBS, carried_DBM in stages:
            gate_DBS = gate_DBS[..., n_before:].contiguous()
            v_DBS = _long_conv(model, mixer, v_DBS, filter_DS, gate_DBS)
            v_DBS = torch.addcmul(v_DBS, carried_DBM[..., :n_positions], gate_DBS)
        x_BSD = finish_block(model, block, x_BSD, v_DBS)
    hidden_BSD: Tensor = model.backbone.ln_f(x_BSD)
    return hidden_BSD


class _Continuation(FusedForward):
    """The pass over what follows, behind the few rows that the short convolution looks back at."""

    rounds_streams = False

    def __init__(self, model: HyenaDNA, prefix: Prefix, embedded_BSD: Tensor) -> None:
        lookback_BKD = prefix.layers[0].lookback_BKD.expand(len(embedded_BSD), -1, -1)
        x_BLD = torch.cat([lookback_BKD, embedded_BSD], dim=1)
        super().__init__(model.execution, model.backbone.weight_cache, x_BLD)
        self._model, self._layers = model, prefix.layers
        self._later = slice(lookback_BKD.shape[1], None)

    def run(self) -> Tensor:
        """Hidden states (B, S, D) after the final norm."""
        for number, block in enumerate(blocks_of(self._model), start=1):
            self.apply(block, number=number, n_blocks=len(self._layers))
        return self.normed(self._model.backbone.ln_f)[:, self._later]

    def apply(self, block: Block, *, number: int, n_blocks: int) -> None:
        """Carry the residual stream through block `number` of `n_blocks`."""
        layer, mixer, later = self._layers[number - 1], block.mixer, self._later
        n_before = layer.lookback_BKD.shape[1]
        self._x_BLD[:, :n_before] = layer.lookback_BKD
        gates = self._empty_gates(mixer)
        self._mix(block, gates, number=number)
        # What the prefix adds is kept; its last rows must not add to that.
        self._gated_BLD[:, :n_before] = 0
        stages = zip(
            self._filters.of(mixer.filter_fn, number=number, n_blocks=n_blocks),
            gates,
            layer.carried,
            strict=True,
        )
        for filters, gate_BLD, carried_DBM in stages:
            long_conv_gate(
                self._gated_BLD.permute(2, 0, 1),
                filters,
                mixer.filter_fn.bias,
                gate_BLD.permute(2, 0, 1),
                kernels=self._conv_kernels,
                in_place=True,
            )
            gated_BSD, gate_BSD = self._gated_BLD[:, later], gate_BLD[:, later]
            gated_BSD.addcmul_(carried_DBM[..., : gate_BSD.shape[1]].permute(1, 2, 0), gate_BSD)
        self._finish(block, number=number)


def blocks_of(model: HyenaDNA) -> Iterator[Block]:
    """The blocks, as what they are."""
    for block in model.backbone.layers:
        assert isinstance(block, Block)
        yield block


def finish_block(model: HyenaDNA, block: Block, x_BLD: Tensor, v_DBL: Tensor) -> Tensor:
    """The rest of a block, from its gated convolutions to the residual stream after it."""
    y_ND = linear(v_DBL.reshape(v_DBL.shape[0], -1).T, block.mixer.out_proj, model.execution)
    x_BLD = x_BLD + y_ND.view(x_BLD.shape)
    mlp_BLD: Tensor = block.mlp(block.norm2(x_BLD), model.execution)
    return x_BLD + mlp_BLD


def _projected(model: HyenaDNA, block: Block, x_BLD: Tensor) -> Tensor:
    n_batch, n_positions, d_model = x_BLD.shape
    u_ND = block.norm1(x_BLD).reshape(-1, d_model)
    return block.mixer.project(u_ND, model.execution).view(-1, n_batch, n_positions)


def _gated(
    model: HyenaDNA, mixer: HyenaOperator, proj_PBL: Tensor
) -> tuple[Tensor, tuple[Tensor, ...]]:
    return short_conv_gate(
        proj_PBL,
        mixer.short_filter.weight[:, 0],
        mixer.short_filter.bias,  # type: ignore[arg-type]
        order=mixer.order,
        kernels=model.execution.kernels,
    )


def _long_conv(
    model: HyenaDNA, mixer: HyenaOperator, v_DBL: Tensor, filter_DL: Tensor, gate_DBL: Tensor
) -> Tensor:
    kernels = model.execution.long_conv_kernels(v_DBL.shape[-1], training=torch.is_grad_enabled())
    return long_conv_gate(v_DBL, filter_DL, mixer.filter_fn.bias, gate_DBL, kernels=kernels)
