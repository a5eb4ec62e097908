"""The commands that the tasks of Slurm arrays run have options that exist; Slurm is not needed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from hyenadna_cli.cli import app

SCRIPTS = Path(__file__).parents[2] / "workflows" / "slurm"
TASK = dict.fromkeys(("ID", "MIN", "MAX", "COUNT", "STEP"), "1")


@pytest.mark.parametrize(
    ("script", "environment", "more", "expected"),
    [
        ("score_array.sh", {}, ["--window", "1k"], ["score-variants", "--offline"]),
        ("genome_array.sh", {}, [], ["perplexity", "--track", "--offline"]),
        ("genome_array.sh", {"COMMAND": "embed"}, ["--bed", "x.bed"], ["embed", "--bed"]),
        ("genome_array.sh", {"COMMAND": "embed"}, ["--vcf", "x.vcf"], ["embed", "--vcf"]),
        ("genome_array.sh", {"COMMAND": "predict"}, ["--bed", "x.bed"], ["predict", "--bed"]),
    ],
)
def test_an_array_task_runs_a_command_that_there_is(script, environment, more, expected, tmp_path):
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    srun.chmod(0o755)
    places = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "VCF": "in.vcf", "FASTA": "g.fa"}
    variables = {f"SLURM_ARRAY_TASK_{name}": value for name, value in TASK.items()}

    done = subprocess.run(
        ["bash", SCRIPTS / script, *more],
        cwd=tmp_path,
        env={**places, **variables, **environment},
        capture_output=True,
        text=True,
        check=True,
    )

    program, verb, *options = done.stdout.splitlines()
    assert program == "hyenadna"
    assert set(expected) <= {verb, *options}
    options[options.index("auto")] = "1/1"  # of the task, whose variables are not set here
    with get_command(app).commands[verb].make_context(verb, options):
        pass
