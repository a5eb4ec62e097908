"""The batch scripts on a real Slurm of one node: an array with a preempted task, and training."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from hyenadna_cli.core.model.checkpoints.checkpoint import load

SCRIPTS = Path(__file__).parents[2] / "workflows" / "slurm"
PROGRAMS = ("slurmctld", "slurmd", "munged", "srun", "sbatch")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING) or os.geteuid() != 0,
        reason=f"needs root and Slurm (apt-get install slurm-wlm munge); missing: {MISSING}",
    ),
]


@pytest.fixture
def slurm(path_with_hyenadna, monkeypatch):
    """A cluster of this machine; SLURM_CONF leads to it."""
    with tempfile.TemporaryDirectory(prefix="slurm") as name:
        script = str(SCRIPTS / "local_slurm.sh")
        subprocess.run([script, "start", name, "4"], check=True)
        monkeypatch.setenv("SLURM_CONF", f"{name}/slurm.conf")
        try:
            yield
        finally:
            subprocess.run([script, "stop", name], check=True)
            time.sleep(1)


def submit(script, *arguments, options=(), **environment):
    command = ["sbatch", "--parsable", *options, str(SCRIPTS / script), *map(str, arguments)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **environment}
    )
    return done.stdout.strip()


def wait_for(job, *, seconds=300):
    """Until Slurm knows no unfinished task of the job."""
    for _ in range(seconds * 2):
        command = ["squeue", "--noheader", "--jobs", job, "--format=%T"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.stdout.strip():
            return
        time.sleep(0.5)
    raise AssertionError(f"job {job} has not ended: {done.stdout}")


def test_an_array_of_five_shards_one_of_them_preempted_equals_one_run(
    slurm, hyenadna, inputs, vcf_file, tmp_path
):
    bases = "".join(inputs.fasta.read_text().split("\n")[1:])
    starts = sorted(random.Random(0).randrange(300, 59_000) for _ in range(8_000))
    vcf = vcf_file(
        *(f"chr1 {s + 1} . {bases[s]} {'C' if bases[s] == 'A' else 'A'}" for s in starts),
        contigs={"chr1": 60_000},
        name="many.vcf",
    )
    more = ("--window", "250", "--device", "cpu", "--threads", "1", "--no-version")
    log = tmp_path / "task-%a.log"
    job = submit(
        "score_array.sh",
        *more,
        VCF=str(vcf),
        FASTA=str(inputs.fasta),
        MODEL=str(inputs.model),
        OUT=str(tmp_path / "shards"),
        options=("--array=1-5", "--cpus-per-task=1", f"--output={log}"),
    )
    journal = tmp_path / "shards" / "3.vcf.gz.journal"
    for _ in range(20_000):
        if journal.exists() and journal.stat().st_size > 5_000:
            break
        time.sleep(0.01)
    subprocess.run(["scancel", "--signal=TERM", f"{job}_3"], check=True)
    wait_for(job)

    said = (tmp_path / "task-3.log").read_text()
    assert "stopped by SIGTERM" in said
    assert "going on after" in said
    straight, merged = tmp_path / "straight.vcf.gz", tmp_path / "merged.vcf.gz"
    model = ("-m", inputs.model, "--offline")
    one = hyenadna("score-variants", vcf, "--fasta", inputs.fasta, *model, *more, "-o", straight)
    shards = sorted((tmp_path / "shards").glob("*.vcf.gz"))
    put_together = hyenadna("merge", *shards, "-o", merged, "--no-version")
    assert (one.code, put_together.code) == (0, 0), put_together.err
    assert merged.read_bytes() == straight.read_bytes()


SMALL = ("--d-model", "16", "--n-layer", "1", "--max-length", "128", "--batch-bases", "512")
ON_CPU = ("--device", "cpu", "--threads", "1", "--dtype", "fp32")


@pytest.fixture
def genome(fasta_file):
    letters = random.Random(0)
    return fasta_file({name: "".join(letters.choices("ACGT", k=3_000)) for name in ("a", "b")})


def pretrain(genome, run, log, *more):
    return submit(
        "pretrain.sh",
        *("--fasta", genome, *SMALL, *ON_CPU, "--valid-contigs", "b", *more, "-o", run),
        options=("--nodes=1", "--cpus-per-task=2", f"--output={log}"),
        PROCESSES="2",
        PYTHONPATH=str(Path(__file__).parents[2]),
        PORT="29555",
    )


@pytest.mark.parametrize("more", [(), ("--context-parallel", "2")], ids=["data", "context"])
def test_two_processes_train_together_through_srun_and_torchrun(slurm, genome, tmp_path, more):
    run, log = tmp_path / "run", tmp_path / "train.log"

    wait_for(pretrain(genome, run, log, "--max-steps", "2", *more))

    assert (run / "model.safetensors").exists(), log.read_text()
    assert load(run)[0].config.d_model == 16


def test_a_training_that_got_further_is_started_again_and_a_mistake_is_not(slurm, genome, tmp_path):
    run, log = tmp_path / "run", tmp_path / "train.log"
    more = ("--max-steps", "600", "--save-every", "5", "--context-parallel", "2")
    job = pretrain(genome, run, log, *more)
    for _ in range(6_000):
        if (run / "last").exists():
            break
        time.sleep(0.01)
    subprocess.run(["scancel", "--signal=TERM", job], check=True)
    wait_for(job, seconds=400)

    assert "stopped by SIGTERM" in log.read_text()
    rows = (run / "metrics.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, 601)), log.read_text()

    wrong, said = tmp_path / "wrong", tmp_path / "wrong.log"
    wait_for(pretrain(genome, wrong, said, "--context-parallel", "3"), seconds=60)
    assert "does not divide the 16 channels" in said.read_text()
    assert not wrong.exists()


def test_processes_of_a_job_read_each_window_together(slurm, genome, tiny_model, tmp_path):
    table, log = tmp_path / "out.tsv", tmp_path / "perplexity.log"
    job = submit(
        "perplexity_context.sh",
        *("--fasta", genome, "-m", tiny_model, *ON_CPU, "-o", table),
        options=("--nodes=1", "--cpus-per-task=2", f"--output={log}"),
        PROCESSES="2",
        PYTHONPATH=str(Path(__file__).parents[2]),
        PORT="29556",
    )
    wait_for(job)

    assert len(table.read_text().splitlines()) == 3, log.read_text()


def test_a_genome_in_parts_is_the_genome(slurm, hyenadna, inputs, tmp_path):
    more = ("--window", "250", *ON_CPU, "--no-version")
    job = submit(
        "genome_array.sh",
        *more,
        FASTA=str(inputs.fasta),
        MODEL=str(inputs.model),
        OUT=str(tmp_path / "shards"),
        options=("--array=1-2", "--cpus-per-task=1", f"--output={tmp_path / 'task-%a.log'}"),
    )
    straight, merged = tmp_path / "straight.bedGraph", tmp_path / "merged.bedGraph"
    track = ("perplexity", "--fasta", inputs.fasta, "-m", inputs.model, "--track", straight)
    one = hyenadna(*track, *more)
    wait_for(job)
    put_together = hyenadna(
        "merge", *sorted((tmp_path / "shards").glob("*.bedGraph")), "-o", merged
    )

    assert (one.code, put_together.code) == (0, 0), put_together.err
    assert merged.read_bytes() == straight.read_bytes()
