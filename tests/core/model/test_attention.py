"""The attention model: the same laws as HyenaDNA, the same call, another operator."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.attention import AttentionModel, default_heads, rotate, rotations
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA

CONFIG = ModelConfig(d_model=16, n_layer=2, d_inner=32, l_max=130, filter_order=8)


def strong_model(**options) -> AttentionModel:
    """Weights large enough that every part matters to the output."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AttentionModel(CONFIG, **options).eval()
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                torch.nn.init.normal_(parameter, std=0.3)
    return model


def random_ids(n_rows: int, n_positions: int) -> torch.Tensor:
    return torch.randint(7, 11, (n_rows, n_positions), generator=torch.Generator().manual_seed(1))


def test_changing_a_base_leaves_every_earlier_logit_alone():
    """Law: causality."""
    model = strong_model(n_heads=2)
    ids = random_ids(1, 129)
    changed = ids.clone()
    changed[0, 70] = 7 + (ids[0, 70] - 6) % 4

    with torch.no_grad():
        before, after = model(ids), model(changed)

    torch.testing.assert_close(after[:, :70], before[:, :70], rtol=1e-5, atol=1e-5)
    assert (after[:, 70:] - before[:, 70:]).abs().max() > 0.01


def test_a_row_is_the_same_alone_in_a_batch_and_padded_on_the_right():
    """Law: batch invariance."""
    model = strong_model()
    ids = random_ids(3, 50)
    padded = torch.nn.functional.pad(ids, (0, 30), value=4)

    with torch.no_grad():
        alone = torch.cat([model(row[None]) for row in ids])
        together = model(padded)[:, :50]

    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_a_score_depends_on_distance_only():
    """Law: rotary positions are relative."""
    generator = torch.Generator().manual_seed(2)
    q, k = (torch.randn(1, 1, 1, 8, generator=generator).expand(1, 1, 40, 8) for _ in range(2))
    turns = rotations(40, 8, torch.device("cpu"))

    scores = rotate(q, turns)[0, 0] @ rotate(k, turns)[0, 0].T

    torch.testing.assert_close(scores[10, 3], scores[37, 30], rtol=1e-4, atol=1e-5)
    assert (scores[10, 3] - scores[10, 4]).abs() > 1e-3


def test_it_differs_from_hyenadna_in_the_mixers_alone():
    ours = {n: p.shape for n, p in strong_model().named_parameters() if ".mixer." not in n}
    hyena = {n: p.shape for n, p in HyenaDNA(CONFIG).named_parameters() if ".mixer." not in n}

    assert ours == hyena


def test_layers_come_in_the_order_asked_for():
    model = strong_model()
    ids = random_ids(1, 20)

    with torch.no_grad():
        final, embedded, block = model.hidden_states(ids, layers=(-1, 0, 2))

    torch.testing.assert_close(embedded, model.embed_tokens(ids))
    torch.testing.assert_close(final, model.backbone.ln_f(block))


def test_gradient_checkpointing_changes_no_gradient():
    plain, model = strong_model(), strong_model(execution=Execution(recompute_blocks=True))
    ids = random_ids(2, 40)

    for each in (plain, model):
        each(ids).square().mean().backward()

    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-4), (torch.bfloat16, 0.1)], ids=str
)
def test_other_precisions_agree_with_float32(dtype, tolerance):
    model = strong_model()
    ids = random_ids(1, 100)
    with torch.no_grad():
        single = model(ids)
        if dtype == torch.float64:
            model = model.double()
        else:
            model.execution = Execution(matmul_dtype=dtype)

        other = model(ids)

    # bfloat16 carries 8 significant bits in every product.
    assert (other.float() - single).abs().mean() < tolerance * single.abs().mean()


@pytest.mark.parametrize(
    ("d_model", "n_heads"), [(16, 1), (128, 2), (160, 2), (256, 4), (6, 1), (200, 2)]
)
def test_heads_divide_the_width(d_model, n_heads):
    assert default_heads(d_model) == n_heads


def test_a_width_that_cannot_be_turned_is_refused():
    with pytest.raises(ValueError, match="even d_model"):
        default_heads(15)
    with pytest.raises(ValueError, match="do not split into 3"):
        strong_model(n_heads=3)
