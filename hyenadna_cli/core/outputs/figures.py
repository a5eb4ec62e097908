"""Figures, where matplotlib is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
"""What a picture may be called."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches. Raises UsageError if matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("pictures need matplotlib: pip install matplotlib") from error
    return Figure(figsize=(width, height), layout="constrained")


def whole_numbers(axis: Axis, *, n: int) -> None:
    """Some `n` ticks at whole numbers, written as 1,234,567."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(n, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def draw_curves(
    curves: Mapping[str, Sequence[tuple[float, float, float, float]]],
    path: Path,
    *,
    labels: tuple[str, str],
    overwrite: bool,
    y_limits: tuple[float, float] | None = None,
) -> None:
    """One line per name through its points (x, y, low, high) by x, with bands from low to high.

    x is a length in bases, on a logarithmic scale; `labels` are those of the axes. Raises
    UsageError if matplotlib is missing, OutputError if `path` cannot be written.
    """
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    for name, points in curves.items():
        at, values, low, high = zip(*sorted(points), strict=True)
        (line,) = axes.plot(at, values, "o-", markersize=4, label=name)
        axes.fill_between(at, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_xscale("log", base=2)
    ticks = sorted({point[0] for points in curves.values() for point in points})
    axes.set_xticks(ticks, [f"{length:,}" for length in ticks])
    axes.minorticks_off()
    if y_limits is not None:
        axes.set_ylim(*y_limits)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    save_figure(figure, path, overwrite=overwrite)


def plotly() -> Any:
    """plotly.graph_objects, for pages. Raises UsageError if plotly is missing."""
    try:
        import plotly.graph_objects
    except ImportError as error:
        raise UsageError("pages need plotly: pip install 'hyenadna[pages]'") from error
    return plotly.graph_objects


def save_page(figure: Any, path: Path, *, overwrite: bool) -> None:
    """Write a figure of plotly as one HTML file that needs no network. Raises OutputError."""
    atomic.check_output(path, overwrite=overwrite)
    # A fixed name, so that equal figures are equal files.
    atomic.write_text(path, figure.to_html(include_plotlyjs=True, full_html=True, div_id="map"))


def save_figure(figure: Figure, path: Path, *, overwrite: bool) -> None:
    """Write a figure in the format of the file's suffix. Raises OutputError."""
    with atomic.replace_on_success(path, overwrite=overwrite) as scratch:
        kind = path.suffix.lower().removeprefix(".")
        figure.savefig(scratch, format=kind, dpi=150, metadata={})
