"""The run directory of a training, and the time it has."""

from __future__ import annotations

import time
from pathlib import Path

from hyenadna_cli.commands.options.training import RunDirectory


def test_a_time_limit_counts_from_the_start_of_the_command():
    directory = RunDirectory(output=Path("run"), max_time=60.0, began=time.monotonic() - 20)

    assert directory.seconds_left is not None
    assert 39 < directory.seconds_left <= 40


def test_without_a_limit_there_is_time():
    assert RunDirectory(output=Path("run")).seconds_left is None
