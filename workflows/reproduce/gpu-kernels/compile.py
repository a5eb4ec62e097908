"""Compile every Triton kernel configuration for GPU targets, without a GPU; list what each takes.

    table=docs/figures/gpu-kernels/compiled.tsv
    python workflows/reproduce/gpu-kernels/compile.py --targets 80,90 > $table

One row per kernel, precision, size and target: registers and stack bytes per thread (a stack means
spills), shared memory bytes per program. Exit 1 if one needs more than its target has.

After a change of sizes alone, `--known TABLE` takes from a copy of it what it lists.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    os.environ.pop("TRITON_INTERPRET", None)  # before Triton is imported: kernels must compile here

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from hyenadna_cli.ops.gpu import (
    dft,
    implicit_filter,
    long_conv,
    long_conv_passes,
    short_conv,
)

COLUMNS = (
    "target",
    "kernel",
    "stream",
    "precision",
    "size",
    "factors",
    "flags",
    "warps",
    "registers",
    "stack",
    "shared",
)
PRECISIONS = ("tf32x3", "fp16")
SHARED_BYTES = {80: 163 * 1024, 90: 227 * 1024}
_STREAMS = {
    "u_ptr",
    "gate_ptr",
    "y_ptr",
    "dy_ptr",
    "du_ptr",
    "dgate_ptr",
    "x_ptr",
    "factor_ptr",
    "other_ptr",
    "out_ptr",
    "proj_ptr",
    "gated_ptr",
    "gates_ptr",
    "d_gated_ptr",
    "d_gates_ptr",
    "d_proj_ptr",
}
"""Arguments that follow the precision of the model's activations; all others are float32."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """One kernel as it is launched."""

    kernel: Any
    constants: dict[str, Any]
    n_warps: int

    @property
    def name(self) -> str:
        """Of the operator and its kernel."""
        module = self.kernel.fn.__module__.rpartition(".")[2]
        return f"{module}.{self.kernel.fn.__name__.removesuffix('_kernel')}"

    @property
    def size(self) -> str:
        """Transform points, or what else the kernel is made for."""
        sizes = self.constants
        for name in ("N", "K", "LAYER", "F"):
            if name in sizes:
                return str(sizes[name]) if name == "N" else f"{name}={sizes[name]}"
        raise ValueError(f"{self.name} has no size")

    def cells(self, capability: int, stream: str) -> list[str]:
        """The table's columns up to what compiling tells."""
        sizes = self.constants
        factors = [str(sizes[name]) for name in "ABC" if name in sizes]
        flags = [name for name, value in sizes.items() if value is True]
        return [
            f"sm_{capability}",
            self.name,
            stream,
            str(sizes.get("PRECISION", "fp32")),
            self.size,
            "x".join(factors) or "-",
            ",".join(flags) or "-",
            str(self.n_warps),
        ]


def configurations(precision: str) -> Iterator[Configuration]:
    """Every kernel at every size that `plan` chooses; only long convolutions know fp16."""
    if precision != "fp16":
        for n_taps in (3, 7):
            sizes = {"ORDER": 2, "K": n_taps, "POSITIONS": short_conv.POSITIONS}
            yield Configuration(short_conv.forward_kernel, sizes, 4)
            yield Configuration(short_conv.backward_kernel, sizes, 4)
        yield from _implicit_filter(precision)
    for exponent in range(8, 22):
        yield from _long_conv(dft.plan(1 << exponent, torch.device("cpu")), precision)


def _implicit_filter(precision: str) -> Iterator[Configuration]:
    """The network of every published model: 5 features, width 64, 3 hidden layers."""
    kernels = implicit_filter

    def constants(tile: implicit_filter.Tile, **more: int) -> dict[str, Any]:
        return {**kernels.sizes(5, 64, 3, tile), "PRECISION": precision, **more}

    forward, backward = kernels.FORWARD, kernels.BACKWARD
    yield Configuration(kernels.taps_kernel, constants(forward), forward.n_warps)
    yield Configuration(kernels.last_gradient_kernel, constants(backward), backward.n_warps)
    for layer in range(3):
        flags = constants(backward, LAYER=layer)
        yield Configuration(kernels.hidden_gradient_kernel, flags, backward.n_warps)


def _long_conv(how: dft.Plan, precision: str) -> Iterator[Configuration]:
    def constants(transform: dft.Transform, **flags: object) -> dict[str, Any]:
        sizes = transform.arguments()
        del sizes["tables_ptr"]
        return {**sizes, "PRECISION": precision, **flags}

    rows, passes = long_conv, long_conv_passes
    n_warps = dft.row_warps(how.inner)
    if how.outer is None:
        for has_factor in (False, True):
            flags = constants(how.inner, HAS_FACTOR=has_factor)
            yield Configuration(rows.spectrum_kernel, flags, n_warps)
        for kernel in (rows.conv_kernel, rows.filter_gradient_kernel, rows.backward_kernel):
            yield Configuration(kernel, constants(how.inner), n_warps)
        return
    for has_spectrum in (False, True):
        flags = constants(how.inner, HAS_SPECTRUM=has_spectrum)
        yield Configuration(passes.inner_kernel, flags, n_warps)
    for kernel in (passes.inner_filter_gradient_kernel, passes.inner_backward_kernel):
        yield Configuration(kernel, constants(how.inner), n_warps)
    columns = passes.n_columns(how.outer)
    for has_factor in (False, True):
        flags = constants(how.outer, COLUMNS=columns, HAS_FACTOR=has_factor)
        yield Configuration(passes.outer_forward_kernel, flags, passes.OUTER_WARPS)
    for gate, skip, factor in ((0, 0, 0), (1, 1, 0), (0, 1, 1)):
        flags = constants(
            how.outer,
            COLUMNS=columns,
            HAS_SKIP=bool(skip),
            HAS_FACTOR=bool(factor),
            HAS_GATE=bool(gate),
            HAS_OTHER=bool(factor),
        )
        yield Configuration(passes.outer_inverse_kernel, flags, passes.OUTER_WARPS)


def compiled(configuration: Configuration, capability: int, stream: str) -> Any:
    """The kernel for a GPU of this compute capability; `stream` is the type of activations."""
    names = configuration.kernel.arg_names
    signature = {}
    for name in names:
        if name in configuration.constants:
            signature[name] = "constexpr"
        elif name.endswith("_ptr"):
            signature[name] = f"*{stream if name in _STREAMS else 'fp32'}"
        else:
            signature[name] = "fp32" if name == "shift" else "i32"
    # Tensors are aligned to 16 bytes, as the launcher tells the compiler.
    aligned = [(i,) for i, name in enumerate(names) if name.endswith("_ptr")]
    return triton.compile(
        ASTSource(
            fn=configuration.kernel,
            signature=signature,
            constexprs=configuration.constants,
            attrs={at: [["tt.divisibility", 16]] for at in aligned},
        ),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": configuration.n_warps},
    )


def resources(cubin: bytes) -> dict[str, int]:
    """REG and STACK of a compiled kernel, read by the tool that comes with Triton."""
    tool = next(Path(triton.__file__).parent.rglob("cuobjdump"))
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run(  # noqa: S603
            [str(tool), "-res-usage", file.name], capture_output=True, text=True, check=True
        ).stdout
    pairs = (word.split(":") for word in said.split() if word.startswith(("REG:", "STACK:")))
    return {name: int(value) for name, value in pairs}


def main() -> int:
    """Print the table; 1 if a kernel cannot run on its target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", default="80,90", help="compute capabilities, with commas")
    parser.add_argument("--streams", default="fp32", help="types of activations: fp32,bf16")
    parser.add_argument("--precisions", default=",".join(PRECISIONS), help="ieee as well")
    parser.add_argument("--only", default="", help="regular expression for kernel and size")
    parser.add_argument("--known", type=Path, help="a table whose rows need not be compiled")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    known = {} if given.known is None else read_rows(given.known)
    n_too_large = 0
    print(*COLUMNS, sep="\t")
    for capability, stream, precision in itertools.product(
        map(int, given.targets.split(",")), given.streams.split(","), given.precisions.split(",")
    ):
        for configuration in configurations(precision):
            if not re.search(given.only, f"{configuration.name} {configuration.size}"):
                continue
            cells = configuration.cells(capability, stream)
            taken = known.get(tuple(cells))
            if taken is None:
                kernel = compiled(configuration, capability, stream)
                used = resources(kernel.asm["cubin"])
                taken = (used["REG"], used["STACK"], kernel.metadata.shared)
            print(*cells, *taken, sep="\t", flush=True)
            n_too_large += taken[-1] > SHARED_BYTES[capability]
    return int(n_too_large > 0)


def read_rows(path: Path) -> dict[tuple[str, ...], tuple[int, ...]]:
    """From what a row is of to what it says."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))[1:]
    return {tuple(row[:-3]): tuple(map(int, row[-3:])) for row in rows}


if __name__ == "__main__":
    sys.exit(main())
