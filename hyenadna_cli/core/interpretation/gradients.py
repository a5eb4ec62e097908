"""Input gradients: every SNV of a region from one pass forward and one back.

The log-likelihood of a window is a function of its one-hot letters x, where it is read (rows of the
embedding table, weighted) and where it is predicted (log-probabilities, weighted):

    ln P(x) = sum over t and b of x[t, b] ln p(b | letters before t)

    gradient(base b at i) = d lnP / d x[i, b] - d lnP / d x[i, the genome's base]

is the first-order estimate of the likelihood ratio `llr` of the SNV, in nats, with its sign:
negative is less likely than the genome's base. Gradient times input, mean-corrected over the four
bases (Majdandzic et al. 2023, Genome Biology), is minus the sum of a base's three gradients over 4.
Windows are those of `variants.mutagenesis` on the grid, and strands are averaged as there.
"""

# B windows of a batch, L positions, T = L - 1 targets, V classes

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.inference.batching import Batch, BatchLimits, Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model.cost import training_bytes
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.mutagenesis import Floats, SnvScores, as_values, mutagenize
from hyenadna_cli.core.variants.scores import is_base, next_base_log_probs

_SHARE_OF_BATCH = 8
"""How many times the memory of a forward pass its gradient needs."""


def gradients(
    model: HyenaDNA,
    region: Interval,
    genome: Genome,
    settings: ScoreSettings,
    *,
    limits: BatchLimits,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[SnvScores]]:
    """Site scores and gradients of every SNV of a region, piece by piece; `Done` counts bases.

    Raises ValueError for settings of other scores, or of another layout than the grid.
    """
    fewer = _fewer(limits)
    return mutagenize(
        model, region, genome, settings, limits=fewer, journal=journal, ref_pass=there_and_back
    )


def megabytes(config: ModelConfig, settings: ScoreSettings, limits: BatchLimits) -> int:
    """About what a full batch takes there and back, for `--dry-run`."""
    window = settings.layout.window
    n_windows = limits.max_windows or max(1, _fewer(limits).max_tokens // window)
    n_bytes = training_bytes(config, n_windows=n_windows, n_tokens=window, recompute_blocks=True)
    return -(-n_bytes // 1_000_000)


def _fewer(limits: BatchLimits) -> BatchLimits:
    return dataclasses.replace(limits, max_tokens=max(1, limits.max_tokens // _SHARE_OF_BATCH))


def there_and_back(model: HyenaDNA, settings: ScoreSettings, batch: Batch) -> Floats:
    """Ln p, and d lnP / d x, of A, C, G and T at every position of each window: (B, L, 2, 4)."""
    ids_BL = batch.token_ids_BL
    with torch.enable_grad():
        embedded_BLD = model.embed_tokens(ids_BL).detach().requires_grad_()
        # Blocks are computed again on the way back: a window may be as long as the model reads.
        execution = dataclasses.replace(model.execution, recompute_blocks=True)
        hidden_BLD = model.backbone(embedded_BLD, (-1,), execution)[0]
        log_probs_BT4 = _of_bases(model, settings, hidden_BLD[:, :-1])
        (back_BLD,) = torch.autograd.grad(_log_likelihood(log_probs_BT4, ids_BL), embedded_BLD)
    of_reading_BL4 = back_BLD @ model.embed_tokens(torch.tensor(tokenizer.BASES).to(ids_BL)).T
    of_being_read = as_values(log_probs_BT4.detach())
    # The first base of a window is not predicted, but read.
    array = of_reading_BL4.detach().double().nan_to_num(nan=torch.inf).cpu().numpy()
    whole = array + np.nan_to_num(of_being_read, nan=0.0, posinf=np.inf, neginf=-np.inf)
    return np.stack([of_being_read, whole], axis=2)


def _of_bases(model: HyenaDNA, settings: ScoreSettings, hidden_BTD: Tensor) -> Tensor:
    """Ln p of A, C, G and T as the next base: (B, T, 4)."""
    is_full = settings.full_vocabulary
    log_probs_BTV = next_base_log_probs(model, hidden_BTD, full_vocabulary=is_full)
    return log_probs_BTV[..., tokenizer.A : tokenizer.T + 1] if is_full else log_probs_BTV


def _log_likelihood(log_probs_BT4: Tensor, ids_BL: Tensor) -> Tensor:
    """Of all windows together; what is not a base is not predicted."""
    targets_BT = ids_BL[:, 1:]
    index_BT = (targets_BT - tokenizer.A).clamp(0, 3)
    observed_BT = log_probs_BT4.gather(-1, index_BT[..., None])[..., 0]
    return observed_BT.masked_fill(~is_base(targets_BT), 0.0).sum()
