"""Operations, bytes and memory, from shapes alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.model.blocks import Block, Execution
from hyenadna_cli.core.model.cost import (
    HIDDEN_BYTES,
    describe_training_memory,
    forward_bytes,
    forward_stages,
    n_parameters,
    saved_bytes,
    training_bytes,
)
from hyenadna_cli.core.model.hyenadna import HyenaDNA

CONFIG = ModelConfig(d_model=256, n_layer=8, d_inner=1_024, l_max=1_000_000)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"order": 3},
        {"num_inner_mlps": 1, "emb_dim": 7, "filter_order": 10},
        {"short_filter_order": 4, "d_inner": 7, "vocab_size": 17, "d_model": 6},
    ],
)
def test_parameters_are_counted_without_a_model(changes):
    small = ModelConfig(d_model=16, n_layer=3, d_inner=64, l_max=32)
    config = dataclasses.replace(small, **changes)

    assert n_parameters(config) == sum(p.numel() for p in HyenaDNA(config).parameters())


def totals(config, **size):
    stages = forward_stages(config, **size)
    return {
        name: sum(getattr(stage, name) for stage in stages) for name in ("matmul_flops", "n_bytes")
    }


def test_matrix_products_are_24_d_squared_a_position_and_block():
    """performance.md: 12.6 TFLOP for 8 x 256 and a million bases."""
    assert totals(CONFIG, n_windows=1, n_tokens=1_000_000)["matmul_flops"] == 24 * 8 * 256**2 * 1e6


@pytest.mark.parametrize("order", [2, 3])
def test_a_batch_shares_the_filters_and_nothing_else(order):
    config = dataclasses.replace(CONFIG, order=order)
    one, three = (totals(config, n_windows=n, n_tokens=1_000) for n in (1, 3))
    filters = next(
        stage
        for stage in forward_stages(config, n_windows=1, n_tokens=1_000)
        if stage.name == "filters"
    )

    assert three["matmul_flops"] == 3 * one["matmul_flops"]
    assert three["n_bytes"] == 3 * one["n_bytes"] - 2 * filters.n_bytes


def test_every_stream_is_counted_whole():
    stream = 4 * 1_000 * 256
    one, two = (
        totals(dataclasses.replace(CONFIG, n_layer=n), n_windows=1, n_tokens=1_000)["n_bytes"]
        for n in (1, 2)
    )

    # Block: v and x0 out, v and x0 in and y out, y and the residual in and the residual out, taps.
    assert two - one == (2 + 3 + 3 + 2) * stream


@pytest.mark.parametrize("n_tokens", [1_000, 32_768, 160_000, 1_000_000])
@pytest.mark.parametrize("d_model", [128, 256])
def test_memory_lies_between_two_and_five_streams(d_model, n_tokens):
    """The residual and the gated input are whole; nothing of the MLP's width is."""
    config = dataclasses.replace(CONFIG, d_model=d_model, d_inner=4 * d_model)
    stream = 4 * n_tokens * d_model
    fixed = (512 << 20) + (32 << 20)

    n_bytes = forward_bytes(config, n_windows=1, n_tokens=n_tokens, n_layers=1)

    assert 2 * stream < n_bytes < 5 * stream + fixed


def test_a_million_bases_at_width_256_need_less_than_4_gb():
    assert forward_bytes(CONFIG, n_windows=1, n_tokens=1_000_000, n_layers=1) < 3.7e9


@pytest.mark.parametrize(("dtype", "n_bytes"), [(torch.float32, 4), (torch.bfloat16, 2)], ids=str)
@pytest.mark.parametrize("order", [2, 3])
def test_a_block_keeps_what_the_plan_says(dtype, n_bytes, order):
    """Counted in what autograd saves; the rest are statistics of norms, weights and features."""
    config = ModelConfig(
        d_model=64, n_layer=1, d_inner=256, l_max=600, order=order, filter_order=16
    )
    block = Block(config)
    matmul_dtype = None if dtype == torch.float32 else dtype
    execution = Execution(kernels="torch", matmul_dtype=matmul_dtype)
    x_BLD = torch.randn(2, 500, 64, requires_grad=True)
    not_counted = {t.untyped_storage().data_ptr() for t in (x_BLD, *block.state_dict().values())}
    not_counted |= {buffer.untyped_storage().data_ptr() for buffer in block.buffers()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        y_BLD = block(x_BLD, execution)

    n_found = sum(
        tensor.untyped_storage().nbytes()
        for address, tensor in saved.items()
        if address not in not_counted
    )
    planned = sum(saved_bytes(config, n_windows=2, n_tokens=500, product_bytes=n_bytes))
    assert y_BLD.requires_grad
    assert n_found == pytest.approx(planned, rel=0.06)


def test_recomputed_blocks_keep_their_inputs_only():
    def planned(n_layer: int, *, recompute_blocks: bool) -> int:
        config = dataclasses.replace(CONFIG, n_layer=n_layer)
        return training_bytes(
            config, n_windows=1, n_tokens=160_000, recompute_blocks=recompute_blocks
        )

    stream = 4 * 160_000 * 256
    assert planned(8, recompute_blocks=True) - planned(7, recompute_blocks=True) == stream
    assert planned(8, recompute_blocks=False) > 4 * planned(8, recompute_blocks=True)


@pytest.mark.parametrize(
    ("settings", "n_windows"),
    [
        ({"micro_batch_bases": 400, "batch_bases": 1_000}, 4),
        ({"micro_batch_bases": 400, "batch_bases": 200}, 2),
        ({"micro_batch_bases": 400, "batch_bases": 50}, 1),
        # A step keeps its sequences as they grow: 8 of 25 bases are 8 of 100 at the end.
        (
            {
                "micro_batch_bases": 800,
                "batch_bases": 200,
                "keep": "sequences",
                "length_schedule": ((25, 5), (100, 5)),
            },
            8,
        ),
    ],
    ids=["micro-batch", "step", "one-sequence", "kept-sequences"],
)
def test_memory_is_told_for_the_windows_that_are_trained_at_once(settings, n_windows):
    told = describe_training_memory(CONFIG, TrainConfig(**settings), longest=100)

    assert f"for {n_windows} x 100 bases at once" in told


@pytest.mark.parametrize(("d_model", "n_layer", "limit"), [(128, 2, 17e9), (256, 8, 33e9)])
def test_a_million_bases_train_on_one_large_gpu(d_model, n_layer, limit):
    config = dataclasses.replace(CONFIG, d_model=d_model, n_layer=n_layer, d_inner=4 * d_model)
    stream = 4 * 1_000_000 * d_model

    n_bytes = training_bytes(config, n_windows=1, n_tokens=1_000_000, recompute_blocks=True)

    assert n_layer * stream + HIDDEN_BYTES < n_bytes < limit
