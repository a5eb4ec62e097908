"""The pass without gradients gives what the plain formulation gives, however it is cut."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine.benchmark import plain_hyena
from hyenadna_cli.core.model import fused_forward, pass_filters
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA

CONFIG = ModelConfig(d_model=144, n_layer=2, d_inner=64, l_max=130, filter_order=8)
KERNELS = ["torch", "numba"]


def strong_model(config: ModelConfig = CONFIG) -> HyenaDNA:
    """Weights large enough that every part matters, small enough that rounding does not grow."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HyenaDNA(config).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "freq" not in name:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model


def random_ids(n_rows: int, n_positions: int) -> torch.Tensor:
    return torch.randint(7, 11, (n_rows, n_positions), generator=torch.Generator().manual_seed(1))


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("order", [2, 3], ids=lambda n: f"order{n}")
@pytest.mark.parametrize("n_positions", [1, 2, 3, 63, 130], ids=lambda n: f"L{n}")
@torch.no_grad()
def test_float32_is_within_rounding_of_the_plain_formulation_in_float64(
    n_positions, order, kernels
):
    model = strong_model(dataclasses.replace(CONFIG, order=order))
    ids = random_ids(3, n_positions)
    exact = plain_hyena.hidden_states(model.double(), ids)
    model.float().execution = Execution(kernels=kernels)

    # sin(10 x) in the filter MLP makes rounding of float32 larger than its last place.
    assert relative(model.hidden_states(ids)[0], exact) < 1e-4


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("order", [2, 3], ids=lambda n: f"order{n}")
@torch.no_grad()
def test_neither_tiles_nor_late_gates_nor_spectra_show(monkeypatch, kernels, order):
    model = strong_model(dataclasses.replace(CONFIG, order=order))
    model.execution = Execution(kernels=kernels)
    ids = random_ids(3, 100)
    whole = model.hidden_states(ids)[0]

    monkeypatch.setattr(fused_forward, "_TILE_ROWS", {"numba": 7, "torch": 7})
    monkeypatch.setattr(fused_forward, "LONG_BYTES", 1)
    monkeypatch.setattr(pass_filters, "_PIECE", 9)
    cut = model.hidden_states(ids)[0]
    model.backbone.weight_cache.max_bytes = 1
    regenerated = model.hidden_states(ids)[0]

    torch.testing.assert_close(cut, whole, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(regenerated, whole, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_lengths_of_one_transform_share_spectra():
    """97 to 120 positions are 120 points; 130, all that the model reads, are 144."""
    model = strong_model()
    model.execution = Execution(kernels="numba")
    made = []

    for length in (120, 100, 97, 130):
        ids = random_ids(2, length)
        exact = plain_hyena.hidden_states(model, ids)
        assert relative(model.hidden_states(ids)[0], exact) < 1e-4
        kept = model.backbone.weight_cache._kept
        made.append(sorted({key[2] for key in kept if key[0] == "spectra"}))

    assert made == [[120], [120], [120], [120, 130]]


@torch.no_grad()
def test_threads_do_not_show():
    model = strong_model()
    model.execution = Execution(kernels="numba")
    ids = random_ids(3, 130)
    n_threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = model.hidden_states(ids)[0]
        torch.set_num_threads(2)
        together = model.hidden_states(ids)[0]
    finally:
        torch.set_num_threads(n_threads)

    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kernels", KERNELS)
@torch.no_grad()
def test_bfloat16_products_stay_within_one_percent(kernels):
    model = strong_model()
    ids = random_ids(2, 130)
    exact = model.hidden_states(ids)[0]
    model.execution = Execution(kernels=kernels, matmul_dtype=torch.bfloat16)

    rough = model.hidden_states(ids)[0]

    assert rough.dtype == torch.float32
    assert relative(rough, exact) < 1e-2


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("kernels", KERNELS)
@torch.no_grad()
def test_a_pass_with_late_gates_leaves_nothing_to_one_that_keeps_them(monkeypatch, kernels, dtype):
    def pass_of(model: HyenaDNA, gate_bytes: int) -> torch.Tensor:
        model.execution = Execution(kernels=kernels, matmul_dtype=dtype)
        monkeypatch.setattr(fused_forward, "LONG_BYTES", gate_bytes)
        return model.hidden_states(random_ids(2, 100))[0]

    model, kept = strong_model(), 1 << 20
    late = pass_of(model, 1)
    after_late = pass_of(model, kept)

    torch.testing.assert_close(after_late, pass_of(strong_model(), kept), rtol=0, atol=0)
    torch.testing.assert_close(pass_of(model, 1), late, rtol=0, atol=0)


@torch.no_grad()
def test_long_sequences_in_bfloat16_round_their_streams_once_more(monkeypatch):
    model = strong_model()
    ids = random_ids(2, 130)
    layers = (0, 1, -1)
    exact = model.hidden_states(ids, layers)
    model.execution = Execution(kernels="numba", matmul_dtype=torch.bfloat16)
    kept = model.hidden_states(ids, layers)
    monkeypatch.setattr(fused_forward, "LONG_BYTES", 1)

    rounded = model.hidden_states(ids, layers)

    assert [states.dtype for states in rounded] == [torch.float32] * 3
    torch.testing.assert_close(rounded[0], exact[0].bfloat16().float(), rtol=0, atol=0)
    for states, wanted in zip(rounded[1:], exact[1:], strict=True):
        assert relative(states, wanted) < 1.3e-2
    assert relative(rounded[-1], exact[-1]) < 1.5 * relative(kept[-1], exact[-1])


@torch.no_grad()
def test_rounding_of_long_sequences_does_not_depend_on_the_batch(monkeypatch):
    """What is long is told by one sequence: two of three quarters of it are not."""
    model = strong_model()
    model.execution = Execution(kernels="numba", matmul_dtype=torch.bfloat16)
    monkeypatch.setattr(fused_forward, "LONG_BYTES", 4 * 144 * 100)
    ids = random_ids(2, 75)

    together = model.hidden_states(ids)[0]

    torch.testing.assert_close(together[:1], model.hidden_states(ids[:1])[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kernels", KERNELS)
@torch.no_grad()
def test_changed_weights_change_the_next_result(kernels):
    model = strong_model()
    model.execution = Execution(kernels=kernels, matmul_dtype=torch.bfloat16)
    ids = random_ids(1, 100)
    before = model.hidden_states(ids)[0]

    for parameter in model.backbone.layers[0].mixer.parameters():
        parameter.mul_(1.5)
    after = model.hidden_states(ids)[0]

    fresh = strong_model()
    fresh.execution = model.execution
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(after, fresh.hidden_states(ids)[0])
    assert relative(after, before) > 0.01


@torch.no_grad()
def test_embedded_input_is_left_as_it_is():
    model = strong_model()
    embedded = model.embed_tokens(random_ids(1, 20))
    kept = embedded.clone()

    first, last = model.hidden_states_of(embedded, layers=(0, -1))

    torch.testing.assert_close(embedded, kept, rtol=0, atol=0)
    torch.testing.assert_close(first, kept, rtol=0, atol=0)
    assert relative(last, kept) > 0.1


@torch.no_grad()
def test_float64_models_go_the_portable_way_exactly():
    model = strong_model().double()
    ids = random_ids(1, 63)
    plain = model.hidden_states(ids)[0]
    model.execution = Execution(kernels="numba")

    torch.testing.assert_close(model.hidden_states(ids)[0], plain, rtol=0, atol=0)
