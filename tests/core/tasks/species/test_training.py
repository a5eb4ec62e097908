"""Species classification: how a classifier begins, and settings that make sense."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.tasks.species.settings import SpeciesConfig, settings
from hyenadna_cli.core.tasks.species.training import new_classifier
from hyenadna_cli.errors import UsageError


def test_the_initial_head_is_that_of_its_seed(tiny_model):
    first, second = (
        new_classifier(checkpoint.load(tiny_model)[0], ("a", "b"), SpeciesConfig(length=64), seed=0)
        for _ in range(2)
    )

    assert torch.equal(first.head.weight, second.head.weight)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"species": {"length": 1}}, "length must be at least 2"),
        ({"species": {"length": 9, "pooling": "max"}}, "mean or last"),
        ({"species": {"length": 9, "speed": 1}}, "unknown species settings: speed"),
        ({"species": {"length": 9, "head_lr_ratio": 0.0}}, "head_lr_ratio"),
        ({"species": {"length": 9}, "train": {"pace": 1}}, "unknown training settings: pace"),
        ({"species": {"length": 9}, "model": {"d_model": "8"}}, "d_model must be a finite number"),
        ({"species": {"length": 9}, "model": {"d_model": 8.5}}, "d_model must be a whole number"),
        (
            {"species": {"length": 9}, "train": {"learning_rate": [1]}},
            "learning_rate must be a fin",
        ),
        ({"species": {}}, "length"),
        ({"species": {"length": 9}, "model": {"depth": 1}}, "unknown model settings: depth"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_be_are_refused(values, problem):
    with pytest.raises(UsageError, match=problem):
        settings(**{"model": None, "train": {}, **values})


def test_a_table_for_the_model_needs_a_model_from_scratch(text_file):
    path = text_file("[model]\nd_model = 8\n", name="run.toml")

    with pytest.raises(UsageError, match=r"\[model\] goes with --from-scratch"):
        settings(model=None, train={}, species={"length": 9}, config_file=path)
    found = settings(model={}, train={}, species={"length": 9}, config_file=path)
    assert found.model is not None
    assert (found.model.d_model, found.model.d_inner, found.model.l_max) == (8, 32, 11)
