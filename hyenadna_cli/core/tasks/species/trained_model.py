"""A species classifier that was trained: loaded, and how long its windows are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hyenadna_cli.core.inference.chosen_model import ChosenModel
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.errors import CheckpointError


def load_classifier(chosen: ChosenModel) -> SequenceClassifier:
    """The classifier on its device. Raises CheckpointError if it does not tell classes apart."""
    classifier = chosen.load_classifier()
    if classifier.config.task not in ("multiclass", "binary"):
        raise CheckpointError(
            f"{chosen.source.directory}: its head answers {classifier.config.task}, not which "
            "species"
        )
    return classifier


def prediction_window(chosen: ChosenModel) -> int:
    """Bases: the longest window of training, or what the model reads if it does not say."""
    return min(trained_length(chosen.source.directory) or chosen.config.l_max, chosen.config.l_max)


def check_longest(chosen: ChosenModel, longest: int) -> None:
    """Raise CheckpointError if the model cannot read windows of `longest` bases."""
    if longest > chosen.config.l_max:
        raise CheckpointError(
            f"windows of {longest:,} bases: {chosen.source.name} reads at most "
            f"{chosen.config.l_max:,} tokens; use shorter ones, or a model with a longer context"
        )


def trained_length(directory: Path) -> int | None:
    """The longest training window of a species model, in bases; None if it does not say."""
    try:
        record: Any = json.loads((directory / "training.json").read_text())
        return int(record["classifier"]["length"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
