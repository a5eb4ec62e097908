"""REF and ALT passes over the windows of a chunk: batches in, scores and vectors of alleles out."""

# B windows of a REF pass, A alleles of an ALT pass, L positions of a window, S of a suffix,
# V classes, D d_model, E = D + 1 sums

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyenadna_cli.core.config.choices import Score
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batch, Batcher
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants import scores as allele_scores
from hyenadna_cli.core.variants.chunks import ChunkScores, ScoreSettings
from hyenadna_cli.core.variants.compared import Task, Window
from hyenadna_cli.core.variants.pass_plan import PassPlan
from hyenadna_cli.core.variants.scores import Pairs, next_base_log_probs
from hyenadna_cli.core.variants.shared_prefix import RefStates, SharedPrefix
from hyenadna_cli.core.variants.vectors import Pass, vectors_of

_N_STARTS = 64
"""ALT passes begin at one of about this many positions of a window, so that many have the same
length and share a batch; none begins later than its allele needs."""


@dataclass(frozen=True, slots=True)
class _RefPass:
    """What is known of a batch of REF windows."""

    log_probs_BLV: Tensor | None
    """None if there are no scores."""
    token_ids_BL: Tensor
    hidden_BLD: Tensor | None
    """With embedding distances only."""
    layers: list[Tensor]
    """Hidden states of the layers of vectors; none without vectors."""
    states: RefStates | None
    """None if ALT windows are run whole, or not at all."""


class Passes:
    """REF and ALT passes over windows, which edges make shorter than asked for."""

    def __init__(
        self, model: HyenaDNA, settings: ScoreSettings, *, plan: PassPlan, device: torch.device
    ) -> None:
        self._model = model
        self._settings = settings
        self._vectors = settings.vectors
        length = settings.layout.window
        tiling = Tiling(length, length)
        self._ref_batches = Batcher(tiling=tiling, limits=plan.ref_limits, device=device)
        self._alt_batches = Batcher(tiling=tiling, limits=plan.alt_limits, device=device)
        self._shared = SharedPrefix(model, length) if plan.shares_prefix else None
        chosen = () if settings.vectors is None else settings.vectors.layers
        self._layers = tuple(dict.fromkeys((-1, *chosen)))
        """What passes give: the layer of all probabilities first."""

    def run(self, windows: list[Window], scores: ChunkScores) -> Iterator[int]:
        """Score all alleles of these windows; yields how many windows are done, now and then."""
        compute = functools.partial(self._ref, windows)
        for batch, ref in self._ref_batches.run([w.token_ids for w in windows], compute):
            tasks = self._tasks(windows, batch)
            if "site" in self._settings.scores:
                self._put(scores, tasks, {"site": self._site(ref, tasks)})
            if self._vectors is not None and not self._vectors.needs_alt_pass:
                for few in self._parts(len(tasks), ref.token_ids_BL.shape[1]):
                    self._put_vectors(scores, tasks[few], self._ref_vectors(ref, tasks[few]))
            if self._settings.needs_alt_pass:
                for (start, keeps_length), group in self._groups(tasks).items():
                    for part, values, vectors in self._alt_scores(ref, group, start, keeps_length):
                        self._put(scores, part, values)
                        self._put_vectors(scores, part, vectors)
                        yield 0
            yield len(batch.windows)
            del ref

    def _tasks(self, windows: list[Window], batch: Batch) -> list[Task]:
        return [
            Task(in_batch, windows[number], allele, compared)
            for in_batch, number in enumerate(batch.windows.readings.tolist())
            for allele, compared in windows[number].alleles
        ]

    def _start(self, task: Task) -> int:
        """Where the ALT pass of an allele begins: at its first difference or a little before."""
        if self._shared is None:
            return 0
        layout = self._settings.layout
        step = max(1, layout.window // _N_STARTS)
        first = min(task.first, task.compared.ref_end - 1, task.compared.alt_end - 1)
        return max(0, layout.anchor + (first - layout.anchor) // step * step)

    def _groups(self, tasks: list[Task]) -> dict[tuple[int, bool], list[Task]]:
        """By start, and whether ALT is as long as REF."""
        groups: dict[tuple[int, bool], list[Task]] = {}
        for task in sorted(tasks, key=lambda task: task.first):
            keeps_length = len(task.allele.ref) == len(task.allele.alt)
            groups.setdefault((self._start(task), keeps_length), []).append(task)
        return groups

    @torch.inference_mode()
    def _ref(self, windows: list[Window], batch: Batch) -> _RefPass:
        starts = sorted({self._start(task) for task in self._tasks(windows, batch)})
        states = None
        if self._shared is None:
            hidden = self._model.hidden_states(batch.token_ids_BL, self._layers)
        else:
            # Vectors are of whole windows; scores compare nothing before the first difference.
            is_whole = self._settings.needs_embeddings or self._vectors is not None
            first = 0 if is_whole else max(0, starts[0] - 1)
            hidden, states = self._shared.ref(batch.token_ids_BL, starts, self._layers, first=first)
        kept_BLD = hidden[0] if self._settings.needs_embeddings else None
        return _RefPass(
            self._log_probs(hidden[0]),
            batch.token_ids_BL,
            kept_BLD,
            self._of_vectors(hidden),
            states,
        )

    def _log_probs(self, hidden_BLD: Tensor) -> Tensor | None:
        if not self._settings.scores:
            return None
        return next_base_log_probs(
            self._model, hidden_BLD, full_vocabulary=self._settings.full_vocabulary
        )

    def _of_vectors(self, hidden: list[Tensor]) -> list[Tensor]:
        if self._vectors is None:
            return []
        return [hidden[self._layers.index(layer)] for layer in self._vectors.layers]

    @torch.inference_mode()
    def _site(self, ref: _RefPass, tasks: list[Task]) -> NDArray[np.float64]:
        values = np.zeros(len(tasks))
        # Where nothing differs the score is 0; before the first base there is no distribution.
        values[[number for number, task in enumerate(tasks) if task.first == 0]] = np.nan
        known = [n for n, task in enumerate(tasks) if 0 < task.first < task.window.length]
        if not known:
            return values
        device = ref.token_ids_BL.device
        columns = [(tasks[n].in_batch, tasks[n].first, *tasks[n].tokens_at_first()) for n in known]
        rows_A, firsts_A, ref_ids_A, alt_ids_A = torch.tensor(columns, device=device).unbind(1)
        assert ref.log_probs_BLV is not None
        log_probs_AV = ref.log_probs_BLV[rows_A, firsts_A - 1]
        values[known] = allele_scores.site(log_probs_AV, ref_ids_A, alt_ids_A).cpu().numpy()
        return values

    def _alt_scores(
        self, ref: _RefPass, group: list[Task], start: int, keeps_length: bool
    ) -> Iterator[tuple[list[Task], dict[Score, NDArray[np.float64]], NDArray[np.float64] | None]]:
        length = ref.token_ids_BL.shape[1]
        suffixes = [_padded(task.ids()[start:], length - start) for task in group]
        compute = functools.partial(self._alt, ref, group, start, keeps_length)
        for batch, (values, vectors) in self._alt_batches.run(suffixes, compute):
            yield [group[number] for number in batch.windows.readings.tolist()], values, vectors

    @torch.inference_mode()
    def _alt(
        self, ref: _RefPass, group: list[Task], start: int, keeps_length: bool, batch: Batch
    ) -> tuple[dict[Score, NDArray[np.float64]], NDArray[np.float64] | None]:
        tasks = [group[number] for number in batch.windows.readings.tolist()]
        rows_A = torch.tensor([task.in_batch for task in tasks], device=batch.token_ids_BL.device)
        if ref.states is None or self._shared is None:
            hidden = self._model.hidden_states(batch.token_ids_BL, self._layers)
        else:
            hidden = self._shared.alt(
                ref.states,
                rows_A,
                batch.token_ids_BL,
                start,
                changed=_changed(tasks, start) if keeps_length else None,
                layers=self._layers,
            )
        vectors = None
        if self._vectors is not None and self._vectors.needs_alt_pass:
            alt = self._of_vectors(hidden)
            parts = [
                self._alt_vectors(
                    ref,
                    [states[part] for states in alt],
                    batch.token_ids_BL[part],
                    tasks[part],
                    rows_A[part],
                    start,
                )
                for part in self._parts(len(tasks), ref.token_ids_BL.shape[1])
            ]
            vectors = np.concatenate(parts)
        values = self._scores_of(ref, hidden[0], batch.token_ids_BL, tasks, rows_A, start)
        return values, vectors

    def _scores_of(
        self,
        ref: _RefPass,
        hidden_ASD: Tensor,
        token_ids_AS: Tensor,
        tasks: list[Task],
        rows_A: Tensor,
        start: int,
    ) -> dict[Score, NDArray[np.float64]]:
        """All scores that the suffixes of ALT windows tell."""
        settings = self._settings
        log_probs_ASV = self._log_probs(hidden_ASD)
        if log_probs_ASV is None or ref.log_probs_BLV is None:
            return {}
        columns = [
            (
                task.allele.offset + len(task.allele.ref),
                task.allele.offset + len(task.allele.alt),
                task.compared.ref_end,
                task.compared.alt_end,
            )
            for task in tasks
        ]
        ends = torch.tensor(columns, device=rows_A.device).unbind(1)
        ref_ends_A, alt_ends_A, ref_limits_A, alt_limits_A = ends
        ref_ids_AL, ref_log_probs_ALV = ref.token_ids_BL[rows_A], ref.log_probs_BLV[rows_A]
        pairs = Pairs(
            ref_ids_AL=ref_ids_AL,
            alt_ids_AL=torch.cat([ref_ids_AL[:, :start], token_ids_AS], dim=1),
            ref_log_probs_ALV=ref_log_probs_ALV,
            alt_log_probs_ALV=torch.cat([ref_log_probs_ALV[:, :start], log_probs_ASV], dim=1),
            start=start,
            ref_ends_A=ref_ends_A,
            alt_ends_A=alt_ends_A,
            ref_limits_A=ref_limits_A,
            alt_limits_A=alt_limits_A,
        )
        values: dict[Score, Tensor] = {}
        if "llr" in settings.scores:
            values["llr"] = allele_scores.llr(pairs)
        if "jsd" in settings.scores:
            values["jsd"] = allele_scores.jsd(pairs)
        if ref.hidden_BLD is not None:
            values["l2"], values["cos"] = allele_scores.window_distances(
                ref.hidden_BLD, rows_A, pairs, hidden_ASD, start
            )
        return {
            score: of_alleles.cpu().numpy()
            for score, of_alleles in values.items()
            if score in settings.scores
        }

    def _parts(self, n_alleles: int, length: int) -> Iterator[slice]:
        """A few alleles at a time: vectors take whole windows of each, however short its suffix."""
        step = max(1, self._alt_batches.limits.max_tokens // length)
        for first in range(0, n_alleles, step):
            yield slice(first, first + step)

    @torch.inference_mode()
    def _ref_vectors(self, ref: _RefPass, tasks: list[Task]) -> NDArray[np.float64]:
        assert self._vectors is not None
        rows_A = torch.tensor([task.in_batch for task in tasks], device=ref.token_ids_BL.device)
        firsts_A, ends_A, _ = _limits(tasks, rows_A.device)
        of_ref = Pass([states[rows_A] for states in ref.layers], ref.token_ids_BL[rows_A], ends_A)
        return vectors_of(self._vectors, of_ref, None, firsts_A).cpu().numpy()

    def _alt_vectors(
        self,
        ref: _RefPass,
        alt: list[Tensor],
        token_ids_AS: Tensor,
        tasks: list[Task],
        rows_A: Tensor,
        start: int,
    ) -> NDArray[np.float64]:
        assert self._vectors is not None
        firsts_A, ref_ends_A, alt_ends_A = _limits(tasks, rows_A.device)
        ref_ids_AL = ref.token_ids_BL[rows_A]
        of_ref = Pass([states[rows_A] for states in ref.layers], ref_ids_AL, ref_ends_A)
        whole = zip(of_ref.hidden, alt, strict=True)
        of_alt = Pass(
            [torch.cat([before[:, :start], suffix], dim=1) for before, suffix in whole],
            torch.cat([ref_ids_AL[:, :start], token_ids_AS], dim=1),
            alt_ends_A,
        )
        known = None if self._vectors.of == "alt" else of_ref
        return vectors_of(self._vectors, known, of_alt, firsts_A).cpu().numpy()

    def _put_vectors(
        self, scores: ChunkScores, tasks: list[Task], vectors: NDArray[np.float64] | None
    ) -> None:
        if vectors is None:
            return
        rows = [task.allele.row for task in tasks]
        strands = [self._settings.strands.index(task.window.strand) for task in tasks]
        # NaN stands for what is not defined; what the model made of it is something else.
        scores.vectors[rows, strands] = np.where(np.isnan(vectors), np.inf, vectors)

    def _put(
        self,
        scores: ChunkScores,
        tasks: list[Task],
        values: Mapping[Score, NDArray[np.float64]],
    ) -> None:
        rows = [task.allele.row for task in tasks]
        strands = [self._settings.strands.index(task.window.strand) for task in tasks]
        for score, of_tasks in values.items():
            scores.values[rows, strands, self._settings.scores.index(score)] = of_tasks


def _limits(tasks: list[Task], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Where windows first differ, and the ends of what is compared of REF and of ALT: (A,) each."""
    columns = [(task.first, task.compared.ref_end, task.compared.alt_end) for task in tasks]
    firsts_A, ref_ends_A, alt_ends_A = torch.tensor(columns, device=device).unbind(1)
    return firsts_A, ref_ends_A, alt_ends_A


def _changed(tasks: list[Task], start: int) -> slice:
    """The positions from `start` on among which all differences of these alleles lie."""
    end = max(task.allele.offset + len(task.allele.ref) for task in tasks)
    end = min(end, max(task.window.length for task in tasks))
    # An allele that does not differ lies before its pass, which begins at the window's end.
    first = min(end - 1, *(task.first for task in tasks))
    return slice(max(0, first - start), max(0, end - start))


def _padded(token_ids: tokenizer.TokenIds, length: int) -> tokenizer.TokenIds:
    padded = np.full(length, tokenizer.PAD, dtype=np.uint8)
    padded[: token_ids.size] = token_ids
    return padded
