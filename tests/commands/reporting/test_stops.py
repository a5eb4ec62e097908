"""Signals: the first asks for a clean stop, its echoes change nothing, a later one ends at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent(
    """
    import sys, time
    from hyenadna_cli.commands.reporting.stops import on_signals

    with on_signals() as stop:
        print("ready", flush=True)
        while not stop():
            time.sleep(0.01)
        print("stopping", flush=True)
        time.sleep(float(sys.argv[1]))
        print("saved", stop.signal.name, flush=True)
    """
)


@pytest.fixture(autouse=True)
def without_nohup():
    """Where the tests themselves run under nohup, programs would wait for their end for ever."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def start():
    started = []

    def begin(seconds_to_save):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(seconds_to_save)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_the_echo_of_a_signal_does_not_break_the_clean_stop(start, number):
    """As under torchrun, whose workers get a signal to the group and torchrun's own."""
    process = start(0.5)

    process.send_signal(number)
    assert process.stdout.readline() == "stopping\n"
    process.send_signal(signal.SIGTERM)

    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == f"saved {number.name}\n"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("ignored", [True, False])
def test_a_later_signal_ends_the_process_at_once(start, number, ignored):
    """Also where a shell began it in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)
    try:
        process = start(600)
    finally:
        signal.signal(signal.SIGINT, before)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "stopping\n"

    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.2)
    process.send_signal(number)

    out, _ = process.communicate(timeout=60)
    assert out == ""
    assert process.returncode in (-number, 1, 130)


@pytest.mark.slow
def test_under_nohup_the_end_of_the_session_ends_nothing(start):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(0)
    finally:
        signal.signal(signal.SIGHUP, before)

    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)
    process.send_signal(signal.SIGTERM)

    assert process.communicate(timeout=60)[0] == "stopping\nsaved SIGTERM\n"
