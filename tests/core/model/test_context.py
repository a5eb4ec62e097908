"""One sequence over several processes is the same sequence: logits, loss, gradients."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hyenadna_cli.core.model.context import Context
from hyenadna_cli.core.model.cost import exchanged_bytes
from tests.core.model import shared_sequence

LENGTHS = (1, 2, 7, 1_000, 4_097)
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


def by_processes(n, lengths, directory):
    """What `n` processes give, by case and length."""
    output = directory / f"of{n}.pt"
    command = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n))
    worker = ("-m", shared_sequence.__name__, str(output), *map(str, lengths))
    path = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, *command, *worker],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return torch.load(output)


def assert_same(found, wanted, tolerance):
    assert found.keys() == wanted.keys()
    assert len(wanted) > 20
    for name, value in wanted.items():
        scale = max(float(value.abs().max()), 1e-3)
        assert float((found[name] - value).abs().max()) / scale < tolerance, name


@functools.cache
def alone(case, length):
    return shared_sequence.results(case, length)


@pytest.fixture(scope="module", params=[2, 3, 4])
def found(request, tmp_path_factory):
    return by_processes(request.param, LENGTHS, tmp_path_factory.mktemp("found"))


@pytest.mark.slow
@pytest.mark.parametrize("case", shared_sequence.CASES)
@pytest.mark.parametrize("length", LENGTHS)
def test_processes_that_share_a_sequence_give_what_one_gives(found, case, length):
    wanted = alone(case, length)

    assert_same(found[f"{case} {length}"], wanted, TOLERANCES[shared_sequence.CASES[case][0]])


@pytest.mark.slow
def test_a_pass_sends_what_cost_says(found):
    forward, backward = found["bytes"]["sent"].tolist()

    n = found["bytes"]["n"]
    wanted = exchanged_bytes(shared_sequence.CONFIG, n_windows=3, n_tokens=1_200, n_context=n)
    lookback = 2 * 3 * 2 * shared_sequence.CONFIG.d_model * 4  # blocks, rows, positions, channels
    # The first process sends the last positions of its piece, and gets no gradient to send back.
    assert (forward, backward) == (wanted + lookback, wanted)


@pytest.mark.slow
def test_so_they_do_at_65536(tmp_path):
    found = by_processes(4, [65_536], tmp_path)

    for case, (dtype, _, _) in shared_sequence.CASES.items():
        # A gradient of one process in float32, summed over 65,536 positions, is off by up to 2e-4;
        # those of four, who sum over fewer each, are nearer to what is exact.
        tolerance = 2e-5 if dtype == torch.float32 else TOLERANCES[dtype]
        assert_same(
            found[f"{case} 65536"],
            shared_sequence.results(case, 65_536, is_exact=True),
            tolerance,
        )


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 64])
@pytest.mark.parametrize("n_positions", [0, 1, 2, 7, 64, 1_000, 4_097])
def test_pieces_follow_each_other_and_are_whole_where_something_looks_back_at_them(n, n_positions):
    n_lookback = 2
    of = [Context(group=None, rank=rank, size=n) for rank in range(n)]
    cut = [context.of(n_positions, n_lookback=n_lookback) for context in of]
    pieces = [context.piece() for context in cut]

    covered = [t for piece in pieces for t in range(piece.start, piece.stop)]
    assert covered == list(range(n_positions))
    for before, piece in itertools.pairwise(pieces):
        if piece.stop > piece.start:
            assert before.stop - before.start >= n_lookback
    longest = max(piece.stop - piece.start for piece in pieces)
    assert longest <= max(n_lookback, -(-n_positions // n))
    assert all(context.lengths == cut[0].lengths for context in cut)
