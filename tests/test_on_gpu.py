"""What only a GPU can tell: `pytest -m gpu`. Lengths and widths are those of real use."""

from __future__ import annotations

import copy
import csv
import io

import pytest
import torch
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.machine import runtime
from hyenadna_cli.core.machine.benchmark import plain_hyena
from hyenadna_cli.core.model import long_conv_choice
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.filters import ImplicitFilter
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.ops import choice
from hyenadna_cli.ops.long_conv import long_conv_gate
from hyenadna_cli.ops.short_conv import short_conv_gate

pytestmark = pytest.mark.gpu

DEVICE = torch.device("cuda")
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-7}
"""Largest difference allowed, relative to the largest value."""


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return torch.randn(shape, generator=generator).to(DEVICE)


def differentiated(outputs: list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """The outputs, and the gradients of their weighted sum."""
    loss = sum((y.double() * random(*y.shape, seed=n)).sum() for n, y in enumerate(outputs))
    return [y.detach() for y in outputs] + list(torch.autograd.grad(loss, inputs))


def assert_near(found: list[Tensor], expected: list[Tensor], bound: float) -> None:
    assert len(found) == len(expected)
    for number, (a, b) in enumerate(zip(found, expected, strict=True)):
        difference = float((a.double() - b).abs().max() / b.abs().max())
        assert difference < bound, f"tensor {number} differs by {difference:.2g}"


@pytest.mark.parametrize("n_positions", [1, 2, 63, 1_000, 1_025, 70_000])
@DTYPES
def test_short_convolution(n_positions, dtype):
    inputs = [random(12, 2, n_positions).to(dtype), random(12, 3), random(12)]
    wide = [x.double().requires_grad_() for x in inputs]
    for x in inputs:
        x.requires_grad_()

    gated, gates = short_conv_gate(*inputs, order=2, kernels="triton")
    expected, expected_gates = short_conv_gate(*wide, order=2, kernels="torch")

    assert_near(
        differentiated([gated, *gates], inputs),
        differentiated([expected, *expected_gates], wide),
        max(ROUNDING[dtype], 1e-4),  # sums over all positions
    )


@pytest.mark.parametrize(
    "n_positions", [1, 3, 63, 700, 1_025, 2_048, 4_096, 4_097, 70_000, 1_000_000]
)
@pytest.mark.parametrize(("kernels", "least"), [("triton", 2e-5), ("triton-fp16", 1e-2)])
@DTYPES
def test_long_convolution(n_positions, kernels, least, dtype):
    n_channels = 4
    filter_DL = random(n_channels, n_positions) / n_positions**0.5
    u_DBL, gate_DBL = (random(n_channels, 2, n_positions, seed=n).to(dtype) for n in (1, 2))
    inputs = [u_DBL, filter_DL, random(n_channels), gate_DBL]
    wide = [x.double().requires_grad_() for x in inputs]
    for x in inputs:
        x.requires_grad_()

    y = long_conv_gate(*inputs, kernels=kernels)
    expected = long_conv_gate(*wide, kernels="torch")

    assert_near(
        differentiated([y], inputs), differentiated([expected], wide), max(ROUNDING[dtype], least)
    )


@pytest.mark.parametrize("n_positions", [1, 63, 4_097, 160_000])
def test_filters(n_positions):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        filter_fn = ImplicitFilter(
            ModelConfig(d_model=128, n_layer=1, d_inner=128, l_max=160_002)
        ).to(DEVICE)
    exact = copy.deepcopy(filter_fn).double()

    def found_by(module: ImplicitFilter, kernels: str) -> list[Tensor]:
        weights = [p for name, p in module.named_parameters() if name != "bias"]
        return differentiated(list(module(n_positions, kernels=kernels)), weights)

    # sin(10 x) three times over: float32 loses digits in any order of summation.
    assert_near(found_by(filter_fn, "triton"), found_by(exact, "torch"), 1e-3)


def model_of(length: int) -> HyenaDNA:
    """Weights large enough that every part matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = ModelConfig(d_model=128, n_layer=2, d_inner=512, l_max=length, embed_dropout=0.0)
        model = HyenaDNA(config).eval()
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "freq" not in name:
                torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return model.to(DEVICE)


def token_ids(n_rows: int, length: int) -> Tensor:
    generator = torch.Generator().manual_seed(length)
    return torch.randint(7, 11, (n_rows, length), generator=generator).to(DEVICE)


@pytest.mark.parametrize("length", [1_000, 4_097, 50_000])
@pytest.mark.parametrize("kernels", ["torch", "triton"])
@torch.no_grad()
def test_hidden_states_are_those_of_the_plain_formulation_in_float64(kernels, length):
    model, ids_BL = model_of(length), token_ids(2, length)
    exact_BLD = plain_hyena.hidden_states(copy.deepcopy(model).double(), ids_BL)

    for matmul_dtype, bound in ((None, 1e-4), (torch.bfloat16, 3e-2)):
        model.execution = Execution(kernels=kernels, matmul_dtype=matmul_dtype)
        found_BLD = model.hidden_states(ids_BL)[0]
        assert float((found_BLD - exact_BLD).norm() / exact_BLD.norm()) < bound


@pytest.mark.parametrize("recompute", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("length", [1_000, 20_000])
def test_gradients_of_a_model_are_those_of_the_portable_path(length, recompute):
    model, ids_BL = model_of(length), token_ids(2, length)
    parameters = [p for p in model.parameters() if p.requires_grad]

    def gradients(kernels: str) -> Tensor:
        model.execution = Execution(kernels=kernels, recompute_blocks=recompute)
        loss = model(ids_BL).square().mean()
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])

    expected = gradients("torch")
    assert float((gradients("triton") - expected).norm() / expected.norm()) < 1e-3


def test_the_kernels_pass_their_check_and_doctor_says_so(hyenadna, monkeypatch, tmp_path):
    monkeypatch.setattr(long_conv_choice, "file", lambda: tmp_path / "times.json")

    assert choice.triton_problem(DEVICE) is None
    done = hyenadna("doctor", "--device", "cuda", "--kernels", "triton")

    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if "long convolution by length" in line]
    assert "not measured on this GPU" in line


def test_measuring_operators_decides_what_convolves(hyenadna, monkeypatch, tmp_path):
    monkeypatch.setattr(long_conv_choice, "file", lambda: tmp_path / "times.json")

    done = hyenadna(
        "benchmark",
        "--lengths",
        "1024,8192",
        "--device",
        "cuda",
        "--dtype",
        "fp32",
        "--kernels",
        "torch,triton",
        "--against",
        "none",
        "--repeats",
        1,
        "--extrapolate",
        0,
        "--operators",
        tmp_path / "operators.tsv",
        "-o",
        tmp_path / "speed.tsv",
    )

    assert done.code == 0, done.err
    described = runtime.resolve(device="cuda", kernels="triton").long_conv.describe()
    assert described.count("1,024 ") == described.count("8,192 ") == 2


def test_the_benchmark_of_a_gpu_runs(hyenadna, tmp_path):
    """Its first cases, within a minute."""
    done = hyenadna(
        "benchmark",
        "--case",
        "gpu",
        "--device",
        "cuda",
        "--dtype",
        "bf16",
        "--kernels",
        "torch,triton",
        "--max-seconds",
        5,
        "--repeats",
        1,
        "--extrapolate",
        0,
        "--max-minutes",
        0.5,
        "-o",
        tmp_path / "gpu.tsv",
    )

    assert done.code == 0, done.err
    rows = list(csv.DictReader(io.StringIO((tmp_path / "gpu.tsv").read_text()), delimiter="\t"))
    first = [row for row in rows if (row["length"], row["pass"]) == ("32768", "forward")]
    assert {row["implementation"] for row in first} == {"plain", "hyenadna", "attention"}
    assert all(row["status"] == "OK" for row in first)
