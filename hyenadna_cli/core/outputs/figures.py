"""Figures, where matplotlib is installed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
"""What a picture may be called."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches. Raises UsageError if matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install 'hyenadna[plots]'") from error
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: Path, *, overwrite: bool) -> None:
    """Write a figure in the format of the file's suffix. Raises OutputError."""
    with atomic.replace_on_success(path, overwrite=overwrite) as scratch:
        figure.savefig(scratch, format=path.suffix.removeprefix("."), dpi=150, metadata={})
