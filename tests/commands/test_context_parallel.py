"""`--context-parallel`: one sequence over the processes of torchrun, and what ends such a run."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

CHECKOUT = Path(__file__).parents[2]
SETTINGS = """
[model]
d_model = 16
n_layer = 2
embed_dropout = 0.0

[train]
length_schedule = [[50, 10], [128, 10]]
batch_bases = 512
micro_batch_bases = 256
save_every = 7
valid_every = 10
learning_rate = 3e-3
warmup_steps = 3
"""
RUN = ("--valid-contigs", "chr2", "--max-length", "128", "--device", "cpu", "--threads", "1")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Genome and settings of a small run, and the options that name them."""
    import pysam

    directory = tmp_path_factory.mktemp("inputs")
    genome, settings = directory / "genome.fa", directory / "settings.toml"
    random = np.random.default_rng(0)
    sequences = ["".join(random.choice(list("ACGT"), 3_000)) for _ in range(2)]
    genome.write_text("".join(f">chr{n}\n{s}\n" for n, s in enumerate(sequences, start=1)))
    pysam.faidx(str(genome))
    settings.write_text(SETTINGS)
    return ("pretrain", "--fasta", str(genome), "--config", str(settings), *RUN)


def start(n, *arguments):
    """`hyenadna` under torchrun, or by itself for `n` = 0."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(n))
    command = [sys.executable, *(torchrun if n else ()), "-m", "hyenadna_cli"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(n, *arguments):
    """Exit code, stdout and stderr of a run that has ended."""
    process = start(n, *arguments)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def losses(run):
    with (run / "metrics.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def weights(run):
    return safetensors.numpy.load_file(run / "model.safetensors")


@pytest.fixture(scope="module")
def alone(inputs, tmp_path_factory):
    """The run of one process."""
    run = tmp_path_factory.mktemp("alone") / "run"
    code, _, err = finished(0, *inputs, "--max-steps", "50", "-o", run)
    assert code == 0, err
    return run


@pytest.fixture(scope="module")
def shared(inputs, tmp_path_factory):
    """The run of two processes that share every sequence."""
    run = tmp_path_factory.mktemp("shared") / "run"
    options = ("--context-parallel", 2, "--max-steps", 50, "--checkpoint-blocks")
    code, _, err = finished(2, *inputs, *options, "-o", run)
    assert code == 0, err
    return run


@pytest.mark.slow
def test_two_processes_that_share_sequences_train_as_one(alone, shared):
    assert len(losses(shared)) == 50
    np.testing.assert_allclose(losses(shared), losses(alone), rtol=1e-4)


@pytest.mark.slow
def test_context_and_data_parallelism_together_train_as_one(inputs, alone, tmp_path):
    run = tmp_path / "run"
    options = ("--context-parallel", 2, "--max-steps", 50)

    code, _, err = finished(4, *inputs, *options, "-o", run)

    assert code == 0, err
    np.testing.assert_allclose(losses(run), losses(alone), rtol=1e-4)


@pytest.mark.slow
def test_a_process_that_dies_ends_all_and_the_run_goes_on_to_the_same_bits(
    inputs, shared, tmp_path
):
    run = tmp_path / "run"
    options = (*inputs, "--context-parallel", 2, "--max-steps", 50, "--checkpoint-blocks")
    torchrun = start(2, *options, "-o", run)
    while not (run / "checkpoints" / "step_00000014").exists():
        assert torchrun.poll() is None, torchrun.communicate()[1]
        time.sleep(0.02)
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, err = torchrun.communicate(timeout=60)

    assert torchrun.returncode != 0
    assert "exitcode  : -9" in err
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert not (run / "training.json").exists()
    code, _, err = finished(2, *options, "--resume", "-o", run)
    assert code == 0, err
    assert losses(run) == losses(shared)
    for name, value in weights(shared).items():
        np.testing.assert_array_equal(weights(run)[name], value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "more", "said"),
    [
        (3, ("--context-parallel", 3), "does not divide the 16 channels"),
        (2, ("--context-parallel", 4), "does not divide the 2 processes"),
    ],
)
def test_processes_that_do_not_fit_are_a_usage_error(inputs, tmp_path, n, more, said):
    code, _, err = finished(n, *inputs, *more, "-o", tmp_path / "run")

    assert code != 0
    assert said in err
    assert "exitcode  : 2" in err
    assert 'Traceback (most recent call last):\n  File "/' not in err.split("ERROR")[0]
    assert not (tmp_path / "run").exists()


def test_sharing_needs_processes_to_share_with(hyenadna, inputs, tmp_path):
    code, _, err = hyenadna(*inputs, "--context-parallel", 2, "-o", tmp_path / "run")

    assert code == 2
    assert "torchrun --nproc-per-node 2" in err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_processes_that_disagree_are_a_usage_error(inputs, tmp_path):
    command = [sys.executable, "-m", "hyenadna_cli", *inputs, "-o", str(tmp_path / "run")]
    script = f"{' '.join(command)} --context-parallel 2 --lr ${{RANK}}.01"
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "--no-python", "bash", "-c", f"exec {script}"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "disagree: learning_rate is 0.01 in process 0 and 1.01 in 1" in done.stderr
    assert "exitcode  : 2" in done.stderr
    assert not (tmp_path / "run").exists()
