"""A linear probe as a classifier's head: the method `probe`, and where fine-tuning starts from.

A head at random sends noise into the backbone until it has learned what a probe finds at once, and
what was pretrained is lost meanwhile. Linear probing first, then fine-tuning: Kumar et al., 2022,
arXiv:2202.10054.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.tasks.classification import as_scores
from hyenadna_cli.core.tasks.finetuning import probing
from hyenadna_cli.core.tasks.finetuning.probing import LinearProbe
from hyenadna_cli.core.tasks.finetuning.training import judged
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows
from hyenadna_cli.core.training.distributed import World

_MOST_ROWS = 20_000
"""Of a split, for a starting head: more change it little, and every one costs a forward pass."""


def fit_probe_head(
    classifier: SequenceClassifier, data: LabelledData, *, select: str | None
) -> LinearProbe:
    """Make the probe of the training rows that validates best the head of an untrained classifier.

    Without validation rows it has the usual regularisation. Raises UsageError for a metric
    (`select`) that the task does not have.
    """
    was_training = classifier.training
    classifier.eval()
    features, targets = probing.features_of(classifier, data.splits["train"])
    judge = None
    if "valid" in data.splits:
        held_out, held_targets = probing.features_of(classifier, data.splits["valid"])
        held_out_ND = torch.from_numpy(held_out).to(classifier.head.weight.device)

        def judge(probe: LinearProbe) -> float:
            probing.fold_into_head(classifier, probe)
            values = classifier.predictions(classifier.scores_of(held_out_ND))
            scores = as_scores(data.task, values.detach().cpu().double().numpy())
            return judged(data.task, select, held_targets, scores, data.label_names)

    probe = probing.fit_probe(data.task, features, targets, n_outputs=data.n_outputs, judge=judge)
    probing.fold_into_head(classifier, probe)
    classifier.train(was_training)
    return probe


def start_from_probe(
    classifier: SequenceClassifier, data: LabelledData, *, select: str | None, world: World
) -> None:
    """`fit_probe_head` on some of the rows, in one process, for all: replicas must be equal."""
    some = {split: _spread(rows) for split, rows in data.splits.items()}
    head = classifier.head
    if world.is_main:
        fit_probe_head(classifier, dataclasses.replace(data, splits=some), select=select)
    else:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(world.total(parameter))


def _spread(rows: LabelledRows) -> LabelledRows:
    """At most `_MOST_ROWS`, evenly spread: files are often sorted by label."""
    if len(rows) <= _MOST_ROWS:
        return rows
    return rows.subset(np.linspace(0, len(rows) - 1, _MOST_ROWS).astype(np.int64))
