"""REF passes that ALT passes can build on: what precedes a variant is never computed twice.

The model is causal, so that REF and ALT agree before the first position p where their windows
differ; and the long convolution is linear, so that from there on, in every layer and for every one
of its filters,

    conv(alt)[t] = conv(ref)[t] + sum over p <= s <= t of filter[t - s] * (alt[s] - ref[s])

    REF pass   whole windows; keeps, from the first start on, what each long convolution read and
               gave, and the few rows before a start that the short convolution looks back at
    ALT pass   the suffix from a start <= p; its convolutions are as long as the suffix

In the first layer the inputs are the tokens themselves. Where ALT is as long as REF, only the few
that were exchanged differ there, and with them as many rows as the short convolution reaches: the
suffix need not be projected.

Nothing is approximated: the result is that of a plain pass, up to rounding.
"""

# B windows of a REF pass, A alleles of an ALT pass, L positions, S positions of a suffix,
# N = S + the rows looked back at, K - 1 at most, D d_model, G (order - 1) * D gates

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.blocks import Block
from hyenadna_cli.core.model.fused_forward import FusedForward
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.ops.long_conv import Spectra, Taps, long_conv_gate


@dataclass(frozen=True, slots=True)
class _LayerStates:
    """What a REF pass keeps of one block, from the first start on."""

    lookback: dict[int, Tensor]
    """Of each start: up to K - 1 rows of the block's input before it; (B, K - 1, D)."""
    read: list[Tensor]
    """What each long convolution read, (B, S, D)."""
    gave: list[Tensor]
    """What each gave, with its skip term and before the gate, (B, S, D)."""
    gates: list[Tensor]
    """Of the first block only: the gate after each, (B, S, D)."""


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

    @torch.inference_mode()
    def ref(
        self,
        token_ids_BL: Tensor,
        starts: Sequence[int],
        layers: Sequence[int] = (-1,),
        *,
        first: int = 0,
    ) -> tuple[list[Tensor], RefStates]:
        """Hidden states (B, L, D) of whole windows, and what ALT passes from `starts` need.

        `layers` as in `HyenaDNA.hidden_states`. Of the last block's, those before position `first`
        are not finished and mean nothing: its MLP, most of its work, is spared there.
        """
        return self._model.replayed(
            ("REF pass", *layers, "finished from", first, "from", *sorted(starts)),
            token_ids_BL,
            lambda ids_BL: self._ref(ids_BL, starts, layers, first),
        )

    def _ref(
        self, token_ids_BL: Tensor, starts: Sequence[int], layers: Sequence[int], first: int
    ) -> tuple[list[Tensor], RefStates]:
        work = _RefPass(self._model, self._model.embed_tokens(token_ids_BL), starts)
        n_blocks = self._model.config.n_layer

        def apply(block: Block, number: int) -> None:
            work.apply(block, number=number, n_blocks=n_blocks, n_unfinished=first)

        return self._states(work, apply, layers), RefStates(min(starts), work.layers)

    @torch.inference_mode()
    def alt(
        self,
        ref: RefStates,
        rows_A: Tensor,
        token_ids_AS: Tensor,
        start: int,
        *,
        changed: slice | None = None,
        layers: Sequence[int] = (-1,),
    ) -> list[Tensor]:
        """Hidden states (A, S, D) of windows that equal REF windows before `start`.

        `rows_A` tells which REF window each belongs to, `token_ids_AS` are its tokens from `start`
        to its end. `changed`: positions of the suffix outside which no token differs from REF's;
        None if unknown. `layers` as in `HyenaDNA.hidden_states`. Raises ValueError for a start that
        the REF pass was not told.
        """
        if start not in ref.layers[0].lookback:
            raise ValueError(f"the REF pass kept nothing for an ALT pass from {start}")
        before_AKD = ref.layers[0].lookback[start][rows_A]
        x_AND = torch.cat([before_AKD, self._model.embed_tokens(token_ids_AS)], dim=1)
        work = _AltPass(self._model, x_AND, ref, rows_A, start)

        def apply(block: Block, number: int) -> None:
            if number == 1 and changed is not None:
                work.apply_first(block, changed)
            else:
                work.apply(block, number=number, n_blocks=self._model.config.n_layer)

        states = self._states(work, apply, layers)
        return [states_AND[:, before_AKD.shape[1] :] for states_AND in states]

    def _states(
        self, work: FusedForward, apply: Callable[[Block, int], None], layers: Sequence[int]
    ) -> list[Tensor]:
        """What a pass through all blocks leaves after each of `layers`."""
        kept = {0: work.residual()} if 0 in layers else {}
        blocks = [block for block in self._model.backbone.layers if isinstance(block, Block)]
        for number, block in enumerate(blocks, start=1):
            apply(block, number)
            if number in layers:
                kept[number] = work.residual()
        if -1 in layers:
            kept[-1] = work.normed(self._model.backbone.ln_f)
        return [kept[layer] for layer in layers]


class _Pass(FusedForward):
    """A pass whose gates are all in memory at once, as they are kept or met with kept ones."""

    rounds_streams = False

    def __init__(self, model: HyenaDNA, x_BLD: Tensor) -> None:
        super().__init__(model.execution, model.backbone.weight_cache, x_BLD)
        self._model = model

    def project(self, block: Block, *, number: int) -> list[Tensor]:
        """Fill the gated input of the first long convolution; the gates (B, L, D) after each."""
        gates = self._empty_gates(block.mixer)
        self._mix(block, gates, number=number)
        return gates

    def convolve(self, block: Block, filters: Spectra | Taps) -> None:
        """A long convolution of what is gated, in place, with its skip term and without a gate."""
        long_conv_gate(
            self._gated_BLD.permute(2, 0, 1),
            filters,
            block.mixer.filter_fn.bias,
            kernels=self._conv_kernels,
            in_place=True,
        )

    def filters(self, block: Block, *, number: int) -> Sequence[Spectra | Taps]:
        """The filters of a block, in the order of their use."""
        n_blocks = self._model.config.n_layer
        return self._filters.of(block.mixer.filter_fn, number=number, n_blocks=n_blocks)

    @property
    def gated(self) -> Tensor:
        """What a long convolution reads or gave."""
        return self._gated_BLD


class _RefPass(_Pass):
    """A plain pass that keeps what ALT passes need."""

    def __init__(self, model: HyenaDNA, x_BLD: Tensor, starts: Sequence[int]) -> None:
        super().__init__(model, x_BLD)
        self._starts = set(starts)
        self.layers: list[_LayerStates] = []

    def apply(self, block: Block, *, number: int, n_blocks: int, n_unfinished: int = 0) -> None:
        """Carry the residual stream through a block, and add what is kept of it to `layers`.

        The last block is not finished at the first `n_unfinished` positions.
        """
        kept = slice(min(self._starts), None)
        n_lookback = self._model.config.short_filter_order - 1
        lookback = {
            start: self._x_BLD[:, max(0, start - n_lookback) : start].clone()
            for start in self._starts
        }
        gates = self.project(block, number=number)
        read, gave = [], []
        for filters, gate_BLD in zip(self.filters(block, number=number), gates, strict=True):
            read.append(self._gated_BLD[:, kept].clone())
            self.convolve(block, filters)
            gave.append(self._gated_BLD[:, kept].clone())
            self._gated_BLD *= gate_BLD
        kept_gates = [gate_BLD[:, kept].clone() for gate_BLD in gates] if number == 1 else []
        self.layers.append(_LayerStates(lookback, read, gave, kept_gates))
        if number == n_blocks:
            self.leave_out(n_unfinished)
        self._finish(block, number=number)


class _Alleles(NamedTuple):
    """Alleles that are done together."""

    own: int | slice
    """Their rows in an ALT pass."""
    rows: int | Tensor
    """Their windows in the REF pass."""


def _done_together(rows_A: Tensor) -> list[_Alleles]:
    """All alleles on a GPU, whose launches must not be many and whose numbers are not waited for.

    On a CPU each by itself: its rows stay in the cache, and REF's are not copied.
    """
    if rows_A.device.type != "cpu":
        return [_Alleles(slice(None), rows_A)]
    return [_Alleles(allele, row) for allele, row in enumerate(rows_A.tolist())]


class _AltPass(_Pass):
    """A pass over suffixes, behind the few rows that the short convolution looks back at."""

    def __init__(
        self, model: HyenaDNA, x_AND: Tensor, ref: RefStates, rows_A: Tensor, start: int
    ) -> None:
        super().__init__(model, x_AND)
        self._layers = ref.layers
        self._rows_A, self._alleles = rows_A, _done_together(rows_A)
        self._start = start
        self._kept = slice(start - ref.first, None)
        self._n_before = ref.layers[0].lookback[start].shape[1]

    def apply(self, block: Block, *, number: int, n_blocks: int) -> None:
        """Carry the suffixes through a block."""
        ref, n_before = self._layers[number - 1], self._n_before
        self._x_BLD[:, :n_before] = ref.lookback[self._start][self._rows_A]
        gates = self.project(block, number=number)
        self._add_to_ref(block, gates, number=number, is_change=False)
        self._finish(block, number=number)

    def apply_first(self, block: Block, changed: slice) -> None:
        """As `apply` of the first block, where tokens differ at the `changed` positions only."""
        ref, n_before = self._layers[0], self._n_before
        n_lookback = self._model.config.short_filter_order - 1
        n_positions = self._x_BLD.shape[1] - n_before
        first, last = changed.start, min(changed.stop + n_lookback, n_positions)
        n_skipped = max(0, first + n_before - n_lookback)
        seen = slice(first + n_before - n_skipped, None)
        part = _Pass(self._model, self._x_BLD[:, n_skipped : last + n_before].clone())
        part_gates = part.project(block, number=1)
        self._gated_BLD.zero_()
        inside = slice(first + n_before, last + n_before)
        gates = [torch.empty_like(self._x_BLD) for _ in part_gates]

        def meet(some: _Alleles) -> None:
            known = ref.read[0][some.rows, self._kept][..., first:last, :]
            torch.sub(part.gated[some.own, seen], known, out=self._gated_BLD[some.own, inside])
            for gate_AND, kept_BSD, part_AND in zip(gates, ref.gates, part_gates, strict=True):
                gate_AND[some.own, n_before:] = kept_BSD[some.rows, self._kept]
                gate_AND[some.own, inside] = part_AND[some.own, seen]

        self._for_each(meet, self._alleles)
        self._add_to_ref(block, gates, number=1, is_change=True)
        self._finish(block, number=1)

    def _add_to_ref(
        self, block: Block, gates: list[Tensor], *, number: int, is_change: bool
    ) -> None:
        """Convolve how what is gated differs from REF's, and add what REF's convolutions gave.

        `is_change`: what is gated is that difference already.
        """
        ref, n_before = self._layers[number - 1], self._n_before
        stages = zip(self.filters(block, number=number), ref.read, ref.gave, gates, strict=True)
        for stage, (filters, read_BSD, gave_BSD, gate_AND) in enumerate(stages):
            if stage > 0 or not is_change:
                self._gated_BLD[:, :n_before] = 0

                def subtract(some: _Alleles, read_BSD: Tensor = read_BSD) -> None:
                    self._gated_BLD[some.own, n_before:] -= read_BSD[some.rows, self._kept]

                self._for_each(subtract, self._alleles)
            self.convolve(block, filters)

            def add(
                some: _Alleles, gave_BSD: Tensor = gave_BSD, gate_AND: Tensor = gate_AND
            ) -> None:
                suffixes = self._gated_BLD[some.own, n_before:]
                suffixes += gave_BSD[some.rows, self._kept]
                suffixes *= gate_AND[some.own, n_before:]

            self._for_each(add, self._alleles)
