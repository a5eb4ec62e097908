"""A stored model whose weights a pretraining begins with, as they are or under further blocks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.model.blocks import Block
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.checkpoints.checkpoint import ModelSource
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.errors import UsageError


@dataclass(frozen=True, slots=True)
class StartingModel:
    """A stored model, found and not yet loaded."""

    config: ModelConfig
    source: ModelSource

    @classmethod
    def find(
        cls,
        model: str,
        *,
        revision: str | None = None,
        offline: bool = False,
        cache_dir: Path | None = None,
    ) -> StartingModel:
        """Find it, downloading it if need be. Raises CheckpointError."""
        location = catalogue.locate(model, revision=revision, offline=offline, cache_dir=cache_dir)
        config, source, _ = checkpoint.inspect(
            location.directory, name=location.name, revision=location.revision
        )
        return cls(config, source)

    def check(self, config: ModelConfig) -> None:
        """Raise UsageError if a model of this shape cannot begin with these weights.

        It can have more blocks, and dropout of its own.
        """
        other = [
            field.name
            for field in dataclasses.fields(config)
            if not field.name.endswith("_dropout")
            and getattr(config, field.name) != getattr(self.config, field.name)
            and not (field.name == "n_layer" and config.n_layer > self.config.n_layer)
        ]
        if other:
            raise UsageError(
                f"{', '.join(other)}: the shape is that of {self.source.name}, whose weights the "
                "run begins with; only n_layer can be larger"
            )

    def load_into(self, model: HyenaDNA) -> None:
        """Give `model` these weights. Blocks beyond them follow, each the identity at first.

        A block is the identity while the last layers of its two branches are zero; all else in it
        keeps its random weights, so that it learns from the first step on (Chen et al. 2016,
        Net2Net, for the idea of growing a network without changing its function).
        """
        stored, _ = checkpoint.load(self.source)
        if not stored.is_tied:
            model.untie_lm_head()
        n_stored = self.config.n_layer
        missing, unexpected = model.load_state_dict(stored.state_dict(), strict=False)
        assert not unexpected
        assert all(int(name.split(".")[2]) >= n_stored for name in missing)
        for block in model.backbone.layers[n_stored:]:
            assert isinstance(block, Block)
            for layer in (block.mixer.out_proj, block.mlp.fc2):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
