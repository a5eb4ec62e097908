"""Is a model on disk what it should be, and does this machine compute it right?

Every check says what it did; one that could not be made says why, and is not a pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint, known_answer
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import CheckpointError

_LENGTH = 256
_LEAK = 1e-10
"""Of the largest logit, in float64: an FFT spreads rounding errors over all positions."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    result: Literal["ok", "failed", "not-checked"]
    detail: str


def verify(directory: Path, *, name: str | None = None, revision: str | None = None) -> list[Check]:
    """Check the hash, the tensors, finiteness, causality and the known answer of a stored model.

    Raises CheckpointError if the model cannot be loaded at all, a wrong published hash included.
    """
    model, source = checkpoint.load(directory, name=name, revision=revision, dtype=torch.float64)
    token_ids_BL = _fixed_token_ids(model)
    try:
        expected, damage = known_answer.read_known_answer(source.directory), None
    except CheckpointError as error:
        expected, damage = None, str(error)
    checks = [
        _check_hash(source, expected),
        Check("tensors", "ok", f"{source.layout} layout; names and shapes fit {_shape(model)}"),
        _check_finite(model, token_ids_BL),
        _check_causality(model, token_ids_BL),
    ]
    if damage is not None:
        return [*checks, Check("known-answer", "failed", damage)]
    if expected is None:
        reason = f"there is no {known_answer.FILE_NAME} beside the weights"
        return [*checks, Check("known-answer", "not-checked", reason)]
    # Weights are stored in float32, so going there and back loses nothing.
    return [*checks, _check_answer(model, expected), _check_answer(model.float(), expected)]


def _shape(model: HyenaDNA) -> str:
    config = model.config
    return f"{config.n_layer} layers of width {config.d_model}, l_max {config.l_max}"


def _fixed_token_ids(model: HyenaDNA) -> Tensor:
    letters = known_answer.fixed_sequence(min(_LENGTH, model.config.l_max))
    return torch.tensor(tokenizer.encode(letters).tolist())[None]


def _check_hash(source: checkpoint.ModelSource, expected: known_answer.KnownAnswer | None) -> Check:
    # Weights that differ from a published hash never get here: they do not load.
    if catalogue.expected_sha256(source.name, source.revision) == source.sha256:
        return Check("sha256", "ok", f"{source.sha256} is the published one")
    if expected is None:
        return Check("sha256", "not-checked", f"{source.sha256}; no hash is known to compare with")
    if expected.weights_sha256 == source.sha256:
        return Check("sha256", "ok", f"{source.sha256} as in {known_answer.FILE_NAME}")
    recorded = f"{known_answer.FILE_NAME} is of {expected.weights_sha256}"
    return Check("sha256", "failed", f"{source.sha256}, but {recorded}")


def _check_finite(model: HyenaDNA, token_ids_BL: Tensor) -> Check:
    bad = [name for name, tensor in model.named_parameters() if not tensor.isfinite().all()]
    if bad:
        return Check("finite", "failed", f"{len(bad)} tensors hold NaN or infinity: {bad[0]}, ...")
    with torch.inference_mode():
        is_finite = bool(model(token_ids_BL).isfinite().all())
    detail = f"weights, and logits of {token_ids_BL.shape[1]} fixed bases"
    return Check("finite", "ok" if is_finite else "failed", detail)


def _check_causality(model: HyenaDNA, token_ids_BL: Tensor) -> Check:
    n_positions = token_ids_BL.shape[1]
    changed = n_positions // 2
    altered_BL = token_ids_BL.clone()
    altered_BL[0, changed] = tokenizer.N
    with torch.inference_mode():
        before_BLV, after_BLV = model(token_ids_BL), model(altered_BL)
    scale = float(before_BLV.abs().max())
    leak = float((before_BLV - after_BLV)[:, :changed].abs().sum()) / max(scale, 1e-30)
    detail = (
        f"base {changed + 1} of {n_positions} moves earlier logits by {leak:.1g} of the largest"
    )
    return Check("causality", "ok" if leak <= _LEAK else "failed", detail)


def _check_answer(model: HyenaDNA, expected: known_answer.KnownAnswer) -> Check:
    dtype = model.lm_head.weight.dtype
    name = f"known-answer-{str(dtype).removeprefix('torch.')}"
    try:
        difference = known_answer.largest_difference(model, expected)
    except ValueError as error:
        return Check(name, "failed", f"recorded for another model: {error}")
    tolerance = known_answer.TOLERANCE[dtype]
    detail = f"differs by {difference:.1g} of the largest entry; tolerance {tolerance:.0e}"
    return Check(name, "ok" if difference <= tolerance else "failed", detail)
