"""Triton kernels of the implicit filters: features of positions to taps, nothing between in memory.

    x_0 = sin(freq * (W_0 z + b_0)), x_i = sin(freq * (W_i x_(i-1) + b_i)), taps = (W x) * window

Forward: a program holds the hidden layers of a few positions and writes their taps, all channels.
Backward: one launch for each layer's weights, in which every program computes the layers again for
its positions and keeps one sum; the sums are added afterwards, so that nothing depends on timing.
"""

# L positions, E features, F width (of tiles: WIDTH, a power of two), H hidden layers,
# C = filters * D channels, T positions of a tile

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from hyenadna_cli.ops.gpu.dft import Precision, dot

CHANNELS = 32
"""Filters whose taps make a tile."""


class Tile(NamedTuple):
    """Positions of a tile and warps: such that the layers fit into registers."""

    n_positions: int
    n_warps: int


FORWARD, BACKWARD = Tile(32, 8), Tile(16, 4)
MAX_PROGRAMS = 256
"""Of a backward launch: two for each multiprocessor."""


class Network(NamedTuple):
    """The MLP and the window, all contiguous."""

    z_LE: Tensor
    """Features of positions."""
    t_L: Tensor
    """Time in [0, 1]."""
    rates_D: Tensor
    """Of the windows exp(-rate * t) + shift, not negative."""
    freq_F: Tensor
    first_FE: Tensor
    inner_HFF: Tensor
    """H - 1 of them."""
    biases_HF: Tensor
    last_CF: Tensor

    def sizes(self, tile: Tile) -> dict[str, Any]:
        """What a kernel is compiled for."""
        n_features, width = self.z_LE.shape[1], self.freq_F.shape[0]
        return sizes(n_features, width, self.biases_HF.shape[0], tile)


def sizes(n_features: int, width: int, n_hidden: int, tile: Tile) -> dict[str, Any]:
    """Compile-time arguments of every kernel; 16 is the least that a tensor core multiplies."""
    return {
        "E": n_features,
        "F": width,
        "WIDTH": max(16, triton.next_power_of_2(width)),
        "FEATURES": max(16, triton.next_power_of_2(n_features)),
        "N_HIDDEN": n_hidden,
        "POSITIONS": tile.n_positions,
        "CHANNELS": CHANNELS,
    }


def forward(network: Network, shift: float, *, precision: Precision = "tf32x3") -> Tensor:
    """Taps (C, L)."""
    n_positions, n_channels = len(network.z_LE), len(network.last_CF)
    taps_CL = network.last_CF.new_empty(n_channels, n_positions)
    taps_kernel[(triton.cdiv(n_positions, FORWARD.n_positions),)](
        *network,
        taps_CL,
        shift,
        n_positions,
        n_channels,
        len(network.rates_D),
        PRECISION=precision,
        **network.sizes(FORWARD),
        num_warps=FORWARD.n_warps,
    )
    return taps_CL


def backward(
    d_taps_CL: Tensor, network: Network, shift: float, *, precision: Precision = "tf32x3"
) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
    """Gradients, in float32: of freq (F,), of the last weight, of the hidden weights, of biases."""
    n_positions, n_features = network.z_LE.shape
    n_hidden, width = network.biases_HF.shape
    n_channels, n_rates = len(network.last_CF), len(network.rates_D)
    n_programs = min(MAX_PROGRAMS, triton.cdiv(n_positions, BACKWARD.n_positions))

    def sums(*shape: int) -> Tensor:
        return d_taps_CL.new_empty(n_programs, *shape, dtype=torch.float32)

    arguments = (*network, d_taps_CL, shift, n_positions, n_channels, n_rates)
    options = {"PRECISION": precision, **network.sizes(BACKWARD), "num_warps": BACKWARD.n_warps}
    d_last = sums(n_channels, width)
    last_gradient_kernel[(n_programs, triton.cdiv(n_channels, CHANNELS))](
        *arguments, d_last, **options
    )
    d_freq, d_biases = sums(n_hidden, width), sums(n_hidden, width)
    d_weights = []
    for layer in range(n_hidden):
        d_weight = sums(width, width if layer else n_features)
        hidden_gradient_kernel[(n_programs,)](
            *arguments, d_weight, d_biases, d_freq, LAYER=layer, **options
        )
        d_weights.append(d_weight.sum(0))
    return d_freq.sum((0, 1)), d_last.sum(0), d_weights, d_biases.sum(0)


@triton.jit
def _sine(freq, x, f, F: tl.constexpr):
    """The activation; rows that only fill the tile are 0."""
    return tl.where((f < F)[:, None], tl.sin(freq[:, None] * x), 0.0)


@triton.jit
def _before_sine(
    z_ptr,
    freq,
    first_ptr,
    inner_ptr,
    biases_ptr,
    t,
    n_positions,
    LAYER: tl.constexpr,
    E: tl.constexpr,
    F: tl.constexpr,
    WIDTH: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """What the sine of hidden layer LAYER reads, [f, t]."""
    f = tl.arange(0, WIDTH)
    is_row = f < F
    x = tl.load(biases_ptr + f, mask=is_row, other=0.0).to(tl.float32)[:, None]
    for e in tl.static_range(E):
        weight = tl.load(first_ptr + f * E + e, mask=is_row, other=0.0).to(tl.float32)
        z = tl.load(z_ptr + t.to(tl.int64) * E + e, mask=t < n_positions, other=0.0)
        x = x + weight[:, None] * z.to(tl.float32)[None, :]
    for layer in tl.static_range(LAYER):
        weight = _weight(inner_ptr + layer * F * F, f, f, F, F, F)
        bias = tl.load(biases_ptr + (layer + 1) * F + f, mask=is_row, other=0.0).to(tl.float32)
        x = dot(weight, _sine(freq, x, f, F), PRECISION) + bias[:, None]
    return x


@triton.jit
def _weight(ptr, row, column, n_rows, n_columns, STEP: tl.constexpr):
    """A tile of a row-major matrix whose rows are STEP numbers apart, in float32."""
    is_inside = (row < n_rows)[:, None] & (column < n_columns)[None, :]
    at = row[:, None] * STEP + column[None, :]
    return tl.load(ptr + at, mask=is_inside, other=0.0).to(tl.float32)


@triton.jit
def _window(times_ptr, rates_ptr, shift, c, t, n_positions, n_channels, n_rates):
    """[c, t]."""
    time = tl.load(times_ptr + t, mask=t < n_positions, other=0.0).to(tl.float32)
    rate = tl.load(rates_ptr + c % n_rates, mask=c < n_channels, other=0.0).to(tl.float32)
    return tl.exp(-rate[:, None] * time[None, :]) + shift


@triton.jit
def _weighed(
    d_taps_ptr, times_ptr, rates_ptr, shift, c, t, n_positions, n_channels, n_rates
):  # fmt: skip
    """The gradient of the last product, [c, t]; 0 outside."""
    is_inside = (c < n_channels)[:, None] & (t < n_positions)[None, :]
    at = c.to(tl.int64)[:, None] * n_positions + t[None, :]
    d_taps = tl.load(d_taps_ptr + at, mask=is_inside, other=0.0).to(tl.float32)
    return d_taps * _window(times_ptr, rates_ptr, shift, c, t, n_positions, n_channels, n_rates)


@triton.jit
def taps_kernel(
    z_ptr, times_ptr, rates_ptr, freq_ptr, first_ptr, inner_ptr, biases_ptr, last_ptr, taps_ptr,
    shift, n_positions, n_channels, n_rates,
    E: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, FEATURES: tl.constexpr,
    N_HIDDEN: tl.constexpr, POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """All taps of a tile of positions."""
    t = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    f = tl.arange(0, WIDTH)
    freq = tl.load(freq_ptr + f, mask=f < F, other=0.0).to(tl.float32)
    x = _before_sine(
        z_ptr,
        freq,
        first_ptr,
        inner_ptr,
        biases_ptr,
        t,
        n_positions,
        N_HIDDEN - 1,
        E,
        F,
        WIDTH,
        PRECISION,
    )
    x = _sine(freq, x, f, F)
    for start in tl.range(0, n_channels, CHANNELS, num_stages=1):
        c = start + tl.arange(0, CHANNELS)
        taps = dot(_weight(last_ptr, c, f, n_channels, F, F), x, PRECISION)
        taps *= _window(times_ptr, rates_ptr, shift, c, t, n_positions, n_channels, n_rates)
        is_inside = (c < n_channels)[:, None] & (t < n_positions)[None, :]
        at = c.to(tl.int64)[:, None] * n_positions + t[None, :]
        tl.store(taps_ptr + at, taps.to(taps_ptr.dtype.element_ty), mask=is_inside)


@triton.jit
def last_gradient_kernel(
    z_ptr, times_ptr, rates_ptr, freq_ptr, first_ptr, inner_ptr, biases_ptr, last_ptr, d_taps_ptr,
    shift, n_positions, n_channels, n_rates, d_last_ptr,
    E: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, FEATURES: tl.constexpr,
    N_HIDDEN: tl.constexpr, POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """A program's share of the gradient of some rows of the last weight."""
    share, n_shares = tl.program_id(0), tl.num_programs(0)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    f = tl.arange(0, WIDTH)
    freq = tl.load(freq_ptr + f, mask=f < F, other=0.0).to(tl.float32)
    total = tl.zeros((CHANNELS, WIDTH), tl.float32)
    for tile in tl.range(share, tl.cdiv(n_positions, POSITIONS), n_shares, num_stages=1):
        t = tile * POSITIONS + tl.arange(0, POSITIONS)
        x = _before_sine(
            z_ptr,
            freq,
            first_ptr,
            inner_ptr,
            biases_ptr,
            t,
            n_positions,
            N_HIDDEN - 1,
            E,
            F,
            WIDTH,
            PRECISION,
        )
        d_product = _weighed(
            d_taps_ptr, times_ptr, rates_ptr, shift, c, t, n_positions, n_channels, n_rates
        )
        total += dot(d_product, tl.trans(_sine(freq, x, f, F)), PRECISION)
    out = d_last_ptr + (share * n_channels + c)[:, None] * F + f[None, :]
    tl.store(out, total, mask=(c < n_channels)[:, None] & (f < F)[None, :])


@triton.jit
def hidden_gradient_kernel(
    z_ptr, times_ptr, rates_ptr, freq_ptr, first_ptr, inner_ptr, biases_ptr, last_ptr, d_taps_ptr,
    shift, n_positions, n_channels, n_rates, d_weight_ptr, d_biases_ptr, d_freq_ptr,
    LAYER: tl.constexpr,
    E: tl.constexpr, F: tl.constexpr, WIDTH: tl.constexpr, FEATURES: tl.constexpr,
    N_HIDDEN: tl.constexpr, POSITIONS: tl.constexpr, CHANNELS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """A program's share of the gradients of hidden layer LAYER: weight, bias, frequencies."""
    INPUTS: tl.constexpr = WIDTH if LAYER > 0 else FEATURES
    N_INPUTS: tl.constexpr = F if LAYER > 0 else E
    share, n_shares = tl.program_id(0), tl.num_programs(0)
    f, column = tl.arange(0, WIDTH), tl.arange(0, INPUTS)
    freq = tl.load(freq_ptr + f, mask=f < F, other=0.0).to(tl.float32)
    total = tl.zeros((WIDTH, INPUTS), tl.float32)
    bias_total, freq_total = tl.zeros((WIDTH,), tl.float32), tl.zeros((WIDTH,), tl.float32)
    for tile in tl.range(share, tl.cdiv(n_positions, POSITIONS), n_shares, num_stages=1):
        t = tile * POSITIONS + tl.arange(0, POSITIONS)
        d_x = tl.zeros((WIDTH, POSITIONS), tl.float32)
        for start in tl.range(0, n_channels, CHANNELS, num_stages=1):
            c = start + tl.arange(0, CHANNELS)
            d_product = _weighed(
                d_taps_ptr, times_ptr, rates_ptr, shift, c, t, n_positions, n_channels, n_rates
            )
            weight = _weight(last_ptr, c, f, n_channels, F, F)
            d_x += dot(tl.trans(weight), d_product, PRECISION)
        for index in tl.static_range(N_HIDDEN - LAYER):
            x = _before_sine(
                z_ptr, freq, first_ptr, inner_ptr, biases_ptr, t, n_positions,
                N_HIDDEN - 1 - index, E, F, WIDTH, PRECISION,
            )  # fmt: skip
            d_angle = d_x * tl.cos(freq[:, None] * x)
            if N_HIDDEN - 1 - index == LAYER:
                freq_total += tl.sum(d_angle * x, axis=1)
            d_x = d_angle * freq[:, None]
            if N_HIDDEN - 1 - index > LAYER:
                weight = _weight(inner_ptr + (N_HIDDEN - 2 - index) * F * F, f, f, F, F, F)
                d_x = dot(tl.trans(weight), d_x, PRECISION)
        bias_total += tl.sum(d_x, axis=1)
        if LAYER > 0:
            x = _before_sine(
                z_ptr, freq, first_ptr, inner_ptr, biases_ptr, t, n_positions, LAYER - 1, E, F,
                WIDTH, PRECISION,
            )  # fmt: skip
            inputs = tl.trans(_sine(freq, x, f, F))
        else:
            inputs = _weight(z_ptr, t, column, n_positions, E, E)
        total += dot(d_x, inputs, PRECISION)
    out = d_weight_ptr + (share * F + f)[:, None] * N_INPUTS + column[None, :]
    tl.store(out, total, mask=(f < F)[:, None] & (column < N_INPUTS)[None, :])
    row = (share * N_HIDDEN + LAYER) * F + f
    tl.store(d_biases_ptr + row, bias_total, mask=f < F)
    tl.store(d_freq_ptr + row, freq_total, mask=f < F)
