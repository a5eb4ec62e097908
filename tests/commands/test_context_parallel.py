"""`--context-parallel`: one sequence over the processes of torchrun, and what ends such a run."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
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


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Sequences of 1, 3, 40 and 250 bases, N among them, and one that takes several windows."""
    path = tmp_path_factory.mktemp("records") / "records.fa"
    random = np.random.default_rng(3)
    texts = ["".join(random.choice(list("ACGTN"), n, p=[0.24] * 4 + [0.04])) for n in (250, 700)]
    texts += ["A", "ACG", "ACGTT" * 8]
    path.write_text("".join(f">r{n}\n{text}\n" for n, text in enumerate(texts)))
    return path


def both(arguments, tmp_path, suffix, n=2):
    """The output of one process, and of `n` that share each sequence."""
    outputs = []
    for processes, more in ((0, ()), (n, ("--context-parallel", n))):
        output = tmp_path / f"of{processes}{suffix}"
        where = ("--device", "cpu", "--threads", 1, "--no-version")
        code, _, err = finished(processes, *arguments, *where, *more, "-o", output)
        assert code == 0, err
        outputs.append(output)
    return outputs


def assert_same_table(one, shared):
    rows = [[line.split("\t") for line in path.read_text().split("\n")] for path in (one, shared)]
    assert len(rows[0]) == len(rows[1]) > 1
    for ours, theirs in zip(*rows, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert a == b or float(b) == pytest.approx(float(a), rel=1e-4, abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4])
def test_perplexity_of_shared_sequences_is_that_of_one_process(tiny_model, records, tmp_path, n):
    arguments = ("perplexity", "--fasta", records, "-m", tiny_model, "--strand", "both")

    one, shared = both(arguments, tmp_path, ".tsv", n)

    assert_same_table(one, shared)


@pytest.mark.slow
def test_vectors_of_shared_sequences_are_those_of_one_process(tiny_model, records, tmp_path):
    pool = ("--pool", "mean,max,first,last,center", "--layers", "0,1,-1", "--specials", "cls-sep")
    arguments = ("embed", "--fasta", records, "-m", tiny_model, *pool, "--exclude-n")

    one, shared = both(arguments, tmp_path, ".h5")

    with h5py.File(one) as a, h5py.File(shared) as b:
        assert len(a["obsm"]) == len(b["obsm"]) == 14
        for key in ("X", *(f"obsm/{name}" for name in a["obsm"])):
            np.testing.assert_allclose(b[key][()], a[key][()], rtol=1e-4, atol=1e-5)
        assert a["obs/status"][()].tolist() == b["obs/status"][()].tolist()


@pytest.mark.slow
def test_tracks_and_token_rows_are_those_of_one_process(tiny_model, records, tmp_path):
    tokens = ("embed", "--fasta", records, "-m", tiny_model, "--pool", "token")
    one, shared = both(tokens, tmp_path, ".h5")
    with h5py.File(one) as a, h5py.File(shared) as b:
        np.testing.assert_allclose(b["tokens/data"], a["tokens/data"], rtol=1e-4, atol=1e-5)
    track = ("perplexity", "--fasta", records, "-m", tiny_model, "--window", 200)

    one, shared = both((*track, "--track-value", "surprise"), tmp_path, ".tsv")

    assert_same_table(one, shared)


@pytest.mark.slow
def test_a_run_of_all_that_share_goes_on_after_a_signal(tiny_model, fasta_file, tmp_path):
    random = np.random.default_rng(5)
    many = {f"r{n}": "".join(random.choice(list("ACGT"), 250)) for n in range(3_000)}
    fasta, output = fasta_file(many), tmp_path / "out.tsv"
    where = ("--device", "cpu", "--threads", 1, "--no-version", "--context-parallel", 2)
    arguments = ("perplexity", "--fasta", fasta, "-m", tiny_model, *where, "-o", output)
    torchrun = start(2, *arguments)
    journal = tmp_path / "out.tsv.journal"
    while not (journal.exists() and journal.stat().st_size > 20_000):
        assert torchrun.poll() is None, torchrun.communicate()[1]
        time.sleep(0.02)
    torchrun.send_signal(signal.SIGTERM)
    _, err = torchrun.communicate(timeout=60)
    assert torchrun.returncode != 0
    assert not output.exists()

    code, _, err = finished(2, *arguments, "--resume")

    assert code == 0, err
    assert "going on after" in err
    assert len(output.read_text().splitlines()) == 3_001
