"""REF passes that ALT passes can build on: what precedes a variant is never computed twice.

The model is causal, so that REF and ALT agree before the first position p where their windows
differ; and the long convolution is linear, so that from there on, in every layer and for every one
of its filters,

    conv(alt)[t] = conv(ref)[t] + sum over p <= s <= t of filter[t - s] * (alt[s] - ref[s])

    REF pass   whole windows; keeps, from the first start on, what each long convolution read and
               gave, and the few rows before a start that the short convolution looks back at
    ALT pass   the suffix from a start <= p; its convolutions are as long as the suffix

In the first layer the inputs are the tokens themselves. Where ALT is as long as REF, only the few
that were exchanged differ there, and with them as many rows as the short convolution reaches: no
projection of the suffix, and a convolution of a few taps instead of a transform.

Nothing is approximated: the result is that of a plain pass, up to rounding.
"""

# B windows of a REF pass, A alleles of an ALT pass, L positions, S positions of a suffix,
# K - 1 rows that the short convolution looks back, D d_model, V classes

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hyenadna_cli.core.config import ModelConfig
from hyenadna_cli.core.model import Block, HyenaDNA, HyenaOperator, linear
from hyenadna_cli.ops.long_conv import long_conv_gate
from hyenadna_cli.ops.short_conv import short_conv_gate

_FILTER_BYTES = 512 << 20
"""Filters are kept between passes up to this size, and computed for each pass beyond it."""

_MAX_TAPS = 48
"""Changed rows of the first layer up to which a matrix product is faster than a transform."""


@dataclass(frozen=True, slots=True)
class _LayerStates:
    """What a REF pass keeps of one block, from the first start on."""

    lookback: dict[int, Tensor]
    """Of each start: up to K - 1 rows of the block's input before it; (B, K - 1, D)."""
    read: list[Tensor]
    """What each long convolution read, (D, B, S)."""
    gave: list[Tensor]
    """What each gave, with its skip term and before the gate, (D, B, S)."""
    gates: list[Tensor]
    """Of the first block only: the gate after each, (D, B, S)."""


@dataclass(frozen=True, slots=True)
class RefStates:
    """What a REF pass keeps for ALT passes."""

    first: int
    """The smallest start of an ALT pass."""
    layers: list[_LayerStates]


def kept_bytes(config: ModelConfig, *, n_positions: int, n_bytes: int) -> int:
    """What a REF pass keeps of one window with ALT passes over `n_positions` of it.

    `n_bytes` a number. Grows with the layers: the price of not computing the prefix again.
    """
    per_position = (2 * config.n_layer + 1) * (config.order - 1) * config.d_model
    return n_bytes * n_positions * per_position


class SharedPrefix:
    """REF and ALT passes of one model over windows of one length.

    Raises ValueError if the windows are longer than the model reads.
    """

    def __init__(self, model: HyenaDNA, window: int) -> None:
        if window > model.config.l_max:
            raise ValueError(f"{window:,} tokens; this model reads at most {model.config.l_max:,}")
        self._model = model
        self._window = window
        self._n_lookback = model.config.short_filter_order - 1
        self._filters: list[tuple[Tensor, ...] | None] = [None] * model.config.n_layer
        weight = model.lm_head.weight
        n_filters = model.config.n_layer * (model.config.order - 1)
        n_filter_bytes = n_filters * model.config.d_model * window * weight.element_size()
        self._keeps_filters = n_filter_bytes <= _FILTER_BYTES

    @torch.inference_mode()
    def ref(self, token_ids_BL: Tensor, starts: Sequence[int]) -> tuple[Tensor, RefStates]:
        """Hidden states (B, L, D) of whole windows, and what ALT passes from `starts` need."""
        first = min(starts)
        x_BLD = self._model.embed_tokens(token_ids_BL)
        layers = []
        for number, block in enumerate(self._blocks()):
            lookback = {
                start: x_BLD[:, max(0, start - self._n_lookback) : start].clone()
                for start in set(starts)
            }
            v_DBL, gates = self._gated(block.mixer, block.norm1(x_BLD))
            ones_DBL = torch.ones_like(v_DBL)
            read, gave = [], []
            for filter_DL, gate_DBL in zip(self._filters_of(number), gates, strict=True):
                read.append(v_DBL[..., first:].clone())
                v_DBL = self._long_conv(block.mixer, v_DBL, filter_DL, ones_DBL)
                gave.append(v_DBL[..., first:].clone())
                v_DBL = v_DBL.mul_(gate_DBL)
            del ones_DBL
            kept = [gate_DBL[..., first:].clone() for gate_DBL in gates] if number == 0 else []
            layers.append(_LayerStates(lookback, read, gave, kept))
            x_BLD = self._finish(block, x_BLD, v_DBL)
            del v_DBL, gates
        return self._model.backbone.ln_f(x_BLD), RefStates(first, layers)

    @torch.inference_mode()
    def alt(
        self,
        ref: RefStates,
        rows_A: Tensor,
        token_ids_AS: Tensor,
        start: int,
        *,
        changed: slice | None = None,
    ) -> Tensor:
        """Hidden states (A, S, D) of windows that equal REF windows before `start`.

        `rows_A` tells which REF window each belongs to, `token_ids_AS` are its tokens from `start`
        to its end. `changed`: positions of the suffix outside which no token differs from REF's;
        None if unknown. Raises ValueError for a start that the REF pass was not told.
        """
        if start not in ref.layers[0].lookback:
            raise ValueError(f"the REF pass kept nothing for an ALT pass from {start}")
        kept = slice(start - ref.first, None)
        x_ASD = self._model.embed_tokens(token_ids_AS)
        for number, (block, states) in enumerate(zip(self._blocks(), ref.layers, strict=True)):
            before_AKD = states.lookback[start][rows_A]
            read = [read_DBS[..., kept][:, rows_A] for read_DBS in states.read]
            gave = [gave_DBS[..., kept][:, rows_A] for gave_DBS in states.gave]
            if number == 0 and changed is not None:
                gates = [gate_DBS[..., kept][:, rows_A] for gate_DBS in states.gates]
                known = _LayerStates({}, read, gave, gates)
                v_DAS = self._first_layer(block, before_AKD, x_ASD, known, changed)
            else:
                known = _LayerStates({}, read, gave, [])
                v_DAS = self._layer(block, before_AKD, x_ASD, known, self._filters_of(number))
            x_ASD = self._finish(block, x_ASD, v_DAS)
        hidden_ASD: Tensor = self._model.backbone.ln_f(x_ASD)
        return hidden_ASD

    def _layer(
        self,
        block: Block,
        before_AKD: Tensor,
        x_ASD: Tensor,
        ref: _LayerStates,
        filters: Sequence[Tensor],
    ) -> Tensor:
        """The gated convolutions (D, A, S) of a suffix that differs from REF's anywhere."""
        n_before = before_AKD.shape[1]
        v_DAS, gates = self._gated(block.mixer, block.norm1(torch.cat([before_AKD, x_ASD], dim=1)))
        v_DAS = v_DAS[..., n_before:]
        for filter_DL, gate_DAS, read_DAS, gave_DAS in zip(
            filters, gates, ref.read, ref.gave, strict=True
        ):
            gate_DAS = gate_DAS[..., n_before:].contiguous()
            v_DAS = self._long_conv(block.mixer, v_DAS - read_DAS, filter_DL, gate_DAS)
            v_DAS = v_DAS.addcmul_(gave_DAS, gate_DAS)
        return v_DAS

    def _first_layer(
        self,
        block: Block,
        before_AKD: Tensor,
        x_ASD: Tensor,
        ref: _LayerStates,
        changed: slice,
    ) -> Tensor:
        """As `_layer`, where inputs differ from REF's at the `changed` positions only."""
        n_before, n_positions = before_AKD.shape[1], x_ASD.shape[1]
        first, last = changed.start, min(changed.stop + self._n_lookback, n_positions)
        x_AND = torch.cat([before_AKD, x_ASD[:, :last]], dim=1)
        n_skipped = max(0, first + n_before - self._n_lookback)
        seen_DAN, seen_gates = self._gated(block.mixer, block.norm1(x_AND[:, n_skipped:]))
        seen = slice(first + n_before - n_skipped, None)
        v_DAS = ref.read[0].clone()
        v_DAS[..., first:last] = seen_DAN[..., seen]
        stages = zip(self._filters_of(0), ref.read, ref.gave, ref.gates, seen_gates, strict=True)
        for number, (filter_DL, read_DAS, gave_DAS, gate_DAS, seen_gate_DAN) in enumerate(stages):
            gate_DAS[..., first:last] = seen_gate_DAN[..., seen]
            if number == 0 and last - first <= _MAX_TAPS:
                change_DAK = v_DAS[..., first:last] - read_DAS[..., first:last]
                v_DAS = gave_DAS
                v_DAS[..., first:] += _few_taps(change_DAK, filter_DL, n_positions - first)
                v_DAS[..., first:last] += change_DAK * block.mixer.filter_fn.bias[:, None, None]
                v_DAS = v_DAS.mul_(gate_DAS)
            else:
                v_DAS = self._long_conv(block.mixer, v_DAS - read_DAS, filter_DL, gate_DAS)
                v_DAS = v_DAS.addcmul_(gave_DAS, gate_DAS)
        return v_DAS

    def _blocks(self) -> list[Block]:
        return [block for block in self._model.backbone.layers if isinstance(block, Block)]

    def _gated(self, mixer: HyenaOperator, u_BLD: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        n_batch, n_positions, d_model = u_BLD.shape
        proj_PN = mixer.project(u_BLD.reshape(-1, d_model), self._model.execution)
        return short_conv_gate(
            proj_PN.view(-1, n_batch, n_positions),
            mixer.short_filter.weight[:, 0],
            mixer.short_filter.bias,  # type: ignore[arg-type]
            order=mixer.order,
            kernels=self._model.execution.kernels,
        )

    def _long_conv(
        self, mixer: HyenaOperator, v_DBL: Tensor, filter_DL: Tensor, gate_DBL: Tensor
    ) -> Tensor:
        return long_conv_gate(
            v_DBL, filter_DL, mixer.filter_fn.bias, gate_DBL, kernels=self._model.execution.kernels
        )

    def _finish(self, block: Block, x_BLD: Tensor, v_DBL: Tensor) -> Tensor:
        """The rest of a block, from its gated convolutions to the residual stream after it."""
        execution = self._model.execution
        y_ND = linear(v_DBL.reshape(v_DBL.shape[0], -1).T, block.mixer.out_proj, execution)
        x_BLD = x_BLD + y_ND.view(x_BLD.shape)
        mlp_BLD: Tensor = block.mlp(block.norm2(x_BLD), execution)
        return x_BLD + mlp_BLD

    def _filters_of(self, number: int) -> tuple[Tensor, ...]:
        kept = self._filters[number]
        if kept is None:
            kept = self._blocks()[number].mixer.filter_fn(self._window)
            if self._keeps_filters:
                self._filters[number] = kept
        return kept


def _few_taps(change_DAK: Tensor, filter_DL: Tensor, n_positions: int) -> Tensor:
    """The first `n_positions` of a causal convolution of K inputs: (D, A, S)."""
    n_taps = change_DAK.shape[-1]
    padded_DP = F.pad(filter_DL[:, :n_positions], (n_taps - 1, 0))
    # Row k of a channel is its filter, delayed so as to meet input K - 1 - k.
    delayed_DKS = padded_DP.unfold(1, n_positions, 1)
    return change_DAK.flip(-1) @ delayed_DKS
