"""HyenaDNA, top to bottom: implicit filter, Hyena operator, block, backbone, LM head.

Attribute names are those of the official checkpoints, so that loading is a prefix strip.

    token ids -> embedding -> n_layer x (norm, Hyena operator, norm, MLP, each on a residual)
              -> final norm = hidden states -> LM head (tied to the embedding) -> logits
"""

# B batch, L positions (one base each), N = B * L, D d_model, P = (order + 1) * D channels,
# V padded vocabulary, K short-filter taps, E positional features, F width of the filter MLP

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hyenadna_cli.core.config import ModelConfig
from hyenadna_cli.core.cost import HIDDEN_BYTES
from hyenadna_cli.core.derived import Derived
from hyenadna_cli.core.graphs import Graphs
from hyenadna_cli.core.inference import Inference
from hyenadna_cli.core.long_conv_choice import NOT_MEASURED, LongConvChoice
from hyenadna_cli.ops.backend import Kernels, is_served, is_triton
from hyenadna_cli.ops.dense import dense
from hyenadna_cli.ops.implicit_filter import fused_taps
from hyenadna_cli.ops.long_conv import long_conv_gate
from hyenadna_cli.ops.short_conv import short_conv_gate

_DERIVED_BYTES = 512 << 20
"""Filter spectra are kept between calls up to this size, those of all blocks or none."""
_DERIVED_SHARE = 8
"""On a GPU: up to one part in so many of its memory, if that is more."""

Result = TypeVar("Result")

_MLP_ROWS = 16_384
"""Positions the MLP sees at once outside training: nothing of size L x d_inner ever exists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Execution:
    """How to compute, as opposed to what: chosen by the runtime, never saved with the weights."""

    kernels: Kernels = "torch"
    """Implementation of the two operators."""
    matmul_dtype: torch.dtype | None = None
    """Precision of the large matrix products; None: that of the weights. All else stays float32."""
    recompute_blocks: bool = False
    """Gradient checkpointing: keep only the block boundaries, compute the rest again."""
    long_conv: LongConvChoice = NOT_MEASURED
    """What of `triton` convolves a length, where that was measured."""

    def long_conv_kernels(self, n_positions: int, *, training: bool) -> Kernels:
        """Implementation of the long convolution for sequences of this length."""
        if not is_triton(self.kernels):
            return self.kernels
        chosen = self.long_conv.kernels(n_positions, training=training)
        return self.kernels if chosen == "triton" else chosen

    def compiles(self, x: Tensor) -> bool:
        """Whether compiled loops take rows like these."""
        return self.kernels == "numba" and self.matmul_dtype is None and is_served(x)


def linear(x: Tensor, layer: nn.Linear, execution: Execution) -> Tensor:
    """A layer's matrix product on (..., D), in the precision that was chosen for them."""
    dtype = execution.matmul_dtype
    if execution.compiles(x):
        from hyenadna_cli.ops import trained_rows

        y_NO = trained_rows.linear(x.reshape(-1, x.shape[-1]), layer.weight, layer.bias)
        return y_NO.view(*x.shape[:-1], -1)
    if dtype is None:
        return F.linear(x, layer.weight, layer.bias)
    return F.linear(x.to(dtype), layer.weight.to(dtype), layer.bias.to(dtype))


class PositionalFeatures(nn.Module):
    """Normalised time and its sines and cosines: `z` (1, l_max, E) and `t` (1, l_max, 1).

    t divides by l_max - 1, the angle by l_max; positions never depend on the length of a call.
    `same` are features of the same shape, whose memory these then share: at a million positions
    24 MB a block.
    """

    z: Tensor
    t: Tensor

    def __init__(self, config: ModelConfig, *, same: PositionalFeatures | None = None) -> None:
        super().__init__()
        if same is not None:
            self.register_buffer("z", same.z, persistent=False)
            self.register_buffer("t", same.t, persistent=False)
            return
        n_bands = (config.emb_dim - 1) // 2
        t_L = torch.linspace(0, 1, config.l_max)
        angle_L = 2 * math.pi * torch.arange(config.l_max, dtype=torch.float32) / config.l_max
        bands = torch.linspace(1e-4, n_bands - 1, n_bands)
        phase_LJ = bands[None, :] * angle_L[:, None]
        # As a complex exponential, which is bit for bit what official checkpoints hold.
        unit_LJ = torch.polar(torch.ones_like(phase_LJ), -phase_LJ)
        z_LE = torch.cat([t_L[:, None], unit_LJ.real, unit_LJ.imag], dim=1)
        self.register_buffer("z", z_LE[None], persistent=False)
        self.register_buffer("t", t_L[None, :, None], persistent=False)


class Sine(nn.Module):
    """sin(freq * x) with one trainable frequency a channel."""

    def __init__(self, width: int, freq: float) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.full((1, width), freq))

    def forward(self, x_FL: Tensor) -> Tensor:
        """Channels first, as everything in the filter."""
        return torch.sin(self.freq.T * x_FL)


class DecayWindow(nn.Module):
    """exp(-t |delta|) + shift: each channel forgets at its own rate."""

    deltas: Tensor

    def __init__(self, d_model: int, shift: float) -> None:
        super().__init__()
        # From 30 % to 150 % of the length until the window has fallen to 1 %.
        slowest, fastest = math.log(1e-2) / 1.5, math.log(1e-2) / 0.3
        deltas_D = torch.linspace(slowest, fastest, d_model)
        self.register_buffer("deltas", deltas_D[None, None, :], persistent=False)
        self.shift = shift

    def forward(self, t_L: Tensor, channels: slice = slice(None)) -> Tensor:
        """The window (D, L) of some channels at times t in [0, 1]."""
        rates_D1 = -self.deltas.view(-1, 1)[channels].abs()
        return torch.exp(rates_D1 * t_L[None, :]).add_(self.shift)


class ImplicitFilter(nn.Module):
    """The long filters as a function of position: a sine MLP under a decaying window.

    Always computed in the precision of its weights: rounding positions to half precision would
    leave fewer than two thousand distinct ones in a million.
    """

    def __init__(self, config: ModelConfig, *, positions: PositionalFeatures | None = None) -> None:
        super().__init__()
        width, n_filters = config.filter_order, config.order - 1
        self.bias = nn.Parameter(torch.randn(config.d_model))
        self.pos_emb = PositionalFeatures(config, same=positions)
        # Indices as in the official nn.Sequential. Its activations at 1, 3 and 5 are one module;
        # here it is stored once.
        layers: dict[str, nn.Module] = {
            "0": nn.Linear(config.emb_dim, width),
            "1": Sine(width, config.activation_freq),
        }
        for index in range(1, config.num_inner_mlps + 1):
            layers[str(2 * index)] = nn.Linear(width, width)
        last = 2 * config.num_inner_mlps + 2
        layers[str(last)] = nn.Linear(width, config.d_model * n_filters, bias=False)
        self.implicit_filter = nn.ModuleDict(layers)
        self.modulation = DecayWindow(config.d_model, config.filter_shift)
        self.n_hidden = config.num_inner_mlps + 1
        self.n_filters, self.width = n_filters, width

    def forward(self, n_positions: int, *, kernels: Kernels = "torch") -> tuple[Tensor, ...]:
        """The first `n_positions` taps of every filter: order - 1 tensors (D, L)."""
        if is_triton(kernels):
            return self._fused(n_positions)
        x_FL = self.pos_emb.z[0, :n_positions].T
        for index in range(self.n_hidden):
            layer = self._layer(2 * index)
            x_FL = torch.addmm(layer.bias[:, None], layer.weight, x_FL)
            x_FL = self.implicit_filter["1"](x_FL)
        window_DL = self.modulation(self.pos_emb.t[0, :n_positions, 0])
        weights = torch.split(self._layer(2 * self.n_hidden).weight, window_DL.shape[0])
        return tuple((weight_DF @ x_FL) * window_DL for weight_DF in weights)

    def _fused(self, n_positions: int) -> tuple[Tensor, ...]:
        """The same in one kernel: positions in, taps out."""
        sine, rates_D = self.implicit_filter["1"], self.modulation.deltas.view(-1).abs()
        assert isinstance(sine, Sine)
        layers = [self._layer(2 * index) for index in range(self.n_hidden)]
        taps_CL = fused_taps(
            self.pos_emb.z[0, :n_positions],
            self.pos_emb.t[0, :n_positions, 0],
            rates_D,
            self.modulation.shift,
            sine.freq[0],
            [(layer.weight, layer.bias) for layer in layers],
            self._layer(2 * self.n_hidden).weight,
        )
        return torch.split(taps_CL, len(rates_D))

    def hidden(self, positions: slice) -> Tensor:
        """What the last layer reads at some positions, (L, F); not differentiable."""
        x_LF = self.pos_emb.z[0, positions]
        for index in range(self.n_hidden):
            layer = self._layer(2 * index)
            x_LF = dense(x_LF, layer.weight, layer.bias)
            x_LF.mul_(self.implicit_filter["1"].freq).sin_()  # type: ignore[arg-type]
        return x_LF

    def taps(self, hidden_LF: Tensor, number: int, channels: slice) -> Tensor:
        """The first taps (D, L) of some channels of filter `number`, from `hidden`."""
        d_model = self.bias.shape[0]
        rows = slice(number * d_model + channels.start, number * d_model + channels.stop)
        taps_LD = dense(hidden_LF, self._layer(2 * self.n_hidden).weight[rows], None)
        window_DL = self.modulation(self.pos_emb.t[0, : len(hidden_LF), 0], channels)
        return taps_LD.mul_(window_DL.T).T

    def _layer(self, index: int) -> nn.Linear:
        layer = self.implicit_filter[str(index)]
        assert isinstance(layer, nn.Linear)
        return layer


class HyenaOperator(nn.Module):
    """Projections, short convolution, and alternating long convolutions and gates."""

    def __init__(self, config: ModelConfig, *, positions: PositionalFeatures | None = None) -> None:
        super().__init__()
        n_channels = (config.order + 1) * config.d_model
        self.order = config.order
        self.in_proj = nn.Linear(config.d_model, n_channels)
        self.out_proj = nn.Linear(config.d_model, config.d_model)
        # Holds the parameters under their official names; ops.short_conv does the work.
        self.short_filter = nn.Conv1d(
            n_channels, n_channels, config.short_filter_order, groups=n_channels
        )
        self.filter_fn = ImplicitFilter(config, positions=positions)

    def forward(self, u_BLD: Tensor, execution: Execution) -> Tensor:
        """Mix along the sequence; position t sees positions up to t."""
        n_batch, n_positions, d_model = u_BLD.shape
        proj_PN = self.project(u_BLD.reshape(-1, d_model), execution)
        v_DBL, gates = short_conv_gate(
            proj_PN.view(-1, n_batch, n_positions),
            self.short_filter.weight[:, 0],
            self.short_filter.bias,  # type: ignore[arg-type]
            order=self.order,
            kernels=execution.kernels,
        )
        del proj_PN
        filters = self.filter_fn(n_positions, kernels=execution.kernels)
        kernels = execution.long_conv_kernels(n_positions, training=torch.is_grad_enabled())
        for filter_DL, gate_DBL in zip(filters, gates, strict=True):
            v_DBL = long_conv_gate(v_DBL, filter_DL, self.filter_fn.bias, gate_DBL, kernels=kernels)
        y_ND = linear(v_DBL.view(d_model, -1).T, self.out_proj, execution)
        return y_ND.view(n_batch, n_positions, d_model)

    def project(self, u_ND: Tensor, execution: Execution) -> Tensor:
        """in_proj straight into the layout of the operators, without a transposed copy."""
        weight_PD, bias_P = self.in_proj.weight, self.in_proj.bias
        if execution.compiles(u_ND):
            return linear(u_ND, self.in_proj, execution).T
        if (dtype := execution.matmul_dtype) is None:
            return torch.addmm(bias_P[:, None], weight_PD, u_ND.T)
        proj_PN = torch.addmm(bias_P.to(dtype)[:, None], weight_PD.to(dtype), u_ND.to(dtype).T)
        return proj_PN.to(weight_PD.dtype)


class MLP(nn.Module):
    """fc2(gelu(fc1(x))), the tanh form of GELU."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.d_model, config.d_inner)
        self.fc2 = nn.Linear(config.d_inner, config.d_model)

    def forward(self, x_BLD: Tensor, execution: Execution) -> Tensor:
        """Each position by itself."""
        if execution.compiles(x_BLD):
            from hyenadna_cli.ops import trained_rows

            mlp_ND = trained_rows.gelu_mlp(
                x_BLD.reshape(-1, x_BLD.shape[-1]),
                self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias,
            )  # fmt: skip
            return mlp_ND.view(x_BLD.shape)
        flat_ND = x_BLD.reshape(-1, x_BLD.shape[-1])
        if not torch.is_grad_enabled():
            blocks = [self._rows(rows_ND, execution) for rows_ND in flat_ND.split(_MLP_ROWS)]
        elif (n_pieces := self._n_pieces(len(flat_ND), execution)) > 1:
            # Computed once more, to hold the hidden layer of one piece only.
            blocks = [
                checkpoint(
                    self._rows, rows_ND, execution, use_reentrant=False, preserve_rng_state=False
                )
                for rows_ND in flat_ND.chunk(n_pieces)
            ]
        else:
            return self._rows(x_BLD, execution)
        return torch.cat(blocks).view(x_BLD.shape) if len(blocks) > 1 else blocks[0].view_as(x_BLD)

    def _n_pieces(self, n_rows: int, execution: Execution) -> int:
        """In which training that recomputes blocks takes its positions."""
        if not execution.recompute_blocks:
            return 1
        dtype = execution.matmul_dtype or self.fc1.weight.dtype
        return -(-n_rows * self.fc1.out_features * dtype.itemsize // HIDDEN_BYTES)

    def _rows(self, x: Tensor, execution: Execution) -> Tensor:
        hidden = F.gelu(linear(x, self.fc1, execution), approximate="tanh")
        return linear(hidden, self.fc2, execution)


class Block(nn.Module):
    """Two pre-norm residual branches: the Hyena operator and the MLP."""

    def __init__(self, config: ModelConfig, *, positions: PositionalFeatures | None = None) -> None:
        super().__init__()
        self.mixer = HyenaOperator(config, positions=positions)
        self.norm1 = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.mlp = MLP(config)
        self.norm2 = nn.LayerNorm(config.d_model, eps=config.layer_norm_epsilon)
        self.resid_dropout = config.resid_dropout

    def forward(self, residual_BLD: Tensor, execution: Execution) -> Tensor:
        """The residual stream after this block."""
        mixed_BLD = self.mixer(self.norm1(residual_BLD), execution)
        residual_BLD = residual_BLD + F.dropout(mixed_BLD, self.resid_dropout, self.training)
        del mixed_BLD
        mlp_BLD = self.mlp(self.norm2(residual_BLD), execution)
        return residual_BLD + F.dropout(mlp_BLD, self.resid_dropout, self.training)


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
        self.derived = Derived(_DERIVED_BYTES)
        self.graphs = Graphs(self.derived)

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
        inference = Inference(execution, self.derived, embedded_BLD)
        kept: dict[int, Tensor] = {}
        if 0 in layers:
            kept[0] = inference.residual()
        for number, block in enumerate(self.layers, start=1):
            assert isinstance(block, Block)
            inference.apply(block, number=number, n_blocks=len(self.layers))
            if number in layers:
                kept[number] = inference.residual()
        if -1 in layers:
            kept[-1] = inference.normed(self.ln_f)
        return [kept[layer] for layer in layers]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Backbone:
        # Weights that move may come back to the address of old ones.
        self.derived.clear()
        self.graphs.clear()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if (device := self.ln_f.weight.device).type == "cuda":
            n_bytes = torch.cuda.get_device_properties(device).total_memory
            self.derived.max_bytes = max(_DERIVED_BYTES, n_bytes // _DERIVED_SHARE)
        return self


class HyenaDNA(nn.Module):
    """The causal DNA language model."""

    def __init__(self, config: ModelConfig, *, execution: Execution | None = None) -> None:
        super().__init__()
        self.config = config
        self.execution = execution or Execution()
        self.backbone = self._make_backbone(config)
        self.lm_head = nn.Linear(config.d_model, config.padded_vocab_size, bias=False)
        self.lm_head.weight = self.backbone.embeddings.word_embeddings.weight
        self._initialise()

    def _make_backbone(self, config: ModelConfig) -> Backbone:
        """What lies between token ids and hidden states; `core.attention` puts another one here."""
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

        Raises ValueError if a layer does not exist or the input is longer than `l_max`.
        """
        self._check(token_ids_BL.shape[1], layers)
        if not self.backbone.can_infer:
            return self.hidden_states_of(self.embed_tokens(token_ids_BL), layers)
        return self.replayed(
            ("hidden states", *layers),
            token_ids_BL,
            lambda ids_BL: self.backbone.infer(self.embed_tokens(ids_BL), layers, self.execution),
        )

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
        embedded_BLD: Tensor = self.backbone.embeddings.word_embeddings(token_ids_BL)
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
        """Logits (B, L, V); position t predicts token t + 1."""
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
