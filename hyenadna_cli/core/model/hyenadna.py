"""HyenaDNA, from token ids to logits: embedding, blocks, final norm, LM head.

Attribute names are those of the official checkpoints, so that loading is a prefix strip.

    token ids -> embedding -> n_layer x (norm, Hyena operator, norm, MLP, each on a residual)
              -> final norm = hidden states -> LM head (tied to the embedding) -> logits
"""

# B batch, L positions (one base each), D d_model, V padded vocabulary

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.blocks import Block, Execution
from hyenadna_cli.core.model.context import Context
from hyenadna_cli.core.model.context_forward import ContextForward
from hyenadna_cli.core.model.cuda_graphs import CudaGraphs
from hyenadna_cli.core.model.filters import PositionalFeatures
from hyenadna_cli.core.model.fused_forward import FusedForward
from hyenadna_cli.core.model.weight_cache import WeightCache
from hyenadna_cli.ops.huge_pages import empty_huge
from hyenadna_cli.ops.kernels import is_triton

_CACHE_BYTES = 512 << 20
"""Filter spectra are kept between calls up to this size, those of all blocks or none."""
_CACHE_SHARE = 8
"""On a GPU: up to one part in this number of its memory, if that is more."""

Result = TypeVar("Result")


class Embeddings(nn.Module):
    """The token table under its official name."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.padded_vocab_size, config.d_model)


class Backbone(nn.Module):
    """Embedding, blocks, final norm."""

    def __init__(self, config: ModelConfig, blocks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        self.layers = nn.ModuleList(blocks)
        self.ln_f = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.embed_dropout = config.embed_dropout
        self.weight_cache = WeightCache(_CACHE_BYTES)
        self.graphs = CudaGraphs(self.weight_cache)

    def forward(
        self, embedded_BLD: Tensor, layers: Sequence[int], execution: Execution
    ) -> list[Tensor]:
        """Hidden states of the asked layers, from embedded tokens."""
        if self.can_infer:
            return self.infer(embedded_BLD.clone(), layers, execution)
        kept: dict[int, Tensor] = {}
        if 0 in layers:
            kept[0] = embedded_BLD
        x_BLD = F.dropout(embedded_BLD, self.embed_dropout, self.training)
        for number, block in enumerate(self.layers, start=1):
            if execution.recompute_blocks and torch.is_grad_enabled():
                x_BLD = checkpoint(block, x_BLD, execution, use_reentrant=False)
            else:
                x_BLD = block(x_BLD, execution)
            if number in layers:
                kept[number] = x_BLD
        if -1 in layers:
            kept[-1] = self.ln_f(x_BLD)
        return [kept[layer] for layer in layers]

    @property
    def can_infer(self) -> bool:
        """Whether `infer` gives what `forward` does: Hyena blocks, no gradients, no dropout."""
        if torch.is_grad_enabled() or self.training:
            return False
        return all(isinstance(block, Block) for block in self.layers)

    def infer(
        self, embedded_BLD: Tensor, layers: Sequence[int], execution: Execution
    ) -> list[Tensor]:
        """As `forward`, in little memory; embedded tokens are overwritten."""
        fused = self._fused(embedded_BLD, execution)
        del embedded_BLD  # a copy where processes share the sequence
        kept: dict[int, Tensor] = {}
        if 0 in layers:
            kept[0] = fused.residual()
        for number, block in enumerate(self.layers, start=1):
            assert isinstance(block, Block)
            fused.apply(block, number=number, n_blocks=len(self.layers))
            if number in layers:
                kept[number] = fused.residual()
        if -1 in layers:
            kept[-1] = fused.normed(self.ln_f)
        return [kept[layer] for layer in layers]

    def _fused(self, embedded_BLD: Tensor, execution: Execution) -> FusedForward:
        if execution.context is None:
            return FusedForward(execution, self.weight_cache, embedded_BLD)
        first = self.layers[0]
        assert isinstance(first, Block)
        return ContextForward(
            execution,
            self.weight_cache,
            embedded_BLD,
            context=execution.context,
            n_lookback=first.mixer.short_filter.kernel_size[0] - 1,
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Backbone:
        # Weights that move may come back to the address of old ones.
        self.weight_cache.clear()
        self.graphs.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if (device := self.ln_f.weight.device).type == "cuda":
            n_bytes = torch.cuda.get_device_properties(device).total_memory
            self.weight_cache.max_bytes = max(_CACHE_BYTES, n_bytes // _CACHE_SHARE)
        return self


class HyenaDNA(nn.Module):
    """The causal DNA language model."""

    def __init__(self, config: ModelConfig, *, execution: Execution | None = None) -> None:
        super().__init__()
        self.config = config
        self.execution = execution or Execution()
        self.scoring_window: int | None = None
        """Bases around a variant where nothing is asked, if the model is one that is known."""
        self.backbone = self._make_backbone(config)
        self.lm_head = nn.Linear(config.d_model, config.padded_vocab_size, bias=False)
        self.lm_head.weight = self.backbone.embeddings.word_embeddings.weight
        self._initialise()

    def _make_backbone(self, config: ModelConfig) -> Backbone:
        """What lies between token ids and hidden states; `attention` puts another one here."""
        positions = PositionalFeatures(config)
        return Backbone(config, (Block(config, positions=positions) for _ in range(config.n_layer)))

    @property
    def is_tied(self) -> bool:
        """Whether the LM head is the embedding table, as in every official Lightning checkpoint."""
        return self.lm_head.weight is self.backbone.embeddings.word_embeddings.weight

    def untie_lm_head(self) -> None:
        """Give the LM head weights of its own, equal to the embedding's at first."""
        self.lm_head.weight = nn.Parameter(self.lm_head.weight.detach().clone())

    def hidden_states(self, token_ids_BL: Tensor, layers: Sequence[int] = (-1,)) -> list[Tensor]:
        """Hidden states (B, L, D): 0 is the embedded input, i follows block i, -1 the final norm.

        Where processes share a sequence, all get the whole of it, and states are those of `own`.
        Raises ValueError if a layer does not exist or the input is longer than `l_max`.
        """
        self._check(token_ids_BL.shape[1], layers)
        if self.execution.context is not None:
            return self._states_of_piece(token_ids_BL, layers)
        if not self.backbone.can_infer:
            return self.hidden_states_of(self.embed_tokens(token_ids_BL), layers)
        return self.replayed(
            ("hidden states", *layers),
            token_ids_BL,
            lambda ids_BL: self.backbone.infer(self.embed_tokens(ids_BL), layers, self.execution),
        )

    def own(self, x_BL: Tensor) -> Tensor:
        """The part of (B, L, ...) at this process's positions: all, unless processes share them."""
        context = self.context_of(x_BL.shape[1])
        return x_BL if context is None else x_BL[:, context.piece()]

    def whole(self, x_BS: Tensor, n_positions: int) -> Tensor:
        """All positions (B, L, ...) of what `own` has a part of; not differentiable."""
        context = self.context_of(n_positions)
        return x_BS if context is None else context.gather(x_BS)

    def context_of(self, n_positions: int) -> Context | None:
        """How processes share a sequence of this length; None where each has its own."""
        if (context := self.execution.context) is None:
            return None
        return context.of(n_positions, n_lookback=self.config.short_filter_order - 1)

    def _states_of_piece(self, token_ids_BL: Tensor, layers: Sequence[int]) -> list[Tensor]:
        context = self.context_of(token_ids_BL.shape[1])
        own_BS = self.own(token_ids_BL)
        # Compiled kernels do not take an empty piece, which the last processes may have.
        kernels = self.execution.kernels if own_BS.shape[1] else "torch"
        execution = replace(self.execution, context=context, kernels=kernels)
        if self.backbone.can_infer:
            return self.backbone.infer(self.embed_tokens(own_BS), layers, execution)
        states: list[Tensor] = self.backbone(self.embed_tokens(own_BS), layers, execution)
        return states

    def replayed(
        self, key: Hashable, token_ids_BL: Tensor, compute: Callable[[Tensor], Result]
    ) -> Result:
        """`compute` of token ids, without gradients: with Triton's kernels as a CUDA graph.

        `key` is what it depends on besides the model. Graphs come with the kernels that have to be
        asked for, as they have not been measured either.
        """
        if not is_triton(self.execution.kernels):
            return compute(token_ids_BL)
        weights = self.parameters()
        return self.backbone.graphs.run((key, self.execution), token_ids_BL, weights, compute)

    def embed_tokens(self, token_ids_BL: Tensor) -> Tensor:
        """Rows of the embedding table (B, L, D), for inputs that mix tokens and learned vectors."""
        weight_VD = self.backbone.embeddings.word_embeddings.weight
        if not torch.is_inference_mode_enabled() or weight_VD.device.type != "cpu":
            return F.embedding(token_ids_BL, weight_VD)
        # The residual stream of a pass, in memory that an earlier one has used.
        width = weight_VD.shape[1]
        embedded_BLD = empty_huge(*token_ids_BL.shape, width, dtype=weight_VD.dtype)
        rows_ND = embedded_BLD.view(-1, width)
        torch.index_select(weight_VD, 0, token_ids_BL.reshape(-1), out=rows_ND)
        return embedded_BLD

    def hidden_states_of(self, embedded_BLD: Tensor, layers: Sequence[int] = (-1,)) -> list[Tensor]:
        """`hidden_states` of an input that is embedded already."""
        self._check(embedded_BLD.shape[1], layers)
        states: list[Tensor] = self.backbone(embedded_BLD, layers, self.execution)
        return states

    def logits(self, hidden_BLD: Tensor) -> Tensor:
        """Logits (B, L, V) of the next token, never in less than float32."""
        weight_VD = self.lm_head.weight
        return F.linear(hidden_BLD.to(weight_VD.dtype), weight_VD)

    def forward(self, token_ids_BL: Tensor) -> Tensor:
        """Logits (B, L, V); position t predicts token t + 1. As `hidden_states`, those of `own`."""
        return self.logits(self.hidden_states(token_ids_BL)[0])

    def _check(self, n_positions: int, layers: Sequence[int]) -> None:
        if n_positions > self.config.l_max:
            raise ValueError(
                f"{n_positions:,} tokens; this model reads at most {self.config.l_max:,}"
            )
        for layer in layers:
            if not -1 <= layer <= self.config.n_layer:
                raise ValueError(f"layer {layer} does not exist: -1 to {self.config.n_layer}")

    def _initialise(self) -> None:
        """Normal(0, 0.02) weights, zero biases; residual outputs scaled by 1 / sqrt(2 n_layer)."""
        for name, module in self.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                is_residual_output = name.endswith(("out_proj", "fc2"))
                scale = math.sqrt(2 * self.config.n_layer) if is_residual_output else 1.0
                nn.init.normal_(module.weight, std=0.02 / scale)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    nn.init.zeros_(module.bias)
