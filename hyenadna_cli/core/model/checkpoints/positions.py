"""Positional features in checkpoints: official ones store them, ours only unusual ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from hyenadna_cli.core.model.checkpoints.fit import POSITIONS
from hyenadna_cli.core.model.filters import DecayWindow, PositionalFeatures
from hyenadna_cli.core.model.hyenadna import HyenaDNA

log = logging.getLogger(__name__)

_ROUNDING = 1e-6
"""Stored positions may differ by this from the formula: the last bits of other machines' sines."""


def use_stored_positions(model: HyenaDNA, positions: Mapping[str, Tensor], path: Path) -> None:
    """Compute with the positions a checkpoint was trained and published with, to the last bit.

    Blocks whose positions are equal, as in every published model, share them.
    """
    buffers = dict(model.named_buffers(remove_duplicate=False))
    used: list[Tensor] = []
    difference = 0.0
    for name, stored in positions.items():
        module_name, _, buffer_name = name.rpartition(".")
        value = stored.to(buffers[name].dtype)
        same = next((other for other in used if torch.equal(other, value)), None)
        if same is None:
            used.append(value)
        else:
            value = same
        difference = max(difference, float((value - buffers[name]).abs().max()))
        setattr(model.get_submodule(module_name), buffer_name, value)
    if difference > _ROUNDING:
        log.warning(
            "%s: its positional features differ from the published formula by up to %.2g; "
            "the stored ones are used",
            path,
            difference,
        )


def unusual_positions(model: HyenaDNA) -> Iterator[tuple[str, Tensor]]:
    """The positional buffers that the formula would not give back."""
    config = model.config
    of_formula = {
        "pos_emb.z": (features := PositionalFeatures(config)).z,
        "pos_emb.t": features.t,
        "modulation.deltas": DecayWindow(config.d_model, config.filter_shift).deltas,
    }
    for name, value in model.named_buffers(remove_duplicate=False):
        match = POSITIONS.fullmatch(name)
        if match is not None:
            formula = of_formula[match[2]].to(value)
            if float((value - formula).abs().max()) > _ROUNDING:
                yield name, value.clone()  # safetensors stores no shared memory
