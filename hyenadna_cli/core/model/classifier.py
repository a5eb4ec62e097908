r"""A backbone with a head: sequences to class scores, label scores, numbers, or a class per base.

    token ids -> backbone -> hidden states -> pooled over real bases -> dropout -> linear -> scores
                                          \-> each base (task `token`) ----------/

Only bases count in a pooling: padding is on the right, the model is causal, and a mask leaves the
rest out, so that a sequence has the same scores alone and in any batch.
"""

# B sequences, L positions (bases), D d_model, C outputs

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyenadna_cli.core.config.choices import HeadPooling
from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.checkpoints import checkpoint, known_answer
from hyenadna_cli.core.model.checkpoints.checkpoint import ModelSource, StoredHead
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import CheckpointError


class Answers(Protocol):
    """What predictions and losses are made of: scores of sequences, and what they answer."""

    @property
    def config(self) -> HeadConfig:
        """Task, labels and pooling."""
        ...

    def __call__(self, token_ids_BL: Tensor, lengths_B: Tensor, /) -> Tensor:
        """Raw scores: (B, C), or (B, L, C) for the task `token`."""
        ...

    def predictions(self, scores: Tensor) -> Tensor:
        """Raw scores (..., C) to probabilities, or to numbers in the units of the targets."""
        ...


class SequenceClassifier(nn.Module):
    """A backbone and a linear head on its pooled hidden states."""

    def __init__(self, backbone: nn.Module, config: HeadConfig, *, width: int) -> None:
        """`backbone.hidden_states(token_ids_BL)` gives one (B, L, `width`) or more, first the last.

        The head starts at N(0, 0.02) and 0.
        """
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.head = nn.Linear(width, config.n_outputs)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        if isinstance(backbone, HyenaDNA) and not backbone.is_tied:
            # It takes no part in the scores, and weight decay must not eat it.
            backbone.lm_head.weight.requires_grad_(False)

    def set_execution(self, execution: Execution) -> None:
        """Tell a backbone that has the choice how to compute."""
        if isinstance(self.backbone, HyenaDNA):
            self.backbone.execution = execution

    @property
    def is_backbone_frozen(self) -> bool:
        """Whether only the head trains."""
        return not any(parameter.requires_grad for parameter in self.backbone.parameters())

    def train(self, mode: bool = True) -> Self:
        """A frozen backbone computes without dropout in training as well."""
        super().train(mode)
        if self.is_backbone_frozen:
            self.backbone.eval()
        return self

    def forward(self, token_ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """Raw scores: (B, C), or (B, L, C) for the task `token`."""
        return self.scores_of(self.features(token_ids_BL, lengths_B))

    def features(self, token_ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """What the linear layer reads: (B, D), or (B, L, D) for the task `token`."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_backbone_frozen):
            hidden_states = cast(Callable[[Tensor], list[Tensor]], self.backbone.hidden_states)
            hidden_BLD = hidden_states(token_ids_BL)[0]
        hidden_BLD = hidden_BLD.to(self.head.weight.dtype)
        if self.config.task == "token":
            return hidden_BLD
        return pool(hidden_BLD, lengths_B, self.config.pooling)

    def scores_of(self, features: Tensor) -> Tensor:
        """The linear layer on `features`."""
        scores: Tensor = self.head(F.dropout(features, self.config.dropout, self.training))
        return scores

    def predictions(self, scores: Tensor) -> Tensor:
        """Raw scores (..., C) to probabilities, or to numbers in the units of the targets."""
        if self.config.task == "multilabel":
            return torch.sigmoid(scores)
        if self.config.task == "regression":
            means_C, scales_C = (
                torch.tensor(values, dtype=scores.dtype, device=scores.device)
                for values in (self.config.target_means, self.config.target_scales)
            )
            return means_C + scales_C * scores
        return torch.softmax(scores, dim=-1)


def pool(hidden_BLD: Tensor, lengths_B: Tensor, pooling: HeadPooling) -> Tensor:
    """Hidden states to one vector per sequence (B, D), over its first `lengths_B` positions."""
    if pooling == "first":
        return hidden_BLD[:, 0]
    if pooling == "last":
        rows_B = torch.arange(len(lengths_B), device=lengths_B.device)
        return hidden_BLD[rows_B, lengths_B - 1]
    positions_L = torch.arange(hidden_BLD.shape[1], device=lengths_B.device)
    is_base_BL = positions_L < lengths_B[:, None]
    if pooling == "max":
        return hidden_BLD.masked_fill(~is_base_BL[..., None], -torch.inf).amax(1)
    weights_B1L = is_base_BL[:, None].to(hidden_BLD.dtype) / lengths_B[:, None, None]
    return torch.bmm(weights_B1L, hidden_BLD)[:, 0]


def save_classifier(classifier: SequenceClassifier, directory: Path) -> None:
    """Write backbone and head as one model directory, which loads as a plain model as well.

    Raises ValueError unless the backbone is HyenaDNA, OutputError if it cannot be written.
    """
    backbone = classifier.backbone
    if not isinstance(backbone, HyenaDNA) or type(backbone) is not HyenaDNA:
        raise ValueError("only a HyenaDNA backbone makes a model directory")
    description = {**dataclasses.asdict(classifier.config), "backbone": backbone_digest(backbone)}
    tensors = {f"head.{name}": tensor for name, tensor in classifier.head.state_dict().items()}
    checkpoint.save(backbone, directory, head=StoredHead(description, tensors))
    known_answer.record_known_answer(backbone, directory)


def load_classifier(source: Path | ModelSource) -> tuple[SequenceClassifier, ModelSource]:
    """A fine-tuned model on the CPU, in eval mode; `source` as in `checkpoint.load`.

    Raises CheckpointError if there is no head, or one that was not trained on this backbone.
    """
    path = source.directory if isinstance(source, ModelSource) else source
    stored = checkpoint.read_head(path)
    if stored is None:
        raise CheckpointError(
            f"{path}: a model without a head predicts no labels; `hyenadna finetune` adds one"
        )
    values = dict(stored.description)
    digest = values.pop("backbone", None)
    try:
        config = HeadConfig.from_mapping(values)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    backbone, stored_as = checkpoint.load(source)
    if digest != backbone_digest(backbone):
        raise CheckpointError(
            f"{path}: its head was trained on another backbone than the one stored with it"
        )
    width = backbone.config.d_model
    shapes = {"head.weight": (config.n_outputs, width), "head.bias": (config.n_outputs,)}
    if {key: tuple(tensor.shape) for key, tensor in stored.tensors.items()} != shapes:
        raise CheckpointError(f"{path}: its head is not of {config.n_outputs} x {width} weights")
    classifier = SequenceClassifier(backbone, config, width=width)
    classifier.head.load_state_dict(
        {key.removeprefix("head."): tensor for key, tensor in stored.tensors.items()}
    )
    return classifier.eval(), stored_as


def backbone_digest(backbone: HyenaDNA) -> str:
    """SHA-256 over the shape and the weights: a head or a prompt means nothing on any other."""
    digest = hashlib.sha256(backbone.config.to_json().encode())
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
