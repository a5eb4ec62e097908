"""The implicit long filters: a sine MLP of positions under a decaying window.

Attribute names are those of the official checkpoints.
"""

# L positions, D d_model, C channels of all filters, E positional features, F width of the MLP

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.ops.channels_last import is_served
from hyenadna_cli.ops.dense import dense
from hyenadna_cli.ops.implicit_filter import fused_taps, sine_, windowed_taps
from hyenadna_cli.ops.kernels import Kernels, is_triton


class PositionalFeatures(nn.Module):
    """Normalised time and its sines and cosines: `z` (1, l_max, E) and `t` (1, l_max, 1).

    t divides by l_max - 1, the angle by l_max; positions never depend on the length of a call.
    With `filter_l_max` both divide by that instead, so that t goes on beyond 1.
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
        base = config.filter_l_max or config.l_max
        beyond = torch.arange(base, config.l_max, dtype=torch.float32) / max(1, base - 1)
        t_L = torch.cat([torch.linspace(0, 1, base), beyond])
        angle_L = 2 * math.pi * torch.arange(config.l_max, dtype=torch.float32) / base
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

    def forward(self, t_L: Tensor) -> Tensor:
        """The window (D, L) at times t, from 0 on."""
        return torch.exp(-self.rates[:, None] * t_L[None, :]).add_(self.shift)

    @property
    def rates(self) -> Tensor:
        """How fast each channel forgets, (D,)."""
        return self.deltas.view(-1).abs()


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

    def forward(
        self, n_positions: int, *, first: int = 0, kernels: Kernels = "torch"
    ) -> tuple[Tensor, ...]:
        """`n_positions` taps of every filter, from tap `first` on: order - 1 tensors (D, L)."""
        positions = slice(first, first + n_positions)
        is_compiled = kernels == "numba" and is_served(*self.parameters())
        if n_positions and (is_triton(kernels) or is_compiled):
            return self._fused(positions, kernels)
        x_FL = self.pos_emb.z[0, positions].T
        for index in range(self.n_hidden):
            layer = self._layer(2 * index)
            x_FL = torch.addmm(layer.bias[:, None], layer.weight, x_FL)
            x_FL = self._sine(x_FL)
        window_DL = self.modulation(self.pos_emb.t[0, positions, 0])
        weights = torch.split(self._layer(2 * self.n_hidden).weight, window_DL.shape[0])
        return tuple((weight_DF @ x_FL) * window_DL for weight_DF in weights)

    def _fused(self, positions: slice, kernels: Kernels) -> tuple[Tensor, ...]:
        """The same in one go: positions in, taps out."""
        rates_D = self.modulation.rates
        layers = [self._layer(2 * index) for index in range(self.n_hidden)]
        taps_CL = fused_taps(
            self.pos_emb.z[0, positions],
            self.pos_emb.t[0, positions, 0],
            rates_D,
            self.modulation.shift,
            self._sine.freq[0],
            [(layer.weight, layer.bias) for layer in layers],
            self._layer(2 * self.n_hidden).weight,
            kernels=kernels,
        )
        # The gradient of a split is a copy.
        return (taps_CL,) if self.n_filters == 1 else torch.split(taps_CL, len(rates_D))

    def hidden(self, positions: slice, *, kernels: Kernels = "torch") -> Tensor:
        """What the last layer reads at some positions, (L, F); not differentiable."""
        x_LF = self.pos_emb.z[0, positions]
        for index in range(self.n_hidden):
            layer = self._layer(2 * index)
            x_LF = dense(x_LF, layer.weight, layer.bias)
            sine_(x_LF, self._sine.freq[0], kernels=kernels)
        return x_LF

    def taps(
        self,
        hidden_LF: Tensor,
        number: int,
        channels: slice,
        *,
        kernels: Kernels = "torch",
        first: int = 0,
        step: int = 1,
    ) -> Tensor:
        """Every `step`-th tap (D, L) of some channels of filter `number`, from their `hidden`.

        The first of them is tap `first`. Not differentiable.
        """
        last = self._layer(2 * self.n_hidden).weight.unflatten(0, (self.n_filters, -1))
        return windowed_taps(
            hidden_LF,
            last[number, channels],
            self.pos_emb.t[0, first : first + len(hidden_LF) * step : step, 0],
            self.modulation.rates[channels],
            self.modulation.shift,
            kernels=kernels,
        )

    @property
    def _sine(self) -> Sine:
        sine = self.implicit_filter["1"]
        assert isinstance(sine, Sine)
        return sine

    def _layer(self, index: int) -> nn.Linear:
        layer = self.implicit_filter[str(index)]
        assert isinstance(layer, nn.Linear)
        return layer
