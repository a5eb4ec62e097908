"""Batches: what shares one, how it is padded, and what happens when memory runs out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits, Readings
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.errors import DeviceMemoryError

CPU = torch.device("cpu")


def make_batcher(window=10, stride=None, *, max_tokens=40, batch_size=None, **options):
    return Batcher(
        tiling=Tiling(window, stride or window),
        limits=BatchLimits(max_tokens=max_tokens, max_windows=batch_size),
        device=CPU,
        **options,
    )


def readings_of(*lengths):
    return [np.full(length, tokenizer.A, np.uint8) for length in lengths]


def lengths_of(plan):
    return [windows.lengths.tolist() for windows in plan]


def test_padding_is_on_the_right():
    ((batch, _),) = make_batcher().run(
        [tokenizer.encode("ACGT"), tokenizer.encode("GG")], lambda batch: None
    )

    assert batch.token_ids_BL.tolist() == [[7, 8, 9, 10], [9, 9, tokenizer.PAD, tokenizer.PAD]]
    assert batch.token_ids_BL.dtype == torch.int64


@pytest.mark.parametrize(
    ("specials", "ids", "n_front"),
    [("none", [7, 8], 0), ("sep", [7, 8, 1], 0), ("cls-sep", [0, 7, 8, 1], 1)],
)
def test_every_window_is_framed(specials, ids, n_front):
    batcher = make_batcher(specials=specials)

    ((batch, _),) = batcher.run([tokenizer.encode("AC")], lambda batch: None)

    assert batch.token_ids_BL.tolist() == [ids]
    assert batch.n_front == n_front


def test_windows_are_sorted_by_length_and_share_a_budget_of_padded_tokens():
    plan = make_batcher(max_tokens=20).plan([3, 10, 4, 25, 1])

    assert lengths_of(plan) == [[10, 10], [10, 5], [4, 3, 1]]


def test_a_window_above_the_budget_is_a_batch_of_its_own():
    assert lengths_of(make_batcher(max_tokens=4).plan([9, 2, 2])) == [[9], [2, 2]]


def test_special_tokens_count_in_the_budget():
    assert lengths_of(make_batcher(max_tokens=8, specials="cls-sep").plan([2, 2, 2])) == [
        [2, 2],
        [2],
    ]


def test_a_batch_size_counts_windows_whatever_their_tokens():
    plan = make_batcher(max_tokens=1, batch_size=2).plan([9, 9, 9, 1, 1])

    assert lengths_of(plan) == [[9, 9], [9, 1], [1]]


def test_input_order_can_be_kept():
    plan = make_batcher(max_tokens=20, keep_order=True).plan([3, 10, 4])

    assert lengths_of(plan) == [[3, 10], [4]]


def test_empty_readings_have_no_window():
    assert make_batcher().plan([0, 0]) == []
    assert lengths_of(make_batcher().plan([0, 2])) == [[2]]


def test_a_chunk_is_read_along_every_strand():
    records = [Record("a", "c", 0, 2, "-", "AC"), Record("b", "c", 0, 1, "+", "G")]

    readings = Readings(records, "both")

    assert readings.n_strands == 2
    decoded = [tokenizer.decode(reading[:]) for reading in readings.of]
    assert decoded == ["AC", "GT", "G", "C"]


def raise_above(n_windows, error, attempts):
    def compute(batch):
        attempts.append(len(batch.windows))
        if len(batch.windows) > n_windows:
            raise error
        return batch.windows.readings.tolist()

    return compute


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    ],
    ids=["cuda", "numpy", "cufft"],
)
def test_a_batch_that_does_not_fit_is_halved_and_every_window_is_done_once(error):
    attempts = []
    batcher = make_batcher(max_tokens=80)

    results = list(batcher.run(readings_of(*[8] * 10), raise_above(3, error, attempts)))

    assert [reading for _, done in results for reading in done] == list(range(10))
    assert attempts[0] == 10
    assert max(len(done) for _, done in results) <= 3


def test_later_batches_are_planned_smaller_once_memory_ran_out():
    attempts = []
    batcher = make_batcher(max_tokens=80)
    compute = raise_above(5, torch.OutOfMemoryError(), attempts)
    list(batcher.run(readings_of(*[8] * 10), compute))
    attempts.clear()

    list(batcher.run(readings_of(*[8] * 10), compute))

    assert attempts == [5, 5]


def test_what_the_cpu_allocator_says_is_understood():
    def compute(batch):
        if len(batch.windows) > 1:
            torch.empty(1 << 50)

    assert len(list(make_batcher().run(readings_of(4, 4), compute))) == 2


def test_a_single_window_that_does_not_fit_is_an_error_that_may_be_retried():
    compute = raise_above(0, torch.OutOfMemoryError(), [])

    with pytest.raises(DeviceMemoryError, match="one window of 9 bases") as caught:
        list(make_batcher().run(readings_of(9, 9), compute))

    assert caught.value.exit_code == 75


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes"):
        list(make_batcher().run(readings_of(4, 4), raise_above(0, RuntimeError("shapes"), [])))


def test_a_result_is_let_go_before_the_next_batch():
    import weakref

    alive = []

    def compute(batch):
        assert not any(reference() is not None for reference in alive)
        result = torch.zeros(1)
        alive.append(weakref.ref(result))
        return result

    for _batch, result in make_batcher(batch_size=1).run(readings_of(4, 4, 4), compute):
        del result

    assert len(alive) == 3
