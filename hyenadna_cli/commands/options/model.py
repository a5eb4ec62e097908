"""From options to a model that can be loaded, the windows that it reads, and their batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from hyenadna_cli.core.config.choices import DtypeRequest, Specials
from hyenadna_cli.core.config.flags import in_bases
from hyenadna_cli.errors import DeviceMemoryError
from hyenadna_cli.ops.kernels import KernelsRequest

if TYPE_CHECKING:
    import torch

    from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
    from hyenadna_cli.core.inference.chosen_model import ChosenModel
    from hyenadna_cli.core.machine.runtime import Runtime


def parse_batch_size(text: str) -> int | None:
    """`auto` (None) or a number of sequences."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise typer.BadParameter(f"{text!r} is neither auto nor a number of sequences")
    return int(text)


ModelOption = Annotated[
    str,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|DIR",
        help="builtin, a published name (hyenadna models list), a Hugging Face id, or a directory.",
    ),
]
RevisionOption = Annotated[
    str | None, typer.Option("--revision", help="Hub revision; published names pin one.")
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Never touch the network (also HF_HUB_OFFLINE=1).")
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache-dir", envvar="HYENADNA_CACHE", help="Where downloaded models are kept."),
]
FilterShiftOption = Annotated[
    float | None,
    typer.Option(
        "--filter-shift",
        help="Override the filters' window shift: 0.05 official inference, 0.0 official training.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="auto|cpu|cuda|cuda:N", help="Device to compute on.")
]
DtypeOption = Annotated[
    DtypeRequest,
    typer.Option(
        "--dtype",
        help="Precision of matrix products; auto: fp32, or bf16 in training where it is fast.",
    ),
]
KernelsOption = Annotated[
    KernelsRequest,
    typer.Option(
        "--kernels", help="Implementation of the Hyena operators; triton-fp16 with --dtype bf16."
    ),
]
BatchSizeOption = Annotated[
    str, typer.Option("--batch-size", metavar="auto|N", help="Windows per forward pass.")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        envvar="SLURM_CPUS_PER_TASK",
        help="CPU threads; default: those this process may use.",
    ),
]
ContextParallelOption = Annotated[
    int,
    typer.Option(
        "--context-parallel",
        metavar="N",
        min=1,
        help="Split each sequence over N torchrun processes; N must divide the model's width.",
        rich_help_panel="Compute",
    ),
]
OomExitCodeOption = Annotated[
    int,
    typer.Option("--oom-exit-code", min=1, max=255, help="Exit code when memory runs out."),
]
WindowOption = Annotated[
    int | None,
    in_bases(
        "--window",
        "Cut longer sequences into windows of this many bases; default: the model's limit.",
    ),
]
StrideOption = Annotated[
    int | None,
    in_bases("--stride", "Bases from one window to the next; default: no overlap."),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeRequest:
    """Where and how to compute."""

    HEADING: ClassVar[str] = "Compute"

    device: DeviceOption = "auto"
    dtype: DtypeOption = "auto"
    kernels: KernelsOption = "auto"
    threads: ThreadsOption = None
    oom_exit_code: OomExitCodeOption = 75

    def resolve(self, *, training: bool = False) -> Runtime:
        """Where and how to compute; `training` decides what --dtype auto means.

        Raises UsageError.
        """
        from hyenadna_cli.core.machine import runtime

        return runtime.resolve(
            device=self.device,
            dtype=self.dtype,
            kernels=self.kernels,
            threads=self.threads,
            training=training,
        )

    @contextmanager
    def memory_errors(self) -> Iterator[None]:
        """Give errors for lack of memory the exit code of `--oom-exit-code`."""
        try:
            yield
        except (DeviceMemoryError, MemoryError) as error:
            error.exit_code = self.oom_exit_code  # type: ignore[union-attr]
            raise


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchedCompute(ComputeRequest):
    """Where and how to compute, and how many windows at once."""

    batch_size: BatchSizeOption = "auto"

    def limits(self, device: torch.device) -> BatchLimits:
        """How large a batch may be. Raises UsageError."""
        from hyenadna_cli.core.inference.batching import BatchLimits

        return BatchLimits.choose(device, batch_size=self.n_windows)

    @property
    def n_windows(self) -> int | None:
        """Windows of a batch; None for as many as fit."""
        return parse_batch_size(self.batch_size)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """Which model to use."""

    HEADING: ClassVar[str] = "Model"

    model: ModelOption = "builtin"
    revision: RevisionOption = None
    offline: OfflineOption = False
    cache_dir: CacheOption = None
    filter_shift: FilterShiftOption = None

    def choose(self, compute: ComputeRequest, *, training: bool = False) -> ChosenModel:
        """Find the model, downloading it if need be, and resolve where and how to run it.

        Raises CheckpointError and UsageError. No weights are loaded.
        """
        from hyenadna_cli.core.inference.chosen_model import ChosenModel

        return ChosenModel.find(
            self.model,
            compute.resolve(training=training),
            revision=self.revision,
            offline=self.offline,
            cache_dir=self.cache_dir,
            filter_shift=self.filter_shift,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowOptions:
    """How records that are longer than the model reads are cut."""

    HEADING: ClassVar[str] = "Windows"

    window: WindowOption = None
    """Bases; None for as many as the model reads."""
    stride: StrideOption = None
    """Bases; None for `window`."""

    def batcher(
        self,
        model: ChosenModel,
        compute: BatchedCompute,
        *,
        specials: Specials = "none",
        keep_order: bool = False,
        n_reserved: int = 0,
    ) -> Batcher:
        """Windows and batches that the model and its device can take, `n_reserved` tokens apart."""
        from hyenadna_cli.core.inference.batching import Batcher

        limits = compute.limits(model.run.device)
        return Batcher(
            tiling=model.tiling(
                window=self.window,
                stride=self.stride,
                specials=specials,
                n_reserved=n_reserved,
            ),
            limits=replace(limits, backs_off=model.context is None),
            device=model.run.device,
            specials=specials,
            keep_order=keep_order,
        )
