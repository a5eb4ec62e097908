"""Which vectors were asked for, and what they are called."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.inference.pooling import Pooled, Tokens, VectorSettings, check_layers
from hyenadna_cli.errors import UsageError


def test_the_first_pooling_of_the_last_layer_comes_first():
    pooled = Pooled(poolings=("mean", "last"), layers=(0, -1))

    assert pooled.keys == ("mean_layer-1", "mean_layer0", "last_layer0", "last_layer-1")


def test_settings_tell_what_was_excluded():
    assert Pooled(exclude_n=True).settings()["exclude"] == ["n"]
    assert Pooled().settings() == {"pooling": ["mean"], "layer": [-1], "strand": "+", "exclude": []}


def test_excluding_bases_from_a_pooling_of_single_bases_is_refused():
    with pytest.raises(ValueError, match="mean and max"):
        Pooled(poolings=("last",), exclude_n=True)


def test_bins_round_up():
    assert [Tokens(bin_size=3).n_rows(n) for n in (0, 1, 3, 4)] == [0, 1, 1, 2]


def parsed(**choices):
    return VectorSettings(**choices).parse("+")


def test_the_options_say_which_vectors():
    assert parsed(pool="max, mean,max", layers="0,-1") == Pooled(
        poolings=("max", "mean"), layers=(0, -1)
    )
    assert parsed(pool="token", bin_size=8, out_dtype="fp16") == Tokens(bin_size=8, dtype="float16")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"pool": "median"}, "--pool 'median': use token, or some of mean"),
        ({"layers": "last"}, "--layers 'last': use numbers"),
        ({"pool": "token,mean"}, "goes alone"),
        ({"pool": "token", "layers": "0,1"}, "goes alone"),
        ({"bin_size": 2}, "--bin and --out-dtype"),
        ({"pool": "first", "exclude_n": True}, "--pool mean and max"),
    ],
)
def test_options_that_do_not_go_together_are_refused(choices, message):
    with pytest.raises(UsageError, match=message):
        parsed(**choices)


def test_a_layer_that_the_model_does_not_have_is_refused():
    config = ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=64)

    check_layers((-1, 0, 2), config, model_name="tiny")
    with pytest.raises(UsageError, match="--layers 3: tiny has 0 to 2, and -1"):
        check_layers(Tokens(layer=3).layers, config, model_name="tiny")


def test_half_precision_and_bins_are_smaller():
    assert Tokens().stored_size([3, 4], d_model=10) == (7, 280)
    assert Tokens(bin_size=2, dtype="float16").stored_size([3, 4], d_model=10) == (4, 80)
