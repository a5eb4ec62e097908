"""The one call that measures a GPU, rehearsed on a CPU."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "workflows" / "gpu" / "measure.py"


@pytest.fixture(scope="module")
def measure():
    spec = importlib.util.spec_from_file_location("measure", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["measure"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["measure"]


@pytest.mark.parametrize(
    ("code", "changes", "expected"),
    [
        ("print('done')", {}, ("OK", "")),
        ("raise SystemExit('no device')", {}, ("FAILED", "exit 1: no device")),
        ("import time; time.sleep(60)", {"minutes": 0.1}, ("STOPPED", "not done after 6 s")),
        ("", {"needs": ("sys", "absent_module")}, ("SKIPPED", "absent_module not installed")),
    ],
)
def test_every_step_says_what_became_of_it(measure, tmp_path, code, changes, expected):
    fields = {"minutes": 1.0, "output": "step.txt", **changes}
    step = measure.Step("a step", (sys.executable, "-c", code), **fields)

    assert measure.run(step, tmp_path, seconds_left=100) == expected
    if expected[0] == "OK":
        assert (tmp_path / "step.txt").read_text() == "done\n"


def test_no_step_begins_without_time(measure, tmp_path):
    step = measure.Step("late", (sys.executable, "-c", ""), 1.0)

    assert measure.run(step, tmp_path, seconds_left=2) == ("SKIPPED", "no time left")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "table", "n_rows"),
    [("known-answers", "known_answers.tsv", 2), ("training", "training.tsv", 5)],
)
def test_parts_run_on_a_cpu(tmp_path, part, table, n_rows):
    command = (sys.executable, SCRIPT, tmp_path / "out", "--device", "cpu", "--only", part)

    done = subprocess.run(command, check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    with (tmp_path / "out" / table).open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == n_rows
    assert {row.get("agrees_with_torch", "yes") for row in rows} == {"yes"}
