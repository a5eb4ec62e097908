"""What is said of a long run where stderr is not a terminal."""

from __future__ import annotations

import logging
import re
import time

import pytest
import rich.progress  # noqa: F401  before a test replaces the clock, which it keeps

from hyenadna_cli.commands.reporting import progress


def lines(caplog, monkeypatch, *, seconds_each, total):
    """What a run of ten items says, each of ten bases and so many seconds."""
    clock = iter(n * seconds_each for n in range(100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    caplog.set_level(logging.INFO)
    items = progress.track(
        range(10), total=total, label="scoring", size_of=lambda _: 10.0, command="embed"
    )
    assert list(items) == list(range(10))
    return [record.message for record in caplog.records]


def test_a_short_run_says_nothing(caplog, monkeypatch):
    assert lines(caplog, monkeypatch, seconds_each=2, total=100) == []


def test_a_long_run_says_after_the_second_batch_how_long_it_takes_and_then_every_minute(
    caplog, monkeypatch
):
    said = lines(caplog, monkeypatch, seconds_each=30, total=100)

    assert said[0] == "embed: 20 of 100 bases, 0.333 bases/s, 4 min left"
    assert said[1] == "embed: 40 of 100 bases, 0.333 bases/s, 3 min left"
    assert said[-1] == "embed: 100 of 100 bases, 0.333 bases/s, 0 s left"
    assert len(said) == 5


def test_a_first_batch_that_compiles_does_not_spoil_the_estimate(monkeypatch):
    clock = iter([0.0, 100.0, 101.0, 102.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    pace = progress.Pace()

    pace.add(10)
    assert pace.rate == 0.1
    pace.add(10)
    assert pace.rate == 10
    pace.add(10)
    assert pace.estimate(100) == 102 + 70 / 10


def test_batches_without_rows_say_nothing_of_the_pace():
    pace = progress.Pace()
    pace.add(0)
    assert pace.rate is None
    assert pace.estimate(100) is None


def test_a_stream_has_no_end_to_tell(caplog, monkeypatch):
    said = lines(caplog, monkeypatch, seconds_each=40, total=None)

    assert said[0] == "embed: 20 bases, 0.25 bases/s"


NOTE = "step 12 of 20, loss 0.1681, validation 1.0000"


@pytest.mark.parametrize(
    ("total", "describe", "shown"),
    [
        (10, None, r"pretraining \S+  50% \d:\d\d:\d\d elapsed, \S+ left"),
        (10, lambda _: NOTE, rf"pretraining \S+ \S+ left {NOTE}"),
        (None, lambda _: NOTE, rf"pretraining \S \d:\d\d:\d\d {NOTE}"),
    ],
    ids=["bases", "steps", "no end"],
)
def test_a_terminal_of_eighty_columns_shows_all_of_the_bar(
    total, describe, shown, monkeypatch, capsys, caplog
):
    caplog.set_level(logging.INFO)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    items = progress.track(range(10), total=total, label="pretraining", describe=describe)

    for item in items:
        if item == 5:
            time.sleep(0.3)  # a bar is drawn ten times a second

    plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", capsys.readouterr().err)
    lines = [line.rstrip() for line in re.split(r"[\r\n]", plain) if line.strip()]
    assert max(map(len, lines)) <= 80
    assert any(re.fullmatch(shown, line) for line in lines), lines
