"""What `--kernels triton` convolves, by length, as it was measured on this GPU or not."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine import runtime
from hyenadna_cli.core.machine.benchmark.cases import Workload
from hyenadna_cli.core.machine.benchmark.measuring import OperatorRow
from hyenadna_cli.core.machine.benchmark.operators import OperatorTime
from hyenadna_cli.core.machine.benchmark.report import long_conv_timings
from hyenadna_cli.core.model import long_conv_choice
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.long_conv_choice import LongConvChoice, Timing
from hyenadna_cli.ops import choice as backend
from hyenadna_cli.ops.gpu import dft
from hyenadna_cli.ops.gpu import long_conv as on_gpu

GPU = torch.device("cuda")
MEASURED = (
    Timing("inference", 1_000, triton=2.0, torch=1.0),
    Timing("inference", 8_000, triton=1.0, torch=2.0),
    Timing("training", 1_000, triton=1.0, torch=2.0),
)


@pytest.fixture
def gpu(monkeypatch, tmp_path):
    """A machine that seems to have a GPU, and no times of it yet."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Fake 100")
    monkeypatch.setattr(long_conv_choice, "file", lambda: tmp_path / "cache" / "times.json")
    return monkeypatch


@pytest.mark.parametrize(
    ("n_positions", "kernels"),
    [
        (1, "triton"),
        (499, "triton"),
        (500, "torch"),
        (1_000, "torch"),
        (2_000, "torch"),
        (2_001, "triton"),
        (3_999, "triton"),
        (16_000, "triton"),
    ],
)
def test_a_length_is_taken_for_the_nearest_measured_one_if_that_is_near(n_positions, kernels):
    assert LongConvChoice(MEASURED).kernels(n_positions, training=False) == kernels


def test_training_has_times_of_its_own():
    assert LongConvChoice(MEASURED).kernels(1_000, training=True) == "triton"


def test_the_nearest_is_meant_as_a_ratio():
    choice = LongConvChoice(
        (
            Timing("inference", 1_000, triton=2.0, torch=1.0),
            Timing("inference", 3_000, triton=1.0, torch=2.0),
        )
    )

    assert choice.kernels(1_700, training=False) == "torch"
    assert choice.kernels(1_800, training=False) == "triton"


def test_what_triton_cannot_transform_goes_to_cufft():
    assert long_conv_choice.MAX_POSITIONS == dft.MAX_POSITIONS
    for choice in (LongConvChoice(), LongConvChoice(MEASURED)):
        assert choice.kernels(dft.MAX_POSITIONS, training=True) == "triton"
        assert choice.kernels(dft.MAX_POSITIONS + 1, training=True) == "torch"


def test_the_choice_is_a_line_that_says_what_is_not_measured():
    assert LongConvChoice().describe() == (
        "inference: not measured on this GPU; training: not measured on this GPU; "
        "elsewhere triton, over 2,097,152 torch"
    )
    assert LongConvChoice(MEASURED).describe() == (
        "inference: 1,000 torch, 8,000 triton; training: 1,000 triton; "
        "elsewhere triton, over 2,097,152 torch"
    )


def test_times_are_kept_for_their_gpu_and_versions_and_replaced_by_later_ones(gpu):
    long_conv_choice.record(GPU, MEASURED)
    long_conv_choice.record(GPU, [Timing("inference", 1_000, triton=0.5, torch=1.0)])

    assert long_conv_choice.read(GPU).describe().startswith("inference: 1,000 triton, 8,000 triton")
    gpu.setattr(torch.cuda, "get_device_name", lambda _: "Fake 200")
    assert long_conv_choice.read(GPU) == LongConvChoice()
    gpu.setattr(torch.cuda, "get_device_name", lambda _: "Fake 100")
    gpu.setattr(long_conv_choice, "__version__", "0.0.0")
    assert long_conv_choice.read(GPU) == LongConvChoice()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"MACHINE": [{"use": "training"}]}'])
def test_a_damaged_file_is_a_warning_and_written_anew(gpu, caplog, text):
    path = long_conv_choice.file()
    path.parent.mkdir()
    path.write_text(text.replace("MACHINE", long_conv_choice._machine(GPU)))

    assert long_conv_choice.read(GPU) == LongConvChoice()
    assert bool(caplog.records) == (text != '{"a": 1}')  # of another machine, say

    long_conv_choice.record(GPU, MEASURED)
    assert long_conv_choice.read(GPU).timings == MEASURED


def test_a_cache_that_cannot_be_written_is_a_warning(gpu, caplog, tmp_path):
    (tmp_path / "cache").write_text("in the way")

    long_conv_choice.record(GPU, MEASURED)

    assert "are not kept" in caplog.text


def test_times_are_kept_where_caches_are_asked_to_be(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert long_conv_choice.file().is_relative_to(tmp_path / "home" / ".cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert long_conv_choice.file().is_relative_to(tmp_path / "elsewhere")


def test_times_of_operators_say_which_is_faster():
    small, large = (Workload(d_model=16, n_layer=1, length=90, batch=n) for n in (1, 4))
    alone = Workload(d_model=16, n_layer=1, length=500, batch=1)

    def rows(work, kernels, forward, backward, operator="long convolution"):
        return [
            OperatorRow(work, kernels, OperatorTime(operator, "forward", forward, 1)),
            OperatorRow(work, kernels, OperatorTime(operator, "backward", backward, 1)),
        ]

    found = long_conv_timings(
        [
            *rows(large, "torch", 3.0, 5.0),
            *rows(large, "triton", 4.0, 1.0),
            *rows(large, "torch", 2.0, 6.0),  # the same in another precision
            *rows(small, "torch", 9.0, 9.0),
            *rows(small, "triton", 1.0, 1.0),
            *rows(large, "triton", 0.1, 0.1, operator="filters"),
            *rows(alone, "triton", 1.0, 1.0),
        ]
    )

    assert found == [
        Timing("inference", 90, triton=4.0, torch=2.0),
        Timing("training", 90, triton=5.0, torch=7.0),
    ]


def test_a_run_with_triton_reads_the_times_and_says_so(gpu):
    gpu.setattr(torch.cuda, "is_available", lambda: True)
    gpu.setattr(torch.cuda, "device_count", lambda: 1)
    gpu.setattr(backend, "triton_problem", lambda *_: None)
    long_conv_choice.record(GPU, MEASURED)

    run = runtime.resolve(device="cuda", kernels="triton", dtype="fp32", threads=1)

    assert run.execution().long_conv.timings == MEASURED
    assert "inference: 1,000 torch" in run.reasons[-1]
    assert "1,000 torch" in run.describe()["long_convolution"]


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_a_length_that_goes_to_cufft_never_comes_to_triton(monkeypatch, training):
    """Filters and short convolution stay with Triton; values are those of Triton's convolution."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HyenaDNA(ModelConfig(d_model=4, n_layer=1, d_inner=8, l_max=40, filter_order=8))
        model.eval()  # no dropout
    ids = torch.randint(7, 11, (2, 30), generator=torch.Generator().manual_seed(1))
    use = "training" if training else "inference"
    choice = LongConvChoice((Timing(use, 30, triton=2.0, torch=1.0),))

    with torch.set_grad_enabled(training):
        model.execution = Execution(kernels="triton")
        expected = model.hidden_states(ids)[0]
        for name in ("convolve", "spectrum", "backward"):
            monkeypatch.setattr(on_gpu, name, None)
        model.execution = Execution(kernels="triton", long_conv=choice)
        found = model.hidden_states(ids)[0]
        if training:
            found.sum().backward()

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_is_taken_at_its_word_as_far_as_its_kernels_reach():
    asked = Execution(kernels="triton-fp16")

    assert asked.long_conv_kernels(dft.MAX_POSITIONS, training=True) == "triton-fp16"
    assert asked.long_conv_kernels(dft.MAX_POSITIONS + 1, training=True) == "torch"
