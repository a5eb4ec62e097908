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


def test_two_processes_train_together_through_srun_and_torchrun(slurm, fasta_file, tmp_path):
    letters = random.Random(0)
    genome = fasta_file({name: "".join(letters.choices("ACGT", k=3_000)) for name in ("a", "b")})
    run, log = tmp_path / "run", tmp_path / "train.log"
    sizes = ("--d-model", "16", "--n-layer", "1", "--max-length", "128", "--max-steps", "2")
    job = submit(
        "pretrain.sh",
        "--fasta",
        genome,
        *sizes,
        "--batch-bases",
        "512",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--dtype",
        "fp32",
        "--valid-contigs",
        "b",
        "-o",
        run,
        options=("--nodes=1", "--cpus-per-task=2", f"--output={log}"),
        PROCESSES="2",
        PYTHONPATH=str(Path(__file__).parents[2]),
        PORT="29555",
    )
    wait_for(job)

    assert (run / "model.safetensors").exists(), log.read_text()
    assert load(run)[0].config.d_model == 16
