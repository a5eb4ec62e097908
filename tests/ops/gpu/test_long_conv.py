"""The Triton kernels, run by Triton's interpreter, against the float64 definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.ops import reference
from hyenadna_cli.ops.gpu import dft, long_conv_passes
from hyenadna_cli.ops.gpu import long_conv as on_gpu

LENGTHS = (1, 2, 3, 63, 257, 1000, 1025, 4097)


def _case(n_positions: int, *, n_channels: int = 2, n_batch: int = 2) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(n_positions)
    sizes = {
        "u": (n_channels, n_batch, n_positions),
        "filter": (n_channels, n_positions),
        "skip": (n_channels,),
        "gate": (n_channels, n_batch, n_positions),
    }
    return tuple(torch.randn(size, generator=random) for size in sizes.values())


def _error(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((found.double() - wanted).abs().max() / wanted.abs().max())


def _expected(inputs: tuple[Tensor, ...], d_y: Tensor) -> tuple[Tensor, list[Tensor]]:
    wide = [tensor.double().requires_grad_() for tensor in inputs]
    y = reference.long_conv_gate(*wide)
    return y.detach(), list(torch.autograd.grad(y, wide, d_y.double()))


@pytest.mark.slow
@pytest.mark.parametrize("n_positions", LENGTHS)
def test_values_and_gradients_are_those_of_the_definition(n_positions: int) -> None:
    n_channels = 1 if n_positions > 4096 else 2
    inputs = _case(n_positions, n_channels=n_channels)
    d_y = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(1))
    y, gradients = _expected(inputs, d_y)
    assert _error(on_gpu.forward(*inputs), y) < 1e-6
    for found, wanted in zip(on_gpu.backward(d_y, *inputs), gradients, strict=True):
        assert _error(found, wanted) < 2e-6


@pytest.mark.slow
def test_both_levels_may_have_two_factors_or_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """As transforms of a million points have, here with rows that are shorter."""
    small = dft.plan(40_000, torch.device("cpu"), max_row_points=256)
    assert small.outer is not None
    assert (small.outer.factors, small.inner.factors) == ((16, 16), (16, 16, 1))
    monkeypatch.setattr(on_gpu, "plan", lambda n, device: small)
    u, kernel, skip, gate = inputs = _case(40_000, n_channels=1, n_batch=1)
    spectra = torch.fft.rfft(u.double(), n=80_000) * torch.fft.rfft(kernel.double(), n=80_000)
    conv = torch.fft.irfft(spectra, n=80_000)[..., :40_000]
    assert _error(on_gpu.forward(*inputs), gate * (conv + skip * u)) < 1e-6


@pytest.mark.slow
def test_channels_in_groups_are_those_of_one_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = _case(4100, n_channels=2, n_batch=1)
    together = on_gpu.forward(*inputs)
    monkeypatch.setattr(on_gpu, "_CACHED_BYTES", 1)
    torch.testing.assert_close(on_gpu.forward(*inputs), together, rtol=0, atol=0)


def test_a_filter_may_be_a_longer_one_cut_short() -> None:
    u, _, skip, gate = _case(300)
    longer = torch.randn(2, 900, generator=torch.Generator().manual_seed(2))
    cut = longer[:, :300]
    found = on_gpu.forward(u, longer, skip, gate)
    torch.testing.assert_close(found, on_gpu.forward(u, cut.contiguous(), skip, gate))


def test_bfloat16_goes_in_and_out_and_float32_between() -> None:
    u, kernel, skip, gate = _case(1000)
    u, gate = u.bfloat16(), gate.bfloat16()
    y = on_gpu.forward(u, kernel, skip, gate)
    assert y.dtype == torch.bfloat16
    # The interpreter cuts where a GPU rounds.
    assert _error(y, reference.long_conv_gate(u, kernel, skip, gate)) < 2**-7


@pytest.mark.slow
@pytest.mark.parametrize("n_positions", [1, 3, 63, 1000, 1025, 4097])
def test_half_precision_keeps_the_error_that_is_stated(n_positions: int) -> None:
    """docs/gpu-kernels.md: at most 1e-3, root mean square; here of few numbers, so twice that."""
    n_channels = 1 if n_positions > 4096 else 2
    inputs = _case(n_positions, n_channels=n_channels)
    d_y = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(1))
    y, gradients = _expected(inputs, d_y)
    found = [
        on_gpu.forward(*inputs, precision="fp16"),
        *on_gpu.backward(d_y, *inputs, precision="fp16"),
    ]
    errors = [
        float((f.double() - wanted).norm() / wanted.norm())
        for f, wanted in zip(found, [y, *gradients], strict=True)
    ]
    assert max(errors) < 2e-3
    assert max(errors) > 1e-5  # rounded it is


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2.0**-80, 2.0**50])
def test_half_precision_has_the_range_of_float32(scale: float) -> None:
    """Rows far louder or quieter than fp16's range are rounded as others, and disturb none."""
    u, kernel, skip, gate = _case(300)
    plain = on_gpu.forward(u, kernel, skip, gate, precision="fp16")
    scales = torch.tensor([1.0, scale])[:, None, None]
    found = on_gpu.forward(u * scales, kernel, skip, gate, precision="fp16")
    torch.testing.assert_close(found / scales, plain, rtol=0, atol=0)
    silent = on_gpu.forward(torch.zeros_like(u), kernel, skip, gate, precision="fp16")
    assert torch.count_nonzero(silent) == 0


@pytest.mark.filterwarnings("ignore:All-NaN")  # NumPy's, in the interpreter
def test_half_precision_does_not_hide_what_is_not_a_number() -> None:
    u, kernel, skip, gate = _case(300)
    u[0, 0, 7] = float("nan")
    y = on_gpu.forward(u, kernel, skip, gate, precision="fp16")
    assert y[0, 0, 7:].isnan().all()
    assert y[1].isfinite().all()


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "bound"), [("tf32x3", 2e-6), ("ieee", 2e-6), ("fp16", 5e-3)])
@pytest.mark.parametrize("n_positions", [700, 5000, 70_000])
def test_precisions_keep_their_promise(
    precision: dft.Precision, bound: float, n_positions: int
) -> None:
    inputs = tuple(tensor.cuda() for tensor in _case(n_positions))
    u, kernel, skip, gate = (tensor.double() for tensor in inputs)
    spectra = torch.fft.rfft(kernel, n=2 * n_positions)[:, None]
    conv = torch.fft.irfft(torch.fft.rfft(u, n=2 * n_positions) * spectra, n=2 * n_positions)
    expected = gate * (conv[..., :n_positions] + skip[:, None, None] * u)
    assert _error(on_gpu.forward(*inputs, precision=precision), expected) < bound


def test_every_length_has_factors_that_tensor_cores_take() -> None:
    for exponent in range(8, 22):
        how = dft.plan(1 << exponent, torch.device("cpu"))
        for transform in filter(None, (how.outer, how.inner)):
            # The last of a row may be less: its matrix is widened.
            sizes = transform.factors if transform is how.outer else transform.factors[:2]
            assert all(size in (1, 16, 32) for size in sizes)
        assert how.inner.size * (how.outer.size if how.outer else 1) == how.n_points
        columns = how.outer and long_conv_passes.n_columns(how.outer)
        assert not columns or how.inner.size % columns == 0
    with pytest.raises(ValueError, match="the kernels take"):
        dft.plan((1 << 21) + 1, torch.device("cpu"))


@pytest.mark.slow
def test_a_model_trains_on_them_as_on_the_portable_path() -> None:
    """Loss and every gradient, short and long convolutions together."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HyenaDNA(ModelConfig(d_model=4, n_layer=2, d_inner=8, l_max=66, filter_order=8))
        model.eval()  # no dropout
    ids = torch.randint(7, 11, (2, 65), generator=torch.Generator().manual_seed(1))

    def gradients(kernels: str) -> list[Tensor]:
        model.execution = Execution(kernels=kernels)
        parameters = [p for p in model.parameters() if p.requires_grad]
        loss = model(ids).square().mean()
        return [loss.detach(), *torch.autograd.grad(loss, parameters)]

    for found, wanted in zip(gradients("triton"), gradients("torch"), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-6 + 1e-4 * wanted.abs().max())
