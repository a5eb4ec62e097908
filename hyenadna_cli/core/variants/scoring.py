"""Variants to scores and vectors: REF passes shared, ALT passes batched.

    sites -> chunks -> windows (chunks.py)
          -> REF passes, a batch of windows each        (site scores: from here alone)
          -> ALT passes, a batch of equally long suffixes each (passes.py)
          -> scores (scores.py) and vectors (vectors.py)

Which windows and suffixes share a batch depends on their chunk alone, neither on shards nor on what
other chunks hold. Memory grows with one batch of windows, never with the variants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hyenadna_cli.core.inference.batching import BatchLimits, Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.outputs.shards import chunks
from hyenadna_cli.core.variants.alleles import Site
from hyenadna_cli.core.variants.chunks import AlleleScore, ChunkScores, ScoreSettings
from hyenadna_cli.core.variants.pass_plan import plan_passes
from hyenadna_cli.core.variants.passes import Passes
from hyenadna_cli.core.variants.stretches import Stretches


def score(
    model: HyenaDNA,
    sites: Iterable[Site],
    genome: Genome,
    settings: ScoreSettings,
    *,
    limits: BatchLimits,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[list[AlleleScore]]]:
    """Score a stream of sites: one `Done` per batch, counting sites; rows at the end of each chunk.

    A row holds the scores of all alleles of a site, in order.
    """
    device = model.lm_head.weight.device
    plan = plan_passes(settings, model.config, limits)
    work = Passes(model, settings, plan=plan, device=device)
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    for chunk in chunks(sites, length_of=lambda _: settings.bases_per_site):
        scores = ChunkScores(chunk, stretches, settings, d_model=model.config.d_model)
        if journal.has_chunk:
            journal.recall(*scores.numbers)
            yield Done(float(len(chunk)), scores.rows())
            continue
        n_done = 0.0
        for windows in scores.window_groups():
            for n_windows in work.run(windows, scores):
                n_sites = len(chunk) * n_windows / scores.n_windows
                n_done += n_sites
                yield Done(n_sites, [])
        journal.keep(*scores.numbers)
        yield Done(len(chunk) - n_done, scores.rows())
<<<<<<< HEAD
=======


@dataclass(frozen=True, slots=True)
class _RefPass:
    """What is known of a batch of REF windows."""

    log_probs_BLV: Tensor
    token_ids_BL: Tensor
    hidden_BLD: Tensor | None
    """With embedding distances only."""
    states: RefStates | None
    """None if ALT windows are run whole, or not at all."""


class _Passes:
    """REF and ALT passes over windows, which edges make shorter than asked for."""

    def __init__(
        self, model: HyenaDNA, settings: ScoreSettings, *, plan: PassPlan, device: torch.device
    ) -> None:
        self._model = model
        self._settings = settings
        length = settings.layout.window
        tiling = Tiling(length, length)
        self._ref_batches = Batcher(tiling=tiling, limits=plan.ref_limits, device=device)
        self._alt_batches = Batcher(tiling=tiling, limits=plan.alt_limits, device=device)
        self._shared = SharedPrefix(model, length) if plan.shares_prefix else None

    def run(self, windows: list[Window], scores: ChunkScores) -> Iterator[int]:
        """Score all alleles of these windows; yields how many windows are done, now and then."""
        compute = functools.partial(self._ref, windows)
        for batch, ref in self._ref_batches.run([w.token_ids for w in windows], compute):
            tasks = self._tasks(windows, batch)
            if "site" in self._settings.scores:
                self._put(scores, tasks, {"site": self._site(ref, tasks)})
            if self._settings.needs_alt_pass:
                for (start, keeps_length), group in self._groups(tasks).items():
                    for part, values in self._alt_scores(ref, group, start, keeps_length):
                        self._put(scores, part, values)
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
            hidden_BLD = self._model.hidden_states(batch.token_ids_BL)[0]
        else:
            # What precedes every difference is compared with nothing but as a part of the window.
            first = 0 if self._settings.needs_embeddings else max(0, starts[0] - 1)
            hidden_BLD, states = self._shared.ref(batch.token_ids_BL, starts, first=first)
        log_probs_BLV = next_base_log_probs(
            self._model, hidden_BLD, full_vocabulary=self._settings.full_vocabulary
        )
        kept_BLD = hidden_BLD if self._settings.needs_embeddings else None
        return _RefPass(log_probs_BLV, batch.token_ids_BL, kept_BLD, states)

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
        log_probs_AV = ref.log_probs_BLV[rows_A, firsts_A - 1]
        values[known] = allele_scores.site(log_probs_AV, ref_ids_A, alt_ids_A).cpu().numpy()
        return values

    def _alt_scores(
        self, ref: _RefPass, group: list[Task], start: int, keeps_length: bool
    ) -> Iterator[tuple[list[Task], dict[Score, NDArray[np.float64]]]]:
        length = ref.token_ids_BL.shape[1]
        suffixes = [_padded(task.ids()[start:], length - start) for task in group]
        compute = functools.partial(self._alt, ref, group, start, keeps_length)
        for batch, values in self._alt_batches.run(suffixes, compute):
            yield [group[number] for number in batch.windows.readings.tolist()], values

    @torch.inference_mode()
    def _alt(
        self, ref: _RefPass, group: list[Task], start: int, keeps_length: bool, batch: Batch
    ) -> dict[Score, NDArray[np.float64]]:
        settings, device = self._settings, batch.token_ids_BL.device
        tasks = [group[number] for number in batch.windows.readings.tolist()]
        columns = [
            (
                task.in_batch,
                task.allele.offset + len(task.allele.ref),
                task.allele.offset + len(task.allele.alt),
                task.compared.ref_end,
                task.compared.alt_end,
            )
            for task in tasks
        ]
        rows_A, *ends = torch.tensor(columns, device=device).unbind(1)
        ref_ends_A, alt_ends_A, ref_limits_A, alt_limits_A = ends
        if ref.states is None or self._shared is None:
            hidden_ASD = self._model.hidden_states(batch.token_ids_BL)[0]
        else:
            hidden_ASD = self._shared.alt(
                ref.states,
                rows_A,
                batch.token_ids_BL,
                start,
                changed=_changed(tasks, start) if keeps_length else None,
            )
        log_probs_ASV = next_base_log_probs(
            self._model, hidden_ASD, full_vocabulary=settings.full_vocabulary
        )
        ref_ids_AL, ref_log_probs_ALV = ref.token_ids_BL[rows_A], ref.log_probs_BLV[rows_A]
        pairs = Pairs(
            ref_ids_AL=ref_ids_AL,
            alt_ids_AL=torch.cat([ref_ids_AL[:, :start], batch.token_ids_BL], dim=1),
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
            values["l2"], values["cos"] = _distances(
                ref.hidden_BLD, rows_A, pairs, hidden_ASD, start
            )
        return {
            score: of_alleles.cpu().numpy()
            for score, of_alleles in values.items()
            if score in settings.scores
        }

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


def _changed(tasks: list[Task], start: int) -> slice:
    """The positions from `start` on among which all differences of these alleles lie."""
    end = max(task.allele.offset + len(task.allele.ref) for task in tasks)
    end = min(end, max(task.window.length for task in tasks))
    # An allele that is no different lies before its pass, which begins at the window's end.
    first = min(end - 1, *(task.first for task in tasks))
    return slice(max(0, first - start), max(0, end - start))


def _distances(
    ref_BLD: Tensor, rows_A: Tensor, pairs: Pairs, alt_ASD: Tensor, start: int
) -> tuple[Tensor, Tensor]:
    """Embedding distances, from the hidden states of whole REF windows and of ALT suffixes."""
    summed = allele_scores.summed_states
    unique_B, back_A = rows_A.unique(return_inverse=True)
    ids_BL = pairs.ref_ids_AL.new_empty(len(unique_B), pairs.ref_ids_AL.shape[1])
    ids_BL[back_A] = pairs.ref_ids_AL
    before_BE = summed(ref_BLD[unique_B, :start], ids_BL[:, :start])
    after_BE = summed(ref_BLD[unique_B, start:], ids_BL[:, start:])
    alt_AE = before_BE[back_A] + summed(alt_ASD, pairs.alt_ids_AL[:, start:])
    ref_AE = (before_BE + after_BE)[back_A]
    for allele, end in enumerate(pairs.ref_limits_A.tolist()):
        # What is not compared of REF, which other alleles of the window may be compared with.
        row = rows_A[allele : allele + 1]
        ref_AE[allele] -= summed(ref_BLD[row, end:], pairs.ref_ids_AL[allele : allele + 1, end:])[0]
    return allele_scores.distances(ref_AE, alt_AE)


def _padded(token_ids: tokenizer.TokenIds, length: int) -> tokenizer.TokenIds:
    padded = np.full(length, tokenizer.PAD, dtype=np.uint8)
    padded[: token_ids.size] = token_ids
    return padded
>>>>>>> 37fdeca (variants: spare the last MLP of a REF pass before the first variant)
