"""docs/reference.md is what the program prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_the_reference_is_current():
    command = "import make_reference; print(make_reference.text(), end='')"

    done = subprocess.run(
        [sys.executable, "-c", command],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY / "docs",
    )

    assert done.stdout == (REPOSITORY / "docs" / "reference.md").read_text(), (
        "run python docs/make_reference.py"
    )


def test_the_shell_completes_commands():
    words = {"_HYENADNA_COMPLETE": "complete_bash", "COMP_WORDS": "hyenadna emb", "COMP_CWORD": "1"}

    done = subprocess.run(
        [sys.executable, "-m", "hyenadna_cli"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **words},
    )

    assert done.stdout.split() == ["embed"]
