"""How far a run is: a bar on a terminal, elsewhere a line per minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 60.0


def track(
    items: Iterable[Item],
    *,
    total: float | None,
    label: str,
    size_of: Callable[[Item], float] = lambda _: 1.0,
    describe: Callable[[Item], str] | None = None,
    command: str | None = None,
    unit: str = "bases",
) -> Iterator[Item]:
    """Yield `items` and show on stderr how far they are, unless `-q` was given.

    `size_of` tells how much of `total` an item is, in `unit`; `describe` words for the newest item.
    `command` begins the lines where stderr is not a terminal; None: there are none.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    is_quiet = not logging.getLogger().isEnabledFor(logging.INFO)
    if is_quiet or not console.is_terminal:
        beat = None if is_quiet or command is None else _Heartbeat(command, total, unit)
        for item in items:
            yield item
            if beat is not None:
                beat.add(size_of(item))
        return
    left = (TimeRemainingColumn(), TextColumn("left"))
    columns: tuple[ProgressColumn, ...]
    if total is None:  # neither a percentage nor the time that is left is known
        columns = (SpinnerColumn("line"), TimeElapsedColumn())
    elif describe is not None:  # words say how far, and have to fit eighty columns
        columns = (BarColumn(bar_width=8), *left)
    else:
        share = TextColumn("{task.percentage:>3.0f}%")
        columns = (BarColumn(), share, TimeElapsedColumn(), TextColumn("elapsed,"), *left)
    columns = (TextColumn("{task.description}"), *columns, TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total, note="")
        for item in items:
            yield item
            note = describe(item) if describe else ""
            progress.update(task, advance=size_of(item), note=note)


class Pace:
    """How fast a run goes: without its first batch, which also loads and compiles."""

    def __init__(self) -> None:
        self._started = self.now = time.monotonic()
        self._first: tuple[float, float] | None = None
        self.done = 0.0

    def add(self, size: float) -> None:
        """Count what was done."""
        self.done += size
        self.now = time.monotonic()
        if self._first is None and self.done > 0:
            self._first = (self.now, self.done)

    @property
    def seconds(self) -> float:
        """Measured after the first batch."""
        return 0.0 if self._first is None else self.now - self._first[0]

    @property
    def rate(self) -> float | None:
        """Done per second; None if there is nothing to go by yet."""
        if self._first is not None and self.done > self._first[1]:
            return (self.done - self._first[1]) / max(self.seconds, 1e-9)
        return self.done / max(self.now - self._started, 1e-9) if self.done > 0 else None

    def estimate(self, total: float) -> float | None:
        """Seconds that all of it takes, the first batch included."""
        if self._first is None or self.rate is None:
            return None
        return self.now - self._started + max(0.0, total - self.done) / self.rate


class _Heartbeat:
    """Says after the second batch how long the run will take, and every minute how far it is."""

    def __init__(self, command: str, total: float | None, unit: str) -> None:
        self._command, self._total, self._unit = command, total, unit
        self._pace = Pace()
        self._said = self._pace.now
        self._is_estimated = False

    def add(self, size: float) -> None:
        """Count what was done; short runs are never spoken of."""
        self._pace.add(size)
        rate, now = self._pace.rate, self._pace.now
        if rate is None:
            return
        left = None if self._total is None else max(0.0, self._total - self._pace.done) / rate
        is_second = self._pace.seconds > 0 and not self._is_estimated
        self._is_estimated |= is_second
        is_long = left is not None and left > HEARTBEAT_SECONDS
        if (is_second and is_long) or now - self._said >= HEARTBEAT_SECONDS:
            self._said = now
            log.info("%s: %s", self._command, self._words(rate, left))

    def _words(self, rate: float, left: float | None) -> str:
        of_all = "" if self._total is None else f" of {self._total:,.0f}"
        words = f"{self._pace.done:,.0f}{of_all} {self._unit}, {rate:,.3g} {self._unit}/s"
        if left is None:
            return words
        return f"{words}, {left / 60:.0f} min left" if left >= 90 else f"{words}, {left:.0f} s left"
