"""A block of HyenaDNA: Hyena operator and MLP, each on a residual, and how they are computed.

Attribute names are those of the official checkpoints.
"""

# B batch, L positions (one base each), N = B * L, D d_model, P = (order + 1) * D channels,
# K short-filter taps

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.context import Context
from hyenadna_cli.core.model.cost import HIDDEN_BYTES
from hyenadna_cli.core.model.filters import ImplicitFilter, PositionalFeatures
from hyenadna_cli.core.model.long_conv_choice import NOT_MEASURED, LongConvChoice
from hyenadna_cli.ops.channels_last import is_served
from hyenadna_cli.ops.kernels import Kernels, is_triton
from hyenadna_cli.ops.long_conv import long_conv_gate
from hyenadna_cli.ops.short_conv import short_conv_gate

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
    context: Context | None = None
    """The processes that share each sequence, if several do."""

    def long_conv_kernels(self, n_positions: int, *, training: bool) -> Kernels:
        """Implementation of the long convolution for sequences of this length."""
        if not is_triton(self.kernels):
            return self.kernels
        kernels = self.long_conv.kernels(n_positions, training=training)
        return self.kernels if kernels == "triton" else kernels

    def compiles(self, x: Tensor) -> bool:
        """Whether compiled loops take rows like these."""
        dtypes = (None, torch.float32, torch.bfloat16)
        return self.kernels == "numba" and self.matmul_dtype in dtypes and is_served(x)


def linear(x: Tensor, layer: nn.Linear, execution: Execution) -> Tensor:
    """A layer's matrix product on (..., D), in the precision that was chosen for them."""
    dtype = execution.matmul_dtype
    if execution.compiles(x):
        from hyenadna_cli.ops import dense_training

        y_NO = dense_training.linear(
            x.reshape(-1, x.shape[-1]), layer.weight, layer.bias, dtype=dtype
        )
        return y_NO.view(*x.shape[:-1], -1)
    if dtype is None:
        return F.linear(x, layer.weight, layer.bias)
    return F.linear(x.to(dtype), layer.weight.to(dtype), layer.bias.to(dtype))


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
        if execution.context is not None:
            return self._mix_piece(u_BLD, execution, execution.context)
        n_batch, n_positions, d_model = u_BLD.shape
        v_DBL, gates = self._gated(u_BLD, execution)
        filters = self.filter_fn(n_positions, kernels=execution.kernels)
        kernels = execution.long_conv_kernels(n_positions, training=torch.is_grad_enabled())
        for filter_DL, gate_DBL in zip(filters, gates, strict=True):
            v_DBL = long_conv_gate(v_DBL, filter_DL, self.filter_fn.bias, gate_DBL, kernels=kernels)
        y_ND = linear(v_DBL.view(d_model, -1).T, self.out_proj, execution)
        return y_ND.view(n_batch, n_positions, d_model)

    def _mix_piece(self, u_BSD: Tensor, execution: Execution, context: Context) -> Tensor:
        """`forward` of the own piece of a sequence: channels are exchanged for positions.

        Filters are made at the own positions, as their network is no smaller for fewer channels,
        and take the same way to the process that convolves with them.
        """
        n_batch, n_own, d_model = u_BSD.shape
        before_BKD = context.lookback(u_BSD, self.short_filter.kernel_size[0] - 1)
        v_DBS, gates = self._gated(torch.cat([before_BKD, u_BSD], dim=1), execution)
        v_DBS, *gates_DBS = (x_DBS[..., before_BKD.shape[1] :] for x_DBS in (v_DBS, *gates))
        filters = self.filter_fn(n_own, first=context.piece().start, kernels=execution.kernels)
        kernels = execution.long_conv_kernels(context.n_positions, training=torch.is_grad_enabled())
        skip_C = self.filter_fn.bias[context.channels(d_model)]
        for filter_DS, gate_DBS in zip(filters, gates_DBS, strict=True):
            filter_CL = context.to_channels(filter_DS[:, None])[:, 0]
            v_CBL = context.to_channels(v_DBS)
            v_CBL = long_conv_gate(v_CBL, filter_CL, skip_C, kernels=kernels)
            v_DBS = context.to_positions(v_CBL) * gate_DBS
        y_ND = linear(v_DBS.reshape(d_model, -1).T, self.out_proj, execution)
        return y_ND.view(n_batch, n_own, d_model)

    def _gated(self, u_BLD: Tensor, execution: Execution) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What the first long convolution reads, and the gates still to come."""
        n_batch, n_positions, d_model = u_BLD.shape
        proj_PN = self.project(u_BLD.reshape(-1, d_model), execution)
        return short_conv_gate(
            proj_PN.unflatten(1, (n_batch, n_positions)),
            self.short_filter.weight[:, 0],
            self.short_filter.bias,  # type: ignore[arg-type]
            order=self.order,
            kernels=execution.kernels,
        )

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
            from hyenadna_cli.ops import dense_training

            mlp_ND = dense_training.gelu_mlp(
                x_BLD.reshape(-1, x_BLD.shape[-1]),
                self.fc1.weight,
                self.fc1.bias,
                self.fc2.weight,
                self.fc2.bias,
                dtype=execution.matmul_dtype,
                keeps_hidden=not execution.recompute_blocks,
            )
            return mlp_ND.view(x_BLD.shape)
        flat_ND = x_BLD.reshape(-1, x_BLD.shape[-1])
        if not torch.is_grad_enabled():
            pieces = [self._rows(rows_ND, execution) for rows_ND in flat_ND.split(_MLP_ROWS)]
        elif (n_pieces := self._n_pieces(len(flat_ND), execution)) > 1:
            # Computed once more, to hold the hidden layer of one piece only.
            pieces = [
                checkpoint(
                    self._rows, rows_ND, execution, use_reentrant=False, preserve_rng_state=False
                )
                for rows_ND in flat_ND.chunk(n_pieces)
            ]
        else:
            return self._rows(x_BLD, execution)
        return torch.cat(pieces).view(x_BLD.shape) if len(pieces) > 1 else pieces[0].view_as(x_BLD)

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
