"""What a model must answer to one fixed sequence, stored beside its weights as known_answer.json.

    format               "hyenadna-known-answer"
    format-version       1
    weights_sha256       of the model.safetensors that gave the answer
    sequence             letters; encoded without special tokens
    log_likelihood       natural log, bases 2 to the last, softmax over all rows of the vocabulary
    hidden_mean          [d_model] mean hidden state after the final norm, over all bases
    hidden_last          [d_model] hidden state of the last base
    logits_last          [rows of the vocabulary] logits after the last base

All computed in float64 on the CPU, by the plain torch operators.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyenadna_cli.core.config.choices import Dtype
from hyenadna_cli.core.config.small_files import read_small
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import sha256_of
from hyenadna_cli.errors import CheckpointError

FILE_NAME = "known_answer.json"

_FORMAT = "hyenadna-known-answer"
_VERSION = 1
_LENGTH = 256

TOLERANCE = {torch.float64: 2e-5, torch.float32: 1e-3}
"""Of the largest entry. Positions are computed in float32, where the last bits of sines differ
from one machine to the next: on strong weights this moved float64 results by 3e-6. Float32 results
on the same weights differ from float64 by 6e-5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownAnswer:
    """A fixed sequence and what the model made of it."""

    weights_sha256: str
    sequence: str
    log_likelihood: float
    hidden_mean: tuple[float, ...]
    hidden_last: tuple[float, ...]
    logits_last: tuple[float, ...]

    def to_json(self) -> str:
        """The text of known_answer.json."""
        content = {"format": _FORMAT, "format-version": _VERSION, **dataclasses.asdict(self)}
        return json.dumps(content, indent=2) + "\n"


def save_model(model: HyenaDNA, directory: Path, *, matrix_dtype: Dtype, overwrite: bool) -> None:
    """Write a model directory, whole or not at all, with the answer of the weights as stored.

    Raises OutputError.
    """
    with atomic.replace_dir_on_success(directory, overwrite=overwrite) as scratch:
        if matrix_dtype == "bf16":
            checkpoint.save(model, scratch, matrix_dtype=torch.bfloat16)
            model, _ = checkpoint.load(scratch)
        else:
            checkpoint.save(model, scratch)
        record_known_answer(model, scratch)


def record_known_answer(model: HyenaDNA, directory: Path) -> KnownAnswer:
    """Write known_answer.json beside the weights that `checkpoint.save` has just written.

    The sequence is the model's length, at most 256 bases. Raises OutputError.
    """
    exact = copy.deepcopy(model).cpu().double()
    exact.execution = Execution()
    answer = dataclasses.replace(
        _answer(exact, fixed_sequence(min(_LENGTH, model.config.l_max))),
        weights_sha256=sha256_of(directory / "model.safetensors"),
    )
    atomic.write_text(directory / FILE_NAME, answer.to_json())
    return answer


def read_known_answer(directory: Path) -> KnownAnswer | None:
    """What is stored beside the weights, if anything. Raises CheckpointError if it is damaged."""
    path = directory / FILE_NAME
    try:
        content: dict[str, Any] = json.loads(read_small(path))
        kind = content.pop("format"), content.pop("format-version")
        if kind != (_FORMAT, _VERSION):
            raise CheckpointError(f"{path}: is not a known answer of version {_VERSION}: {kind}")
        vectors = {
            key: tuple(float(x) for x in content.pop(key))
            for key in ("hidden_mean", "hidden_last", "logits_last")
        }
        return KnownAnswer(
            weights_sha256=str(content.pop("weights_sha256")),
            sequence=str(content.pop("sequence")),
            log_likelihood=float(content.pop("log_likelihood")),
            **vectors,
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged: {error!r}") from error


def largest_difference(model: HyenaDNA, expected: KnownAnswer) -> float:
    """Largest difference from the known answer, relative to its largest entry, on this machine.

    Raises ValueError if the answer is another model's: too long a sequence, or wider vectors.
    """
    answer = _answer(model, expected.sequence)
    worst = abs(answer.log_likelihood - expected.log_likelihood) / max(
        1.0, abs(expected.log_likelihood)
    )
    for name in ("hidden_mean", "hidden_last", "logits_last"):
        a, b = np.array(getattr(answer, name)), np.array(getattr(expected, name))
        if a.shape != b.shape:
            raise ValueError(f"{name} has {b.size} entries, the model's {a.size}")
        difference = float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))
        # A NaN must not pass as "not larger".
        worst = difference if not difference <= worst else worst
    return worst


def fixed_sequence(length: int) -> str:
    """Pseudo-random DNA that is the same everywhere, for ever: two bits of SHA-256 per base."""
    n_digests = -(-length // 128)
    data = b"".join(hashlib.sha256(b"hyenadna %d" % number).digest() for number in range(n_digests))
    bits = np.unpackbits(np.frombuffer(data, np.uint8)).reshape(-1, 2)
    return "".join("ACGT"[2 * high + low] for high, low in bits[:length])


def _answer(model: HyenaDNA, sequence: str) -> KnownAnswer:
    device = model.lm_head.weight.device
    token_ids_L = torch.from_numpy(tokenizer.encode(sequence).astype(np.int64)).to(device)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            hidden_LD = model.hidden_states(token_ids_L[None])[0][0]
            logits_LV = model.logits(hidden_LD).double().cpu()
    finally:
        model.train(was_training)
    hidden_LD = hidden_LD.double().cpu()
    log_probs_LV = torch.log_softmax(logits_LV[:-1], dim=-1)
    observed_L = log_probs_LV.gather(-1, token_ids_L.cpu()[1:, None])
    return KnownAnswer(
        weights_sha256="",
        sequence=sequence,
        log_likelihood=float(observed_L.sum()),
        hidden_mean=tuple(hidden_LD.mean(0).tolist()),
        hidden_last=tuple(hidden_LD[-1].tolist()),
        logits_last=tuple(logits_LV[-1].tolist()),
    )
