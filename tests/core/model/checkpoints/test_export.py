"""Models in the official layouts: names, shapes, and back without a bit lost."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints import checkpoint, export
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import CheckpointError, OutputError

GOLDEN = Path(__file__).parents[4].parent / "shared" / "golden"
OFFICIAL = ModelConfig(d_model=128, n_layer=2, d_inner=512, l_max=1_026)
TINY = ModelConfig(d_model=8, n_layer=2, d_inner=32, l_max=34, filter_order=16)
LAYOUTS = pytest.mark.parametrize("layout", ["hf", "lightning"])


def made(config=TINY, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return HyenaDNA(dataclasses.replace(config, **changes)).eval()


@LAYOUTS
def test_a_model_comes_back_bit_for_bit(layout, tmp_path):
    model = made(short_filter_order=5)
    model.untie_lm_head()
    with torch.no_grad():
        model.lm_head.weight += 1

    export.export(model, tmp_path / "exported", layout=layout, overwrite=False)
    loaded, _ = checkpoint.load(tmp_path / "exported")

    assert loaded.config == dataclasses.replace(model.config, filter_shift=0.05)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_a_model_that_was_trained_without_a_shift_comes_back_as_its_card_says(tmp_path):
    """The layout cannot hold the shift, and what is not told is the official inference code's."""
    model = made(filter_shift=0.0)
    token_ids = torch.tensor([[7, 8, 9, 10, 11, 7, 7, 9]])

    export.export(model, tmp_path / "exported", layout="lightning", overwrite=False)
    card = (tmp_path / "exported" / "README.md").read_text()
    loaded, _ = checkpoint.load(tmp_path / "exported", filter_shift=0.0)

    assert "--filter-shift 0 " in card
    with torch.inference_mode():
        assert torch.equal(loaded(token_ids), model(token_ids))


@LAYOUTS
def test_names_and_shapes_are_those_of_the_stored_releases(layout, tmp_path):
    """shared/model.md, 2.1 and 2.2: 56 tensors, or 60 with every frequency three times."""
    state = export.official_state(made(OFFICIAL), layout)

    assert len(state) == {"hf": 56, "lightning": 60}[layout]
    layer = "backbone.layers.1.mixer.filter_fn"
    prefix = {"hf": "hyena.", "lightning": "model."}[layout]
    assert state[f"{prefix}{layer}.pos_emb.z"].shape == (1, 1_026, 5)
    assert state[f"{prefix}{layer}.modulation.deltas"].shape == (1, 1, 128)
    assert state[f"{prefix}{layer}.implicit_filter.6.weight"].shape == (128, 64)
    assert ("lm_head.weight" in state) == (layout == "hf")


@pytest.mark.shared
def test_the_official_hf_file_has_the_same_names_shapes_and_settings(tmp_path):
    stored = GOLDEN / "hf-2x128-l1026"
    if not stored.exists():
        pytest.skip("needs ../shared/golden")
    model, _ = checkpoint.load(stored)

    export.export(model, tmp_path / "exported", layout="hf", overwrite=False)

    with (
        safe_open(stored / "model.safetensors", "pt") as theirs,
        safe_open(tmp_path / "exported" / "model.safetensors", "pt") as ours,
    ):
        assert sorted(ours.keys()) == sorted(theirs.keys())
        for name in theirs.keys():  # noqa: SIM118  not a dict
            assert torch.equal(ours.get_tensor(name), theirs.get_tensor(name)), name
    settings = [
        json.loads((d / "config.json").read_text()) for d in (stored, tmp_path / "exported")
    ]
    assert settings[0] == settings[1]


@pytest.mark.parametrize(
    ("layout", "changes", "problem"),
    [
        ("hf", {"filter_shift": 0.0}, "--layout lightning is for the training code"),
        ("hf", {"filter_shift": 0.1}, "adds 0.05 to every filter's window"),
        ("lightning", {"filter_shift": 0.1}, "adds 0 or 0.05 to every filter's window"),
        ("lightning", {"num_inner_mlps": 3}, "3 inner layers"),
    ],
)
def test_what_the_official_code_would_compute_otherwise_is_refused(
    layout, changes, problem, tmp_path
):
    with pytest.raises(CheckpointError, match=problem):
        export.export(made(**changes), tmp_path / "exported", layout=layout, overwrite=False)

    assert not (tmp_path / "exported").exists()


def test_the_command_writes_a_directory_with_a_card(hyenadna, tmp_path):
    checkpoint.save(made(), tmp_path)

    done = hyenadna("models", "export", tmp_path, "-o", tmp_path / "hf")
    again = hyenadna("models", "export", tmp_path, "-o", tmp_path / "hf")

    assert done.code == 0, done.err
    files = sorted(path.name for path in (tmp_path / "hf").iterdir())
    assert files == ["README.md", "config.json", "model.safetensors"]
    assert "reads up to 32\nbases" in (tmp_path / "hf" / "README.md").read_text()
    assert again.code == OutputError.exit_code
    assert hyenadna("models", "export", "builtin", "-o", tmp_path / "no").code == 4
