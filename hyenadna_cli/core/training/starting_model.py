"""A stored model whose weights a pretraining begins with, as they are or under further blocks."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.model.blocks import Block
from hyenadna_cli.core.model.checkpoints import catalogue, checkpoint
from hyenadna_cli.core.model.checkpoints.checkpoint import ModelSource
from hyenadna_cli.core.model.checkpoints.positions import unusual_positions
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.training.recipes import doubling
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

        It can have more blocks, read longer inputs, and have dropout of its own.
        """
        wanted = dataclasses.replace(
            self.config,
            n_layer=max(config.n_layer, self.config.n_layer),
            l_max=max(config.l_max, self.config.l_max),
            filter_l_max=self.filter_l_max(config.l_max),
        )
        other = [
            field.name
            for field in dataclasses.fields(config)
            if not field.name.endswith("_dropout")
            and getattr(config, field.name) != getattr(wanted, field.name)
        ]
        if other:
            raise UsageError(
                f"{', '.join(other)}: the shape is that of {self.source.name}, whose weights the "
                "run begins with; only n_layer and l_max can be larger"
            )

    def filter_l_max(self, l_max: int) -> int:
        """`ModelConfig.filter_l_max` of a model of this length with the same filters."""
        if l_max <= self.config.l_max:
            return self.config.filter_l_max
        return self.config.filter_l_max or self.config.l_max

    def warmed_up(self, config: ModelConfig, train: TrainConfig) -> TrainConfig:
        """Training that reaches a longer context in stages: from the old length, doubling."""
        if config.l_max <= self.config.l_max:
            return train
        stages = doubling(config.l_max - 2, train.max_steps, first=self.config.l_max - 2)
        return dataclasses.replace(train, length_schedule=stages)

    def load_into(self, model: HyenaDNA) -> None:
        """Give `model` these weights. Blocks beyond them follow, each the identity at first.

        A block is the identity while the last layers of its two branches are zero; all else in it
        keeps its random weights, so that it learns from the first step on (Chen et al. 2016,
        Net2Net, for the idea of growing a network without changing its function).
        """
        stored, _ = checkpoint.load(self.source)
        if model.config.l_max > self.config.l_max and any(unusual_positions(stored)):
            raise UsageError(
                f"{self.source.name}: its stored positions are not those of the formula, which "
                "therefore does not tell how its filters go on beyond them"
            )
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
