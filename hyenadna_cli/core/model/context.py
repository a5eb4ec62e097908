"""One sequence over N processes: who has which positions, and what the convolutions exchange.

    positions   a contiguous piece of the sequence, all D channels   all layers but the convolutions
    channels    all positions of D / N channels                      the long convolution

Each process goes from the first to the second and back around a long convolution by an all-to-all.
The short convolution looks back at the last positions of the piece before. Both differentiate: the
gradient of an exchange is the opposite exchange. docs/scaling.md says what that moves.
"""

# D channels, C = D / N channels of a process, B batch, L positions of the sequence,
# S positions of a process, K positions that are looked back at

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The processes that share a sequence, and how the sequence in hand is cut."""

    group: dist.ProcessGroup | None
    rank: int
    size: int
    n_positions: int = 0
    """Of the whole sequence."""
    step: int = 1
    """Positions of each piece but the last ones."""

    def of(self, n_positions: int, *, n_lookback: int) -> Context:
        """For a sequence of this length, of which each process has a piece.

        All pieces have the same length, at least `n_lookback`, until the sequence ends: the last
        ones may be shorter or empty.
        """
        step = max(1, n_lookback, -(-n_positions // self.size))
        return replace(self, n_positions=n_positions, step=step)

    def piece(self, rank: int | None = None) -> slice:
        """The positions of a process; by default of this one."""
        rank = self.rank if rank is None else rank
        first, last = (min(number * self.step, self.n_positions) for number in (rank, rank + 1))
        return slice(first, last)

    def channels(self, n_channels: int) -> slice:
        """Which of `n_channels` this process convolves."""
        width = n_channels // self.size
        return slice(self.rank * width, (self.rank + 1) * width)

    @property
    def lengths(self) -> list[int]:
        """Positions of every process."""
        pieces = (self.piece(rank) for rank in range(self.size))
        return [piece.stop - piece.start for piece in pieces]

    def to_channels(self, x_DBS: Tensor) -> Tensor:
        """From all channels of the own positions to all positions of the own channels (C, B, L)."""
        n_batch, n_own = x_DBS.shape[1:]
        width, lengths = x_DBS.shape[0] // self.size, self.lengths
        sizes = [width * n_batch * length for length in lengths]
        received = self._exchange(
            x_DBS.reshape(-1), sent=[width * n_batch * n_own] * self.size, received=sizes
        )
        pieces = zip(received.split(sizes), lengths, strict=True)
        return torch.cat([piece.view(width, n_batch, length) for piece, length in pieces], dim=-1)

    def to_positions(self, x_CBL: Tensor) -> Tensor:
        """The way back: to all channels of the own positions (D, B, S)."""
        width, n_batch, _ = x_CBL.shape
        pieces = [piece.reshape(-1) for piece in x_CBL.split(self.lengths, dim=-1)]
        n_own = self.lengths[self.rank]
        received = self._exchange(
            torch.cat(pieces),
            sent=[len(piece) for piece in pieces],
            received=[width * n_batch * n_own] * self.size,
        )
        return received.view(width * self.size, n_batch, n_own)

    def lookback(self, x_BSD: Tensor, n_lookback: int) -> Tensor:
        """The `n_lookback` positions before the own piece (B, K, D); none before the first one."""
        lengths = self.lengths
        n_batch, _, n_channels = x_BSD.shape
        # A piece that something follows is whole, and not shorter than what is looked back at.
        wanted = [n_lookback if rank and lengths[rank] else 0 for rank in range(self.size)]
        n_sent = wanted[self.rank + 1] if self.rank + 1 < self.size else 0
        sent, received = [0] * self.size, [0] * self.size
        if n_sent:
            sent[self.rank + 1] = n_batch * n_sent * n_channels
        if wanted[self.rank]:
            received[self.rank - 1] = n_batch * wanted[self.rank] * n_channels
        tail_BKD = x_BSD[:, x_BSD.shape[1] - n_sent :]
        before = self._exchange(tail_BKD.reshape(-1), sent=sent, received=received)
        return before.view(n_batch, wanted[self.rank], n_channels)

    def sum(self, mine: Tensor) -> Tensor:
        """The sum over the processes of this sequence."""
        return self._reduced(mine, dist.ReduceOp.SUM)

    def max(self, mine: Tensor) -> Tensor:
        """The maximum over the processes of this sequence."""
        return self._reduced(mine, dist.ReduceOp.MAX)

    def any(self, mine: bool, device: torch.device) -> bool:
        """Whether it is so for any of the processes of this sequence."""
        return bool(self.max(torch.tensor(int(mine), device=device)))

    def gather(self, x_BS: Tensor) -> Tensor:
        """All positions (B, L, ...), in every process; not differentiable."""
        n_missing = self.step - x_BS.shape[1]
        padding = x_BS.new_zeros(x_BS.shape[0], n_missing, *x_BS.shape[2:])
        mine = torch.cat([x_BS, padding], dim=1)
        pieces = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(pieces, mine, group=self.group)
        return torch.cat(pieces, dim=1)[:, : self.n_positions]

    def _reduced(self, mine: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        total = mine.clone()
        dist.all_reduce(total, operation, group=self.group)
        return total

    def _exchange(self, x: Tensor, *, sent: Sequence[int], received: Sequence[int]) -> Tensor:
        result: Tensor = _AllToAll.apply(  # type: ignore[no-untyped-call]
            x, sent, received, self.group
        )
        return result


def check_divides(n_context: int, config: ModelConfig) -> None:
    """Raise UsageError if that number of processes cannot share the channels of this model."""
    if config.d_model % n_context:
        raise UsageError(
            f"--context-parallel {n_context} does not divide the {config.d_model} channels of the "
            "model (d_model)"
        )


def described(n_context: int) -> dict[str, int]:
    """For provenance; nothing where each process has its own sequences."""
    return {"context_parallel": n_context} if n_context > 1 else {}


class _AllToAll(torch.autograd.Function):
    """Numbers to and from every process, one row of them for each; its gradient goes back."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        sent: Sequence[int],
        received: Sequence[int],
        group: dist.ProcessGroup | None,
    ) -> Tensor:
        ctx.sizes, ctx.group = (sent, received), group  # type: ignore[attr-defined]
        result = x.new_empty(sum(received))
        dist.all_to_all_single(result, x.contiguous(), [*received], [*sent], group=group)
        return result

    @staticmethod
    def backward(ctx: FunctionCtx, d_result: Tensor) -> tuple[Tensor, None, None, None]:
        sent, received = ctx.sizes  # type: ignore[attr-defined]
        group = ctx.group  # type: ignore[attr-defined]
        d_x: Tensor = _AllToAll.apply(  # type: ignore[no-untyped-call]
            d_result, received, sent, group
        )
        return d_x, None, None, None
