"""The model, its kernels and the benchmark need no library that reads genomes.

A machine lent for its GPU has torch and Triton, and often nothing that reads FASTA, VCF or HDF5.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hyenadna_cli"
ABSENT = ("pysam", "cyvcf2", "pyfaidx", "Bio", "h5py")
# Read by Python when it starts, by the processes that the program starts as well.
REFUSAL = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
"""


@pytest.fixture
def bare(tmp_path):
    """`bare("-c", "...")`: Python where none of those libraries can be imported."""
    (tmp_path / "sitecustomize.py").write_text(REFUSAL)
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{PACKAGE.parent}"}

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize("name", ABSENT)
def test_the_libraries_are_refused_here(bare, name):
    done = bare("-c", f"import {name}")

    assert done.returncode == 1
    assert f"ModuleNotFoundError: No module named '{name}'" in done.stderr


@pytest.mark.slow
def test_model_operators_training_and_benchmark_import(bare):
    names = ["hyenadna_cli.core.training.loop"]
    for folder in ("ops", "core/model", "core/machine"):
        paths = sorted((PACKAGE / folder).rglob("*.py"))
        names += [
            ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
            for path in paths
            if path.stem != "__init__"
        ]
    assert "hyenadna_cli.ops.gpu.long_conv" in names
    assert "hyenadna_cli.core.machine.benchmark.worker" in names

    done = bare("-c", "\n".join(f"import {name}" for name in names))

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_benchmark_runs(bare, tmp_path):
    table, operators = tmp_path / "speed.tsv", tmp_path / "operators.tsv"

    done = bare(
        "-m",
        "hyenadna_cli",
        "benchmark",
        "--lengths",
        "40",
        "--d-model",
        "16",
        "--n-layer",
        "1",
        "--backward",
        "--recompute",
        "--repeats",
        "1",
        "--threads",
        "1",
        "--device",
        "cpu",
        "--dtype",
        "fp32",
        "--kernels",
        "torch",
        "-o",
        table,
        "--operators",
        operators,
    )

    assert done.returncode == 0, done.stderr
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["length"] == "40"]
    assert [(row["implementation"], row["status"]) for row in rows] == 2 * [
        (name, "OK") for name in ("plain", "hyenadna", "attention")
    ]
    assert len(operators.read_text().splitlines()) == 1 + 6
