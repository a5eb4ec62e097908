"""Labelled sequences as training batches (order, strands, crops, padding), and their loss.

Every draw is a function of (seed, step, row) or (seed, epoch) alone, so a run can stop and resume
anywhere, and any number of processes sees the same examples.
"""

# B rows, L positions (bases), C outputs, N labelled bases

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.model.classifier import Answers, SequenceClassifier
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows, Target
from hyenadna_cli.core.training.device_batches import TensorBatch

NOT_LABELLED = -1
"""Class of a base that has no label, or is padding."""

_BATCHES_PER_POOL = 32
"""Batches that are sorted by length together: little padding, and still a random order."""


@dataclass(frozen=True, slots=True)
class LabelledBatch(TensorBatch):
    """Sequences with their targets, for training."""

    token_ids_BL: Tensor
    """int64, right-padded with [PAD]."""
    lengths_B: Tensor
    """int64, bases of each sequence."""
    targets: Tensor
    """int64 (B,) of classes; float32 (B, C), multilabel and regression; int64 (B, L), token."""


class LabelledBatches:
    """Batches of a split in an order that is shuffled anew in every epoch."""

    def __init__(self, rows: LabelledRows, *, seed: int, use_both_strands: bool) -> None:
        """`use_both_strands`: read each example from a random strand.

        Raises ValueError if there are no rows.
        """
        if not len(rows):
            raise ValueError("no training rows")
        self.rows = rows
        self.seed = seed
        self.use_both_strands = use_both_strands
        self._lengths = rows.lengths
        self._order = functools.lru_cache(maxsize=2)(self._ordered)

    def batch(self, *, step: int, rows: range, length: int, rows_per_step: int) -> LabelledBatch:
        """The given rows of one step; what is longer than `length` is cut at a random place."""
        examples = [self._draw(step, row, length, rows_per_step) for row in rows]
        return stack(examples)

    def _draw(self, step: int, row: int, length: int, rows_per_step: int) -> tuple[str, Target]:
        epoch, index = divmod(step * rows_per_step + row, len(self.rows))
        example = self.rows[int(self._order(epoch, rows_per_step)[index])]
        sequence, target = example.sequence, example.target
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 2, step, row]))
        start = int(random.integers(max(0, len(sequence) - length) + 1))
        sequence = sequence[start : start + length]
        if isinstance(target, np.ndarray) and target.dtype == np.int8:
            target = target[start : start + length]
        if self.use_both_strands and random.random() < 0.5:
            sequence = reverse_complement(sequence)
            if isinstance(target, np.ndarray) and target.dtype == np.int8:
                target = target[::-1]
        return sequence, target

    def _ordered(self, epoch: int, rows_per_step: int) -> NDArray[np.int64]:
        """Row numbers of an epoch: shuffled, then sorted by length in pools of batches."""
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 3, epoch, 0]))
        order = random.permutation(len(self.rows))
        if (self._lengths == self._lengths[0]).all():
            return order
        batches = []
        for start in range(0, len(order), _BATCHES_PER_POOL * rows_per_step):
            pool = order[start : start + _BATCHES_PER_POOL * rows_per_step]
            pool = pool[np.argsort(self._lengths[pool], kind="stable")]
            batches += np.split(pool, range(rows_per_step, len(pool), rows_per_step))
        shuffled = [batches[number] for number in random.permutation(len(batches))]
        return np.concatenate(shuffled)


def stack(examples: Sequence[tuple[str, Target]]) -> LabelledBatch:
    """Sequences and targets as one right-padded batch. Raises ValueError for an empty sequence."""
    encoded = [tokenizer.encode(sequence) for sequence, _ in examples]
    lengths = [token_ids.size for token_ids in encoded]
    if not min(lengths):
        raise ValueError("an empty sequence has nothing to learn from")
    ids_BL = np.full((len(examples), max(lengths)), tokenizer.PAD, np.int64)
    for row, token_ids in zip(ids_BL, encoded, strict=True):
        row[: token_ids.size] = token_ids
    targets = [target for _, target in examples]
    return LabelledBatch(
        torch.from_numpy(ids_BL), torch.tensor(lengths), _stacked(targets, ids_BL.shape)
    )


def _stacked(targets: Sequence[Target], shape: tuple[int, ...]) -> Tensor:
    first = targets[0]
    if isinstance(first, int):
        return torch.tensor(targets, dtype=torch.int64)
    if isinstance(first, float):
        return torch.tensor(targets, dtype=torch.float32)[:, None]
    if first.dtype == np.int8:
        classes_BL = np.full(shape, NOT_LABELLED, np.int64)
        for row, target in zip(classes_BL, targets, strict=True):
            assert isinstance(target, np.ndarray)
            row[: target.size] = target
        return torch.from_numpy(classes_BL)
    return torch.from_numpy(np.stack([np.asarray(t, dtype=np.float32) for t in targets]))


class HeadLoss:
    """The loss of each task, summed, with the number of its targets.

    Classes: cross-entropy, nats per sequence or labelled base. Multilabel: binary cross-entropy,
    nats a label. Regression: squared error of the standardised target.
    """

    def __init__(self, class_weights_C: Tensor | None = None) -> None:
        """`class_weights_C`: of each class; multilabel: of each label's positives."""
        self.class_weights_C = class_weights_C

    def __call__(self, classifier: Answers, batch: LabelledBatch) -> tuple[Tensor, Tensor | int]:
        """Summed loss and number of targets; does not wait for the device."""
        scores = classifier(batch.token_ids_BL, batch.lengths_B).float()
        weights_C = self.class_weights_C
        if weights_C is not None:
            weights_C = weights_C.to(scores.device, non_blocking=True)
        task, targets = classifier.config.task, batch.targets
        if task == "regression":
            means_C, scales_C = (
                torch.tensor(values).to(scores.device, non_blocking=True)
                for values in (classifier.config.target_means, classifier.config.target_scales)
            )
            loss = F.mse_loss(scores, (targets - means_C) / scales_C, reduction="sum")
            return loss, targets.numel()
        if task == "multilabel":
            loss = F.binary_cross_entropy_with_logits(
                scores, targets, pos_weight=weights_C, reduction="sum"
            )
            return loss, targets.numel()
        flat_N = targets.flatten()
        loss = F.cross_entropy(
            scores.flatten(0, -2),
            flat_N,
            weight=weights_C,
            ignore_index=NOT_LABELLED,
            reduction="sum",
        )
        return loss, (flat_N != NOT_LABELLED).sum()


def freeze_backbone(classifier: SequenceClassifier, blocks: Literal["all", "none"] | int) -> None:
    """Stop the backbone from training: all of it, or the embedding and the first blocks.

    Raises ValueError if there are not as many blocks.
    """
    backbone = classifier.backbone
    if blocks == "none" or blocks == 0:
        return
    if blocks == "all":
        backbone.requires_grad_(False)
        return
    if not isinstance(backbone, HyenaDNA) or blocks > backbone.config.n_layer:
        raise ValueError(f"there are not {blocks} blocks to freeze")
    backbone.backbone.embeddings.requires_grad_(False)
    for block in backbone.backbone.layers[:blocks]:
        block.requires_grad_(False)
