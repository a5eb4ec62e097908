"""The measured process, asked directly: same numbers from every Hyena variant, honest answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hyenadna_cli.core.machine.benchmark import worker as worker_module
from hyenadna_cli.core.machine.benchmark.cases import PRESETS, Case, Variant, Workload
from hyenadna_cli.core.machine.benchmark.expectations import expected_bytes, scaled_seconds
from hyenadna_cli.core.machine.benchmark.measuring import (
    GRADIENT_TOLERANCE,
    TOLERANCE,
    Benchmark,
    Floor,
    relative_difference,
)
from hyenadna_cli.core.machine.benchmark.selection import Settings
from hyenadna_cli.core.machine.benchmark.worker import Subject, answer
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.long_conv_choice import LongConvChoice, Timing

WORK = Workload(d_model=16, n_layer=2, length=300, batch=2)
TRAINING = Workload(d_model=16, n_layer=2, length=300, batch=2, training=True)


@pytest.fixture(autouse=True)
def _keep_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def subject(work, implementation, dtype="fp32"):
    variant = Variant(implementation=implementation, dtype=dtype, kernels="auto")
    return Subject(Case(workload=work, variant=variant, device="cpu", threads=1))


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("work", [WORK, TRAINING], ids=["forward", "training"])
def test_ours_and_the_plain_formulation_agree_on_the_same_case(work, dtype):
    """What the benchmark rests on."""
    reference = subject(work, "plain").sample(300)

    difference = relative_difference(subject(work, "hyenadna", dtype).sample(300), reference)

    assert difference <= (GRADIENT_TOLERANCE if work.training else TOLERANCE)[dtype]


def test_recomputing_changes_no_gradient():
    again = Workload(d_model=16, n_layer=2, length=300, batch=2, training=True, recompute=True)

    for implementation in ("plain", "hyenadna"):
        kept, recomputed = (subject(w, implementation).sample(300) for w in (TRAINING, again))
        assert relative_difference(recomputed, kept) < 1e-5


def test_another_model_is_told_apart():
    attention = subject(WORK, "attention")

    difference = relative_difference(attention.sample(300), subject(WORK, "hyenadna").sample(300))

    assert difference > 0.1
    assert attention.describe()["note"] == "SDPA backend flash_attention"
    assert attention.describe()["kernels"] == "-"


def test_a_row_says_when_its_long_convolution_is_another_one():
    """As it is with Triton's kernels at lengths where cuFFT was measured to be faster."""
    ours = subject(WORK, "hyenadna")
    notes = []
    for seconds in (0.5, 2.0):
        timing = Timing("inference", WORK.length, triton=seconds, torch=1.0)
        ours.kernels = "triton"
        ours.model.execution = Execution(kernels="triton", long_conv=LongConvChoice((timing,)))
        notes.append(ours.describe()["note"])

    assert notes == ["", "long convolution by torch"]


def test_samples_that_cannot_be_compared_are_infinitely_different():
    some = np.ones((2, 3), np.float32)

    assert relative_difference(some, some[:1]) == np.inf
    assert relative_difference(some * np.nan, some) == np.inf
    assert relative_difference(some, some) == 0


def test_a_worker_is_prepared_first_and_then_answers(tmp_path):
    case = {
        "workload": {"d_model": 16, "n_layer": 1, "length": 50, "batch": 1},
        "variant": {"implementation": "hyenadna", "dtype": "fp32", "kernels": "torch"},
        "device": "cpu",
        "threads": 1,
    }
    with pytest.raises(ValueError, match="first request is prepare"):
        answer({"do": "peak"}, None)

    prepared, worker = answer({"do": "prepare", "case": case}, None)
    sampled, _ = answer({"do": "sample", "length": 20, "file": str(tmp_path / "s.npy")}, worker)
    timed, _ = answer({"do": "time", "seconds": 0.01}, worker)
    peak, _ = answer({"do": "peak"}, worker)

    assert prepared["kernels"] == "torch"
    assert np.load(tmp_path / "s.npy").shape == (1, 20, 16)
    assert sampled["seconds"] > 0
    assert sum(timed["seconds"]) >= 0.01
    assert peak["bytes"] > 10_000_000


def test_preparing_compiles_what_the_first_pass_needs(monkeypatch):
    passed = []
    monkeypatch.setattr(
        Subject, "run", lambda self, token_ids_BL: passed.append(tuple(token_ids_BL.shape))
    )
    case = Case(
        workload=WORK,
        variant=Variant(implementation="hyenadna", dtype="fp32", kernels="numba"),
        device="cpu",
        threads=1,
    )

    answer({"do": "prepare", "case": dataclasses.asdict(case)}, None)

    assert passed == [(1, 64), (1, 300)]


def test_the_floor_does_not_wait_for_emulated_bfloat16(monkeypatch):
    multiplied = []
    monkeypatch.setattr(worker_module, "has_bfloat16_products", lambda: False)
    monkeypatch.setattr(worker_module, "_MATMUL_SIZES", {"cpu": 8})
    monkeypatch.setattr(worker_module, "_COPY_BYTES", {"cpu": 64})
    monkeypatch.setattr(torch, "mm", lambda a, b: multiplied.append(a.dtype))

    rates = worker_module.measure_floor(torch.device("cpu"))

    assert set(multiplied) == {torch.float32}
    assert rates["matmul_flops"]["bf16"] > 0


def test_longer_inputs_are_expected_to_take_longer_and_more():
    ours = Variant(implementation="hyenadna", dtype="fp32")
    attention = Variant(implementation="attention", dtype="fp32")
    shorter, longer = (
        Workload(d_model=128, n_layer=2, length=length, batch=2) for length in (10_000, 100_000)
    )
    training = dataclasses.replace(longer, training=True)

    assert scaled_seconds(1.0, shorter, longer, ours) == pytest.approx(10)
    assert scaled_seconds(1.0, shorter, longer, attention) == pytest.approx(100)
    for variant in (ours, attention):
        assert expected_bytes(longer, variant) > expected_bytes(shorter, variant)
        assert expected_bytes(training, variant) > expected_bytes(longer, variant)


def test_what_does_not_fit_a_gpu_is_not_begun():
    (large,) = PRESETS["gpu-8x256-1m"].workloads
    variant = Variant(implementation="hyenadna", dtype="bf16", kernels="triton")
    floor = Floor(
        device="cuda",
        device_name="Fake 100",
        matmul_flops={"bf16": 1e12},
        copy_bytes=1e10,
        free_bytes=16_000_000_000,
    )

    (row,) = Benchmark(Settings(device="cuda")).measure(large, [variant], floor=floor)

    assert row.status == "SKIPPED"
    assert row.note == "needs about 26.7 GB; 16.0 GB are free"


def test_operators_are_timed_forward_and_backward():
    asked = subject(Workload(d_model=16, n_layer=1, length=40, batch=2), "hyenadna")

    found = answer({"do": "operators"}, asked)[0]["operators"]

    names = ("short convolution", "filters", "long convolution")
    assert [(each["operator"], each["direction"]) for each in found] == [
        (name, direction) for name in names for direction in ("forward", "backward")
    ]
    assert all(each["seconds"] > 0 for each in found)
    stream = 4 * 2 * 40 * 16
    taps = 4 * 40 * 16
    assert [each["n_bytes"] for each in found] == [
        5 * stream,
        8 * stream,
        taps,
        taps,
        3 * stream + taps,
        5 * stream + 2 * taps,
    ]
