"""The stored answer to a fixed sequence."""

from __future__ import annotations

import hashlib
import json

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.checkpoints.known_answer import (
    FILE_NAME,
    TOLERANCE,
    fixed_sequence,
    largest_difference,
    read_known_answer,
    record_known_answer,
)
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.provenance import sha256_of
from hyenadna_cli.errors import CheckpointError


@pytest.fixture
def model():
    torch.manual_seed(0)
    return HyenaDNA(ModelConfig(d_model=8, n_layer=2, d_inner=32, l_max=300, filter_order=16))


@pytest.fixture
def recorded(model, tmp_path):
    checkpoint.save(model, tmp_path)
    return record_known_answer(model, tmp_path)


def test_the_fixed_sequence_never_changes():
    """Stored answers carry their sequence, but the same one everywhere makes models comparable."""
    assert fixed_sequence(20) == "ATACAATGTATGTGAAGAGA"
    assert fixed_sequence(300).startswith(fixed_sequence(129))
    assert hashlib.sha256(fixed_sequence(256).encode()).hexdigest()[:8] == "2e8d79bc"


def test_a_recorded_answer_is_read_back_to_the_last_bit(recorded, tmp_path):
    assert read_known_answer(tmp_path) == recorded
    assert len(recorded.sequence) == 256
    assert recorded.weights_sha256 == sha256_of(tmp_path / "model.safetensors")
    assert recorded.log_likelihood < -255


def test_a_short_model_records_a_short_sequence(tmp_path):
    short = HyenaDNA(ModelConfig(d_model=8, n_layer=1, d_inner=8, l_max=5, filter_order=4))
    checkpoint.save(short, tmp_path)

    assert record_known_answer(short, tmp_path).sequence == fixed_sequence(5)


def test_recording_leaves_the_model_as_it_was(model, tmp_path):
    model.train()
    model.execution = Execution(matmul_dtype=torch.bfloat16)
    checkpoint.save(model, tmp_path)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    answer = record_known_answer(model, tmp_path)

    assert model.training
    assert model.execution.matmul_dtype == torch.bfloat16
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    # In float64 whatever the model was set to compute in.
    exact, _ = checkpoint.load(tmp_path, dtype=torch.float64)
    assert largest_difference(exact, answer) < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_same_model_agrees_in_both_precisions(recorded, tmp_path, dtype):
    loaded, _ = checkpoint.load(tmp_path, dtype=dtype)

    assert largest_difference(loaded, recorded) <= TOLERANCE[dtype] / 20


@pytest.mark.parametrize(
    "name", ["backbone.ln_f.bias", "backbone.layers.1.mixer.filter_fn.implicit_filter.1.freq"]
)
def test_a_changed_weight_is_noticed(recorded, tmp_path, name):
    loaded, _ = checkpoint.load(tmp_path, dtype=torch.float64)
    with torch.no_grad():
        loaded.get_parameter(name)[..., 0] += 0.1

    assert largest_difference(loaded, recorded) > TOLERANCE[torch.float64]


def test_another_filter_shift_is_noticed(recorded, tmp_path):
    loaded, _ = checkpoint.load(tmp_path, dtype=torch.float64, filter_shift=0.0)

    assert largest_difference(loaded, recorded) > TOLERANCE[torch.float64]


def test_nan_is_never_a_small_difference(recorded, tmp_path):
    loaded, _ = checkpoint.load(tmp_path, dtype=torch.float64)
    with torch.no_grad():
        loaded.backbone.ln_f.bias[0] = float("nan")

    assert not largest_difference(loaded, recorded) <= TOLERANCE[torch.float64]


def test_an_answer_of_a_wider_model_is_no_answer(recorded):
    wide = HyenaDNA(ModelConfig(d_model=16, n_layer=1, d_inner=8, l_max=300, filter_order=4))

    with pytest.raises(ValueError, match="hidden_mean has 8 entries, the model's 16"):
        largest_difference(wide, recorded)


def test_without_a_file_there_is_no_answer(tmp_path):
    assert read_known_answer(tmp_path) is None


@pytest.mark.parametrize(
    "change", [{"format-version": 2}, {"hidden_mean": None}, {"sequence": ...}]
)
def test_a_damaged_file_is_an_error(recorded, tmp_path, change):
    content = json.loads((tmp_path / FILE_NAME).read_text()) | change
    content = {key: value for key, value in content.items() if value is not ...}
    (tmp_path / FILE_NAME).write_text(json.dumps(content))

    with pytest.raises(CheckpointError, match=FILE_NAME):
        read_known_answer(tmp_path)
