"""`hyenadna doctor` from end to end."""

from __future__ import annotations

import json
import shutil

import pytest

from hyenadna_cli.core.model.checkpoints import catalogue


def findings(done):
    return {(f["topic"], f["name"]): f for f in json.loads(done.out)}


def test_a_healthy_machine_is_told_what_it_has_and_what_is_used(hyenadna, tmp_path):
    done = hyenadna(
        "doctor", "--json", "--device", "cpu", "--threads", "1", "--cache-dir", tmp_path / "cache"
    )

    found = findings(done)
    assert done.code == 0, done.err
    assert found["version", "torch"]["result"] == "ok"
    assert found["hardware", "cpus"]["detail"].endswith("may be used by this process")
    assert found["choice", "--device"]["detail"] == "cpu: requested"
    assert "full precision" in found["choice", "--dtype"]["detail"]
    assert found["choice", "--threads"]["detail"] == "1"
    assert str(tmp_path / "cache") in found["place", "model cache"]["detail"]
    assert found["built-in model", "known-answer-float64"]["result"] == "ok"
    assert found["built-in model", "known answer as commands compute it"]["result"] == "ok"


def test_the_answer_is_checked_as_the_options_say(hyenadna):
    done = hyenadna(
        "doctor", "--device", "cpu", "--threads", "1", "--dtype", "bf16", "--kernels", "torch"
    )

    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if "as commands compute it" in line]
    assert "\tok\tcpu, bf16, torch kernels: differs by" in line


def test_a_wrong_answer_is_exit_4_and_the_report_still_whole(hyenadna, tmp_path, monkeypatch):
    broken = tmp_path / "builtin"
    shutil.copytree(catalogue.BUILTIN_DIRECTORY, broken)
    answer = json.loads((broken / "known_answer.json").read_text())
    answer["hidden_last"][0] += 1.0
    (broken / "known_answer.json").write_text(json.dumps(answer))
    monkeypatch.setattr(catalogue, "BUILTIN_DIRECTORY", broken)

    done = hyenadna("doctor", "--json", "--device", "cpu", "--threads", "1")

    assert done.code == 4
    assert findings(done)["built-in model", "known-answer-float64"]["result"] == "failed"
    assert "known-answer-float64" in done.err


def test_a_missing_model_is_exit_4(hyenadna, tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "BUILTIN_DIRECTORY", tmp_path)

    done = hyenadna("doctor", "--device", "cpu", "--threads", "1")

    assert done.code == 4
    assert "no built-in model" in done.err


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_a_device_that_is_not_here_is_exit_2(hyenadna, device):
    assert hyenadna("doctor", "--device", device).code == 2
