"""What a run over records will do, from their lengths alone: rows, windows, batches, memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import StrandChoice
from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.inference.batching import N_SPECIALS, Batcher, BatchLimits
from hyenadna_cli.core.inference.chosen_model import ChosenModel
from hyenadna_cli.core.io.records import RecordSource
from hyenadna_cli.core.model.cost import forward_bytes
from hyenadna_cli.core.outputs.shards import chunks


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlan:
    """The size of a run."""

    n_records: int
    n_bases: int
    """Of the records, each counted once."""
    n_windows: int
    """Over all records and strands."""
    n_batches: int
    peak_bytes: int
    """Memory of the device at its largest, estimated; libraries and weights not included."""


def plan_run(
    lengths: Sequence[int] | NDArray[np.int64],
    *,
    config: ModelConfig,
    batcher: Batcher,
    n_strands: int,
    n_layers: int = 1,
    n_context: int = 1,
) -> RunPlan:
    """Plan the batches of records of these lengths (bases); `n_layers` hidden states are kept.

    Memory is that of one of `n_context` processes that share each window.
    """
    n_windows = n_batches = peak_bytes = 0
    for chunk in chunks(lengths, length_of=int):
        for windows in batcher.plan(np.repeat(chunk, n_strands)):
            longest = int(windows.lengths.max()) + N_SPECIALS[batcher.specials]
            n_windows += len(windows)
            n_batches += 1
            n_bytes = forward_bytes(
                config,
                n_windows=len(windows),
                n_tokens=-(-longest // n_context),
                n_layers=n_layers,
            )
            peak_bytes = max(peak_bytes, n_bytes)
    return RunPlan(
        n_records=len(lengths),
        n_bases=int(np.sum(lengths, dtype=np.int64)),
        n_windows=n_windows,
        n_batches=n_batches,
        peak_bytes=peak_bytes,
    )


def pass_megabytes(model: ChosenModel, limits: BatchLimits, *, n_tokens: int) -> int:
    """Memory of a full batch of windows of `n_tokens`, as a plan has it, in a process of its own
    or of those that share each window.
    """
    n_windows = limits.max_windows or max(1, limits.max_tokens // n_tokens)
    n_own = -(-n_tokens // (1 if model.context is None else model.context.size))
    n_bytes = forward_bytes(model.config, n_windows=n_windows, n_tokens=n_own, n_layers=1)
    return -(-n_bytes // 1_000_000)


def plan_of_records(
    source: RecordSource,
    selected: range | None,
    model: ChosenModel,
    batcher: Batcher,
    strand: StrandChoice,
    *,
    n_layers: int = 1,
    more_bytes: Callable[[int], int] = lambda _: 0,
) -> dict[str, int]:
    """The size of a run over records along one strand or both, for `--dry-run`. Uses up a stream.

    `n_layers` hidden states are kept at once; `more_bytes`, of the longest record, come on top of a
    pass's memory.
    """
    lengths = source.measured_lengths(selected)
    plan = plan_run(
        lengths,
        config=model.config,
        batcher=batcher,
        n_strands=2 if strand == "both" else 1,
        n_layers=n_layers,
        n_context=1 if model.context is None else model.context.size,
    )
    n_bytes = plan.peak_bytes + more_bytes(int(max(lengths, default=0)))
    return {
        "records": plan.n_records,
        "bases": plan.n_bases,
        "windows": plan.n_windows,
        "batches": plan.n_batches,
        "peak_memory_mb": -(-n_bytes // 1_000_000),
    }
