"""From measurements to what they say: ratios, crossing points, extrapolations, a table, a picture.

Ratios of time and memory are against the plain formulation in float32 on the same workload (or of
the same precision where that was not measured), and against attention of the same precision.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hyenadna_cli.core.machine.benchmark.cases import Implementation, Variant, Workload
from hyenadna_cli.core.machine.benchmark.expectations import bytes_moved, expected_bytes
from hyenadna_cli.core.machine.benchmark.measuring import Floor, OperatorRow, Row
from hyenadna_cli.core.model.long_conv_choice import Timing, Use
from hyenadna_cli.core.outputs.figures import new_figure, save_figure

COLUMNS = (
    "implementation",
    "kernels",
    "dtype",
    "pass",
    "n_layer",
    "d_model",
    "length",
    "batch",
    "status",
    "n_passes",
    "seconds",
    "seconds_min",
    "seconds_max",
    "bases_per_second",
    "peak_mb",
    "start_mb",
    "times_faster_than_plain",
    "memory_of_plain",
    "times_faster_than_attention",
    "difference",
    "share_of_floor",
    "share_of_bandwidth",
    "note",
)
OPERATOR_COLUMNS = (
    "operator",
    "direction",
    "kernels",
    "d_model",
    "length",
    "batch",
    "seconds",
    "gigabytes_per_second",
    "share_of_bandwidth",
)

Cell = str | int | float | None
Quantity = Literal["seconds", "peak_bytes"]

_COLOURS = {"plain": "#7f8c8d", "hyenadna": "#1f618d", "attention": "#b03a2e"}
_STYLES = {"fp32": "-", "bf16": "--"}


@dataclass(frozen=True, slots=True)
class Crossing:
    """The length from which one variant needs less than another."""

    variant: Variant
    against: Variant
    length: float
    """Tokens, between two measured lengths on a log-log line; the shortest if already there."""
    is_always: bool
    """Whether it needs less at every measured length, so that they do not cross."""

    def describe(self) -> str:
        """In words."""
        at = f"{self.length:,.0f} bases"
        if self.is_always:
            return f"{self.variant} is faster than {self.against} at all lengths, from {at} on"
        return f"{self.variant} is as fast as {self.against} at {at}"


def table(rows: Sequence[Row], floor: Floor | None) -> list[tuple[Cell, ...]]:
    """The rows as cells of `COLUMNS`; what is not known is None."""
    return [_cells(row, rows, floor) for row in rows]


def operator_table(rows: Sequence[OperatorRow], floor: Floor) -> list[tuple[Cell, ...]]:
    """Operators by themselves as cells of `OPERATOR_COLUMNS`."""
    cells: list[tuple[Cell, ...]] = []
    for row in rows:
        work, rate = row.workload, row.time.n_bytes / row.time.seconds
        cells.append(
            (
                row.time.operator,
                row.time.direction,
                row.kernels,
                work.d_model,
                work.length,
                work.batch,
                row.time.seconds,
                rate / 1e9,
                rate / floor.copy_bytes,
            )
        )
    return cells


def long_conv_timings(rows: Sequence[OperatorRow]) -> list[Timing]:
    """Where both implementations of a GPU's long convolution were measured on the same workload.

    Of several workloads of one length the largest counts; of several runs the fastest.
    """
    seconds: dict[tuple[Workload, str], dict[str, float]] = {}
    for row in rows:
        if row.time.operator == "long convolution":
            passes = seconds.setdefault((row.workload, row.kernels), {})
            direction = row.time.direction
            passes[direction] = min(row.time.seconds, passes.get(direction, math.inf))
    by_size = sorted({work for work, _ in seconds}, key=lambda work: work.batch * work.d_model)
    timings: dict[tuple[Use, int], Timing] = {}
    for work in by_size:
        triton, cufft = seconds.get((work, "triton")), seconds.get((work, "torch"))
        if triton is None or cufft is None:
            continue
        timings["inference", work.length] = Timing(
            "inference", work.length, triton["forward"], cufft["forward"]
        )
        timings["training", work.length] = Timing(
            "training", work.length, sum(triton.values()), sum(cufft.values())
        )
    return list(timings.values())


def extrapolated(rows: Sequence[Row], length: int) -> list[Row]:
    """A row at `length` for every variant measured at two shorter lengths or more, but not there.

    Time in proportion from the longest; of attention a L + b L^2 through the two longest. Memory on
    a line through the two longest; ours, which takes less per base once gates and spectra are made
    for some channels at a time, by what the memory plan adds. The formula is the row's note.
    """
    further = []
    for family in _families(rows):
        longest = family[-1]
        if longest.workload.length >= length or len(family) < 2:
            continue
        seconds, note = _formula(family[-2], longest, length)
        further.append(
            Row(
                workload=dataclasses.replace(longest.workload, length=length),
                variant=longest.variant,
                status="EXTRAPOLATED",
                kernels=longest.kernels,
                seconds=seconds,
                peak_bytes=_peak_at(family[-2], longest, length),
                note=note,
            )
        )
    return further


def crossings(rows: Sequence[Row], quantity: Quantity = "seconds") -> list[Crossing]:
    """Where each Hyena variant overtakes attention of its precision, within what was measured."""
    families = _families(rows)
    crossing_points = []
    for ours in families:
        for theirs in families:
            if not _is_rival(ours[0], theirs[0]):
                continue
            found = _crossing(ours, theirs, quantity)
            if found is not None:
                crossing_points.append(Crossing(ours[0].variant, theirs[0].variant, *found))
    return crossing_points


def draw(rows: Sequence[Row], path: Path, *, overwrite: bool) -> None:
    """Time and peak memory against length, both axes logarithmic, crossing points marked.

    One kind of pass and one shape a picture: those of the first row. Raises UsageError if
    matplotlib is missing, OutputError if `path` cannot be written.
    """
    first = rows[0].workload
    shown = [row for row in rows if _shape(row.workload) == _shape(first)]
    figure = new_figure(10, 4.4)
    panels = figure.subplots(1, 2)
    quantities: tuple[tuple[Quantity, str, float], ...] = (
        ("seconds", "seconds per pass", 1.0),
        ("peak_bytes", "peak memory (MB)", 1e-6),
    )
    for axes, (quantity, label, scale) in zip(panels, quantities, strict=True):
        for family in _families(shown, with_extrapolated=True):
            points = [(row.workload.length, getattr(row, quantity)) for row in family]
            _draw_family(axes, family, [(x, scale * y) for x, y in points if y is not None])
        axes.set(xscale="log", yscale="log", xlabel="length (bases)", ylabel=label)
        axes.grid(visible=True, which="major", color="0.92")
    met = [crossing for crossing in crossings(shown) if not crossing.is_always]
    for number, crossing in enumerate(met):
        panels[0].axvline(crossing.length, color="0.75", linewidth=0.8, zorder=0)
        panels[0].annotate(
            f"{crossing.variant} = attention\nat {crossing.length:,.0f}",
            # One above the other: crossings of two precisions are often close together.
            (crossing.length, 0.02 + number / max(2, len(met))),
            xycoords=("data", "axes fraction"),
            rotation=90,
            xytext=(2, 0),
            textcoords="offset points",
            fontsize=6,
            color="0.4",
        )
    panels[0].legend(frameon=False, fontsize=8)
    figure.suptitle(_title(first, shown), fontsize=9)
    save_figure(figure, path, overwrite=overwrite)


def _draw_family(axes: Any, family: Sequence[Row], points: Sequence[tuple[int, float]]) -> None:
    if not points:
        return
    variant = family[0].variant
    colour = _COLOURS[variant.implementation]
    measured = points if family[-1].status == "OK" else points[:-1]
    axes.plot(
        *zip(*measured, strict=True),
        _STYLES[variant.dtype],
        marker="o",
        markersize=4,
        color=colour,
        label=str(variant),
    )
    if len(measured) < len(points):
        axes.plot(*zip(*points[-2:], strict=True), ":", color=colour)
        axes.plot(*points[-1], marker="o", markersize=5, markerfacecolor="white", color=colour)


def _title(work: Workload, rows: Sequence[Row]) -> str:
    kind = "forward and backward" if work.training else "forward"
    title = f"{work.n_layer} layers of width {work.d_model}, batch {work.batch}, {kind}"
    ratios = [
        f"{row.variant}: {ratio:,.0f} x faster than attention at {row.workload.length:,}"
        for row in rows
        if row.variant.implementation == "hyenadna"
        and row.workload.length == max(r.workload.length for r in rows)
        and (ratio := _ratio(_attention_of(row, rows), row)) is not None
    ]
    notes = {row.note for row in rows if row.status == "EXTRAPOLATED" and "L^2" in row.note}
    return "\n".join([title, "; ".join(ratios), *sorted(notes)]).strip()


def _cells(row: Row, rows: Sequence[Row], floor: Floor | None) -> tuple[Cell, ...]:
    work, plain = row.workload, _plain_of(row, rows)
    is_hyena = row.variant.implementation != "attention"
    moved = bytes_moved(work) if is_hyena and floor and row.seconds else None
    return (
        row.variant.implementation,
        row.kernels,
        row.variant.dtype,
        "training" if work.training else "forward",
        work.n_layer,
        work.d_model,
        work.length,
        work.batch,
        row.status,
        row.n_passes,
        row.seconds,
        row.seconds_min,
        row.seconds_max,
        work.length * work.batch / row.seconds if row.seconds else None,
        row.peak_bytes / 1e6 if row.peak_bytes else None,
        row.start_bytes / 1e6 if row.start_bytes else None,
        _ratio(plain, row),
        row.peak_bytes / plain.peak_bytes
        if plain and row.peak_bytes and plain.peak_bytes
        else None,
        _ratio(_attention_of(row, rows), row),
        row.difference,
        row.floor_seconds / row.seconds if row.floor_seconds and row.seconds else None,
        moved / row.seconds / floor.copy_bytes if moved and floor and row.seconds else None,
        row.note,
    )


def _ratio(other: Row | None, row: Row) -> float | None:
    if other is None or other.seconds is None or not row.seconds:
        return None
    return other.seconds / row.seconds


def _plain_of(row: Row, rows: Iterable[Row]) -> Row | None:
    dtypes = ("fp32", row.variant.dtype)
    plain = [r for r in _beside(row, rows, "plain") if r.variant.dtype in dtypes]
    return min(plain, key=lambda r: dtypes.index(r.variant.dtype), default=None)


def _attention_of(row: Row, rows: Iterable[Row]) -> Row | None:
    if row.variant.implementation == "attention":
        return None
    same = (r for r in _beside(row, rows, "attention") if r.variant.dtype == row.variant.dtype)
    return next(same, None)


def _beside(row: Row, rows: Iterable[Row], implementation: Implementation) -> list[Row]:
    """Rows of the same workload that have a time."""
    return [
        r
        for r in rows
        if r.workload == row.workload
        and r.variant.implementation == implementation
        and r.seconds is not None
    ]


def _shape(work: Workload) -> Workload:
    """All of a workload but its length."""
    return dataclasses.replace(work, length=0)


def _families(rows: Iterable[Row], *, with_extrapolated: bool = False) -> list[list[Row]]:
    """Rows that differ in length alone, by length; measured ones, unless others are asked for."""
    families: dict[tuple[Variant, Workload], list[Row]] = {}
    for row in rows:
        if row.status == "OK" or (with_extrapolated and row.status == "EXTRAPOLATED"):
            families.setdefault((row.variant, _shape(row.workload)), []).append(row)
    return [sorted(family, key=lambda row: row.workload.length) for family in families.values()]


def _is_rival(ours: Row, theirs: Row) -> bool:
    return (
        ours.variant.implementation != "attention"
        and theirs.variant.implementation == "attention"
        and ours.variant.dtype == theirs.variant.dtype
        and _shape(ours.workload) == _shape(theirs.workload)
    )


def _crossing(
    ours: Sequence[Row], theirs: Sequence[Row], quantity: Quantity
) -> tuple[float, bool] | None:
    """The length from which ours needs less, and whether it does at all of them."""
    other = {row.workload.length: getattr(row, quantity) for row in theirs}
    # Logarithm of how many times more the other needs, by logarithm of length.
    points = [
        (
            math.log(row.workload.length),
            math.log(other[row.workload.length] / getattr(row, quantity)),
        )
        for row in ours
        if other.get(row.workload.length) and getattr(row, quantity)
    ]
    if not points or points[-1][1] < 0:
        return None
    for (x0, y0), (x1, y1) in reversed(list(itertools.pairwise(points))):
        if y0 < 0 <= y1:
            return math.exp(x0 + (x1 - x0) * -y0 / (y1 - y0)), False
    return math.exp(points[0][0]), True


def _formula(shorter: Row, longest: Row, length: int) -> tuple[float, str]:
    """Seconds at `length`, and how they were come by."""
    l0, l1 = shorter.workload.length, longest.workload.length
    linear = _known(longest.seconds) / l1
    if longest.variant.implementation != "attention":
        return linear * length, f"t = {linear:.3g} s x L, from L = {l1:,}"
    # t / L = a + b L, a line through two points; a negative a is noise.
    slope = max(0.0, (linear - _known(shorter.seconds) / l0) / (l1 - l0))
    start = linear - slope * l1
    if start < 0:
        start, slope = 0.0, linear / l1
    note = f"t = {start:.3g} s x L + {slope:.3g} s x L^2, through L = {l0:,} and {l1:,}"
    return start * length + slope * length**2, note


def _peak_at(shorter: Row, longest: Row, length: int) -> int:
    l0, l1 = shorter.workload.length, longest.workload.length
    m0, m1 = _known(shorter.peak_bytes), _known(longest.peak_bytes)
    if longest.variant.implementation == "hyenadna":
        then = dataclasses.replace(longest.workload, length=length)
        planned = [expected_bytes(work, longest.variant) for work in (longest.workload, then)]
        return round(m1 + planned[1] - planned[0])
    return round(m1 + (m1 - m0) * (length - l1) / (l1 - l0))


def _known(value: float | None) -> float:
    assert value is not None
    return value
