"""`hyenadna pretrain` end to end: the run directory, clean stops, exact resume, two processes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy

from hyenadna_cli.core.outputs.provenance import sha256_of

CHECKPOINTS = "hyenadna_cli.core.model.checkpoints"

OPTIONS = [
    "--valid-contigs",
    "chr2",
    "--d-model",
    "16",
    "--n-layer",
    "2",
    "--max-length",
    "128",
    "--length-schedule",
    "32:10,64:10",
    "--batch-bases",
    "512",
    "--micro-batch-bases",
    "256",
    "--save-every",
    "7",
    "--valid-every",
    "10",
    "--lr",
    "3e-3",
    "--warmup-steps",
    "3",
    "--device",
    "cpu",
    "--threads",
    "1",
]


@pytest.fixture
def genome(fasta_file):
    random = np.random.default_rng(0)
    return fasta_file(
        {name: "".join(random.choice(list("ACGT"), 3_000)) for name in ("chr1", "chr2")}
    )


def start(genome, output, *more, launcher=("-m", "hyenadna_cli")):
    command = [sys.executable, *launcher, "pretrain", "--fasta", str(genome), *OPTIONS]
    return subprocess.Popen(
        [*command, "-o", str(output), *more],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for_steps(run, n_steps):
    """Until metrics.csv has that many rows."""
    for _ in range(2_400):
        metrics = run / "metrics.csv"
        if metrics.exists() and len(metrics.read_text().splitlines()) > n_steps:
            return
        time.sleep(0.05)
    raise AssertionError("the run did not start in time")


def metrics_of(run):
    with (run / "metrics.csv").open() as handle:
        return [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in csv.DictReader(handle)
        ]


def weights_of(run):
    return safetensors.numpy.load_file(run / "model.safetensors")


@pytest.fixture
def straight(hyenadna, genome, tmp_path):
    """A run that nothing interrupts."""
    run = tmp_path / "straight"
    code, _, err = hyenadna("pretrain", "--fasta", genome, *OPTIONS, "--max-steps", 40, "-o", run)
    assert code == 0, err
    return run


@pytest.mark.slow
def test_a_run_killed_after_its_last_step_is_finished_by_resume(
    straight, hyenadna, genome, tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    broken = tmp_path / "broken"
    options = ("pretrain", "--fasta", genome, *OPTIONS, "--max-steps", 40, "-o", broken)
    with monkeypatch.context() as patched:
        patched.setattr(f"{CHECKPOINTS}.known_answer.record_known_answer", killed)
        assert hyenadna(*options).code == 130
    assert not (broken / "training.json").exists()

    done = hyenadna(*options, "--resume")

    assert done.code == 0, done.err
    assert (broken / "model.safetensors").read_bytes() == (
        straight / "model.safetensors"
    ).read_bytes()
    records = [json.loads((run / "training.json").read_text()) for run in (straight, broken)]
    assert records[0]["valid_nats_per_base"] == records[1]["valid_nats_per_base"] > 0


def test_a_run_leaves_a_model_metrics_and_the_last_checkpoint(straight):
    names = sorted(path.name for path in straight.iterdir())

    assert names == [
        "checkpoints",
        "config.json",
        "known_answer.json",
        "last",
        "metrics.csv",
        "model.safetensors",
        "regions.bed",
        "training.json",
    ]
    rows = metrics_of(straight)
    assert [int(row["step"]) for row in rows] == list(range(1, 41))
    assert [int(row["length"]) for row in rows] == [32] * 10 + [64] * 30
    assert [row["step"] for row in rows if row["valid_loss"]] == ["10", "20", "30", "40"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_an_interrupted_run_resumes_to_bit_equal_weights(how, straight, genome, tmp_path):
    """Law: resume. SIGTERM stops with a checkpoint; SIGKILL loses the steps since the last one."""
    run = tmp_path / "broken"
    process = start(genome, run, "--max-steps", "40")
    wait_for_steps(run, 8)
    process.send_signal(how)
    _, err = process.communicate(timeout=120)

    if how == signal.SIGTERM:
        assert process.returncode == 143
        assert "--resume goes on from there" in err
        assert "Traceback" not in err
    assert not (run / "training.json").exists()
    resumed = start(genome, run, "--max-steps", "40", "--resume")
    _, err = resumed.communicate(timeout=240)

    assert resumed.returncode == 0, err
    for name, value in weights_of(straight).items():
        np.testing.assert_array_equal(weights_of(run)[name], value)
    assert metrics_of(run) == metrics_of(straight)


@pytest.mark.slow
def test_two_processes_train_as_one(straight, genome, tmp_path):
    """Data parallelism: the processes share each step's batch, so the loss curve is the same."""
    run = tmp_path / "parallel"
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "hyenadna_cli")
    process = start(genome, run, "--max-steps", "40", launcher=launcher)
    _, err = process.communicate(timeout=300)

    assert process.returncode == 0, err
    alone = [float(row["loss"]) for row in metrics_of(straight)]
    shared = [float(row["loss"]) for row in metrics_of(run)]
    # The gradients are summed in another order; the difference grows with the steps.
    np.testing.assert_allclose(shared, alone, rtol=1e-4)


def test_resuming_a_finished_run_has_nothing_to_do(hyenadna, straight, genome):
    before = weights_of(straight)

    code, _, err = hyenadna(
        "pretrain", "--fasta", genome, *OPTIONS, "--max-steps", 40, "-o", straight, "--resume"
    )

    assert code == 0, err
    for name, value in weights_of(straight).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_run_goes_on_from_the_weights_of_another_model(hyenadna, straight, genome, tmp_path):
    more = tmp_path / "more"
    options = OPTIONS[:2] + OPTIONS[8:]  # without the shape

    code, _, err = hyenadna(
        "pretrain",
        "--fasta",
        genome,
        "-m",
        straight,
        *options,
        "--length-schedule",
        "128:2",
        "--max-steps",
        2,
        "--lr",
        "1e-9",
        "-o",
        more,
    )

    assert code == 0, err
    before = weights_of(straight)
    for name, value in weights_of(more).items():
        np.testing.assert_allclose(value, before[name], atol=1e-5)
    made_by = json.loads((more / "training.json").read_text())["made_by"]
    assert made_by["model"]["sha256"] == sha256_of(straight / "model.safetensors")


def test_a_model_is_carried_to_a_longer_context(hyenadna, straight, genome, tmp_path):
    """By default from the old length on, and the model can then be carried further."""
    more = tmp_path / "more"
    training = ("--batch-bases", 600, "--micro-batch-bases", 600, "--max-steps", 3)
    where = ("--valid-contigs", "chr2", "--device", "cpu", "--threads", 1)

    code, _, err = hyenadna(
        *("pretrain", "--fasta", genome, "-m", straight, "--max-length", 300),
        *(*training, *where, "-o", more),
    )

    assert code == 0, err
    config = json.loads((more / "config.json").read_text())
    assert (config["l_max"], config["filter_l_max"]) == (302, 130)
    assert [int(row["length"]) for row in metrics_of(more)] == [128, 256, 300]
    shorter = ("pretrain", "--fasta", genome, "-m", more, "--max-length", 200)
    code, _, err = hyenadna(*shorter, "-o", tmp_path / "shorter")
    assert code == 2
    assert "only n_layer and l_max can be larger" in err


def test_a_run_from_another_model_takes_its_shape(hyenadna, straight, genome, tmp_path):
    code, _, err = hyenadna(
        "pretrain", "--fasta", genome, "-m", straight, "--d-model", 32, "-o", tmp_path / "more"
    )

    assert code == 2
    assert "d_model" in err
    assert "the shape is that of" in err
    assert not (tmp_path / "more").exists()


def test_a_run_is_not_overwritten_unless_forced(hyenadna, straight, genome):
    arguments = ["pretrain", "--fasta", genome, *OPTIONS, "--max-steps", 2, "-o", straight]

    code, _, err = hyenadna(*arguments)
    assert code == 6
    assert "--resume goes on with it" in err

    code, _, err = hyenadna(*arguments, "--force")
    assert code == 0, err
    assert len(metrics_of(straight)) == 2


def test_the_time_limit_stops_with_a_checkpoint(hyenadna, genome, tmp_path):
    run = tmp_path / "run"

    code, _, err = hyenadna(
        "pretrain",
        "--fasta",
        genome,
        *OPTIONS,
        "--max-steps",
        40,
        "-o",
        run,
        "--max-time",
        "00:00:00",
    )

    assert code == 143
    assert "out of time; checkpoint at step 1" in err
    assert (run / "last").read_text() == "step_00000001\n"


def test_the_published_recipe_runs_on_a_bed_with_splits(hyenadna, genome, bed_file, tmp_path):
    regions = [f"chr1 {start} {start + 200} train" for start in range(0, 2_000, 200)]
    bed = bed_file(*regions, "chr2 0 400 valid", "chr2 400 800 test")
    run = tmp_path / "run"

    code, _, err = hyenadna(
        "pretrain",
        "--fasta",
        genome,
        "--bed",
        bed,
        "--preset",
        "paper",
        "--d-model",
        16,
        "--max-length",
        64,
        "--batch-bases",
        256,
        "--max-steps",
        2,
        "--device",
        "cpu",
        "--threads",
        1,
        "-o",
        run,
    )

    assert code == 0, err
    saved = json.loads((run / "training.json").read_text())
    assert saved["settings"]["sampling"] == "intervals"
    assert saved["data"]["train"] == {"spans": 10, "bases": 2_000}
    assert json.loads((run / "config.json").read_text())["filter_shift"] == 0.0


def test_a_bed_is_about_all_genomes_together(hyenadna, genome, fasta_file, bed_file, tmp_path):
    other = fasta_file({"other": "ACGTTGCA" * 100}, name="other.fa")
    excluded = bed_file("chr1 0 1000", "other 0 700")

    code, out, err = hyenadna(
        "pretrain",
        "--fasta",
        genome,
        "--fasta",
        other,
        "--valid-contigs",
        "chr2",
        "--exclude-bed",
        excluded,
        "--max-length",
        64,
        "-o",
        tmp_path / "run",
        "--dry-run",
    )

    assert code == 0, err
    assert "train 2,100 bases in 2 spans; valid 3,000 bases in 1 spans" in out


@pytest.mark.slow
def test_tensorboard_gets_every_step(hyenadna, genome, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"

    code, _, err = hyenadna(
        "pretrain", "--fasta", genome, *OPTIONS, "--max-steps", 3, "-o", run, "--tensorboard"
    )

    assert code == 0, err
    log = events.EventAccumulator(str(run / "tensorboard"))
    log.Reload()
    assert [event.step for event in log.Scalars("loss")] == [1, 2, 3]


def test_a_dry_run_tells_what_each_of_several_processes_takes(hyenadna, genome, tmp_path):
    options = ("pretrain", "--fasta", genome, *OPTIONS, "-o", tmp_path / "run", "--dry-run")

    code, out, err = hyenadna(*options, "--checkpoint-blocks", "--context-parallel", 4)

    assert code == 0, err
    # 2 blocks, 4 windows there and back and the taps, 16 positions x 16 channels x 4 bytes of each,
    # three quarters of them to others, in 3 passes.
    assert (
        f"in each of 4 processes, which sends {2 * 9 * 16 * 16 * 4 * 3 // 4 * 3 / 1e9:.3g} GB"
        in out
    )
    assert hyenadna(*options, "--context-parallel", 3).code == 2


def test_a_dry_run_prints_the_plan_and_writes_nothing(hyenadna, genome, tmp_path):
    code, out, err = hyenadna(
        "pretrain", "--fasta", genome, *OPTIONS, "-o", tmp_path / "run", "--dry-run"
    )

    assert code == 0, err
    assert "train 3,000 bases in 1 spans; valid 3,000 bases in 1 spans" in out
    assert "windows of 32 bases per step, for 10 steps" in out
    assert "memory: about 0.0" in out
    assert "bases at once, blocks kept" in out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--valid-contigs", "chrZ"], 3, "chrZ"),
        (["--preset", "best"], 2, "there are paper, paper-2x128"),
        (["--length-schedule", "64"], 2, "not LENGTH:STEPS"),
        (["--length-schedule", "4k:10"], 2, "--max-length is 128"),
        (["--kernels", "triton"], 2, "--kernels triton"),
        (["--lr", "-1"], 2, "learning_rate"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_is_one_line_and_the_right_code(
    hyenadna, genome, tmp_path, options, code, problem
):
    got, _, err = hyenadna(
        "pretrain", "--fasta", genome, *OPTIONS, "-o", tmp_path / "run", *options
    )

    assert got == code
    assert problem in err.splitlines()[-1]
    assert not (tmp_path / "run" / "model.safetensors").exists()
