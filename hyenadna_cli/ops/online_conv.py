"""Long causal convolution in parts: of inputs that arrive one at a time, or after a known prefix.

    y[t] = sum over s <= t of filter[t - s] * u[s]

What inputs a ... b - 1 add to outputs b, b + 1, ... is one FFT product (`carry_over`). Taken once,
it is what a fixed prefix adds to everything that follows. Taken after every tile of inputs, over
as many inputs as the largest power of two that divides their number, and for as many outputs, it
reaches every pair s < t exactly once: L steps then cost O(L log^2 L) together.
"""

# D channels, B sequences, L positions, S positions of a tile, M later positions
# Tiles after the relaxed ("fast online") multiplication of power series of J. van der Hoeven.

from __future__ import annotations

import torch
from torch import Tensor

from hyenadna_cli.ops.long_conv import fft_size

_TILE = 32
"""Inputs of this many steps are summed one by one; beyond that an FFT is cheaper."""
_PIECE_BYTES = 64 << 20
"""Channels are transformed in pieces, so that temporaries stay of about this size."""


def carry_over(u_DBL: Tensor, filter_DL: Tensor, n_later: int) -> Tensor:
    """What L inputs add to each of the `n_later` outputs after them: (D, B, M).

    result[m] = sum over s < L of filter[L + m - s] * u[s], in at least float32.
    Differentiable. Raises ValueError if the filter has fewer than L + `n_later` taps.
    """
    n_channels, n_batch, n_positions = u_DBL.shape
    n_taps = n_positions + n_later
    if filter_DL.shape[0] != n_channels or filter_DL.shape[1] < n_taps:
        raise ValueError(
            f"a filter of {tuple(filter_DL.shape)} for {n_channels} channels and {n_taps} positions"
        )
    dtype = torch.promote_types(u_DBL.dtype, torch.float32)
    # Outputs before L wrap around at this size, and are not looked at.
    n_points = fft_size(n_taps)
    step = max(1, _PIECE_BYTES // (4 * n_points * (n_batch + 1)))
    pieces = []
    for u, taps in zip(u_DBL.split(step), filter_DL[:, :n_taps].split(step), strict=True):
        u_spectrum = torch.fft.rfft(u.to(dtype), n=n_points)
        spectrum = u_spectrum * torch.fft.rfft(taps.to(dtype), n=n_points)[:, None]
        pieces.append(torch.fft.irfft(spectrum, n=n_points)[..., n_positions:n_taps])
    return torch.cat(pieces)


class OnlineConv:
    """The convolution and its skip term for inputs that arrive position by position.

    `filter_DL` has a tap for every position that will come. `carried_DBL` is what inputs before the
    first one add to each position, for all sequences or, with B = 1, the same for each.
    """

    def __init__(
        self,
        filter_DL: Tensor,
        skip_D: Tensor,
        *,
        n_sequences: int,
        carried_DBL: Tensor | None = None,
    ) -> None:
        n_channels, n_positions = filter_DL.shape
        self._filter_DL = filter_DL
        n_tile = min(_TILE, n_positions)
        reversed_DS = filter_DL[:, :n_tile].flip(1)
        reversed_DS[:, -1] += skip_D
        self._reversed_D1S = reversed_DS[:, None]
        # Of a position to come: what the past adds to it so far. Of one that has passed: its input.
        self._states_DBL = filter_DL.new_zeros(n_channels, n_sequences, n_positions)
        if carried_DBL is not None:
            self._states_DBL += carried_DBL
        self._inputs_DSB = filter_DL.new_zeros(n_channels, n_tile, n_sequences)
        self._carried_DSB = self._states_DBL[..., :n_tile].transpose(1, 2).contiguous()
        self._n_done = 0

    def step(self, u_DB: Tensor) -> Tensor:
        """The output (D, B) of the next position, whose input this is."""
        n_tile = self._inputs_DSB.shape[1]
        row = self._n_done % n_tile
        self._inputs_DSB[:, row] = u_DB
        taps_D1S = self._reversed_D1S[..., n_tile - 1 - row :]
        y_DB = torch.bmm(taps_D1S, self._inputs_DSB[:, : row + 1])[:, 0]
        y_DB += self._carried_DSB[:, row]
        self._n_done += 1
        if row == n_tile - 1:
            self._close_tile(n_tile)
        return y_DB

    def _close_tile(self, n_tile: int) -> None:
        done, n_positions = self._n_done, self._states_DBL.shape[-1]
        self._states_DBL[..., done - n_tile : done] = self._inputs_DSB.transpose(1, 2)
        n_inputs = done & -done
        n_later = min(n_inputs, n_positions - done)
        if n_later:
            inputs_DBL = self._states_DBL[..., done - n_inputs : done]
            later_DBM = carry_over(inputs_DBL, self._filter_DL, n_later)
            self._states_DBL[..., done : done + n_later] += later_DBM
            next_DBS = self._states_DBL[..., done : done + n_tile]
            self._carried_DSB[:, : next_DBS.shape[-1]] = next_DBS.transpose(1, 2)
