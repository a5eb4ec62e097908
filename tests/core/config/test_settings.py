"""The shape of a model and of its head: typed, and of a size that could be."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.config.settings import HeadConfig, ModelConfig

SHAPE = {"d_model": 8, "n_layer": 2, "d_inner": 32, "l_max": 34}


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"d_model": 8.5}, "d_model must be a whole number, got 8.5"),
        ({"d_model": float("nan")}, "d_model must be a whole number, got nan"),
        ({"n_layer": True}, "n_layer must be a whole number, got True"),
        ({"l_max": [34]}, r"l_max must be a whole number, got \(34,\)"),
        ({"l_max": {"a": 1}}, "l_max must be a whole number, got {'a': 1}"),
        ({"l_max": 2_147_483_648}, "l_max must be from 1 to 16,777,216, got 2,147,483,648"),
        ({"l_max": 1 << 24, "emb_dim": 9}, "emb_dim times l_max must be at most 134,217,728"),
        ({"n_layer": 10**18}, "n_layer must be from 1 to 1,024"),
        ({"d_inner": 0}, "d_inner must be from 1 to 1,048,576, got 0"),
        ({"activation_freq": float("inf")}, "activation_freq must be a finite number, got inf"),
        ({"filter_shift": 10**400}, "filter_shift must be a finite number, got 1000.*0"),
        ({"activation_freq": 1e300}, "activation_freq must be at most 1e6, got 1e\\+300"),
        ({"embed_dropout": "0.1"}, "embed_dropout must be a finite number"),
    ],
)
def test_a_model_that_cannot_be_is_refused(values, problem):
    with pytest.raises(ValueError, match=problem):
        ModelConfig.from_mapping(SHAPE | values)


def test_the_longest_models_there_are_can_be():
    assert ModelConfig.from_mapping(SHAPE | {"l_max": 1_000_002}).l_max == 1_000_002
    assert ModelConfig.from_mapping(SHAPE | {"l_max": 1 << 24}).l_max == 1 << 24


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"label_names": []}, "at least one label"),
        ({"label_names": [["a"], "b"]}, "label_names must be a list of a text"),
        ({"label_names": ["a\tb", "c"]}, r"the label 'a\\tb' has a tab or a line break in it"),
        ({"task": ["binary"]}, "task must be binary, multiclass, "),
        ({"dropout": float("nan")}, "dropout must be a finite number"),
    ],
)
def test_a_head_that_cannot_be_is_refused(values, problem):
    with pytest.raises(ValueError, match=problem):
        HeadConfig.from_mapping({"task": "binary", "label_names": ["a", "b"]} | values)
