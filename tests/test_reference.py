"""docs/reference.md is what the program prints."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_the_reference_is_current():
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "docs" / "make_reference.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


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
