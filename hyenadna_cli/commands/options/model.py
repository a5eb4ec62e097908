"""From model options to a model: found, its configuration read and checked, and loaded last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyenadna_cli.commands.options import shared as opt
from hyenadna_cli.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from hyenadna_cli.core.config import ModelConfig
    from hyenadna_cli.core.dna.tiling import Tiling
    from hyenadna_cli.core.inference.batching import Batcher
    from hyenadna_cli.core.io.records import StrandChoice
    from hyenadna_cli.core.machine.runtime import Runtime
    from hyenadna_cli.core.model.checkpoints.checkpoint import ModelSource
    from hyenadna_cli.core.model.hyenadna import HyenaDNA


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeRequest:
    """The options on where and how to compute, as given."""

    device: opt.DeviceOption = "auto"
    dtype: opt.DtypeOption = "auto"
    kernels: opt.KernelsOption = "auto"
    threads: opt.ThreadsOption = None
    oom_exit_code: opt.OomExitCodeOption = 75

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


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """The options on which model to use, as given."""

    model: opt.ModelOption = "builtin"
    revision: opt.RevisionOption = None
    offline: opt.OfflineOption = False
    cache_dir: opt.CacheOption = None
    filter_shift: opt.FilterShiftOption = None

    def choose(self, compute: ComputeRequest, *, training: bool = False) -> ChosenModel:
        """Find the model, downloading it if need be, and resolve where and how to run it.

        Raises CheckpointError and UsageError. No weights are loaded.
        """
        from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint

        run = compute.resolve(training=training)
        found = catalogue.locate(
            self.model, revision=self.revision, offline=self.offline, cache_dir=self.cache_dir
        )
        config, source, _ = checkpoint.inspect(
            found.directory, name=found.name, revision=found.revision
        )
        shift = config.filter_shift if self.filter_shift is None else self.filter_shift
        return ChosenModel(config, source, run, shift)


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model that can be loaded, and what is known of it before that."""

    config: ModelConfig
    source: ModelSource
    run: Runtime
    filter_shift: float

    def load(self) -> HyenaDNA:
        """The model on its device, ready for inference."""
        from hyenadna_cli.core.model.checkpoints import checkpoint

        model, _ = checkpoint.load(self.source, filter_shift=self.filter_shift)
        model.execution = self.run.execution()
        return model.to(self.run.device)

    def tiling(
        self,
        *,
        window: int | None,
        stride: int | None,
        specials: opt.Specials = "none",
        n_reserved: int = 0,
    ) -> Tiling:
        """Windows that this model can read; by default as long as they can be, side by side.

        `n_reserved` tokens of a prompt and its answer stand around each window. Raises
        CheckpointError if `window` (bases), these and the special tokens are more than `l_max`.
        """
        from hyenadna_cli.core.dna.tiling import Tiling
        from hyenadna_cli.core.inference.batching import N_SPECIALS

        n_around = N_SPECIALS[specials] + n_reserved
        limit = self.config.l_max - n_around
        if limit < 1 or (window is not None and window > limit):
            wanted = f"--window {window:,}" if window is not None else f"--specials {specials}"
            framed = f", {n_around:,} of them for {'a prompt' if n_reserved else 'special tokens'}"
            raise CheckpointError(
                f"{wanted}: {self.source.name} reads at most {self.config.l_max:,} tokens"
                f"{framed if n_around else ''}; use a window of {limit:,} bases or less, "
                "or a model with a longer context"
            )
        chosen = limit if window is None else window
        if stride is not None and stride > chosen:
            raise UsageError(f"--stride {stride:,} leaves gaps between windows of {chosen:,} bases")
        if chosen < 1 or (stride is not None and stride < 1):
            raise UsageError("--window and --stride are at least 1 base")
        return Tiling(chosen, stride if stride is not None else chosen)

    def settings(self) -> dict[str, str | float]:
        """What of this shapes the output, for provenance."""
        return {"filter_shift": self.filter_shift, **self.run.describe()}

    def identity(self) -> dict[str, str | None]:
        """Name, revision and hash, for provenance."""
        return self.source.identity()


@dataclass(frozen=True, slots=True)
class Windowing:
    """The options on how records are cut and batched, as given."""

    window: int | None
    """Bases; None for as many as the model reads."""
    stride: int | None
    """Bases; None for `window`."""
    specials: opt.Specials
    batch_size: int | None
    """Windows; None for automatic."""

    def batcher(
        self, model: ChosenModel, *, keep_order: bool = False, n_reserved: int = 0
    ) -> Batcher:
        """Windows and batches that the model and its device can take, `n_reserved` tokens apart."""
        from hyenadna_cli.core.inference.batching import Batcher, BatchLimits

        return Batcher(
            tiling=model.tiling(
                window=self.window,
                stride=self.stride,
                specials=self.specials,
                n_reserved=n_reserved,
            ),
            limits=BatchLimits.choose(model.run.device, batch_size=self.batch_size),
            device=model.run.device,
            specials=self.specials,
            keep_order=keep_order,
        )


def choose_strand(strand: StrandChoice | None, *, bed: str | None) -> StrandChoice:
    """The default of --strand: the BED's where there is one, else +."""
    if bed is None and strand == "bed":
        raise UsageError("--strand bed needs --bed; use +, - or both")
    return strand or ("+" if bed is None else "bed")


def batching_settings(batcher: Batcher) -> dict[str, str | int]:
    """What of the windows and batches can change a number, for provenance."""
    limits = batcher.limits
    size = (
        {"batch_tokens": limits.max_tokens}
        if limits.max_windows is None
        else {"batch_size": limits.max_windows}
    )
    tiling = batcher.tiling
    return {"window": tiling.window, "stride": tiling.stride, "specials": batcher.specials, **size}
