"""The mean of several models' weights: one model of the same size, at no cost when it is used.

Models fine-tuned from the same weights can stay close enough for their mean to be better than each
(Wortsman et al. 2022, arXiv:2203.05482); models trained apart from random weights never do.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import CheckpointError


def load_models(directories: Sequence[Path]) -> dict[str, HyenaDNA]:
    """Models by the names of their directories. Raises CheckpointError if one has a head."""
    models = {}
    for directory in directories:
        models[str(directory)], _ = checkpoint.load(directory)
        if checkpoint.read_head(directory) is not None:
            raise CheckpointError(f"{directory}: has a head; only plain models are averaged")
    return models


@torch.no_grad()
def average(models: Mapping[str, HyenaDNA]) -> HyenaDNA:
    """A new model whose every parameter is the mean of those of `models`, summed in float64.

    The keys name the models in errors. Raises CheckpointError if their shapes or settings differ.
    """
    (first_name, first), *others = models.items()
    for name, model in others:
        _check_same_shape(first_name, first, name, model)
    mean = copy.deepcopy(first)
    parameters = [dict(model.named_parameters()) for model in models.values()]
    for name, parameter in mean.named_parameters():
        parameter.copy_(torch.stack([each[name].double() for each in parameters]).mean(dim=0))
    return mean


def _check_same_shape(first_name: str, first: HyenaDNA, name: str, model: HyenaDNA) -> None:
    if model.config != first.config:
        ours, theirs = first.config.to_json().splitlines(), model.config.to_json().splitlines()
        a, b = next((a, b) for a, b in zip(ours, theirs, strict=True) if a != b)
        raise CheckpointError(
            f"{name}: not of the shape of {first_name}: {b.strip(' ,')}, not {a.strip(' ,')}"
        )
    if model.is_tied != first.is_tied:
        raise CheckpointError(f"{name}: of this and {first_name}, one has an LM head of its own")
    buffers: dict[str, Tensor] = dict(model.named_buffers())
    for key, buffer in first.named_buffers():
        if not torch.equal(buffer, buffers[key]):
            raise CheckpointError(f"{name}: its {key} is not that of {first_name}")
