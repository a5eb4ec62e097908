"""The table of compiled GPU kernels lists what is shipped, and what it says can be had again."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "workflows" / "reproduce" / "gpu-kernels" / "compile.py"
TARGETS = (80, 90)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_kernels_compile", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table() -> list[dict[str, str]]:
    with (ROOT / "docs" / "figures" / "gpu-kernels" / "compiled.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_the_table_lists_exactly_the_kernels_that_are_shipped(script, table):
    shipped = [
        configuration.cells(capability, "fp32")
        for capability in TARGETS
        for precision in script.PRECISIONS
        for configuration in script.configurations(precision)
    ]
    n_known = len(shipped[0])

    listed = [list(row.values())[:n_known] for row in table]

    assert sorted(listed) == sorted(shipped)


def test_every_kernel_fits_into_its_target(script, table):
    for row in table:
        limit = script.SHARED_BYTES[int(row["target"].removeprefix("sm_"))]
        assert int(row["shared"]) <= limit, row
        assert 0 < int(row["registers"]) <= 255, row
        assert 32 * int(row["warps"]) * int(row["registers"]) <= 65_536, row


def test_transforms_spill_only_where_rows_have_4096_points(table):
    spilling = {
        int(row["size"])
        for row in table
        if row["kernel"].startswith("long_conv") and int(row["stack"]) > 0
    }

    assert spilling <= {1 << 12, 1 << 20, 1 << 21}


@pytest.mark.slow
def test_kernels_compile_for_gpus_without_one():
    """A small one of each operator; all of them are compiled when the table is made."""
    only = r"short_conv.forward K=3|implicit_filter.taps|long_conv.spectrum 256"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TRITON_INTERPRET", None)

    done = subprocess.run(
        [sys.executable, SCRIPT, "--targets", "80,90", "--precisions", "tf32x3", "--only", only],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(done.stdout.splitlines(), delimiter="\t"))
    kernels = ["short_conv.forward", "implicit_filter.taps"] + 2 * ["long_conv.spectrum"]
    assert [(row["target"], row["kernel"]) for row in rows] == [
        (f"sm_{target}", kernel) for target in TARGETS for kernel in kernels
    ]
    assert all(int(row["registers"]) > 0 for row in rows)
