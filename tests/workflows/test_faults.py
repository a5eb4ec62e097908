"""The script that breaks runs finds nothing wrong, and goes on where it was stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "workflows" / "faults" / "fault_table.py"


def table(*options):
    command = [sys.executable, str(SCRIPT), "--kills", "1", "--records", "600", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["embed (.h5ad)", "score-variants (.vcf.gz)", "generate", "pretrain"]
)
def test_no_fault_loses_an_output_or_leaves_half_of_one(command):
    done = table("--only", command)

    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 problems." in done.stdout
    assert "| SIGKILL at a random moment |" in done.stdout


@pytest.mark.slow
def test_rows_that_are_done_are_not_tried_again_and_those_with_problems_are(tmp_path):
    rows = tmp_path / "rows.jsonl"
    group = "empty embed (.tsv)"
    entries = {
        "group": group,
        "conditions": "--kills 1 --records 600 --seed 1",
        "rows": [
            {
                "fault": "made up",
                "command": "embed",
                "runs": 7,
                "codes": {"-9": 7},
                "left": {},
                "problems": [],
                "note": "",
            }
        ],
    }
    rows.write_text(json.dumps(entries) + "\n")

    done = table("--only", group, "--rows", str(rows))

    assert "| made up | embed | 7 | -9 x 7 |" in done.stdout
    entries["rows"][0]["problems"] = ["something"]
    rows.write_text(json.dumps(entries) + "\n")
    done = table("--only", group, "--rows", str(rows))
    assert "made up" not in done.stdout
    assert "| empty input | embed (.tsv) | 1 | 0 x 1 |" in done.stdout
    assert len(rows.read_text().splitlines()) == 2
