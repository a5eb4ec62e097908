"""In-context learning: demonstrations of each class before the sequence in question.

    X1 SEP Y1 SEP X2 SEP Y2 SEP ... X SEP -> the word that follows

Y is the word of a class (`soft_prompt`). With no tuning at all this asks what a model has learned
to do with examples; with `n_samples`, all weights are tuned on that many such samples first, each
with its own demonstrations, on the words of all its examples. A judgement uses one set of
demonstrations for all sequences, drawn from the training rows by the seed: a fixed prefix, run
once. Only training rows are ever shown or tuned on.
"""

# B samples, L positions (tokens), T = L - 1 targets

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.tokenizer import TokenIds
from hyenadna_cli.core.model.checkpoints import checkpoint, known_answer
from hyenadna_cli.core.model.checkpoints.checkpoint import ModelSource
from hyenadna_cli.core.model.classifier import backbone_digest
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.provenance import Provenance, sha256_of
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows
from hyenadna_cli.core.tasks.prompts.settings import FewShotConfig
from hyenadna_cli.core.tasks.prompts.soft_prompt import HERE, Base, PromptedBackbone, WordClassifier
from hyenadna_cli.core.tasks.prompts.tuning import check_finished, finish, made_on
from hyenadna_cli.core.training.device_batches import TensorBatch
from hyenadna_cli.core.training.loop import StepReport, train
from hyenadna_cli.core.training.run_directory import read_progress
from hyenadna_cli.core.training.run_identity import MADE_FROM, made_from

_NOT_A_WORD = -100


def check_counts(rows: LabelledRows, label_names: Sequence[str], config: FewShotConfig) -> None:
    """Raises ValueError if there are fewer training rows than shots, or than samples."""
    counts = np.bincount(np.asarray(rows.targets), minlength=len(label_names))
    # A sample's own sequence is never among its demonstrations.
    n_needed = config.n_shots + (1 if config.n_samples and config.n_shots else 0)
    for name, count in zip(label_names, counts.tolist(), strict=True):
        if count < n_needed:
            raise ValueError(
                f"class {name} has {count:,} training examples; {config.n_shots:,} shots "
                f"need {n_needed:,}"
            )
    if config.n_samples > len(rows):
        raise ValueError(f"{config.n_samples:,} samples of {len(rows):,} training rows")


def draw_shots(
    targets: NDArray[np.generic],
    n_shots: int,
    n_classes: int,
    random: np.random.Generator,
    *,
    but: int | None = None,
) -> list[int]:
    """Rows to show, `n_shots` of each class in random order, never the row `but`."""
    shown = []
    for number in range(n_classes):
        mine = np.flatnonzero(targets == number)
        shown.append(random.choice(mine[mine != but], n_shots, replace=False))
    return [int(row) for row in random.permutation(np.concatenate(shown))]


class FewShotBatches:
    """Samples to tune on: a training row each, after demonstrations of its own.

    A function of (seed, number of the sample) alone.
    """

    def __init__(self, rows: LabelledRows, config: FewShotConfig) -> None:
        self._rows, self._config = rows, config
        self._targets = np.asarray(rows.targets)
        order = np.random.Generator(np.random.Philox(key=config.seed, counter=[0, 5, 0, 0]))
        self._order = order.permutation(len(rows))[: config.n_samples]

    def batch(self, *, step: int, rows: range, length: int, rows_per_step: int) -> FewShotBatch:
        """The given samples of one step; they are whole, whatever `length` is."""
        samples = [self._sample(step * rows_per_step + row) for row in rows]
        n_longest = max(ids.size for ids, _ in samples)
        ids_BL = np.full((len(samples), n_longest), tokenizer.PAD, np.int64)
        targets_BL = np.full((len(samples), n_longest), _NOT_A_WORD, np.int64)
        for row, (ids, is_word) in enumerate(samples):
            ids_BL[row, : ids.size] = ids
            targets_BL[row, : ids.size][is_word] = ids[is_word]
        targets_BT = torch.from_numpy(targets_BL[:, 1:])
        return FewShotBatch(torch.from_numpy(ids_BL), targets_BT, _places(targets_BT))

    def _sample(self, number: int) -> tuple[TokenIds, NDArray[np.bool_]]:
        number %= len(self._order)  # the last step is filled up with samples of the first
        query = int(self._order[number])
        key = np.random.Philox(key=self._config.seed, counter=[0, 6, number, 0])
        shown = draw_shots(
            self._targets,
            self._config.n_shots,
            len(self._config.words),
            np.random.Generator(key),
            but=query,
        )
        ids, is_word = _demonstrated(self._rows, [*shown, query], self._config.words)
        return ids[:-1], is_word[:-1]  # nothing is asked after the last word


@dataclass(frozen=True, slots=True)
class FewShotBatch(TensorBatch):
    """Samples, and which of their tokens are words of classes."""

    token_ids_BL: Tensor
    targets_BT: Tensor
    """The next token where that is part of a word, else -100."""
    places_2N: Tensor
    """Rows and positions of those tokens; found on the host, as a GPU would be waited for."""


def _places(targets_BT: Tensor) -> Tensor:
    """Where targets are parts of words."""
    return (targets_BT != _NOT_A_WORD).nonzero().T.contiguous()


def word_loss(model: HyenaDNA, batch: FewShotBatch) -> tuple[Tensor, int]:
    """Summed next-token loss in nats over the tokens of all words, and their number."""
    rows_N, positions_N = batch.places_2N
    hidden_BLD = model.hidden_states(batch.token_ids_BL)[0]
    logits_NV = model.logits(hidden_BLD[rows_N, positions_N])
    targets_N = batch.targets_BT[rows_N, positions_N]
    return F.cross_entropy(logits_NV, targets_N, reduction="sum"), len(rows_N)


def tune(
    model: HyenaDNA,
    data: LabelledData,
    config: FewShotConfig,
    *,
    run_dir: Path,
    about: Mapping[str, Any],
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[StepReport]:
    """Tune all weights in place, one report a step; nothing to do without samples."""
    if not config.n_samples:
        return
    rows = data.splits["train"]
    train_config = config.train_config(longest=int(rows.lengths.max()))
    yield from train(
        model,
        FewShotBatches(rows, config),
        word_loss,
        config=train_config,
        run_dir=run_dir,
        max_length=train_config.batch_bases // config.batch_size,
        about={**dataclasses.asdict(config), **about},
        should_stop=should_stop,
    )


def run(
    model: HyenaDNA,
    source: ModelSource,
    data: LabelledData,
    config: FewShotConfig,
    *,
    output: Path,
    made_by: Provenance,
    should_stop: Callable[[], bool],
) -> Iterator[StepReport]:
    """Tune if there are samples, judge, and write the prompt directory `output`.

    Its prompt is the embedded demonstrations; a tuned model lies beside it. Stopped early, it
    leaves a checkpoint and no prompt.
    """
    base = Base.of(model, source)
    about = made_on(base, data)
    check_finished(output, dataclasses.asdict(config), about)
    tuned_on = {**about, MADE_FROM: made_from(made_by)}
    yield from tune(model, data, config, run_dir=output, about=tuned_on, should_stop=should_stop)
    if config.n_samples:
        if not read_progress(output).is_done:
            return
        checkpoint.save(model, output)
        known_answer.record_known_answer(model, output)
        base = dataclasses.replace(
            base,
            name=HERE,
            revision=None,
            digest=backbone_digest(model),
            sha256=sha256_of(output / "model.safetensors"),
        )
    finish(
        in_context(model, data, config),
        base,
        data,
        dataclasses.asdict(config),
        about=about,
        output=output,
        made_by=made_by,
    )


@torch.no_grad()
def in_context(model: HyenaDNA, data: LabelledData, config: FewShotConfig) -> WordClassifier:
    """The model behind one set of demonstrations, dropout off, ready to judge."""
    rows = data.splits["train"]
    random = np.random.Generator(np.random.Philox(key=config.seed, counter=[0, 7, 0, 0]))
    shown = draw_shots(np.asarray(rows.targets), config.n_shots, data.n_outputs, random)
    ids_L, _ = _demonstrated(rows, shown, config.words)
    device = model.lm_head.weight.device
    embedded_LD = model.embed_tokens(torch.from_numpy(ids_L.astype(np.int64)).to(device))
    answers = HeadConfig(task=data.task, label_names=data.label_names, pooling="last")
    backbone = PromptedBackbone(model, embedded_LD.clone())
    return WordClassifier(backbone, answers, config.words).eval().requires_grad_(False)


def _demonstrated(
    rows: LabelledRows, shown: Sequence[int], words: Sequence[str]
) -> tuple[TokenIds, NDArray[np.bool_]]:
    """Token ids of `X SEP Y SEP` for each row, and which of them are the words."""
    separator = np.array([tokenizer.SEP], np.uint8)
    ids, is_word = [np.empty(0, np.uint8)], [np.empty(0, np.bool_)]
    for index in shown:
        target = rows[index].target
        assert isinstance(target, int)
        for piece, is_answer in (
            (tokenizer.encode(rows.sequence(index)), False),
            (separator, False),
            (tokenizer.encode(words[target]), True),
            (separator, False),
        ):
            ids.append(piece)
            is_word.append(np.full(piece.size, is_answer))
    return np.concatenate(ids), np.concatenate(is_word)
