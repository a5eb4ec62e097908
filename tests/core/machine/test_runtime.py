"""Requests become concrete choices, with reasons; what cannot run is refused."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.machine import runtime
from hyenadna_cli.errors import UsageError
from hyenadna_cli.ops import choice


def test_the_cpu_serves_in_float32_and_says_why():
    run = runtime.resolve(device="cpu", threads=1)

    assert run.device == torch.device("cpu")
    assert run.dtype == torch.float32
    assert run.kernels == "numba"
    assert any("full precision" in reason for reason in run.reasons)
    assert run.execution().matmul_dtype is None


def test_bfloat16_reaches_the_matrix_products():
    run = runtime.resolve(device="cpu", dtype="bf16", threads=1)

    assert run.execution().matmul_dtype == torch.bfloat16
    assert run.describe() == {"dtype": "bf16", "kernels": "numba"}


def test_under_torchrun_each_process_has_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")

    device, _ = runtime._resolve_device("auto")

    assert device == torch.device("cuda:3")


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "meta"])
def test_a_device_that_is_not_here_is_refused(device):
    with pytest.raises(UsageError, match="--device"):
        runtime.resolve(device=device, threads=1)


def test_kernels_that_cannot_run_are_refused():
    with pytest.raises(UsageError, match="--kernels triton"):
        runtime.resolve(device="cpu", kernels="triton", threads=1)


def test_rounded_transforms_are_refused_where_float32_was_asked_for():
    with pytest.raises(UsageError, match="triton-fp16: rounds its transforms, so ask for --dtype"):
        runtime.resolve(device="cpu", dtype="fp32", kernels="triton-fp16", threads=1)


@pytest.fixture
def without_numba(monkeypatch):
    choice.numba_problem.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    yield
    choice.numba_problem.cache_clear()


def test_without_numba_the_portable_path_serves_and_says_why(without_numba):
    run = runtime.resolve(device="cpu", threads=1)

    assert run.kernels == "torch"
    assert any("numba is not installed" in reason for reason in run.reasons)


def test_numba_by_name_is_refused_where_it_is_missing(without_numba):
    with pytest.raises(UsageError, match="--kernels numba: numba is not installed"):
        runtime.resolve(device="cpu", kernels="numba", threads=1)


def test_loops_that_fail_their_check_are_not_used(monkeypatch):
    from hyenadna_cli.ops import self_check

    choice.numba_problem.cache_clear()
    monkeypatch.setattr(self_check, "convolves", lambda: False)

    kernels, reason = choice.resolve("auto", torch.device("cpu"))

    choice.numba_problem.cache_clear()
    assert kernels == "torch"
    assert "known-answer check" in reason
