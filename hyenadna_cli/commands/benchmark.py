"""`hyenadna benchmark`: speed and memory here, against plain Hyena and an attention model."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.commands.reporting.tables import align
from hyenadna_cli.core.machine.benchmark.cases import (
    PRESETS,
    Dtype,
    Implementation,
    Variant,
    Workload,
)
from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.machine.benchmark.measuring import Floor, Row, Settings
    from hyenadna_cli.core.machine.benchmark.report import Cell

log = logging.getLogger(__name__)

Choice = TypeVar("Choice", bound=str)

_DTYPES: tuple[Dtype, ...] = ("fp32", "bf16")
_KERNELS: tuple[opt.KernelsRequest, ...] = ("auto", "torch", "numba", "triton", "triton-fp16")
_RIVALS: tuple[Implementation, ...] = ("plain", "attention")

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


def benchmark(
    case: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="NAME", help=f"Named workloads: {', '.join(PRESETS)}."),
    ] = None,
    lengths: Annotated[
        str, typer.Option("--lengths", help="Bases, with commas: 1k,32k. Without --case.")
    ] = "1k,4k,16k",
    d_model: Annotated[int, typer.Option("--d-model", min=2, help="Width.")] = 128,
    n_layer: Annotated[int, typer.Option("--n-layer", min=1, help="Blocks.")] = 2,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Sequences a pass.")] = 1,
    dtype: Annotated[
        str, typer.Option("--dtype", help="fp32, bf16 or both with a comma; plain runs in fp32.")
    ] = "fp32,bf16",
    kernels: Annotated[
        str, typer.Option("--kernels", help=f"{', '.join(_KERNELS)}; several with commas.")
    ] = "auto",
    against: Annotated[
        str | None,
        typer.Option("--against", help="plain, attention, both with a comma, or none."),
    ] = None,
    backward: Annotated[
        bool, typer.Option("--backward", help="Also forward, loss and backward, as in training.")
    ] = False,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Backward with gradient checkpointing, in all.")
    ] = False,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="Turns of each case.")] = 5,
    max_seconds: Annotated[
        float,
        typer.Option("--max-seconds", min=1, help="Patience for all passes of one case."),
    ] = 60.0,
    max_minutes: Annotated[
        float | None,
        typer.Option("--max-minutes", min=0, help="For the run: no case is begun after it."),
    ] = None,
    operators: Annotated[
        Path | None,
        typer.Option(
            "--operators",
            help="TSV of our operators alone: seconds, bytes a second. With --kernels torch,triton "
            "it decides what triton convolves on this GPU from then on.",
        ),
    ] = None,
    extrapolate: Annotated[
        int,
        typer.Option(
            "--extrapolate",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Length to carry times on to, from two lengths or more; 0 for none.",
        ),
    ] = 1_000_000,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Picture: .png, .svg or .pdf; needs matplotlib.")
    ] = None,
    device: opt.DeviceOption = "auto",
    threads: opt.ThreadsOption = None,
    seed: opt.SeedOption = 0,
    output: opt.OutputOption = "-",
    force: opt.ForceOption = False,
    no_version: opt.NoVersionOption = False,
    verbose: opt.VerboseOption = 0,
    quiet: opt.QuietOption = False,
) -> None:
    """Measure time and memory of HyenaDNA against its plain form and an attention model.

    Each case runs in a process of its own, cases of a workload take turns, and outputs are compared
    before anything is timed. Writes one row a case: medians, spread, bases per second, peak memory,
    ratios to the plain formulation (float32) and to attention of the same depth and width (same
    precision), and the share of the time that matrix products and bytes moved take at the rates
    measured in this run.

      hyenadna benchmark --lengths 1k --d-model 16 --n-layer 1 --max-seconds 5
    """
    import torch

    from hyenadna_cli.core.machine import hardware
    from hyenadna_cli.core.machine.benchmark import report as benchmark_report
    from hyenadna_cli.core.machine.benchmark.measuring import Benchmark, Settings
    from hyenadna_cli.core.model import long_conv_choice
    from hyenadna_cli.core.outputs import atomic

    plan = _plan(
        case or [],
        lengths=lengths,
        d_model=d_model,
        n_layer=n_layer,
        batch=batch,
        backward=backward,
        recompute=recompute,
        against=against,
    )
    dtypes, requests = _listed("--dtype", dtype, _DTYPES), _listed("--kernels", kernels, _KERNELS)
    if plot is not None and plot.suffix not in benchmark_report.PICTURES:
        raise UsageError(f"--plot {plot}: use {', '.join(benchmark_report.PICTURES)}")
    for path in (plot, operators, None if atomic.is_stream(output) else Path(output)):
        if path is not None:
            atomic.check_output(path, overwrite=force)
    settings = Settings(
        device=device,
        threads=threads,
        repeats=repeats,
        max_seconds=max_seconds,
        seed=seed,
        max_minutes=max_minutes,
        with_operators=operators is not None,
    )
    busy = hardware.busy_share()
    if busy is not None and busy > _BUSY:
        log.warning(
            "other programs use %.0f %% of this machine: times will be too long", 100 * busy
        )
    started = time.monotonic()
    floor = Benchmark(settings).measure_floor()
    _say_floor(floor)
    bench = Benchmark(dataclasses.replace(settings, device=floor.device))
    rows: list[Row] = []
    for work, implementations in plan:
        variants = _variants(implementations, dtypes, requests)
        for row in bench.measure(work, variants, floor=floor):
            _say(row)
            rows.append(row)
    if extrapolate:
        rows += benchmark_report.extrapolated(rows, extrapolate)
    for crossing in benchmark_report.crossings(rows):
        log.info(
            "%s is as fast as %s at %s bases",
            crossing.variant,
            crossing.against,
            f"{crossing.length:,.0f}",
        )
    cells = benchmark_report.table(rows, floor)
    _write(
        output,
        cells,
        rows,
        floor,
        settings=settings,
        force=force,
        no_version=no_version,
        seconds=time.monotonic() - started,
    )
    if operators is not None:
        _write_operators(
            operators, benchmark_report.operator_table(bench.operator_rows, floor), force=force
        )
        if floor.device.startswith("cuda"):
            timings = benchmark_report.long_conv_timings(bench.operator_rows)
            long_conv_choice.record(torch.device(floor.device), timings)
    if plot is not None:
        benchmark_report.draw(rows, plot, overwrite=force)


def _plan(
    names: list[str],
    *,
    lengths: str,
    d_model: int,
    n_layer: int,
    batch: int,
    backward: bool,
    recompute: bool,
    against: str | None,
) -> list[tuple[Workload, tuple[Implementation, ...]]]:
    """Workloads in the order of their lengths, each with who is measured on it."""
    rivals = None if against is None else _rivals(against)
    if unknown := [name for name in names if name not in PRESETS]:
        raise UsageError(f"--case {unknown[0]}: use {', '.join(PRESETS)}")
    if names:
        return [
            (work, PRESETS[name].implementations if rivals is None else (*rivals, "hyenadna"))
            for name in names
            for work in PRESETS[name].workloads
        ]
    implementations = (*(_rivals("plain,attention") if rivals is None else rivals), "hyenadna")
    return [
        (
            Workload(
                d_model=d_model,
                n_layer=n_layer,
                length=length,
                batch=batch,
                training=training,
                recompute=training and recompute,
            ),
            implementations,
        )
        for training in ((False, True) if backward else (False,))
        for length in sorted(opt.parse_bases(text) for text in lengths.split(","))
    ]


def _rivals(text: str) -> tuple[Implementation, ...]:
    return () if text == "none" else _listed("--against", text, _RIVALS)


def _listed(option: str, text: str, allowed: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """A comma-separated list of known words. Raises UsageError."""
    known = {str(word): word for word in allowed}
    words = [word.strip() for word in text.split(",")]
    if unknown := [word for word in words if word not in known]:
        raise UsageError(f"{option} {unknown[0]}: use {', '.join(known)}")
    return tuple(known[word] for word in dict.fromkeys(words))


def _variants(
    implementations: tuple[Implementation, ...],
    dtypes: tuple[Dtype, ...],
    requests: tuple[opt.KernelsRequest, ...],
) -> list[Variant]:
    """Plain first, as its memory is free again when the others run; it runs in one precision."""
    plain_dtypes = ("fp32",) if "fp32" in dtypes else dtypes
    variants = []
    for name in ("plain", "hyenadna", "attention"):
        if name not in implementations:
            continue
        variants += [
            Variant(implementation=name, dtype=dtype, kernels=request)
            for dtype in (dtypes if name != "plain" else plain_dtypes)
            for request in (requests if name == "hyenadna" else ("auto",))
        ]
    return variants


def _say_floor(floor: Floor) -> None:
    rates = ", ".join(f"{name} {rate / 1e9:,.0f}" for name, rate in floor.matmul_flops.items())
    log.info(
        "%s: matrix products at %s GFLOP/s, copies at %.1f GB/s",
        floor.device_name,
        rates,
        floor.copy_bytes / 1e9,
    )


def _say(row: Row) -> None:
    if row.seconds is None or row.peak_bytes is None:
        log.info("%s: %s: %s, %s", row.workload, row.variant, row.status.lower(), row.note)
        return
    log.info(
        "%s: %s: %.4g s (%.4g to %.4g), %.0f MB",
        row.workload,
        row.variant,
        row.seconds,
        row.seconds_min,
        row.seconds_max,
        row.peak_bytes / 1e6,
    )


def _write(
    output: str,
    cells: list[tuple[Cell, ...]],
    rows: list[Row],
    floor: Floor,
    *,
    settings: Settings,
    force: bool,
    no_version: bool,
    seconds: float,
) -> None:
    """The table: for people at a terminal, else as TSV, with a manifest beside a file."""
    from collections import Counter

    from hyenadna_cli.core.io.tsv import TsvWriter
    from hyenadna_cli.core.machine.benchmark.report import COLUMNS
    from hyenadna_cli.core.outputs import atomic, provenance

    is_shown = output == "-" and sys.stdout.isatty()
    if is_shown or (output != "-" and sys.stderr.isatty()):
        chosen = [COLUMNS.index(name) for name in _FOR_PEOPLE]
        texts = [[_short(row[index]) for index in chosen] for row in cells]
        align(_FOR_PEOPLE, texts, on_stderr=not is_shown)
    if is_shown:
        return
    made_by = provenance.collect(
        command=["hyenadna", *sys.argv[1:]],
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
        reproducible=no_version,
    )
    with TsvWriter(output, columns=COLUMNS, overwrite=force) as writer:
        for row in cells:
            writer.write_row(["" if cell is None else cell for cell in row])
    if not atomic.is_stream(output):
        provenance.write_manifest(
            Path(output),
            made_by,
            rows=Counter(row.status for row in rows),
            shard=None,
            seconds=seconds,
        )


def _write_operators(path: Path, cells: list[tuple[Cell, ...]], *, force: bool) -> None:
    from hyenadna_cli.core.io.tsv import TsvWriter
    from hyenadna_cli.core.machine.benchmark.report import OPERATOR_COLUMNS

    with TsvWriter(str(path), columns=OPERATOR_COLUMNS, overwrite=force) as writer:
        for row in cells:
            writer.write_row(["" if cell is None else cell for cell in row])


def _short(cell: Cell) -> str:
    if cell is None:
        return "."
    if isinstance(cell, str):
        return cell
    return f"{cell:,}" if isinstance(cell, int) or cell >= 1_000 else f"{cell:.3g}"
