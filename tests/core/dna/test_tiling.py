"""Windows cover a sequence; every base is new in exactly one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.tiling import Tiling


def spans(tiles):
    return list(zip(tiles.starts.tolist(), tiles.ends.tolist(), strict=True))


def test_windows_lie_side_by_side_and_the_last_may_be_shorter():
    assert spans(Tiling(4, 4).tiles(10)) == [(0, 4), (4, 8), (8, 10)]


def test_windows_overlap_with_a_smaller_stride():
    tiles = Tiling(4, 2).tiles(9)

    assert spans(tiles) == [(0, 4), (2, 6), (4, 8), (6, 9)]
    assert tiles.news.tolist() == [0, 4, 6, 8]


def test_a_sequence_that_fits_is_one_window():
    assert spans(Tiling(4, 1).tiles(4)) == [(0, 4)]
    assert spans(Tiling(4, 1).tiles(3)) == [(0, 3)]


def test_an_empty_sequence_has_no_window():
    assert len(Tiling(4, 2).tiles(0)) == Tiling(4, 2).n_tiles(0) == 0


@given(n_bases=st.integers(0, 500), window=st.integers(1, 60), data=st.data())
def test_every_base_is_new_once_in_the_window_with_most_left_context(n_bases, window, data):
    stride = data.draw(st.integers(1, window))
    tiling = Tiling(window, stride)

    tiles = tiling.tiles(n_bases)

    assert len(tiles) == tiling.n_tiles(n_bases)
    new = [b for _, first, end in zip(*columns(tiles), strict=True) for b in range(first, end)]
    assert new == list(range(n_bases))
    for start, first, end in zip(*columns(tiles), strict=True):
        assert 0 < end - start <= window
        for base in range(first, end):
            holding = [s for s, e in spans(tiles) if s <= base < e]
            assert start == min(holding)


def columns(tiles):
    return tiles.starts.tolist(), tiles.news.tolist(), tiles.ends.tolist()


@pytest.mark.parametrize(("window", "stride"), [(0, 0), (4, 0), (4, 5), (-1, -1)])
def test_windows_that_would_leave_gaps_are_refused(window, stride):
    with pytest.raises(ValueError, match="stride"):
        Tiling(window, stride)


def test_a_contig_is_cut_without_a_loop_over_its_windows():
    tiles = Tiling(1_000, 100).tiles(250_000_000)

    assert isinstance(tiles.starts, np.ndarray)
    assert tiles.ends[-1] == 250_000_000
