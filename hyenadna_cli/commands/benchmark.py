"""`hyenadna benchmark`: speed and memory here, against plain Hyena and an attention model."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import DeviceOption, ThreadsOption
from hyenadna_cli.commands.options.output import ForceOption, NoVersionOption, OutputOption
from hyenadna_cli.commands.options.run import Verbosity
from hyenadna_cli.commands.reporting.provenance import made_by
from hyenadna_cli.commands.reporting.tables import align
from hyenadna_cli.core.config.flags import in_bases
from hyenadna_cli.core.machine.benchmark.selection import Selection, Settings
from hyenadna_cli.errors import SlowerError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.machine.benchmark.comparison import Change
    from hyenadna_cli.core.machine.benchmark.measuring import Benchmark, Floor, Row
    from hyenadna_cli.core.machine.benchmark.report import Cell

log = logging.getLogger(__name__)

_BUSY = 0.1
"""Share of the CPU time taken by others from which on a warning is due."""

_FOR_PEOPLE = (
    "pass",
    "length",
    "batch",
    "implementation",
    "kernels",
    "dtype",
    "seconds",
    "peak_mb",
    "times_faster_than_plain",
    "memory_of_plain",
    "times_faster_than_attention",
    "difference",
    "share_of_floor",
    "status",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchmarkOutput:
    """The tables and the picture of a benchmark."""

    HEADING: ClassVar[str] = "Output"

    output: OutputOption = "-"
    operators: Annotated[
        Path | None,
        typer.Option(
            "--operators",
            help="TSV of our operators alone: seconds, bytes per second. With --kernels "
            "torch,triton it decides what triton convolves on this GPU from then on.",
        ),
    ] = None
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Picture: .png, .svg or .pdf; needs matplotlib.")
    ] = None
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            help="TSV of an earlier run, on any machine: exit 5 if the ratio to plain and the "
            "share of the floor fell.",
        ),
    ] = None
    max_loss: Annotated[
        float, typer.Option("--max-loss", min=0, max=1, help="With --compare: a share of each.")
    ] = 0.15
    extrapolate: Annotated[
        int,
        in_bases(
            "--extrapolate", "Length to carry times on to, from two lengths or more; 0 for none."
        ),
    ] = 1_000_000
    force: ForceOption = False
    no_version: NoVersionOption = False

    def check(self) -> None:
        """Refuse what cannot be written, before any work. Raises UsageError and OutputError."""
        from hyenadna_cli.core.outputs import atomic
        from hyenadna_cli.core.outputs.figures import PICTURES

        if self.plot is not None and self.plot.suffix.lower() not in PICTURES:
            raise UsageError(f"--plot {self.plot}: use {', '.join(PICTURES)}")
        table = None if atomic.is_stream(self.output) else Path(self.output)
        for path in (self.plot, self.operators, table):
            if path is not None:
                atomic.check_output(path, overwrite=self.force)


@with_option_groups
def benchmark(
    *,
    selection: Selection,
    settings: Settings,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    to: BenchmarkOutput,
    verbosity: Verbosity,
) -> None:
    """Measure time and memory of HyenaDNA against plain PyTorch and an attention model.

    Each case runs in a process of its own, cases of a workload take turns, and outputs are compared
    before anything is timed. Writes one row per case: medians, spread, bases per second, peak
    memory, ratios to the plain formulation (float32) and to attention of the same depth and width
    (same precision), and the share of the time that matrix products and bytes moved take at the
    rates measured in this run.

      hyenadna benchmark --lengths 1k --d-model 16 --n-layer 1 --max-seconds 5
    """
    from hyenadna_cli.core.machine.benchmark import report
    from hyenadna_cli.core.machine.benchmark.comparison import KeptTable
    from hyenadna_cli.core.machine.benchmark.measuring import Benchmark

    to.check()
    kept = None if to.compare is None else KeptTable(to.compare)
    settings = dataclasses.replace(
        settings, device=device, threads=threads, with_operators=to.operators is not None
    )
    _warn_if_busy()
    started = time.monotonic()
    floor = Benchmark(settings).measure_floor()
    log.info("%s", floor.describe())
    bench = Benchmark(dataclasses.replace(settings, device=floor.device))
    rows: list[Row] = []
    for work, implementations in selection.workloads():
        for row in bench.measure(work, selection.variants(implementations), floor=floor):
            log.info("%s", row.describe())
            rows.append(row)
    if to.extrapolate:
        rows += report.extrapolated(rows, to.extrapolate)
    for crossing in report.crossings(rows):
        log.info("%s", crossing.describe())
    _write(to, rows, floor, settings=settings, seconds=time.monotonic() - started)
    if to.operators is not None:
        _write_operators(to.operators, bench, floor, force=to.force)
    if to.plot is not None:
        report.draw(rows, to.plot, overwrite=to.force)
    if kept is not None:
        _judge(kept.changes(report.table(rows, floor)), to)


def _judge(changes: list[Change], to: BenchmarkOutput) -> None:
    """Say what changed. Raises SlowerError if all of a case fell by more than --max-loss."""
    from hyenadna_cli.core.machine.benchmark.comparison import fallen

    for change in changes:
        log.log(
            logging.WARNING if change.loss > to.max_loss else logging.INFO, "%s", change.describe()
        )
    if slower := fallen(changes, to.max_loss):
        n_cases = len({change.case for change in changes})
        raise SlowerError(
            f"{len(slower)} of {n_cases} cases fell by more than {to.max_loss:.0%} in every figure "
            f"of {to.compare}"
        )


def _warn_if_busy() -> None:
    from hyenadna_cli.core.machine import hardware

    busy = hardware.busy_share()
    if busy is not None and busy > _BUSY:
        log.warning(
            "other programs use %.0f %% of this machine: times will be too long", 100 * busy
        )


def _write(
    to: BenchmarkOutput, rows: list[Row], floor: Floor, *, settings: Settings, seconds: float
) -> None:
    """The table: for people at a terminal, else as TSV, with a manifest beside a file."""
    from collections import Counter

    from hyenadna_cli.core.machine.benchmark.report import COLUMNS, table
    from hyenadna_cli.core.outputs import atomic, provenance

    cells = table(rows, floor)
    is_shown = to.output == "-" and sys.stdout.isatty()
    if is_shown or (to.output != "-" and sys.stderr.isatty()):
        shown = [COLUMNS.index(name) for name in _FOR_PEOPLE]
        texts = [[_short(row[index]) for index in shown] for row in cells]
        align(_FOR_PEOPLE, texts, on_stderr=not is_shown)
    if is_shown:
        return
    made = made_by(
        settings={
            "repeats": settings.repeats,
            "max_seconds": settings.max_seconds,
            "seed": settings.seed,
            "copy_bytes_per_second": round(floor.copy_bytes),
            **{f"matmul_flops_{name}": round(rate) for name, rate in floor.matmul_flops.items()},
        },
        inputs=[],
        model=None,
        device=floor.device_name,
        no_version=to.no_version,
    )
    _write_table(to.output, COLUMNS, cells, force=to.force)
    if not atomic.is_stream(to.output):
        counts = Counter(str(row.status) for row in rows)
        provenance.write_manifest(Path(to.output), made, rows=counts, shard=None, seconds=seconds)


def _write_operators(path: Path, bench: Benchmark, floor: Floor, *, force: bool) -> None:
    """The operators alone; on a GPU, what they decide is kept."""
    import torch

    from hyenadna_cli.core.machine.benchmark import report
    from hyenadna_cli.core.model import long_conv_choice

    cells = report.operator_table(bench.operator_rows, floor)
    _write_table(str(path), report.OPERATOR_COLUMNS, cells, force=force)
    if floor.device.startswith("cuda"):
        timings = report.long_conv_timings(bench.operator_rows)
        long_conv_choice.record(torch.device(floor.device), timings)


def _write_table(
    output: str, columns: Sequence[str], cells: list[tuple[Cell, ...]], *, force: bool
) -> None:
    from hyenadna_cli.core.io.tsv import TsvWriter

    with TsvWriter(output, columns=columns, overwrite=force) as writer:
        for row in cells:
            writer.write_row(["" if cell is None else cell for cell in row])


def _short(cell: Cell) -> str:
    if cell is None:
        return "."
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) or cell >= 1_000 else f"{cell:.3g}"
