"""The long convolution with skip and gate, against a Toeplitz product."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.ops import long_conv, reference
from hyenadna_cli.ops.long_conv import (
    fft_size,
    filter_spectra,
    long_conv_gate,
    served_positions,
)

LENGTHS = [1, 2, 3, 63, 100, 257]


def inputs(n_positions: int, *, n_channels: int = 5, n_batch: int = 3, dtype=torch.float64):
    generator = torch.Generator().manual_seed(n_positions)
    shapes = [
        (n_channels, n_batch, n_positions),
        (n_channels, n_positions),
        (n_channels,),
        (n_channels, n_batch, n_positions),
    ]
    return [
        torch.randn(shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes
    ]


@pytest.mark.parametrize("n_positions", LENGTHS, ids=lambda n: f"L{n}")
def test_values_and_gradients_are_those_of_the_definition(n_positions):
    tensors = inputs(n_positions)
    expected = reference.long_conv_gate(*tensors)
    cotangent = torch.linspace(-1, 1, expected.numel(), dtype=torch.float64).view_as(expected)

    result = long_conv_gate(*tensors, kernels="torch")

    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(
        torch.autograd.grad(result, tensors, cotangent),
        torch.autograd.grad(expected, tensors, cotangent),
    )


@pytest.mark.parametrize("n_positions", [*LENGTHS, 4_097], ids=lambda n: f"L{n}")
@pytest.mark.parametrize("n_channels", [1, 16, 21])
@pytest.mark.parametrize("kernels", ["torch", "numba"])
def test_signals_in_bfloat16_are_rounded_where_they_are_kept_and_nowhere_else(
    n_positions, n_channels, kernels
):
    if kernels == "numba":
        pytest.importorskip("numba")
    u, filters, skip, gate = (
        tensor.detach()
        for tensor in inputs(n_positions, n_channels=n_channels, dtype=torch.float32)
    )
    # Channels last, as the forward pass holds them.
    rounded = u.permute(1, 2, 0).bfloat16().contiguous().permute(2, 0, 1)
    expected = reference.long_conv_gate(*(x.double() for x in (rounded, filters, skip, gate)))

    result = long_conv_gate(rounded, filters, skip, gate, kernels=kernels, in_place=True)

    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result.double(), expected, rtol=2**-8, atol=1e-4)


def test_blocks_of_channels_do_not_show(monkeypatch):
    tensors = inputs(100, n_channels=19)
    whole = long_conv_gate(*tensors, kernels="torch")

    monkeypatch.setattr(long_conv, "_GROUP_BYTES", 1)
    blocked = long_conv_gate(*tensors, kernels="torch")

    torch.testing.assert_close(blocked, whole, rtol=1e-13, atol=1e-13)


KERNELS = ["torch", "numba"]


@pytest.mark.slow
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("n_positions", [*LENGTHS, 1000, 1025, 2049], ids=lambda n: f"L{n}")
def test_float32_stays_within_rounding_of_float64(n_positions, kernels):
    tensors = inputs(n_positions, n_channels=19, dtype=torch.float32)
    expected = reference.long_conv_gate(*tensors)
    cotangent = torch.linspace(-1, 1, expected.numel(), dtype=torch.float64).view_as(expected)

    result = long_conv_gate(*tensors, kernels=kernels)

    # FFT rounding is relative to the largest value of the signal, not to each entry.
    assert (result - expected).abs().max() < 1e-6 * expected.abs().max()
    gradients = torch.autograd.grad(result, tensors, cotangent.float())
    of_definition = torch.autograd.grad(expected, tensors, cotangent)
    for found, wanted in zip(gradients, of_definition, strict=True):
        assert (found - wanted).abs().max() < 2e-6 * wanted.abs().max()


@pytest.mark.parametrize("kernels", KERNELS)
def test_spectra_and_taps_on_demand_do_what_filters_do(kernels):
    u, k, skip, gate = (t.detach() for t in inputs(100, n_channels=40, dtype=torch.float32))
    expected = long_conv_gate(u, k, skip, gate, kernels="torch")
    spectra = filter_spectra(k, kernels=kernels)

    by_spectra = long_conv_gate(u, spectra, skip, gate, kernels=kernels)
    by_taps = long_conv_gate(u, lambda rows: k[rows], skip, gate, kernels=kernels)
    part = slice(16, 40)
    of_some = long_conv_gate(
        u[part], spectra.of(part), skip[part], gate[part], kernels=kernels, in_place=True
    )

    scale = expected.abs().max()
    for found, wanted in (
        (by_spectra, expected),
        (by_taps, expected),
        (of_some, expected[part]),
        (u[part], of_some),
    ):
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-6 * float(scale))


@pytest.mark.parametrize("kernels", ["torch", "numba"])
@pytest.mark.parametrize("n_positions", [1, 7, 97, 1_000])
def test_spectra_serve_every_length_of_their_transform(n_positions, kernels):
    """Taps behind the end of a signal reach none of its outputs."""
    n_taps = served_positions(n_positions, kernels=kernels)
    u, k, skip, gate = (t.detach() for t in inputs(n_taps, n_channels=19, dtype=torch.float32))
    spectra = filter_spectra(k, kernels=kernels)
    short_u, short_gate = u[..., :n_positions], gate[..., :n_positions]

    found = long_conv_gate(short_u, spectra, skip, short_gate, kernels=kernels)

    expected = reference.long_conv_gate(short_u, k, skip, short_gate)
    # Rounding is relative to the outputs of all taps, those that are cut off included.
    scale = reference.long_conv_gate(u, k, skip, gate).abs().max()
    assert (found - expected).abs().max() < 1e-6 * scale
    assert n_taps == served_positions(n_taps, kernels=kernels) >= n_positions
    too_long = torch.cat([u, u[..., :1]], dim=-1)
    with pytest.raises(ValueError, match="do not fit"):
        long_conv_gate(too_long, spectra, skip, torch.ones_like(too_long), kernels=kernels)


@pytest.mark.parametrize("kernels", KERNELS)
def test_without_a_gate_is_with_a_gate_of_ones(kernels):
    u, k, skip, gate = inputs(100, dtype=torch.float32)

    ungated = long_conv_gate(u, k, skip, kernels=kernels)

    gated = long_conv_gate(u, k, skip, torch.ones_like(gate), kernels=kernels)
    torch.testing.assert_close(ungated, gated)
    cotangent = torch.ones_like(u)
    torch.testing.assert_close(
        torch.autograd.grad(ungated, (u, k, skip), cotangent),
        torch.autograd.grad(gated, (u, k, skip), cotangent),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("shared", [False, True])
def test_long_compiled_transforms_are_right_alone_and_shared_by_threads(monkeypatch, shared):
    from hyenadna_cli.ops.cpu import long_conv as on_cpu

    if shared:
        monkeypatch.setattr(on_cpu, "_SHARED_POINTS", 1)
    tensors = [t.detach() for t in inputs(4097, n_channels=20, n_batch=2, dtype=torch.float32)]
    exact = long_conv_gate(*(t.double() for t in tensors), kernels="torch")

    result = long_conv_gate(*tensors, kernels="numba")

    assert (result - exact).abs().max() < 1e-6 * exact.abs().max()


def test_bfloat16_inputs_are_convolved_in_float32():
    tensors = [tensor.detach().bfloat16() for tensor in inputs(257)]

    result = long_conv_gate(*tensors, kernels="torch")

    expected = reference.long_conv_gate(*tensors)
    assert result.dtype == torch.bfloat16
    # bfloat16 carries 8 significant bits: only the final rounding and the gate product show.
    assert (result - expected).abs().max() < 1e-2 * expected.abs().max()


def test_a_non_contiguous_input_gives_the_same():
    u, k, skip, gate = inputs(63)
    strided = u.detach().transpose(0, 2).contiguous().transpose(0, 2)

    result = long_conv_gate(strided, k, skip, gate, kernels="torch")

    torch.testing.assert_close(result, long_conv_gate(u, k, skip, gate, kernels="torch"))


def test_a_longer_filter_is_read_as_its_prefix():
    u, k, skip, gate = inputs(63)
    longer = torch.cat([k, torch.ones(5, 20, dtype=k.dtype)], dim=1)

    result = long_conv_gate(u, longer, skip, gate, kernels="torch")

    torch.testing.assert_close(result, long_conv_gate(u, k, skip, gate, kernels="torch"))


def test_shapes_that_do_not_fit_are_refused():
    u, k, skip, gate = inputs(63)

    with pytest.raises(ValueError, match="62 taps for 63 positions"):
        long_conv_gate(u, k[:, :-1], skip, gate, kernels="torch")
    with pytest.raises(ValueError, match="do not fit"):
        long_conv_gate(u, k[:-1], skip, gate, kernels="torch")
    with pytest.raises(ValueError, match="is not like"):
        long_conv_gate(u, k, skip, gate[..., :-1], kernels="torch")


@given(st.integers(1, 3_000_000))
def test_the_fft_size_is_even_smooth_and_large_enough(minimum):
    size = fft_size(minimum)

    rest = size
    for prime in (2, 3, 5, 7):
        while rest % prime == 0:
            rest //= prime
    assert rest == 1
    assert size % 2 == 0
    assert size >= minimum
    assert size <= max(4, 1.25 * minimum)
