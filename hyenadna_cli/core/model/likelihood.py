"""Logits to log p(base t | bases before t), and the next-base loss."""

# B batch, L positions, V padded vocabulary

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.hyenadna import HyenaDNA


def next_base_loss(model: HyenaDNA, token_ids_BL: Tensor) -> tuple[Tensor, Tensor]:
    """Summed next-token loss in nats over the targets A, C, G, T, and their number.

    The softmax runs over all rows of the vocabulary, as in the published pretraining. Where
    processes share a sequence, over the targets of this process's positions.
    """
    targets_BT = token_ids_BL[:, 1:]
    is_base_BT = (targets_BT >= tokenizer.A) & (targets_BT <= tokenizer.T)
    return _loss(model, token_ids_BL, targets_BT.masked_fill(~is_base_BT, -100))


def next_token_loss(model: HyenaDNA, token_ids_BL: Tensor) -> tuple[Tensor, Tensor]:
    """As `next_base_loss`, with every token a target: the published pretraining."""
    return _loss(model, token_ids_BL, token_ids_BL[:, 1:])


def _loss(model: HyenaDNA, token_ids_BL: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
    logits_BTV = model(token_ids_BL[:, :-1])
    targets_BT = model.own(targets_BT)
    loss = F.cross_entropy(
        logits_BTV.flatten(0, 1), targets_BT.flatten(), ignore_index=-100, reduction="sum"
    )
    return loss, (targets_BT != -100).sum()


def observed_log_probs(
    logits_BLV: Tensor, token_ids_BL: Tensor, *, full_vocabulary: bool = False
) -> Tensor:
    """Ln p(token t | tokens before t) for t = 1 ... L-1: (B, L-1), float32 or wider.

    Renormalised over A, C, G, T unless `full_vocabulary`; then a position whose token is not a base
    has log-probability 0 (it is certain to be skipped).
    """
    return target_log_probs(
        logits_BLV[:, :-1], token_ids_BL[:, 1:], full_vocabulary=full_vocabulary
    )


def target_log_probs(
    logits_BTV: Tensor, targets_BT: Tensor, *, full_vocabulary: bool = False
) -> Tensor:
    """Ln p of a token at each position (B, T), as `observed_log_probs` has it."""
    if full_vocabulary:
        log_probs_BTV = torch.log_softmax(logits_BTV, dim=-1)
        return log_probs_BTV.gather(-1, targets_BT[..., None])[..., 0]
    first = tokenizer.BASES[0]
    log_probs_BTV = torch.log_softmax(logits_BTV[..., first : first + 4], dim=-1)
    is_base_BT = (targets_BT >= tokenizer.A) & (targets_BT <= tokenizer.T)
    index_BT = (targets_BT - first).clamp(0, 3)
    return log_probs_BTV.gather(-1, index_BT[..., None])[..., 0] * is_base_BT
