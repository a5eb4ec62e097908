"""What one GPU has to show, in one call of less than nine minutes: a folder of tables.

    python workflows/gpu/measure.py OUT [--minutes 8.5] [--device cuda] [--kernels torch,triton]

| file | what it says |
|---|---|
| `steps.tsv` | one row per step: OK, FAILED, STOPPED (out of time) or SKIPPED, seconds, why |
| `doctor.txt` | the machine, the versions, what would be chosen |
| `known_answers.tsv` | each Triton implementation against torch, values and gradients, by length |
| `embed_and_score.tsv` | `embed` and `score-variants` from start to end with each of the kernels |
| `training.tsv` | the first steps of `pretrain` with each: loss, gradient norm, seconds |
| `benchmark.tsv`, `operators.tsv` | forward and training against plain Hyena and attention |
| `tests.txt` | the tests that only a GPU can pass |

Steps that need a library which is not there are skipped and say so: a machine lent for its GPU may
have torch and Triton alone. With `--device cpu` it is a rehearsal: small sizes, torch's kernels,
and Triton's in its interpreter.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

HYENADNA = (sys.executable, "-m", "hyenadna_cli")
TESTS = (
    "tests/test_on_gpu.py",
    "tests/ops/gpu/test_long_conv.py",
    "tests/core/model/test_cuda_graphs.py",
    "tests/core/training/test_loop_waits.py",
)
GENOMICS = ("pysam", "Bio", "h5py")


@dataclass(frozen=True, slots=True)
class Step:
    """A program to run, and what it needs."""

    name: str
    command: Sequence[str]
    minutes: float
    """At most."""
    needs: Sequence[str] = ()
    """Modules."""
    output: str = ""
    """Where its stdout goes, instead of its log."""


def steps(given: argparse.Namespace) -> list[Step]:
    """Those that decide most first: a run may end before the last."""
    on_cpu = given.device == "cpu"
    itself = (sys.executable, str(Path(__file__).resolve()), str(given.out))
    where = ("--device", given.device, "--kernels", given.kernels)
    cases = ("--case", "gpu", "--max-seconds", "45")
    if on_cpu:
        cases = ("--lengths", "1k", "--n-layer", "1", "--d-model", "16", "--max-seconds", "60")
    sizes = ("--bases", "20000", "--variants", "2", "--window", "256") if on_cpu else ()
    commands = ROOT / "workflows" / "reproduce" / "performance" / "commands.py"
    return [
        Step("doctor", (*HYENADNA, "doctor", "--device", given.device), 1.0, output="doctor.txt"),
        Step("known answers", (*itself, "--only", "known-answers", *where), 1.5),
        Step(
            "benchmark",
            (
                *(*HYENADNA, "benchmark", *cases, *where, "--dtype", "bf16", "--repeats", "3"),
                *("--extrapolate", "0", "--max-minutes", "2.5", "--force"),
                *("-o", str(given.out / "benchmark.tsv")),
                *("--operators", str(given.out / "operators.tsv")),
            ),
            4.0,
        ),
        Step(
            "commands",
            (
                *(sys.executable, str(commands), "--kernels", given.kernels, "--repeats", "1"),
                *("--dtypes", "fp32" if on_cpu else "fp32,bf16", *sizes),
            ),
            1.5,
            needs=GENOMICS,
            output="embed_and_score.tsv",
        ),
        Step("training", (*itself, "--only", "training", *where), 1.0, needs=GENOMICS),
        Step(
            "tests",
            (sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-rs", *TESTS),
            given.minutes,
            needs=("pytest", "hypothesis", *GENOMICS),
            output="tests.txt",
        ),
    ]


def run(step: Step, out: Path, seconds_left: float) -> tuple[str, str]:
    """A step's status, and why it is not OK."""
    absent = [name for name in step.needs if importlib.util.find_spec(name) is None]
    if absent:
        return "SKIPPED", f"{', '.join(absent)} not installed"
    limit = min(60 * step.minutes, seconds_left)
    if limit < 5:
        return "SKIPPED", "no time left"
    log = out / f"{step.name.replace(' ', '_')}.log"
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with log.open("w") as errors, (out / step.output if step.output else log).open("a") as output:
        try:
            done = subprocess.run(  # noqa: S603
                step.command,
                stdout=output,
                stderr=errors,
                cwd=ROOT,
                env=environment,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "STOPPED", f"not done after {limit:.0f} s"
    if done.returncode == 0:
        return "OK", ""
    last = (log.read_text().strip().splitlines() or [""])[-1]
    return "FAILED", f"exit {done.returncode}: {last}"


def known_answers(given: argparse.Namespace) -> None:
    """Each Triton implementation against torch's path."""
    on_cpu = given.device == "cpu"
    if on_cpu:
        os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported
    import torch

    from hyenadna_cli.ops import self_check

    lengths = (1, 300) if on_cpu else (1, 300, 4_097, 10_000, 100_000, 1_000_000)
    kernels = ("triton",) if on_cpu else ("triton", "triton-fp16")
    with (given.out / "known_answers.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("kernels", "length", "agrees_with_torch"))
        for name in kernels:
            for length in lengths:
                device = torch.device(given.device)
                agrees = self_check.triton_is_right(device, kernels=name, lengths=(length,))
                table.writerow((name, length, "yes" if agrees else "no"))
                file.flush()


def training(given: argparse.Namespace) -> None:
    """The first steps of `pretrain` with each of the kernels, into one table."""
    on_cpu = given.device == "cpu"
    n_bases, width, length = (3_000, "16", "128") if on_cpu else (400_000, "128", "32768")
    fasta = given.out / "genome.fa"
    import random

    draw = random.Random(0)  # noqa: S311
    fasta.write_text(
        "".join(f">chr{n}\n{''.join(draw.choices('ACGT', k=n_bases))}\n" for n in (1, 2))
    )
    rows: list[dict[str, str]] = []
    for kernels in given.kernels.split(","):
        directory = given.out / f"pretrain-{kernels}"
        subprocess.run(  # noqa: S603
            (
                *(*HYENADNA, "pretrain", "--fasta", str(fasta), "--valid-contigs", "chr2"),
                *("--d-model", width, "--n-layer", "2", "--max-length", length),
                *("--batch-bases", str(2 * int(length)), "--max-steps", "5", "--dtype", "fp32"),
                *("--device", given.device, "--kernels", kernels, "-o", str(directory), "--force"),
            ),
            check=True,
        )
        with (directory / "metrics.csv").open(newline="") as file:
            rows += [{"kernels": kernels, **row} for row in csv.DictReader(file)]
    with (given.out / "training.tsv").open("w", newline="") as file:
        table = csv.DictWriter(file, rows[0], delimiter="\t", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def main() -> None:
    """Run the steps; exit 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=8.5, help="for all steps")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--kernels", default=None, help="default: torch,triton; on a CPU torch")
    parser.add_argument("--only", choices=("known-answers", "training"), help="this part, here")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.kernels = given.kernels or ("torch" if given.device == "cpu" else "torch,triton")
    given.out.mkdir(parents=True, exist_ok=True)
    if given.only is not None:
        {"known-answers": known_answers, "training": training}[given.only](given)
        return
    end = time.monotonic() + 60 * given.minutes
    n_failed = 0
    with (given.out / "steps.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerow(("step", "status", "seconds", "note"))
        for step in steps(given):
            started = time.monotonic()
            status, note = run(step, given.out, end - started)
            table.writerow((step.name, status, f"{time.monotonic() - started:.1f}", note))
            file.flush()
            print(f"{step.name}: {status} {note}".rstrip(), flush=True)
            n_failed += status == "FAILED"
    raise SystemExit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
