"""Soft prompts: learned vectors before the embedded input of a model that stays as it is.

    [n prompt vectors] X SEP -> logits -> words of the classes      WordClassifier
    [n prompt vectors] X     -> hidden states -> linear head        SequenceClassifier

A class is answered in the model's own vocabulary, by a word of A, C, G, T and N: P(class) is that
of its word, given the prompt, the sequence and a separator, among the words of all classes. The
prompt is a fixed prefix of a causal model: it is run once, not again for each sequence.

A prompt directory is `prompt.safetensors`, `training.json` and, where the backbone was tuned as
well, that backbone. `prompt.safetensors` holds

    prompt                     float32 [n, d_model]
    head.weight, head.bias     float32 [classes, d_model], [classes]; only with a head
    metadata "prompt"          JSON: format-version, base (name, revision, sha256, digest), task,
                               label_names, words or pooling
"""

# B sequences, L positions (tokens), D d_model, V vocabulary, C classes, W letters of a word

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.model.checkpoints.catalogue import BUILTIN
from hyenadna_cli.core.model.checkpoints.checkpoint import PROMPT, ModelSource
from hyenadna_cli.core.model.classifier import SequenceClassifier, backbone_digest
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.prefix import Prefix, continue_from, run_prefix
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import sha256_of
from hyenadna_cli.errors import CheckpointError, UsageError

HERE = "."
"""Name of a base model that lies in the prompt directory itself."""
FORMAT_VERSION = 1

_LETTERS = "ACGTN"


def default_words(n_classes: int) -> tuple[str, ...]:
    """A word for each class: letters as far as they go, then words of equal length."""
    if n_classes <= len(_LETTERS):
        return tuple(_LETTERS[:n_classes])
    n_letters = 1
    while 4**n_letters < n_classes:
        n_letters += 1
    return tuple(
        "".join("ACGT"[number // 4**place % 4] for place in reversed(range(n_letters)))
        for number in range(n_classes)
    )


def check_words(words: Sequence[str], label_names: Sequence[str]) -> None:
    """Raises UsageError unless there is one word for each class that can stand for it."""
    if len(words) != len(label_names):
        raise UsageError(f"{len(words)} label words for {len(label_names)} classes")
    for word, name in zip(words, label_names, strict=True):
        if not word or set(word) - set(_LETTERS):
            raise UsageError(
                f"label word {word!r} of class {name!r} is outside the vocabulary; "
                "use the letters A, C, G, T and N"
            )
    if len(set(words)) < len(words) or len({len(word) for word in words}) > 1:
        raise UsageError(f"label words must differ and be of one length: {', '.join(words)}")


def check_fits(*, n_prompt: int, longest: int, n_after: int, l_max: int) -> None:
    """Raises CheckpointError if prompt, sequence and answer are longer than the model reads."""
    n_all = n_prompt + longest + n_after
    if n_all > l_max:
        raise CheckpointError(
            f"{n_prompt:,} prompt tokens, sequences of up to {longest:,} bases and {n_after} "
            f"tokens for the answer are {n_all:,}; this model reads at most {l_max:,}"
        )


class PromptedBackbone(nn.Module):
    """A model behind a prompt: hidden states of what follows it."""

    def __init__(self, model: HyenaDNA, prompt_ND: Tensor) -> None:
        """The model is frozen; the prompt trains. No vectors at all are not a prompt."""
        super().__init__()
        self.model = model.requires_grad_(False)
        self.prompt = nn.Parameter(prompt_ND)
        self._kept: Prefix | None = None

    def train(self, mode: bool = True) -> Self:
        """The frozen model never drops anything out; a prompt that changes is run again."""
        super().train(mode)
        self.model.eval()
        self._kept = None
        return self

    def hidden_states(self, token_ids_BL: Tensor) -> list[Tensor]:
        """After the final norm, of the tokens only: one tensor (B, L, D)."""
        embedded_BLD = self.model.embed_tokens(token_ids_BL)
        if not len(self.prompt):
            return self.model.hidden_states_of(embedded_BLD)
        prefix = self._prefix(n_later=token_ids_BL.shape[1])
        return [continue_from(self.model, prefix, embedded_BLD)]

    def _prefix(self, *, n_later: int) -> Prefix:
        if torch.is_grad_enabled() and self.prompt.requires_grad:
            return run_prefix(self.model, self.prompt[None], n_later=n_later)
        if self._kept is None or self._kept.n_later < n_later:
            self._kept = run_prefix(self.model, self.prompt[None], n_later=n_later)
        return self._kept


class WordClassifier(nn.Module):
    """Classes as words that follow a sequence and a separator."""

    def __init__(
        self, backbone: PromptedBackbone, config: HeadConfig, words: tuple[str, ...]
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.words = words

    @property
    def n_after(self) -> int:
        """Tokens after a sequence: the separator and all letters of a word but the last."""
        return len(self.words[0])

    def forward(self, token_ids_BL: Tensor, lengths_B: Tensor) -> Tensor:
        """Log-probability of each class's word, (B, C)."""
        columns: dict[int, Tensor] = {}
        # Words that differ in their last letter only share a pass.
        for beginning in dict.fromkeys(word[:-1] for word in self.words):
            log_probs_BWV = self._log_probs(token_ids_BL, lengths_B, beginning)
            of_beginning_B = log_probs_BWV.new_zeros(len(lengths_B))
            for place, token_id in enumerate(tokenizer.encode(beginning).tolist()):
                of_beginning_B = of_beginning_B + log_probs_BWV[:, place, token_id]
            for number, word in enumerate(self.words):
                if word[:-1] == beginning:
                    last_id = int(tokenizer.encode(word[-1])[0])
                    columns[number] = of_beginning_B + log_probs_BWV[:, -1, last_id]
        return torch.stack([columns[number] for number in range(len(self.words))], dim=1)

    def predictions(self, scores: Tensor) -> Tensor:
        """Probabilities of the classes: those of their words, among these words."""
        return torch.softmax(scores, dim=-1)

    def _log_probs(self, token_ids_BL: Tensor, lengths_B: Tensor, beginning: str) -> Tensor:
        """Ln p of the tokens after SEP and after each letter of the beginning of a word."""
        after = [tokenizer.SEP, *tokenizer.encode(beginning).tolist()]
        after_W = torch.tensor(after).to(token_ids_BL.device, non_blocking=True)
        padding = (0, after_W.numel())
        ids_BL = nn.functional.pad(token_ids_BL, padding, value=tokenizer.PAD)
        places_BW = lengths_B[:, None] + torch.arange(after_W.numel(), device=lengths_B.device)
        ids_BL = ids_BL.scatter(1, places_BW, after_W.expand(len(lengths_B), -1))
        hidden_BLD = self.backbone.hidden_states(ids_BL)[0]
        index_BWD = places_BW[..., None].expand(-1, -1, hidden_BLD.shape[-1])
        logits_BWV = self.backbone.model.logits(hidden_BLD.gather(1, index_BWD))
        return torch.log_softmax(logits_BWV, dim=-1)


Prompted = WordClassifier | SequenceClassifier
"""What answers for a prompt; behind a SequenceClassifier's head lies a PromptedBackbone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """The model a prompt belongs to."""

    name: str
    """Where to find it: a name, a directory, or `HERE`."""
    revision: str | None
    sha256: str
    """Of its weights file."""
    digest: str
    """Of its shape and weights, whatever file they are in."""

    @classmethod
    def of(cls, model: HyenaDNA, source: ModelSource) -> Base:
        """The base that a loaded model is."""
        has_name = source.name == BUILTIN or source.revision is not None
        return cls(
            name=source.name if has_name else str(source.directory.resolve()),
            revision=source.revision,
            sha256=source.sha256,
            digest=backbone_digest(model),
        )


@dataclass(frozen=True, slots=True)
class StoredPrompt:
    """A prompt file, before its base model is there."""

    path: Path
    base: Base
    config: HeadConfig
    words: tuple[str, ...]
    """Empty for a prompt with a head."""
    n_tokens: int
    sha256: str
    """Of the file."""

    @property
    def base_name(self) -> str:
        """Where the base model is, as far as the file knows."""
        return str(self.path.parent) if self.base.name == HERE else self.base.name

    @property
    def n_reserved(self) -> int:
        """Tokens of the prompt and of the answer, around each sequence."""
        return self.n_tokens + (len(self.words[0]) if self.words else 0)


def initial_prompt(
    model: HyenaDNA, n_tokens: int, *, from_vocabulary: bool, generator: torch.Generator
) -> Tensor:
    """Vectors (n, D) to start from: rows of the embeddings of A, C, G, T, or N(0, 0.02)."""
    if from_vocabulary:
        ids_N = torch.randint(tokenizer.A, tokenizer.T + 1, (n_tokens,), generator=generator)
        table_VD = model.backbone.embeddings.word_embeddings.weight
        return table_VD.detach()[ids_N.to(table_VD.device)].clone()
    vectors_ND = 0.02 * torch.randn(n_tokens, model.config.d_model, generator=generator)
    return vectors_ND.to(model.lm_head.weight.device)


def save(classifier: Prompted, base: Base, directory: Path) -> None:
    """Write `prompt.safetensors` into a directory. Raises OutputError."""
    backbone = classifier.backbone
    assert isinstance(backbone, PromptedBackbone)
    tensors = {"prompt": backbone.prompt}
    if isinstance(classifier, SequenceClassifier):
        tensors |= {f"head.{name}": tensor for name, tensor in classifier.head.state_dict().items()}
    description = {
        "format-version": FORMAT_VERSION,
        "base": dataclasses.asdict(base),
        "classes": dataclasses.asdict(classifier.config),
        "words": list(classifier.words) if isinstance(classifier, WordClassifier) else [],
    }
    data = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"prompt": json.dumps(description)},
    )
    with atomic.replace_on_success(directory / PROMPT, overwrite=True) as scratch:
        scratch.write_bytes(data)


def read(directory: Path) -> StoredPrompt | None:
    """What a prompt directory says about its prompt; None where there is none.

    Raises CheckpointError for a file that is damaged or from a later version.
    """
    path = directory / PROMPT
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {})["prompt"])
            n_tokens = file.get_slice("prompt").get_shape()[0]
        return _parse(path, description, n_tokens)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a prompt file: {error}") from error


def _parse(path: Path, description: Mapping[str, Any], n_tokens: int) -> StoredPrompt:
    if description["format-version"] > FORMAT_VERSION:
        raise CheckpointError(f"{path}: written by a later version of this program")
    return StoredPrompt(
        path=path,
        base=Base(**description["base"]),
        config=HeadConfig.from_mapping(description["classes"]),
        words=tuple(description["words"]),
        n_tokens=n_tokens,
        sha256=sha256_of(path),
    )


def attach(stored: StoredPrompt, model: HyenaDNA) -> Prompted:
    """The prompt on its base model, ready for inference on the model's device.

    Raises CheckpointError if it was tuned on another model.
    """
    if backbone_digest(model) != stored.base.digest:
        raise CheckpointError(
            f"{stored.path}: tuned on {stored.base.name} (sha256 {stored.base.sha256[:12]}), "
            "whose weights are not those of this model"
        )
    tensors = safetensors.torch.load_file(stored.path)
    width = model.config.d_model
    device = model.lm_head.weight.device
    backbone = PromptedBackbone(model, tensors["prompt"].to(device))
    if stored.words:
        return WordClassifier(backbone, stored.config, stored.words).eval().requires_grad_(False)
    classifier = SequenceClassifier(backbone, stored.config, width=width)
    classifier.head.load_state_dict({name: tensors[f"head.{name}"] for name in ("weight", "bias")})
    return classifier.to(device).eval().requires_grad_(False)


def longest_input(classifier: Prompted) -> int:
    """Bases that the model can read between the prompt and the answer."""
    backbone = classifier.backbone
    assert isinstance(backbone, PromptedBackbone)
    n_after = classifier.n_after if isinstance(classifier, WordClassifier) else 0
    return backbone.model.config.l_max - len(backbone.prompt) - n_after
