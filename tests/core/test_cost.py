"""Operations, bytes and memory, from shapes alone."""

from __future__ import annotations

import dataclasses

import pytest

from hyenadna_cli.core.config import ModelConfig
from hyenadna_cli.core.cost import attention_matmul_flops, forward_bytes, forward_stages

CONFIG = ModelConfig(d_model=256, n_layer=8, d_inner=1_024, l_max=1_000_000)


def totals(config, **size):
    stages = forward_stages(config, **size)
    return {
        name: sum(getattr(stage, name) for stage in stages)
        for name in ("matmul_flops", "other_flops", "n_bytes")
    }


def test_matrix_products_are_24_d_squared_a_position_and_block():
    """performance.md: 12.6 TFLOP for 8 x 256 and a million bases."""
    assert totals(CONFIG, n_windows=1, n_tokens=1_000_000)["matmul_flops"] == 24 * 8 * 256**2 * 1e6


@pytest.mark.parametrize("order", [2, 3])
def test_a_batch_shares_the_filters_and_nothing_else(order):
    config = dataclasses.replace(CONFIG, order=order)
    one, three = (totals(config, n_windows=n, n_tokens=1_000) for n in (1, 3))
    filters = next(
        stage for stage in forward_stages(config, n_windows=1, n_tokens=1_000)
        if stage.name == "filters"
    )  # fmt: skip

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


def test_attention_costs_the_same_products_and_the_scores_on_top():
    def flops(n_tokens):
        return attention_matmul_flops(CONFIG, n_windows=1, n_tokens=n_tokens)

    hyena = totals(CONFIG, n_windows=1, n_tokens=4_096)["matmul_flops"]

    assert flops(4_096) == hyena + 8 * 2 * 4_096**2 * 256
    assert flops(2 * 4_096) > 2 * flops(4_096)


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
