"""The scores of an allele, from the next-base distributions of its REF and ALT windows.

Every score is of one strand. Positions are 0-based in reading direction; the distribution at
position t is that of the base at t + 1, given the bases up to t.

    llr   sum over t of ln p_alt(alt[t] | before) - ln p_ref(ref[t] | before), natural log; N is
          left out; differences are taken a position, then summed in float64
    site  ln p(alt[p]) - ln p(ref[p]) at the first position p where the windows differ; both given
          the same bases, so that the REF pass alone tells it
    jsd   mean Jensen-Shannon divergence (bits) of the distributions from the last base of the
          allele on, where REF and ALT positions after the allele are matched base by base
    l2    Euclidean distance of the hidden states averaged over the bases of either window
    cos   1 - their cosine

NaN: not defined for this allele. Infinite: the model gave an infinity or NaN somewhere.
"""

# A alleles, B windows of a REF pass, L positions of a window, S of a suffix, T = L - 1 targets,
# V classes, D d_model, E = D + 1 sums

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.hyenadna import HyenaDNA


def next_base_log_probs(
    model: HyenaDNA, hidden_BLD: Tensor, *, full_vocabulary: bool = False
) -> Tensor:
    """Ln p of the next base (B, L, V), float32 or wider: V is A, C, G, T, renormalised, or all."""
    weight_VD = model.lm_head.weight
    if not full_vocabulary:
        weight_VD = weight_VD[tokenizer.A : tokenizer.T + 1]
    logits_BLV = torch.nn.functional.linear(hidden_BLD.to(weight_VD.dtype), weight_VD)
    return torch.log_softmax(logits_BLV, dim=-1)


def is_base(token_ids: Tensor) -> Tensor:
    """Whether tokens are A, C, G or T."""
    return (token_ids >= tokenizer.A) & (token_ids <= tokenizer.T)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """REF and ALT windows of A alleles that agree before `start`."""

    ref_ids_AL: Tensor
    alt_ids_AL: Tensor
    ref_log_probs_ALV: Tensor
    alt_log_probs_ALV: Tensor
    start: int
    """A position at or before the first difference of every pair."""
    ref_ends_A: Tensor
    """One past the last base of REF."""
    alt_ends_A: Tensor
    """One past the last base of ALT."""
    ref_limits_A: Tensor
    """One past the last base that is compared; up to here both have equally many A, C, G, T."""
    alt_limits_A: Tensor


def llr(pairs: Pairs) -> Tensor:
    """The log-likelihood ratio ln P(ALT window) - ln P(REF window): (A,) in float64."""
    # Token 0 has no base before it, and so no probability.
    first = max(pairs.start, 1)
    ref_AT = _observed(pairs.ref_log_probs_ALV, pairs.ref_ids_AL, first, pairs.ref_limits_A)
    alt_AT = _observed(pairs.alt_log_probs_ALV, pairs.alt_ids_AL, first, pairs.alt_limits_A)
    return _finite_or_infinite((alt_AT.double() - ref_AT.double()).sum(1))


def _finite_or_infinite(values_A: Tensor) -> Tensor:
    return values_A.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)


def _observed(log_probs_ALV: Tensor, token_ids_AL: Tensor, first: int, limits_A: Tensor) -> Tensor:
    """Ln p of the tokens from `first` to the limits; 0 where the token is not a base."""
    targets_AT = token_ids_AL[:, first:]
    classes_AT = _classes(targets_AT, log_probs_ALV.shape[-1])
    log_probs_ATV = log_probs_ALV[:, first - 1 : -1]
    observed_AT = log_probs_ATV.gather(-1, classes_AT[..., None])[..., 0]
    positions_T = torch.arange(first, token_ids_AL.shape[1], device=limits_A.device)
    is_compared_AT = is_base(targets_AT) & (positions_T < limits_A[:, None])
    return observed_AT.masked_fill(~is_compared_AT, 0.0)


def _classes(token_ids: Tensor, n_classes: int) -> Tensor:
    """Tokens as indices into the distributions; any valid index where the token is not a base."""
    if n_classes > len(tokenizer.BASES):
        return token_ids
    return (token_ids - tokenizer.A).clamp(0, len(tokenizer.BASES) - 1)


def site(log_probs_AV: Tensor, ref_ids_A: Tensor, alt_ids_A: Tensor) -> Tensor:
    """Of the first difference: (A,) in float64; NaN where either token is not a base.

    `log_probs_AV` are the distributions just before it.
    """
    n_classes = log_probs_AV.shape[-1]
    log_probs_AV = log_probs_AV.double()
    alt_A = log_probs_AV.gather(1, _classes(alt_ids_A, n_classes)[:, None])[:, 0]
    ref_A = log_probs_AV.gather(1, _classes(ref_ids_A, n_classes)[:, None])[:, 0]
    return _finite_or_infinite(alt_A - ref_A).masked_fill(
        ~(is_base(ref_ids_A) & is_base(alt_ids_A)), math.nan
    )


def jsd(pairs: Pairs) -> Tensor:
    """(A,) in float64; NaN where no base follows the allele in the window."""
    length = pairs.ref_ids_AL.shape[1]
    step_J = torch.arange(length, device=pairs.ref_ids_AL.device)
    ref_AJ = pairs.ref_ends_A[:, None] - 1 + step_J
    alt_AJ = pairs.alt_ends_A[:, None] - 1 + step_J
    # The last distribution is of a base that is not compared.
    is_inside_AJ = (ref_AJ < pairs.ref_limits_A[:, None] - 1) & (
        alt_AJ < pairs.alt_limits_A[:, None] - 1
    )
    ref_AJ, alt_AJ = ref_AJ.clamp(max=length - 2), alt_AJ.clamp(max=length - 2)
    is_counted_AJ = is_inside_AJ & is_base(pairs.ref_ids_AL.gather(1, ref_AJ + 1))
    divergence_AJ = _jensen_shannon(
        _at(pairs.ref_log_probs_ALV, ref_AJ), _at(pairs.alt_log_probs_ALV, alt_AJ)
    )
    totals_A = divergence_AJ.masked_fill(~is_counted_AJ, 0.0).sum(1)
    return _finite_or_infinite(totals_A) / is_counted_AJ.sum(1)


def _at(log_probs_ALV: Tensor, positions_AJ: Tensor) -> Tensor:
    index_AJV = positions_AJ[..., None].expand(-1, -1, log_probs_ALV.shape[-1])
    return log_probs_ALV.gather(1, index_AJV).double()


def _jensen_shannon(p_AJV: Tensor, q_AJV: Tensor) -> Tensor:
    """In bits, from natural logs of two distributions."""
    middle_AJV = torch.logaddexp(p_AJV, q_AJV) - math.log(2)
    nats_AJV = p_AJV.exp() * (p_AJV - middle_AJV) + q_AJV.exp() * (q_AJV - middle_AJV)
    return nats_AJV.sum(-1) / (2 * math.log(2))


def summed_states(hidden_BLD: Tensor, token_ids_BL: Tensor) -> Tensor:
    """Sum over the bases, and in the last column their number: (B, D + 1) in float64."""
    weights_BL = is_base(token_ids_BL).double()
    sums_BD = torch.einsum("bl,bld->bd", weights_BL, hidden_BLD.double())
    return torch.cat([sums_BD, weights_BL.sum(1, keepdim=True)], dim=1)


def distances(ref_sums_AE: Tensor, alt_sums_AE: Tensor) -> tuple[Tensor, Tensor]:
    """`l2` and `cos` from the sums of `summed_states`: (A,) each, in float64."""
    ref_AD = ref_sums_AE[:, :-1] / ref_sums_AE[:, -1:]
    alt_AD = alt_sums_AE[:, :-1] / alt_sums_AE[:, -1:]
    l2_A = torch.linalg.vector_norm(alt_AD - ref_AD, dim=1)
    # |a/|a| - b/|b||^2 / 2 = 1 - cos, without losing digits where the two nearly agree.
    unit_ref_AD = torch.nn.functional.normalize(ref_AD, dim=1, eps=0.0)
    unit_alt_AD = torch.nn.functional.normalize(alt_AD, dim=1, eps=0.0)
    cos_A = (unit_alt_AD - unit_ref_AD).square().sum(1) / 2
    return _finite_or_infinite(l2_A), _finite_or_infinite(cos_A)


def window_distances(
    ref_BLD: Tensor, rows_A: Tensor, pairs: Pairs, alt_ASD: Tensor, start: int
) -> tuple[Tensor, Tensor]:
    """Embedding distances, from the hidden states of whole REF windows and of ALT suffixes."""
    unique_B, back_A = rows_A.unique(return_inverse=True)
    ids_BL = pairs.ref_ids_AL.new_empty(len(unique_B), pairs.ref_ids_AL.shape[1])
    ids_BL[back_A] = pairs.ref_ids_AL
    before_BE = summed_states(ref_BLD[unique_B, :start], ids_BL[:, :start])
    after_BE = summed_states(ref_BLD[unique_B, start:], ids_BL[:, start:])
    alt_AE = before_BE[back_A] + summed_states(alt_ASD, pairs.alt_ids_AL[:, start:])
    ref_AE = (before_BE + after_BE)[back_A]
    for allele, end in enumerate(pairs.ref_limits_A.tolist()):
        # What is not compared of REF, which other alleles of the window may be compared with.
        row = rows_A[allele : allele + 1]
        ref_AE[allele] -= summed_states(
            ref_BLD[row, end:], pairs.ref_ids_AL[allele : allele + 1, end:]
        )[0]
    return distances(ref_AE, alt_AE)
