"""Vectors of alleles: hidden states of the REF and the ALT window, pooled, and their difference.

    alt               pooled over the ALT window
    ref               pooled over the REF window
    diff              alt - ref
    diff-at-variant   alt - ref, both pooled from the first base on where the windows differ: what
                      precedes it is the same in both, and only dilutes a mean

Windows are those that scores compare: equally many A, C, G and T of REF and ALT. Poolings are those
of `embed`, over the bases of a window in reading direction. Where the windows never differ, as in a
repeat that goes on to the window's end, `diff-at-variant` is 0.
"""

# A alleles, L positions of a window, D d_model, K vectors (a pooling of a layer)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyenadna_cli.core.config.choices import AlleleVector
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.inference.pooling import Pooled


@dataclass(frozen=True, slots=True)
class VectorChoice:
    """Which vectors alleles get."""

    pooled: Pooled
    """Its poolings, layers and `exclude_n`; strands are those that scores are of."""
    of: AlleleVector = "diff"

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are pooled, each once."""
        return self.pooled.layers

    @property
    def needs_alt_pass(self) -> bool:
        """Whether the REF pass alone does not tell them."""
        return self.of != "ref"

    @property
    def n_vectors(self) -> int:
        """A pooling of a layer each, in the order of `pooled.keys`."""
        return len(self.pooled.keys)


@dataclass(frozen=True, slots=True)
class Pass:
    """Whole windows of A alleles as a pass has read them."""

    hidden: Sequence[Tensor]
    """(A, L, D) of each of the layers chosen."""
    token_ids_AL: Tensor
    ends_A: Tensor
    """One past the last base that counts."""


def vectors_of(
    choice: VectorChoice, ref: Pass | None, alt: Pass | None, firsts_A: Tensor
) -> Tensor:
    """(A, K, D) in float64. `firsts_A`: where the windows first differ.

    `ref` is None for `alt`, and the other way round.
    """
    start_A = torch.zeros_like(firsts_A)
    if choice.of != "diff-at-variant":
        of_alt = None if alt is None else _pooled(choice, alt, start_A)
        of_ref = None if ref is None else _pooled(choice, ref, start_A)
        if of_alt is None or of_ref is None:
            known = of_ref if of_alt is None else of_alt
            assert known is not None
            return known
        return of_alt - of_ref
    assert ref is not None
    assert alt is not None
    differs_A = firsts_A < torch.minimum(ref.ends_A, alt.ends_A)
    start_A = torch.where(differs_A, firsts_A, start_A)
    change_AKD = _pooled(choice, alt, start_A) - _pooled(choice, ref, start_A)
    return torch.where(differs_A[:, None, None], change_AKD, torch.zeros_like(change_AKD))


def _pooled(choice: VectorChoice, of: Pass, start_A: Tensor) -> Tensor:
    """Over the bases from `start_A` to the window's end."""
    positions_L = torch.arange(of.token_ids_AL.shape[1], device=start_A.device)
    counted_AL = (positions_L >= start_A[:, None]) & (positions_L < of.ends_A[:, None])
    if choice.pooled.exclude_n:
        counted_AL &= of.token_ids_AL != tokenizer.N
    rows_A = torch.arange(len(start_A), device=start_A.device)
    by_key = {}
    for layer, hidden_ALD in zip(choice.layers, of.hidden, strict=True):
        for pooling in choice.pooled.poolings:
            if pooling == "mean":
                # In float64, as what is left of two means is small beside them.
                sums_AD = torch.einsum("al,ald->ad", counted_AL.double(), hidden_ALD.double())
                vector_AD = sums_AD / counted_AL.sum(1, keepdim=True)
            elif pooling == "max":
                vector_AD = hidden_ALD.masked_fill(~counted_AL[..., None], -torch.inf).amax(1)
            else:
                n_bases_A = of.ends_A - start_A
                last_A, middle_A = of.ends_A - 1, start_A + n_bases_A // 2
                base_A = {"first": start_A, "last": last_A, "center": middle_A}[pooling]
                vector_AD = hidden_ALD[rows_A, base_A]
            by_key[f"{pooling}_layer{layer}"] = vector_AD.double()
    return torch.stack([by_key[key] for key in choice.pooled.keys], dim=1)
