"""Records to log-likelihoods: windows -> log p(base | bases before it) -> sums per record.

    ln P(record) = sum over bases 2 ... length of ln p(base | bases before it in its window)

Only A, C, G and T are scored. N is read but neither summed nor counted, and so is the first base of
the record, before which there is nothing. A record longer than the window is cut, and each base is
scored in the window where it has most left context. Without overlap (the default) the first base of
every window has none and is not scored either; with `stride` < `window` it is scored in the window
before, and every base past the first window has at least `window - stride` bases before it.
"""

# B windows of a batch, L positions (bases), T = L - 1 targets

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.core.config.choices import StrandChoice
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.inference.batching import Batch, Batcher, Done, Readings
from hyenadna_cli.core.io.records import Record, strand_label
from hyenadna_cli.core.io.tsv import Cell
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import observed_log_probs, target_log_probs
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.shards import chunks

COLUMNS = (
    "name",
    "chrom",
    "start",
    "end",
    "strand",
    "n_bases",
    "log_likelihood",
    "nats_per_base",
    "bits_per_base",
    "perplexity",
)
"""Of a table of `PerplexityRow.cells`."""


@dataclass(frozen=True, slots=True)
class PerplexityRow:
    """How well the model predicts one record."""

    record: Record
    strand: str
    """"+", "-" or "both"; with "both" the next two are means over the strands."""
    n_bases: float
    """Bases scored. The strands of a record may differ by the N at its ends, and so give a half."""
    log_likelihood: float
    """Natural log."""

    @property
    def status(self) -> str:
        """OK, NO_BASES (nothing to score) or NONFINITE (the model gave an infinity or NaN)."""
        if not self.n_bases:
            return "NO_BASES"
        return "OK" if math.isfinite(self.log_likelihood) else "NONFINITE"

    @property
    def nats_per_base(self) -> float:
        """NaN if no base was scored."""
        return -self.log_likelihood / self.n_bases if self.n_bases else math.nan

    @property
    def bits_per_base(self) -> float:
        """NaN if no base was scored."""
        return self.nats_per_base / math.log(2)

    @property
    def perplexity(self) -> float:
        """exp(nats per base)."""
        try:
            return math.exp(self.nats_per_base)
        except OverflowError:
            return math.inf

    def cells(self) -> tuple[Cell, ...]:
        """The row of a table with `COLUMNS`."""
        record = self.record
        return (
            record.name,
            record.chrom,
            record.start,
            record.end,
            self.strand,
            int(self.n_bases) if self.n_bases.is_integer() else self.n_bases,
            self.log_likelihood,
            self.nats_per_base,
            self.bits_per_base,
            self.perplexity,
        )


class Total:
    """The log-likelihood of all records together."""

    def __init__(self) -> None:
        self._log_likelihood = 0.0
        self._n_bases = 0.0

    def add(self, row: PerplexityRow) -> None:
        """Take in a record; one that could not be scored brings nothing."""
        if row.status == "OK":
            self._log_likelihood += row.log_likelihood
            self._n_bases += row.n_bases

    def results(self) -> dict[str, float]:
        """Nats and bits per base; nothing where no base was scored."""
        if not self._n_bases:
            return {}
        nats = -self._log_likelihood / self._n_bases
        return {"nats_per_base": nats, "bits_per_base": nats / math.log(2)}


def perplexity(
    model: HyenaDNA,
    records: Iterable[Record],
    *,
    batcher: Batcher,
    strand: StrandChoice = "+",
    full_vocabulary: bool = False,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[PerplexityRow]]:
    """Score a stream of records: one `Done` per batch, with the rows at the end of each chunk.

    Probabilities are over A, C, G, T only unless `full_vocabulary`. The batcher must add no special
    tokens; raises ValueError otherwise.
    """
    if batcher.specials != "none":
        raise ValueError("perplexity reads bare sequences, without special tokens")
    compute = functools.partial(_window_log_likelihoods, model, full_vocabulary=full_vocabulary)
    for chunk in chunks(records, length_of=lambda record: len(record.sequence)):
        readings = Readings(chunk, strand)
        totals_R2 = np.zeros((len(readings.of), 2))
        add = functools.partial(_add, totals_R2)
        for n_bases in batcher.fill([totals_R2], readings, compute, add, journal=journal):
            yield Done(n_bases, [])
        of_records = totals_R2.reshape(len(chunk), readings.n_strands, 2).mean(axis=1).tolist()
        rows = [
            PerplexityRow(record, strand_label(record, strand), n_bases, log_likelihood)
            for record, (log_likelihood, n_bases) in zip(chunk, of_records, strict=True)
        ]
        yield Done(0.0, rows)


def _add(totals_R2: NDArray[np.float64], batch: Batch, sums_B2: NDArray[np.float64]) -> None:
    np.add.at(totals_R2, batch.windows.readings, sums_B2)


@torch.inference_mode()
def _window_log_likelihoods(
    model: HyenaDNA, batch: Batch, *, full_vocabulary: bool
) -> NDArray[np.float64]:
    """Of each window's new bases: summed ln p, and how many were scored; (B, 2)."""
    token_ids_BL, windows = batch.token_ids_BL, batch.windows
    log_probs_BT = _log_probs(model, token_ids_BL, full_vocabulary=full_vocabulary)
    targets_BT = token_ids_BL[:, 1:]
    is_base_BT = (targets_BT >= tokenizer.A) & (targets_BT <= tokenizer.T)
    position_T = torch.arange(1, token_ids_BL.shape[1], device=token_ids_BL.device)
    first_B1 = torch.from_numpy(windows.news - windows.starts)[:, None].to(position_T.device)
    is_scored_BT = is_base_BT & (position_T >= first_B1)
    sums_B = log_probs_BT.double().masked_fill(~is_scored_BT, 0.0).sum(1)
    totals_B2 = torch.stack([sums_B, is_scored_BT.sum(1).double()], dim=1)
    array: NDArray[np.float64] = totals_B2.cpu().numpy()
    return array


def _log_probs(model: HyenaDNA, token_ids_BL: Tensor, *, full_vocabulary: bool) -> Tensor:
    """`observed_log_probs` (B, T), of all positions also where processes share them."""
    n_positions = token_ids_BL.shape[1]
    logits_BLV = model.logits(model.hidden_states(token_ids_BL)[0])
    if model.context_of(n_positions) is None:
        return observed_log_probs(logits_BLV, token_ids_BL, full_vocabulary=full_vocabulary)
    targets_BL = model.own(F.pad(token_ids_BL[:, 1:], (0, 1), value=tokenizer.PAD))
    own_BS = target_log_probs(logits_BLV, targets_BL, full_vocabulary=full_vocabulary)
    return model.whole(own_BS, n_positions)[:, :-1]
