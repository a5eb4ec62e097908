"""Kernels are chosen with a reason, and checked on a known answer before they are."""

from __future__ import annotations

import pytest
import torch
from triton.runtime.errors import OutOfResources

from hyenadna_cli.errors import UsageError
from hyenadna_cli.ops import choice, self_check
from hyenadna_cli.ops.gpu import long_conv as on_gpu

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def gpu(monkeypatch):
    """A machine that seems to have a GPU whose kernels give right answers."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Fake 100")
    monkeypatch.setattr(self_check, "triton_is_right", lambda _, **__: True)
    choice.triton_problem.cache_clear()
    yield monkeypatch
    choice.triton_problem.cache_clear()


def refusal() -> str:
    with pytest.raises(UsageError, match="--kernels triton: ") as caught:
        choice.resolve("triton", GPU)
    return str(caught.value)


def test_triton_runs_where_it_is_asked_for_and_only_there(gpu):
    assert choice.resolve("triton", GPU)[0] == "triton"

    kernels, why = choice.resolve("auto", GPU)

    assert kernels == "torch"
    assert "have not been measured" in why


def test_no_triton_is_said(gpu):
    gpu.setattr("importlib.util.find_spec", lambda name: None)
    assert "triton is not installed" in refusal()


def test_an_old_gpu_is_said(gpu):
    gpu.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    assert "Fake 100 is older than compute capability 8.0" in refusal()


def test_a_gpu_too_small_for_a_kernel_is_said(gpu):
    def fail(_: object, **__: object) -> bool:
        raise OutOfResources(139264, 101376, "shared memory")

    gpu.setattr(self_check, "triton_is_right", fail)
    assert "its kernels do not run here (out of resource: shared memory" in refusal()


def test_a_wrong_answer_is_said_and_found_once(gpu):
    asked = []
    gpu.setattr(self_check, "triton_is_right", lambda device, **_: asked.append(device))

    assert "known-answer check" in refusal()
    assert "known-answer check" in refusal()
    assert asked == [GPU]


def test_half_precision_has_a_check_of_its_own(gpu):
    gpu.setattr(self_check, "triton_is_right", lambda _, *, kernels: kernels == "triton")

    assert choice.resolve("triton", GPU)[0] == "triton"
    with pytest.raises(UsageError, match="--kernels triton-fp16: its kernels fail a known-answer"):
        choice.resolve("triton-fp16", GPU)


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["triton", "triton-fp16"])
def test_the_kernels_give_the_known_answer(kernels):
    assert self_check.triton_is_right(CPU, kernels=kernels, lengths=[40])


@pytest.mark.slow
@pytest.mark.parametrize(("kernels", "factor"), [("triton", 1.01), ("triton-fp16", 1.05)])
def test_a_kernel_that_is_a_little_wrong_does_not(monkeypatch, kernels, factor):
    right = on_gpu.spectrum

    monkeypatch.setattr(on_gpu, "spectrum", lambda taps, **options: factor * right(taps, **options))

    assert not self_check.triton_is_right(CPU, kernels=kernels, lengths=[40])
