"""Requests become concrete choices, with reasons; what cannot run is refused."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core import runtime
from hyenadna_cli.errors import UsageError


def test_the_cpu_serves_in_float32_and_says_why():
    run = runtime.resolve(device="cpu", threads=1)

    assert run.device == torch.device("cpu")
    assert run.dtype == torch.float32
    assert run.kernels == "torch"
    assert any("full precision" in reason for reason in run.reasons)
    assert run.execution().matmul_dtype is None


def test_bfloat16_reaches_the_matrix_products():
    run = runtime.resolve(device="cpu", dtype="bf16", threads=1)

    assert run.execution().matmul_dtype == torch.bfloat16
    assert run.describe() == {"dtype": "bf16", "kernels": "torch"}


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "meta"])
def test_a_device_that_is_not_here_is_refused(device):
    with pytest.raises(UsageError, match="--device"):
        runtime.resolve(device=device, threads=1)


@pytest.mark.parametrize("kernels", ["numba", "triton"])
def test_kernels_that_cannot_run_are_refused(kernels):
    with pytest.raises(UsageError, match=f"--kernels {kernels}"):
        runtime.resolve(device="cpu", kernels=kernels, threads=1)
