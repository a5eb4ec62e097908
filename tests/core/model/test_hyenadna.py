"""The model's laws: causality, right padding, layers, key names, precision."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.blocks import MLP, Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA

CONFIG = ModelConfig(d_model=16, n_layer=3, d_inner=32, l_max=130, filter_order=8)


def strong_model(config: ModelConfig = CONFIG) -> HyenaDNA:
    """Weights large enough that every part matters to the output."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HyenaDNA(config).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "freq" not in name:
                torch.nn.init.normal_(parameter, std=0.3)
    return model


def random_ids(n_rows: int, n_positions: int) -> torch.Tensor:
    return torch.randint(7, 11, (n_rows, n_positions), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("order", [2, 3])
def test_changing_a_base_leaves_every_earlier_logit_alone(order):
    """Law: causality."""
    model = strong_model(dataclasses.replace(CONFIG, order=order))
    ids = random_ids(1, 129)
    changed = ids.clone()
    changed[0, 70] = 7 + (ids[0, 70] - 6) % 4

    with torch.no_grad():
        before, after = model(ids), model(changed)

    torch.testing.assert_close(after[:, :70], before[:, :70], rtol=1e-5, atol=1e-5)
    assert (after[:, 70:] - before[:, 70:]).abs().max() > 0.01


@pytest.mark.parametrize("n_positions", [1, 2, 63, 100, 130], ids=lambda n: f"L{n}")
def test_right_padding_does_not_change_a_real_position(n_positions):
    """Law: filters depend on l_max, not on the length of the call."""
    model = strong_model()
    ids = random_ids(2, n_positions)
    padded = torch.nn.functional.pad(ids, (0, 130 - n_positions), value=4)

    with torch.no_grad():
        alone, among_pads = model(ids), model(padded)

    torch.testing.assert_close(among_pads[:, :n_positions], alone, rtol=1e-4, atol=1e-5)


def test_a_row_is_the_same_alone_and_in_a_batch():
    """Law: batch invariance."""
    model = strong_model()
    ids = random_ids(4, 100)

    with torch.no_grad():
        together = model(ids)
        alone = torch.cat([model(row[None]) for row in ids])

    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_layers_run_from_the_embedding_to_the_final_norm():
    model = strong_model()
    ids = random_ids(1, 20)

    with torch.no_grad():
        first, second, last_block, final = model.hidden_states(ids, layers=(0, 1, 3, -1))

    torch.testing.assert_close(first, model.embed_tokens(ids))
    torch.testing.assert_close(second, model.backbone.layers[0](first, Execution()))
    torch.testing.assert_close(final, model.backbone.ln_f(last_block))


def test_a_layer_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="layer 4 does not exist"):
        strong_model().hidden_states(random_ids(1, 5), layers=(4,))


def test_an_input_longer_than_l_max_is_refused():
    with pytest.raises(ValueError, match="131 tokens; this model reads at most 130"):
        strong_model()(random_ids(1, 131))


@pytest.mark.parametrize("recompute", [False, True])
def test_gradient_checkpointing_changes_neither_gradients_nor_key_names(recompute):
    plain, model = strong_model(), strong_model()
    model.execution = Execution(recompute_blocks=recompute)
    ids = random_ids(2, 40)

    for each in (plain, model):
        each(ids).square().mean().backward()

    assert list(model.state_dict()) == list(plain.state_dict())
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_chunks_of_the_mlp_do_not_show(monkeypatch):
    model = strong_model()
    x = model.embed_tokens(random_ids(2, 100))
    mlp = model.backbone.layers[0].mlp
    with torch.no_grad():
        whole = mlp(x, Execution())

        monkeypatch.setattr("hyenadna_cli.core.model.blocks._MLP_ROWS", 7)
        chunked = mlp(x, Execution())

    torch.testing.assert_close(chunked, whole)


def test_float32_agrees_with_float64():
    model = strong_model()
    ids = random_ids(1, 130)
    with torch.no_grad():
        single = model(ids)

        double = model.double()(ids)

    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)


def test_bfloat16_products_leave_logits_in_float32_and_near():
    model = strong_model()
    ids = random_ids(1, 130)
    with torch.no_grad():
        exact = model(ids)
        model.execution = Execution(matmul_dtype=torch.bfloat16)

        rough = model(ids)

    assert rough.dtype == torch.float32
    # Eight significant bits in every product, three layers deep.
    assert (rough - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_key_names_and_parameter_counts_are_the_official_ones():
    """model.md, sections 2.1 and 3."""
    model = HyenaDNA(ModelConfig(d_model=128, n_layer=2, d_inner=512, l_max=1026))

    keys = [key for key in model.state_dict() if ".layers.1." not in key]

    layer = "backbone.layers.0."
    assert sorted(keys) == sorted(
        [
            "backbone.embeddings.word_embeddings.weight",
            *(
                f"{layer}mixer.{n}.{w}"
                for n in ("in_proj", "out_proj", "short_filter")
                for w in ("weight", "bias")
            ),
            f"{layer}mixer.filter_fn.bias",
            *(
                f"{layer}mixer.filter_fn.implicit_filter.{i}.{w}"
                for i in (0, 2, 4)
                for w in ("weight", "bias")
            ),
            f"{layer}mixer.filter_fn.implicit_filter.1.freq",
            f"{layer}mixer.filter_fn.implicit_filter.6.weight",
            *(
                f"{layer}{n}.{w}"
                for n in ("norm1", "norm2", "mlp.fc1", "mlp.fc2")
                for w in ("weight", "bias")
            ),
            "backbone.ln_f.weight",
            "backbone.ln_f.bias",
            "lm_head.weight",
        ]
    )
    assert sum(parameter.numel() for parameter in model.parameters()) == 436_096


def test_the_head_is_tied_until_it_is_untied():
    model = strong_model()
    assert model.is_tied

    model.untie_lm_head()

    assert not model.is_tied
    torch.testing.assert_close(model.lm_head.weight, model.embed_tokens(torch.arange(16)))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"order": 1}, "order must be at least 2"),
        ({"emb_dim": 4}, "emb_dim must be odd"),
        ({"n_layer": 0}, "n_layer must be from 1"),
        ({"embed_dropout": 1.0}, "embed_dropout must be in"),
    ],
    ids=lambda value: str(value),
)
def test_a_shape_that_makes_no_sense_is_refused(change, problem):
    with pytest.raises(ValueError, match=problem):
        dataclasses.replace(CONFIG, **change)


def test_a_config_survives_json_and_refuses_unknown_keys():
    import json

    values = json.loads(CONFIG.to_json())

    assert ModelConfig.from_mapping(values) == CONFIG
    with pytest.raises(ValueError, match="unknown model settings: n_layers"):
        ModelConfig.from_mapping({**values, "n_layers": 3})


def test_blocks_share_the_positions_of_their_filters():
    """A million positions are 24 MB; the blocks of a model all read the same."""
    first, *others = HyenaDNA(CONFIG).backbone.layers

    assert others
    for block in others:
        for name, buffer in block.mixer.filter_fn.pos_emb.named_buffers():
            shared = getattr(first.mixer.filter_fn.pos_emb, name)
            assert buffer.untyped_storage().data_ptr() == shared.untyped_storage().data_ptr()


@pytest.mark.parametrize("dtype", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_recomputed_blocks_hold_a_piece_of_the_hidden_layer(monkeypatch, dtype):
    """Loss and gradients are those of the MLP in one go."""
    model, ids = strong_model(), random_ids(2, 65)
    n_rows = []
    rows_of = MLP._rows

    def recorded(mlp: MLP, x: torch.Tensor, execution: Execution) -> torch.Tensor:
        n_rows.append(x.shape[:-1].numel())
        return rows_of(mlp, x, execution)

    monkeypatch.setattr(MLP, "_rows", recorded)

    def gradients(*, recompute: bool) -> list[torch.Tensor]:
        n_rows.clear()
        model.execution = Execution(matmul_dtype=dtype, recompute_blocks=recompute)
        loss = model(ids).sin().mean()
        parameters = [p for p in model.parameters() if p.requires_grad]
        return [loss.detach(), *torch.autograd.grad(loss, parameters)]

    whole = gradients(recompute=False)
    assert set(n_rows) == {130}
    monkeypatch.setattr(
        "hyenadna_cli.core.model.blocks.HIDDEN_BYTES", 50 * 32 * (4 if dtype is None else 2)
    )
    cut = gradients(recompute=True)
    assert max(n_rows) <= 50
    assert gradients(recompute=False)[0] == whole[0]
    assert set(n_rows) == {130}  # nothing is computed twice where memory was not asked for
    for found, wanted in zip(cut, whole, strict=True):
        # Sums over positions are made in another order.
        bound = 1e-5 if dtype is None else 1e-2
        torch.testing.assert_close(
            found, wanted, rtol=bound, atol=bound * float(wanted.abs().max())
        )
