"""Which vectors were asked for, and what they are called."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.inference.pooling import Pooled, Tokens


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
