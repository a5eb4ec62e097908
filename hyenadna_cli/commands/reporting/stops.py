"""A clean stop: signals and time limits set a flag that long loops ask for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hyenadna_cli.errors import InterruptedRunError

_ONE_EVENT = 1.0
"""Seconds within which signals have one cause. A terminal or a batch system signals a whole group
of processes, and torchrun passes on to its workers what it got: they have it twice."""


class StopRequest:
    """Whether the run should end after the current step or batch, and why."""

    def __init__(self, max_seconds: float | None) -> None:
        self._deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        """Whether the run should end now."""
        return self.signal is not None or self.is_out_of_time

    @property
    def is_out_of_time(self) -> bool:
        """Whether `--max-time` has passed."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def error(self, done: str) -> InterruptedRunError:
        """The error to end with: exit 130 for SIGINT, 143 otherwise."""
        why = f"stopped by {self.signal.name}" if self.signal else "out of time"
        code = 130 if self.signal == signal.SIGINT else 143
        return InterruptedRunError(f"{why}; {done}", exit_code=code)


def end_signals() -> list[signal.Signals]:
    """What asks a run to end, besides SIGINT; SIGHUP only where it is not ignored (nohup)."""
    is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGUSR1, *([] if is_ignored else [signal.SIGHUP])]


@contextmanager
def on_signals(max_seconds: float | None = None) -> Iterator[StopRequest]:
    """Turn the first signal to end into a request; one after a second ends at once."""
    request = StopRequest(max_seconds)
    caught = [signal.SIGINT, *end_signals()]
    before = {number: signal.getsignal(number) for number in caught}
    first = 0.0

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal first
        if request.signal is None:
            request.signal, first = signal.Signals(number), time.monotonic()
        elif time.monotonic() - first >= _ONE_EVENT:
            # Not what it was before: a shell starts its background jobs with SIGINT ignored.
            is_key = number == signal.SIGINT
            signal.signal(number, signal.default_int_handler if is_key else signal.SIG_DFL)
            os.kill(os.getpid(), number)

    for number in caught:
        signal.signal(number, handle)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
