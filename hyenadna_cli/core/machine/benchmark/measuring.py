"""Speed and memory of HyenaDNA here, against the plain formulation and an attention model.

    workload -> a process for each variant -> one pass each, outputs compared -> timed in turns
             -> medians, spread, peak memory -> Row

Variants of a workload take turns, so that a machine that slows down slows all of them. Nothing is
reported of a workload on which our outputs differ from the plain formulation's.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.machine import hardware
from hyenadna_cli.core.machine.benchmark.cases import Case, Variant, Workload
from hyenadna_cli.core.machine.benchmark.expectations import (
    bytes_moved,
    expected_bytes,
    matmul_flops,
    scaled_seconds,
)
from hyenadna_cli.core.machine.benchmark.operators import OperatorTime
from hyenadna_cli.core.machine.benchmark.process import MeasuredProcess, ProcessError
from hyenadna_cli.core.machine.benchmark.selection import Settings
from hyenadna_cli.errors import HyenaDNAError

Status = Literal["OK", "SKIPPED", "STOPPED", "FAILED", "EXTRAPOLATED"]

TOLERANCE = {"fp32": 1e-4, "bf16": 3e-2}
"""Root mean square difference of hidden states from the plain formulation in float32, relative."""
GRADIENT_TOLERANCE = {"fp32": 1e-3, "bf16": 1e-1}
"""The same of all gradients together."""

_TURN_SECONDS = 0.3
_PATIENCE = 600.0
"""Seconds, at least, for what --max-seconds is not about: comparisons, operators alone."""
_CHECKED_WITHOUT_PLAIN = 16_384
"""Tokens compared where the plain formulation takes too long or too much memory for all."""

_REFERENCE = Variant(implementation="plain", dtype="fp32")

Sample = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """The device and the best rates measured on it in this run."""

    device: str
    """As --device takes it."""
    device_name: str
    """In words."""
    matmul_flops: dict[str, float]
    """Operations a second of large matrix products, by precision."""
    copy_bytes: float
    """Bytes per second of a large copy, read and written."""
    free_bytes: int | None = None
    """Memory of a GPU that nothing else had taken; not told for a CPU."""

    def seconds(self, work: Workload, dtype: str) -> float:
        """Matrix products at their peak plus the bytes that must move, one after the other."""
        matmul = matmul_flops(work) / self.matmul_flops[dtype]
        return matmul + bytes_moved(work) / self.copy_bytes

    def describe(self) -> str:
        """In words."""
        products = ", ".join(
            f"{name} {rate / 1e9:,.0f}" for name, rate in self.matmul_flops.items()
        )
        copies = f"copies at {self.copy_bytes / 1e9:.1f} GB/s"
        return f"{self.device_name}: matrix products at {products} GFLOP/s, {copies}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What became of one variant on one workload."""

    workload: Workload
    variant: Variant
    status: Status
    kernels: str = "-"
    """Implementation of our operators that ran."""
    n_passes: int = 0
    seconds: float | None = None
    """Median over turns of a pass."""
    seconds_min: float | None = None
    seconds_max: float | None = None
    peak_bytes: int | None = None
    """Of the process on a CPU, libraries included; of the allocator on a GPU."""
    start_bytes: int | None = None
    """The same before the first pass: libraries, compiled code, weights."""
    difference: float | None = None
    """From the plain formulation, relative root mean square: hidden states, or gradients."""
    floor_seconds: float | None = None
    """What matrix products and bytes moved take at the machine's best."""
    note: str = ""

    def describe(self) -> str:
        """In words."""
        measured = f"{self.workload}: {self.variant}"
        if self.seconds is None or self.peak_bytes is None:
            return f"{measured}: {self.status.lower()}, {self.note}"
        spread = f"{self.seconds_min:.4g} to {self.seconds_max:.4g}"
        return f"{measured}: {self.seconds:.4g} s ({spread}), {self.peak_bytes / 1e6:.0f} MB"


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator at the shape of a workload, on one implementation of ours."""

    workload: Workload
    kernels: str
    time: OperatorTime


@dataclass(slots=True)
class _Measured:
    """A variant between its first pass and its row."""

    variant: Variant
    process: MeasuredProcess
    kernels: str
    note: str
    start_bytes: int
    first_seconds: float
    """Of the pass that warmed up."""
    sample: Sample
    peak_bytes: int | None = None
    turns: list[list[float]] = field(default_factory=list)
    """Seconds of the passes of each turn."""
    difference: float | None = None


class Benchmark:
    """Measures workloads one after another; what was slow before is not tried when longer."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._started = time.monotonic()
        self.operator_rows: list[OperatorRow] = []
        """What `with_operators` found so far."""
        self._seen: dict[tuple[object, ...], tuple[Workload, float]] = {}

    def measure_floor(self) -> Floor:
        """The device's rates, measured now in a process of its own."""
        work = Workload(d_model=16, n_layer=1, length=16, batch=1)
        variant = Variant(implementation="hyenadna", dtype="fp32", kernels="torch")
        with MeasuredProcess() as process:
            prepared = process.prepare(self._case(work, variant))
            rates = process.ask({"do": "floor"}, timeout=120)
        return Floor(
            device=prepared["device"],
            device_name=prepared["device_name"],
            free_bytes=prepared["free_bytes"],
            **rates,
        )

    def measure(
        self, work: Workload, variants: Sequence[Variant], *, floor: Floor | None = None
    ) -> list[Row]:
        """The rows of one workload. Raises HyenaDNAError if our outputs are not the plain ones."""
        rows: dict[Variant, Row] = {}
        measured: list[_Measured] = []
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hyenadna-")))
            for variant in variants:
                reason = self._reason_to_skip(work, variant, floor)
                if reason is not None:
                    rows[variant] = _empty(work, variant, "SKIPPED", reason)
                    continue
                process = stack.enter_context(MeasuredProcess())
                try:
                    measured.append(self._first_pass(work, variant, process, folder))
                except ProcessError as error:
                    status: Status = "STOPPED" if error.is_timeout else "FAILED"
                    rows[variant] = _empty(work, variant, status, str(error))
            self._compare(work, measured, folder)
            self._take_turns(measured)
            if self._settings.with_operators and not work.training:
                self._time_operators(work, measured)
            for each in measured:
                rows[each.variant] = self._row(work, each, floor)
        return [rows[variant] for variant in variants]

    def _reason_to_skip(self, work: Workload, variant: Variant, floor: Floor | None) -> str | None:
        settings = self._settings
        minutes = (time.monotonic() - self._started) / 60
        if settings.max_minutes is not None and minutes > settings.max_minutes:
            return f"the run has taken its {settings.max_minutes:g} minutes"
        needed = expected_bytes(work, variant)
        if settings.device.startswith("cuda"):
            available = floor.free_bytes if floor else None
        else:
            available = hardware.memory().available
        if available is not None and needed > available:
            return f"needs about {needed / 1e9:.1f} GB; {available / 1e9:.1f} GB are free"
        seen = self._seen.get(_family(work, variant))
        if seen is None:
            return None
        expected = scaled_seconds(seen[1], seen[0], work, variant)
        if expected > settings.max_seconds:
            return f"expected to take {expected:.0f} s; --max-seconds {settings.max_seconds:.0f}"
        return None

    def _first_pass(
        self, work: Workload, variant: Variant, process: MeasuredProcess, folder: Path
    ) -> _Measured:
        """Start a variant and warm it up; a slow one ends here and its only pass counts."""
        prepared = process.prepare(self._case(work, variant))
        limit = self._settings.max_seconds
        sample, seconds = _sample(process, work.length, folder, timeout=limit)
        measured = _Measured(
            variant,
            process,
            prepared["kernels"],
            prepared["note"],
            prepared["start_bytes"],
            seconds,
            sample,
        )
        self._seen[_family(work, variant)] = (work, seconds)
        if 2 * seconds > limit:
            measured.turns.append([seconds])
            measured.peak_bytes = process.ask({"do": "peak"}, timeout=60)["bytes"]
            if variant.implementation != "hyenadna":
                process.close()  # makes room in memory; ours may be asked for another sample
        return measured

    def _compare(self, work: Workload, measured: list[_Measured], folder: Path) -> None:
        """Set the difference of every Hyena variant from the plain one in float32."""
        hyenas = [each for each in measured if each.variant.implementation != "attention"]
        references = [each for each in hyenas if each.variant == _REFERENCE]
        if references:
            reference, samples = references[0].sample, [each.sample for each in hyenas]
        elif hyenas:
            hyenas = [each for each in hyenas if each.variant.implementation == "hyenadna"]
            length = min(work.length, _CHECKED_WITHOUT_PLAIN)
            patience = max(_PATIENCE, self._settings.max_seconds)
            with MeasuredProcess() as process:
                process.prepare(self._case(work, _REFERENCE))
                reference, _ = _sample(process, length, folder, timeout=patience)
            samples = [
                _sample(each.process, length, folder, timeout=patience)[0] for each in hyenas
            ]
        else:
            return
        tolerance = GRADIENT_TOLERANCE if work.training else TOLERANCE
        for each, sample in zip(hyenas, samples, strict=True):
            each.difference = relative_difference(sample, reference)
            is_ours = each.variant.implementation == "hyenadna"
            if is_ours and not each.difference <= tolerance[each.variant.dtype]:
                raise HyenaDNAError(
                    f"{work}: {each.variant} differs from the plain formulation by "
                    f"{each.difference:.2g}, more than {tolerance[each.variant.dtype]:.0e}; "
                    "no time is reported for a wrong result"
                )

    def _take_turns(self, measured: list[_Measured]) -> None:
        """Time the variants in turns, each as long as its patience lasts."""
        limit = self._settings.max_seconds
        for _ in range(self._settings.repeats):
            for each in measured:
                spent = each.first_seconds + sum(map(sum, each.turns))
                if each.peak_bytes is not None or spent + each.first_seconds > limit:
                    continue
                request = {"do": "time", "seconds": _TURN_SECONDS}
                each.turns.append(each.process.ask(request, timeout=10 * limit)["seconds"])
        for each in measured:
            if each.peak_bytes is None:
                each.peak_bytes = each.process.ask({"do": "peak"}, timeout=60)["bytes"]

    def _time_operators(self, work: Workload, measured: Sequence[_Measured]) -> None:
        for each in measured:
            if each.variant.implementation != "hyenadna":
                continue
            # May compile first, and time passes for each part: not what --max-seconds is about.
            patience = max(_PATIENCE, self._settings.max_seconds)
            reply = each.process.ask({"do": "operators"}, timeout=patience)
            self.operator_rows += [
                OperatorRow(work, each.kernels, OperatorTime(**found))
                for found in reply["operators"]
            ]

    def _row(self, work: Workload, measured: _Measured, floor: Floor | None) -> Row:
        variant = measured.variant
        medians = [statistics.median(turn) for turn in measured.turns]
        seconds = statistics.median(medians)
        self._seen[_family(work, variant)] = (work, seconds)
        is_hyena = variant.implementation != "attention"
        return Row(
            workload=work,
            variant=variant,
            status="OK",
            kernels=measured.kernels,
            n_passes=sum(map(len, measured.turns)),
            seconds=seconds,
            seconds_min=min(medians),
            seconds_max=max(medians),
            peak_bytes=measured.peak_bytes,
            start_bytes=measured.start_bytes,
            difference=measured.difference,
            floor_seconds=floor.seconds(work, variant.dtype) if floor and is_hyena else None,
            note=measured.note,
        )

    def _case(self, work: Workload, variant: Variant) -> Case:
        settings = self._settings
        return Case(
            workload=work,
            variant=variant,
            device=settings.device,
            threads=settings.threads,
            seed=settings.seed,
        )


def relative_difference(sample: Sample, reference: Sample) -> float:
    """Root mean square of the difference over that of the reference; infinite if not comparable."""
    if sample.shape != reference.shape:
        return math.inf
    scale = float(np.linalg.norm(reference.astype(np.float64)))
    difference = float(np.linalg.norm((sample - reference).astype(np.float64)))
    return difference / scale if scale and math.isfinite(difference) else math.inf


def _sample(
    process: MeasuredProcess, length: int, folder: Path, *, timeout: float
) -> tuple[Sample, float]:
    file = folder / "sample.npy"
    reply = process.ask({"do": "sample", "length": length, "file": str(file)}, timeout=timeout)
    return np.load(file), float(reply["seconds"])


def _empty(work: Workload, variant: Variant, status: Status, note: str) -> Row:
    return Row(workload=work, variant=variant, status=status, note=note)


def _family(work: Workload, variant: Variant) -> tuple[object, ...]:
    """What times can be scaled within: all but length and batch."""
    return variant, work.d_model, work.n_layer, work.training, work.recompute
