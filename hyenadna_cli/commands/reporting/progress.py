"""A progress bar on stderr; silent when nobody watches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def track(
    items: Iterable[Item],
    *,
    total: float | None,
    label: str,
    size_of: Callable[[Item], float] = lambda _: 1.0,
    describe: Callable[[Item], str] | None = None,
) -> Iterator[Item]:
    """Yield `items` and show how far they are, if stderr is a terminal and `-q` was not given.

    `size_of` tells how much of `total` an item is; `describe` words for the newest item.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    is_quiet = not logging.getLogger().isEnabledFor(logging.INFO)
    if not console.is_terminal or is_quiet:
        yield from items
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(label, total=total, note="")
        for item in items:
            yield item
            note = describe(item) if describe else ""
            progress.update(task, advance=size_of(item), note=note)
