"""The long convolution on CPU threads: work and buffers for the loops of `right_angle`.

Short transforms are whole tasks, each in buffers of its thread. Long ones, whose buffers would not
fit in caches anyway, are done one by one, all threads on the columns or rows of the same.
"""

# D channels, B batch, L positions

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.ops import workers
from hyenadna_cli.ops.channels_last import flat, to_channels_last
from hyenadna_cli.ops.cpu import right_angle as loops
from hyenadna_cli.ops.cpu.lanes import LANES
from hyenadna_cli.ops.cpu.points import POINT
from hyenadna_cli.ops.cpu.right_angle import Plan, Signal
from hyenadna_cli.ops.cpu.right_angle_adjoint import adjoint
from hyenadna_cli.ops.huge_pages import empty_huge

_SHARED_POINTS = 1 << 18
"""Transforms of this many points (32 MB) or more are done by all threads together."""

_ROWS = 1_024
"""Positions of a task, more or less, where sequences are shorter."""

Taps = Callable[[slice], Tensor]
"""From a range of channels to their taps (channels, L)."""

_NOTHING = Signal(np.zeros(1, dtype=np.float32), 0, 0)
_per_thread = threading.local()


def filter_spectra(filter_D1L: Tensor) -> Tensor:
    """The spectra of all filters, group by group: float32, flat."""
    n_channels, _, n_positions = filter_D1L.shape
    plan = loops.plan(n_positions)
    n_groups = -(-n_channels // LANES)
    spectra = empty_huge(n_groups * plan.n_points * POINT)
    of_group = spectra.numpy().reshape(n_groups, -1)
    taps = _signal(to_channels_last(filter_D1L))

    def transform(group: int) -> None:
        channel = group * LANES
        width = min(LANES, n_channels - channel)
        loops.filter_spectrum(
            plan, taps, channel, width, n_positions, _scratch(plan), of_group[group]
        )

    workers.for_each(transform, range(n_groups))
    return spectra


def numbers_of(channels: slice, n_positions: int) -> slice:
    """Where the spectra of some channels, from a multiple of LANES on, are among all."""
    size = loops.plan(n_positions).n_points * POINT
    return slice(channels.start // LANES * size, -(-channels.stop // LANES) * size)


def convolve(
    u_DBL: Tensor,
    filters: Tensor | Taps,
    skip_D: Tensor | None,
    gate_DBL: Tensor | None,
    out_DBL: Tensor,
) -> None:
    """Compute out = (conv + skip u) gate; `out` may be `u`.

    `filters` are the spectra of all filters, or gives the taps of a group of channels at a time.
    """
    n_channels, n_batch, n_positions = u_DBL.shape
    plan = loops.plan(n_positions)
    u, gate, out = _signal(u_DBL), _signal(gate_DBL), _signal(out_DBL)
    skip = np.zeros(0, dtype=np.float32) if skip_D is None else skip_D.detach().numpy()
    size, one = plan.n_points * POINT, np.float32(1)
    together = plan.n_points >= _SHARED_POINTS

    def spectrum(rows: slice) -> tuple[NDArray[np.float32], int]:
        """Where the spectrum of a group is: an array, and its first number."""
        if isinstance(filters, Tensor):
            return filters.numpy(), rows.start // LANES * size
        taps, k = _signal(to_channels_last(filters(rows)[:, None])), _buffer("spectrum", size)
        width = rows.stop - rows.start
        if together:
            _by_columns(
                plan, loops.columns_forward,
                plan, taps, _NOTHING, 0, 0, width, n_positions, np.float32(1 / plan.n_points), k,
            )  # fmt: skip
            _by_rows(plan, loops.rows_forward, plan, k)
        else:
            loops.filter_spectrum(plan, taps, 0, width, n_positions, _scratch(plan), k)
        return k, 0

    def convolve_group(rows: slice, sequences: range) -> None:
        k, k_start = spectrum(rows)
        x = _buffer("work", size)
        for sequence in sequences:
            at = (sequence, rows.start, rows.stop - rows.start, n_positions)
            if together:
                _by_columns(plan, loops.columns_forward, plan, u, _NOTHING, *at, one, x)
                _by_rows(plan, loops.rows_filtered, plan, x, k, k_start)
                _by_columns(
                    plan, loops.columns_inverse, plan, x, one, skip, u, _NOTHING, gate, out, *at
                )
            else:
                loops.convolve(plan, u, k, k_start, skip, gate, out, *at, _scratch(plan), x)

    groups = [slice(start, min(start + LANES, n_channels)) for start in range(0, n_channels, LANES)]
    if together:
        for rows in groups:
            convolve_group(rows, range(n_batch))
        return
    # A group whose spectrum is made here is one task. Else all groups of a few sequences come
    # before the next ones: together they read whole rows of a signal that is in a cache by then.
    n_together = n_batch if not isinstance(filters, Tensor) else max(1, _ROWS // n_positions)
    parts = workers.pieces(n_batch, -(-n_batch // n_together))
    workers.for_each(
        lambda task: convolve_group(*task), [(rows, part) for part in parts for rows in groups]
    )


def forget() -> None:
    """Give the calling thread's buffers back."""
    vars(_per_thread).clear()


def gradients(
    u_DBL: Tensor, filter_DL: Tensor, skip_D: Tensor, gate_DBL: Tensor | None, d_y_DBL: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Of the inputs of `convolve`, from that of its output; spectra are computed again."""
    n_channels, n_batch, n_positions = u_DBL.shape
    plan = loops.plan(n_positions)
    size = plan.n_points * POINT
    d_u_DBL = torch.empty_like(u_DBL)
    d_gate_DBL = None if gate_DBL is None else torch.empty_like(gate_DBL)
    taps_D1L = to_channels_last(filter_DL[:, None])
    d_taps_D1L, d_skip_D = torch.empty_like(taps_D1L), torch.zeros_like(skip_D)
    signals = [_signal(x) for x in (gate_DBL, d_y_DBL, d_u_DBL, d_gate_DBL, d_taps_D1L)]
    u, taps, skip, d_skip = _signal(u_DBL), _signal(taps_D1L), skip_D.detach().numpy(), d_skip_D

    def run(group: int) -> None:
        channel = group * LANES
        width = min(LANES, n_channels - channel)
        adjoint(
            plan,
            u,
            taps,
            skip,
            *signals,
            d_skip.numpy(),
            channel,
            width,
            n_batch,
            n_positions,
            _scratch(plan),
            *(_buffer(name, size) for name in ("work", "y", "spectrum", "total")),
        )

    workers.for_each(run, range(-(-n_channels // LANES)))
    return d_u_DBL, d_taps_D1L[:, 0], d_skip_D, d_gate_DBL


def _by_columns(plan: Plan, loop: Callable[..., None], *arguments: object) -> None:
    """All threads on one loop over columns, in tiles."""
    tiles = workers.pieces(-(-plan.n_columns // loops.TILE), 4 * workers.count())
    workers.for_each(
        lambda part: loop(
            *arguments,
            part.start * loops.TILE,
            min(part.stop * loops.TILE, plan.n_columns),
            _scratch(plan),
        ),
        tiles,
    )


def _by_rows(plan: Plan, loop: Callable[..., None], *arguments: object) -> None:
    """All threads on one loop over rows."""
    workers.for_each(
        lambda part: loop(*arguments, part.start, part.stop),
        workers.pieces(plan.n_rows, 4 * workers.count()),
    )


def _signal(x_DBL: Tensor | None) -> Signal:
    return _NOTHING if x_DBL is None else Signal(*flat(x_DBL))


def _scratch(plan: Plan) -> NDArray[np.float32]:
    return _buffer("scratch", loops.TILE * (plan.n_rows + 1) * POINT)


def _buffer(name: str, size: int) -> NDArray[np.float32]:
    """A buffer of the calling thread, kept for its next call."""
    kept: NDArray[np.float32] | None = getattr(_per_thread, name, None)
    if kept is None or kept.size < size or kept.size > 4 * size + (1 << 20):
        kept = empty_huge(size).numpy()
        setattr(_per_thread, name, kept)
    return kept
