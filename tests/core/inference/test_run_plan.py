"""What a run will do, from lengths alone."""

from __future__ import annotations

import numpy as np
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.inference.run_plan import plan_run
from hyenadna_cli.core.model.cost import forward_bytes

CONFIG = ModelConfig(d_model=16, n_layer=2, d_inner=64, l_max=1_024)


def make_batcher():
    return Batcher(
        tiling=Tiling(100, 100),
        limits=BatchLimits(max_tokens=1_000),
        device=torch.device("cpu"),
    )


def test_a_plan_counts_windows_and_batches_of_every_strand():
    plan = plan_run([250, 0, 100], config=CONFIG, batcher=make_batcher(), n_strands=2)

    assert (plan.n_records, plan.n_bases) == (3, 350)
    assert (plan.n_windows, plan.n_batches) == (8, 1)
    assert plan.peak_bytes == forward_bytes(CONFIG, n_windows=8, n_tokens=100, n_layers=1)


def test_nothing_to_do_is_a_plan_too():
    plan = plan_run(np.array([], np.int64), config=CONFIG, batcher=make_batcher(), n_strands=1)

    assert (plan.n_records, plan.n_windows, plan.n_batches, plan.peak_bytes) == (0, 0, 0, 0)


def test_memory_grows_with_windows_tokens_and_layers():
    small = forward_bytes(CONFIG, n_windows=1, n_tokens=100, n_layers=1)

    assert forward_bytes(CONFIG, n_windows=2, n_tokens=100, n_layers=1) > small
    assert forward_bytes(CONFIG, n_windows=1, n_tokens=200, n_layers=1) > small
    assert forward_bytes(CONFIG, n_windows=1, n_tokens=100, n_layers=3) > small
