"""The pass without gradients on Triton's kernels, run by its interpreter, cut in every way."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine.benchmark import plain_hyena
from hyenadna_cli.core.model import fused_forward
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA

CONFIG = ModelConfig(d_model=4, n_layer=1, d_inner=8, l_max=1030, filter_order=8)


def strong_model(config: ModelConfig = CONFIG) -> HyenaDNA:
    """Weights large enough that every part matters, small enough that rounding does not grow."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HyenaDNA(config, execution=Execution(kernels="triton")).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "freq" not in name:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model


def random_ids(n_rows: int, n_positions: int) -> torch.Tensor:
    return torch.randint(7, 11, (n_rows, n_positions), generator=torch.Generator().manual_seed(1))


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_positions", "order"), [(1, 2), (3, 2), (63, 4), (1025, 2)], ids=lambda n: str(n)
)
@torch.no_grad()
def test_float32_is_within_rounding_of_the_plain_formulation_in_float64(
    n_positions: int, order: int
) -> None:
    model = strong_model(dataclasses.replace(CONFIG, order=order))
    ids = random_ids(2, n_positions)
    exact = plain_hyena.hidden_states(model.double(), ids)

    # sin(10 x) in the filter MLP makes rounding of float32 larger than its last place.
    assert relative(model.float().hidden_states(ids)[0], exact) < 1e-4


@pytest.mark.slow
@torch.no_grad()
def test_neither_tiles_nor_late_gates_nor_spectra_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = strong_model(dataclasses.replace(CONFIG, order=3, n_layer=2))
    ids = random_ids(2, 60)
    whole = model.hidden_states(ids)[0]

    monkeypatch.setattr(fused_forward, "_TILE_ROWS", {"triton": 27})
    monkeypatch.setattr(fused_forward, "LONG_BYTES", 1)
    cut = model.hidden_states(ids)[0]
    model.backbone.weight_cache.max_bytes = 1
    regenerated = model.hidden_states(ids)[0]

    # Late gates add in another order, and norms of four channels make rounding larger.
    torch.testing.assert_close(cut, whole, rtol=1e-4, atol=3e-4)
    torch.testing.assert_close(regenerated, cut, rtol=1e-4, atol=2e-5)


@torch.no_grad()
def test_spectra_of_a_length_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = strong_model()
    before = model.hidden_states(random_ids(1, 50))[0]

    def never(*_: object) -> None:
        raise AssertionError("the filters were generated again")

    monkeypatch.setattr(type(model.backbone.layers[0].mixer.filter_fn), "_fused", never)
    torch.testing.assert_close(model.hidden_states(random_ids(1, 50))[0], before, rtol=0, atol=0)
    with pytest.raises(AssertionError, match="generated again"):
        model.hidden_states(random_ids(1, 51))


@pytest.mark.slow
@torch.no_grad()
def test_half_precision_transforms_keep_hidden_states_and_likelihoods() -> None:
    """Rounding in the transforms alone; a narrow model's norms make it several times larger."""
    model = strong_model(dataclasses.replace(CONFIG, n_layer=2))
    ids = random_ids(2, 301)
    exact = model.hidden_states(ids)[0]
    model.execution = Execution(kernels="triton-fp16")

    rough = model.hidden_states(ids)[0]

    assert 1e-6 < relative(rough, exact) < 2e-2
    log_probs, expected = (model.logits(hidden).log_softmax(-1) for hidden in (rough, exact))
    assert float((log_probs - expected).abs().mean()) < 1e-2


@pytest.mark.slow
@torch.no_grad()
def test_bfloat16_products_stay_within_one_percent() -> None:
    model = strong_model()
    ids = random_ids(2, 130)
    exact = model.hidden_states(ids)[0]
    model.execution = Execution(kernels="triton", matmul_dtype=torch.bfloat16)

    rough = model.hidden_states(ids)[0]

    assert rough.dtype == torch.float32
    # A narrow model averages rounding over few channels; the interpreter cuts where a GPU rounds.
    assert relative(rough, exact) < 3e-2
