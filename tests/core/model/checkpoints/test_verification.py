"""What `models verify` looks at."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.checkpoints.known_answer import FILE_NAME, record_known_answer
from hyenadna_cli.core.model.checkpoints.verification import verify
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs.provenance import sha256_of
from hyenadna_cli.errors import CheckpointError

CHECKS = [
    "sha256",
    "tensors",
    "finite",
    "causality",
    "known-answer-float64",
    "known-answer-float32",
]


@pytest.fixture
def directory(tmp_path):
    """A model directory in our layout, with its known answer."""
    torch.manual_seed(0)
    model = HyenaDNA(ModelConfig(d_model=8, n_layer=2, d_inner=32, l_max=300, filter_order=16))
    checkpoint.save(model, tmp_path)
    record_known_answer(model, tmp_path)
    return tmp_path


def results(directory, **options):
    return {check.name: check.result for check in verify(directory, **options)}


def alter(directory, name, change):
    path = directory / "model.safetensors"
    state = safetensors.torch.load_file(path)
    change(state[name])
    safetensors.torch.save_file(state, path, metadata={"format": "pt"})


def test_a_sound_model_passes_everything(directory):
    assert results(directory) == dict.fromkeys(CHECKS, "ok")


def test_what_cannot_be_checked_is_said_and_is_no_pass(directory):
    (directory / FILE_NAME).unlink()

    found = {check.name: check for check in verify(directory)}

    assert found["sha256"].result == "not-checked"
    assert "no hash is known" in found["sha256"].detail
    assert found["known-answer"].result == "not-checked"
    assert found["causality"].result == "ok"


def test_altered_weights_fail_by_hash_and_by_answer(directory):
    alter(directory, "backbone.ln_f.bias", lambda tensor: tensor.add_(0.1))

    found = results(directory)

    assert found["sha256"] == "failed"
    assert found["known-answer-float64"] == "failed"
    assert found["finite"] == "ok"


def test_nan_in_the_weights_fails(directory):
    alter(directory, "backbone.ln_f.bias", lambda tensor: tensor[:1].fill_(float("nan")))

    found = {check.name: check for check in verify(directory)}

    assert found["finite"].result == "failed"
    assert "backbone.ln_f.bias" in found["finite"].detail
    assert found["causality"].result == "failed"


def test_an_altered_configuration_fails_though_the_weights_are_right(directory):
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"filter_shift": 0.0}))

    found = results(directory)

    assert found["sha256"] == "ok"
    assert found["known-answer-float64"] == "failed"


def test_a_damaged_or_foreign_answer_fails(directory):
    path = directory / FILE_NAME
    answer = json.loads(path.read_text())
    path.write_text(json.dumps(answer | {"hidden_mean": [0.0]}))
    assert results(directory)["known-answer-float64"] == "failed"

    path.write_text("{}")
    assert results(directory)["known-answer"] == "failed"


def test_published_weights_are_told_by_their_hash(directory, monkeypatch):
    sha256 = sha256_of(directory / "model.safetensors")
    monkeypatch.setattr(catalogue, "expected_sha256", lambda name, revision: sha256)
    found = {check.name: check for check in verify(directory, name="tiny-1k", revision="x")}
    assert found["sha256"].detail == f"{sha256} is the published one"

    monkeypatch.setattr(catalogue, "expected_sha256", lambda name, revision: "0" * 64)
    with pytest.raises(CheckpointError, match="not the published weights"):
        verify(directory, name="tiny-1k", revision="x")
