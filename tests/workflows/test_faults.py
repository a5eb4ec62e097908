"""The script that breaks runs finds nothing wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "workflows" / "faults" / "fault_table.py"


@pytest.mark.slow
def test_no_fault_loses_an_output_or_leaves_half_of_one():
    command = [sys.executable, str(SCRIPT), "--kills", "2", "--records", "600"]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 problems." in done.stdout
