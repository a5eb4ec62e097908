"""What `hyenadna benchmark` measures: one case a process, and the named sets of cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hyenadna_cli.core.config.choices import Dtype
from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.ops.kernels import KernelsRequest

Implementation = Literal["plain", "hyenadna", "attention"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """What is computed, whoever computes it."""

    d_model: int
    n_layer: int
    length: int
    """Tokens per sequence."""
    batch: int
    """Sequences per pass."""
    training: bool = False
    """Forward, loss and backward instead of forward alone."""
    recompute: bool = False
    """Gradient checkpointing, in training."""

    @property
    def shape(self) -> ModelConfig:
        """Of the model that is measured. Raises ValueError for one that is not possible."""
        return ModelConfig(
            d_model=self.d_model,
            n_layer=self.n_layer,
            d_inner=4 * self.d_model,
            l_max=self.length,
            embed_dropout=0.0,
        )

    def __str__(self) -> str:
        kind = "training" if self.training else "forward"
        extra = ", recomputing" if self.recompute else ""
        return f"{self.n_layer}x{self.d_model}, {self.length:,} x {self.batch}, {kind}{extra}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """Who computes it, and how."""

    implementation: Implementation
    dtype: Dtype
    """Of the matrix products; the plain formulation runs bf16 under autocast."""
    kernels: KernelsRequest = "auto"
    """Of our operators; nothing to the other two."""

    def __str__(self) -> str:
        kernels = f" {self.kernels}" if self.implementation == "hyenadna" else ""
        return f"{self.implementation}{kernels} {self.dtype}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A workload and a variant on a device: what one process is told."""

    workload: Workload
    variant: Variant
    device: str
    threads: int | None
    """CPU threads; None for those that the process may use."""
    seed: int = 0
    """Of weights and tokens."""

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Case:
        """What `dataclasses.asdict` made of a case."""
        return cls(
            **{
                **values,
                "workload": Workload(**values["workload"]),
                "variant": Variant(**values["variant"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Preset:
    """A named set of workloads and who is measured on them."""

    workloads: tuple[Workload, ...]
    implementations: tuple[Implementation, ...]


_SPEED: tuple[Implementation, ...] = ("plain", "hyenadna")

PRESETS: dict[str, Preset] = {
    "2x128-1k": Preset((Workload(d_model=128, n_layer=2, length=1_024, batch=32),), _SPEED),
    "2x128-32k": Preset((Workload(d_model=128, n_layer=2, length=32_768, batch=1),), _SPEED),
    "4x256-160k": Preset((Workload(d_model=256, n_layer=4, length=160_000, batch=1),), _SPEED),
    # Shorter ones first: what they take tells whether the longest can be had with patience.
    "8x256-1m": Preset(
        tuple(
            Workload(d_model=256, n_layer=8, length=length, batch=1)
            for length in (32_768, 160_000, 1_000_000)
        ),
        _SPEED,
    ),
    "train-1k": Preset(
        (Workload(d_model=128, n_layer=2, length=1_024, batch=32, training=True),), _SPEED
    ),
    "train-32k": Preset(
        (Workload(d_model=128, n_layer=2, length=32_768, batch=1, training=True),), _SPEED
    ),
    # What a GPU has to show, the most telling first: a run may end before the last.
    "gpu": Preset(
        tuple(
            Workload(
                d_model=128,
                n_layer=2,
                length=length,
                batch=1,
                training=training,
                recompute=training,
            )
            for length, training in (
                (32_768, False),
                (1_000_000, False),
                (32_768, True),
                (1_000_000, True),
                (8_192, False),
                (160_000, False),
                (1_024, False),
            )
        ),
        ("plain", "hyenadna", "attention"),
    ),
    "gpu-8x256-1m": Preset(
        (
            Workload(
                d_model=256, n_layer=8, length=1_000_000, batch=1, training=True, recompute=True
            ),
        ),
        ("hyenadna",),
    ),
    "crossing": Preset(
        tuple(
            Workload(d_model=128, n_layer=2, length=length, batch=1)
            for length in (1_024, 4_096, 16_384, 32_768, 65_536)
        ),
        ("plain", "hyenadna", "attention"),
    ),
}
