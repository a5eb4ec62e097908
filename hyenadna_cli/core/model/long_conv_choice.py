"""Which long convolution `--kernels triton` takes: Triton's, or cuFFT's where that is faster here.

`hyenadna benchmark --operators` measures both alone, forward and backward, and on a GPU leaves
what it found in a file of this user. A length is taken for the nearest measured one, if that is at
most twice as long and at least half as long; any other length goes to Triton, as was asked for.
Longer ones than Triton's kernels transform always go to cuFFT.

What was measured counts for the same GPU and the same versions of this program, torch and Triton.
The choice is by length alone: never by what a single run happened to take, so that runs of the same
input on one machine give the same numbers.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import logging
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from hyenadna_cli._version import __version__
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import OutputError
from hyenadna_cli.ops.kernels import Kernels

log = logging.getLogger(__name__)

Use = Literal["inference", "training"]
"""A forward pass, or a forward and a backward pass."""

MAX_POSITIONS = 1 << 21
"""What Triton's kernels transform."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Both implementations at one length, measured in one run; in seconds."""

    use: Use
    n_positions: int
    triton: float
    torch: float

    @property
    def faster(self) -> Kernels:
        """The implementation that took less time."""
        return "triton" if self.triton <= self.torch else "torch"


@dataclass(frozen=True, slots=True)
class LongConvChoice:
    """The faster implementation at each length that was measured; at none, by default."""

    timings: tuple[Timing, ...] = ()

    def kernels(self, n_positions: int, *, training: bool) -> Kernels:
        """What convolves sequences of this length."""
        if n_positions > MAX_POSITIONS:
            return "torch"
        use: Use = "training" if training else "inference"
        near = [
            timing
            for timing in self.timings
            if timing.use == use and 0.5 <= n_positions / timing.n_positions <= 2
        ]
        if not near:
            return "triton"
        return min(near, key=lambda t: abs(math.log(n_positions / t.n_positions))).faster

    def describe(self) -> str:
        """The choice by length, in a line."""
        choices = []
        for use in get_args(Use):
            by_length = [f"{t.n_positions:,} {t.faster}" for t in self.timings if t.use == use]
            choices.append(f"{use}: {', '.join(by_length) or 'not measured on this GPU'}")
        return f"{'; '.join(choices)}; elsewhere triton, over {MAX_POSITIONS:,} torch"


NOT_MEASURED = LongConvChoice()


def read(device: torch.device) -> LongConvChoice:
    """What was measured on this GPU; nothing if there is no such file, or one that is damaged."""
    try:
        timings = [Timing(**timing) for timing in _stored().get(_machine(device), [])]
        return LongConvChoice(tuple(sorted(timings, key=lambda t: (t.use, t.n_positions))))
    except (OSError, TypeError, ValueError) as error:
        log.warning("%s: cannot be used (%s), so no length counts as measured", file(), error)
        return NOT_MEASURED


def record(device: torch.device, timings: Iterable[Timing]) -> None:
    """Leave what was measured on this GPU for later runs; other lengths stay as they are.

    A file that cannot be written is a warning.
    """
    machine = _machine(device)
    try:
        stored = _stored()
        merged = {(t["use"], t["n_positions"]): t for t in stored.get(machine, [])}
    except (OSError, KeyError, TypeError, ValueError):
        stored, merged = {}, {}
    merged |= {(t.use, t.n_positions): dataclasses.asdict(t) for t in timings}
    stored[machine] = list(merged.values())
    try:
        file().parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(file(), json.dumps(stored, indent=1) + "\n")
    except (OSError, OutputError) as error:
        log.warning("times of the long convolution are not kept: %s", error)


def file() -> Path:
    """Where times are kept."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "hyenadna" / "long-convolution.json"


def _stored() -> dict[str, list[dict[str, Any]]]:
    if not file().exists():
        return {}
    stored = json.loads(file().read_text())
    if not isinstance(stored, dict):
        raise ValueError("not a JSON object")
    return stored


def _machine(device: torch.device) -> str:
    """What times depend on besides the length."""
    triton = importlib.metadata.version("triton")
    name = torch.cuda.get_device_name(device)
    return f"{name}; hyenadna {__version__}, torch {torch.__version__}, triton {triton}"
