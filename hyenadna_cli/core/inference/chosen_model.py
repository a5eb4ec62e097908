"""A model that can be loaded: found and its configuration read, its weights still on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hyenadna_cli.core.config.choices import Specials
from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import N_SPECIALS
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.checkpoints.checkpoint import ModelSource
from hyenadna_cli.core.model.classifier import SequenceClassifier, load_classifier
from hyenadna_cli.core.model.context import Context, described
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import CheckpointError, UsageError


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model that can be loaded, and what is known of it before that."""

    config: ModelConfig
    source: ModelSource
    run: Runtime
    filter_shift: float
    context: Context | None = None
    """The processes that share each sequence, if several do."""

    @classmethod
    def find(
        cls,
        name: str,
        run: Runtime,
        *,
        revision: str | None = None,
        offline: bool = False,
        cache_dir: Path | None = None,
        filter_shift: float | None = None,
    ) -> Self:
        """A model by name, Hugging Face id or directory, downloaded if need be: CheckpointError."""
        location = catalogue.locate(name, revision=revision, offline=offline, cache_dir=cache_dir)
        config, source, _ = checkpoint.inspect(
            location.directory, name=location.name, revision=location.revision
        )
        return cls(
            config, source, run, config.filter_shift if filter_shift is None else filter_shift
        )

    def load(self) -> HyenaDNA:
        """The model on its device, ready for inference."""
        model, _ = checkpoint.load(self.source, filter_shift=self.filter_shift)
        model.execution = self.run.execution(context=self.context)
        return model.to(self.run.device)

    def load_classifier(self) -> SequenceClassifier:
        """The model with its head, on its device. Raises CheckpointError if it has none."""
        classifier, _ = load_classifier(self.source)
        classifier.set_execution(self.run.execution())
        return classifier.to(self.run.device)

    def tiling(
        self,
        *,
        window: int | None,
        stride: int | None,
        specials: Specials = "none",
        n_reserved: int = 0,
    ) -> Tiling:
        """Windows that this model can read; by default as long as they can be, side by side.

        `n_reserved` tokens of a prompt and its answer stand around each window. Raises
        CheckpointError if `window` (bases), these and the special tokens are more than `l_max`.
        """
        n_around = N_SPECIALS[specials] + n_reserved
        limit = self.config.l_max - n_around
        if limit < 1 or (window is not None and window > limit):
            asked = f"--window {window:,}" if window is not None else f"--specials {specials}"
            framed = f", {n_around:,} of them for {'a prompt' if n_reserved else 'special tokens'}"
            raise CheckpointError(
                f"{asked}: {self.source.name} reads at most {self.config.l_max:,} tokens"
                f"{framed if n_around else ''}; use a window of {limit:,} bases or less, "
                "or a model with a longer context"
            )
        length = limit if window is None else window
        if stride is not None and stride > length:
            raise UsageError(f"--stride {stride:,} leaves gaps between windows of {length:,} bases")
        if length < 1 or (stride is not None and stride < 1):
            raise UsageError("--window and --stride are at least 1 base")
        return Tiling(length, stride if stride is not None else length)

    def settings(self) -> dict[str, str | float]:
        """What of this shapes the output, for provenance."""
        shared = described(1 if self.context is None else self.context.size)
        return {"filter_shift": self.filter_shift, **self.run.describe(), **shared}

    def identity(self) -> dict[str, str | None]:
        """Name, revision and hash, for provenance."""
        return self.source.identity()
