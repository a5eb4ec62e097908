"""The workflow of the fine-tuning benchmarks: every set is a command that the tool understands."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from hyenadna_cli.cli import app

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(
        not (Path(sys.executable).parent / "snakemake").exists() and not shutil.which("snakemake"),
        reason="snakemake is not installed: pip install snakemake",
    ),
]

FOLDER = Path(__file__).parents[3] / "workflows" / "reproduce" / "benchmarks"


def test_every_set_is_one_run_with_options_that_exist(tmp_path):
    result = subprocess.run(
        [
            "snakemake",
            "-s",
            str(FOLDER / "Snakefile"),
            "-n",
            "-p",
            "-c",
            "1",
            "--config",
            f"data={tmp_path}",
            f"out={tmp_path / 'out'}",
            "options=--seed 3",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )

    printed = result.stdout + result.stderr
    assert result.returncode == 0, printed
    runs = [
        shlex.split(line.partition("hyenadna finetune ")[2])
        for line in printed.splitlines()
        if "hyenadna finetune " in line
    ]
    names = [Path(run[run.index("-o") + 1]).name for run in runs]
    assert sorted(names) == sorted(set(names))
    assert {"prom_core_tata", "splice", "chromatin", "exons"} <= set(names)
    finetune = get_command(app).commands["finetune"]
    for run in runs:
        with finetune.make_context("finetune", run) as context:
            assert context.params["seed"] == 3
            assert context.params["resume"]
