"""Small tables on stdout: text for programs, aligned for people, JSON when asked for."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Literal

import typer

Cell = str | int | float | None


def print_table(
    columns: Sequence[str],
    rows: Sequence[tuple[Cell, ...]],
    *,
    as_json: bool,
    drops_columns: bool = False,
) -> None:
    """Tab-separated with a header, aligned for people at a terminal, or a JSON list of objects.

    `drops_columns`: a narrow terminal gets fewer columns, not folded ones.
    """
    if as_json:
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        typer.echo(json.dumps(records, indent=2))
        return
    texts = [["." if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (columns, *texts):
            typer.echo("\t".join(line))
        return
    n_shown = _n_fitting([columns, *texts]) if drops_columns else len(columns)
    align(columns[:n_shown], [text[:n_shown] for text in texts], on_stderr=False)
    if n_shown < len(columns):
        typer.echo(f"A wider terminal, or --json, also shows {' and '.join(columns[n_shown:])}.")


def _n_fitting(texts: Sequence[Sequence[str]]) -> int:
    """How many columns, from the first on, a terminal has room for; at least one."""
    from rich.console import Console

    room, n_shown = Console().width - 2, 0
    for column in zip(*texts, strict=True):
        room -= max(map(len, column)) + 2
        if room < 0:
            break
        n_shown += 1
    return max(1, n_shown)


def align(columns: Sequence[str], texts: Sequence[Sequence[str]], *, on_stderr: bool) -> None:
    """Print a table for people."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE)
    for number, column in enumerate(columns):
        # Names, which are to be typed again, stay whole; the rest is folded where it must be.
        side: Literal["left", "right"] = "left"
        if texts and all(re.fullmatch(r"-?[\d.]+(e-?\d+)?", text[number]) for text in texts):
            side = "right"
        table.add_column(column, overflow="fold", no_wrap=number == 0, justify=side)
    table.columns[0].min_width = max(len(text[0]) for text in (columns, *texts))
    for text in texts:
        table.add_row(*text)
    Console(stderr=on_stderr).print(table, markup=False)
