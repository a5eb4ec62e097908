"""Measure the rounding of the long convolution's precisions against float64, without a GPU.

    python workflows/reproduce/gpu-kernels/errors.py --lengths 1000,4097,32768

Triton's interpreter runs the kernels: it rounds to fp16 as a GPU does, and adds up in float32. (It
knows no tf32, so tf32x3 would be float32.) One row a length: relative root mean square errors of
values and of the gradients for input, filter, skip and gate; random inputs, and filters of unit
energy that decay to 1 % over the length.
"""

from __future__ import annotations

import argparse
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported

import torch
from torch import Tensor

from hyenadna_cli.ops.gpu import long_conv

COLUMNS = ("precision", "length", "values", "d_input", "d_filter", "d_skip", "d_gate")


def errors(n_positions: int, precision: str, *, n_channels: int, n_batch: int) -> list[float]:
    """Relative root mean square errors of `COLUMNS`."""
    random = torch.Generator().manual_seed(n_positions)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    streams = (n_channels, n_batch, n_positions)
    window_L = torch.logspace(0, -2, n_positions)
    window_L /= window_L.square().sum().sqrt()
    inputs = [
        draw(*streams),
        draw(n_channels, n_positions) * window_L,
        draw(n_channels),
        draw(*streams),
    ]
    d_y = draw(*streams)
    wide = [tensor.double().requires_grad_() for tensor in inputs]
    u, taps, skip, gate = wide
    n_points = 2 * n_positions
    spectra = torch.fft.rfft(u, n=n_points) * torch.fft.rfft(taps, n=n_points)[:, None]
    conv = torch.fft.irfft(spectra, n=n_points)[..., :n_positions]
    y = gate * (conv + skip[:, None, None] * u)
    expected = [y.detach(), *torch.autograd.grad(y, wide, d_y.double())]
    found = [
        long_conv.forward(*inputs, precision=precision),
        *long_conv.backward(d_y, *inputs, precision=precision),
    ]
    return [float((f.double() - e).norm() / e.norm()) for f, e in zip(found, expected, strict=True)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", default="1000,1025,4097,32768", help="with commas")
    parser.add_argument("--precisions", default="ieee,fp16", help="ieee, fp16")
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--batch", type=int, default=1)
    given = parser.parse_args()
    print(*COLUMNS, sep="\t")
    for length in map(int, given.lengths.split(",")):
        for precision in given.precisions.split(","):
            row = errors(length, precision, n_channels=given.channels, n_batch=given.batch)
            print(precision, length, *(f"{error:.1e}" for error in row), sep="\t", flush=True)


if __name__ == "__main__":
    sys.exit(main())
