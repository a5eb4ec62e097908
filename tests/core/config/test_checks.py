"""Settings of a wrong type are named before anything is done with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from hyenadna_cli.core.config.checks import check_types
from hyenadna_cli.core.tasks.finetuning.settings import FinetuneConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    rate: float = 1.0
    steps: int = 1
    is_on: bool = False
    name: str | None = None
    freeze: Literal["all", "none"] | int = "none"
    stages: tuple[tuple[int, int], ...] = ()


@pytest.mark.parametrize(
    "values",
    [
        {"rate": 2},
        {"steps": np.int64(3), "rate": np.float32(0.5)},
        {"name": None},
        {"name": "x", "freeze": 3, "stages": ((1, 2), (3, 4))},
    ],
)
def test_what_the_annotations_allow_passes(values):
    check_types(Settings(**values))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"rate": "3"}, "rate must be a finite number, got '3'"),
        ({"rate": float("inf")}, "rate must be a finite number, got inf"),
        ({"rate": True}, "rate must be a finite number, got True"),
        ({"steps": 2.5}, "steps must be a whole number, got 2.5"),
        ({"is_on": "no"}, "is_on must be true or false, got 'no'"),
        ({"name": 3}, "name must be a text, got 3"),
        ({"freeze": "some"}, "freeze must be all or none or a whole number, got 'some'"),
        ({"stages": (64, 2)}, r"stages must be a list of a list, got \(64, 2\)"),
    ],
)
def test_anything_else_is_named_with_what_it_should_be(values, problem):
    with pytest.raises(ValueError, match=problem):
        check_types(Settings(**values))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"pooling": "foo"}, "pooling must be mean, last, first or max"),
        ({"head_init": "prob"}, "head_init must be random or probe"),
        ({"epochs": float("inf")}, "epochs must be a finite number"),
        ({"dropout": 2}, r"dropout must be in \[0, 1\)"),
        ({"max_length": 0}, "1 base or more"),
        ({"length_schedule": [[0, 10]]}, "1 base or more"),
        ({"rate": 1}, "unknown fine-tuning settings: rate"),
    ],
)
def test_impossible_settings_of_fine_tuning_are_refused(values, problem):
    with pytest.raises(ValueError, match=problem):
        FinetuneConfig.from_mapping(values)
