"""Every length has a plan whose transforms fit together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba")

from hyenadna_cli.ops.cpu.fft import frequencies, good_size
from hyenadna_cli.ops.cpu.right_angle import plan


@given(st.integers(1, 3_000_000))
def test_a_good_size_is_at_least_the_length_and_rarely_much_more(length):
    size = good_size(length)

    assert size >= length
    assert size % 8 == 0
    assert size <= 1.34 * length + 8  # sizes are multiples of 8


@pytest.mark.parametrize(
    "length", [1, 8, 9, 100, 2048, 2049, 2305, 2561, 3841, 4097, 30_000, 32_769, 65_537]
)
def test_a_plan_cuts_its_points_into_transforms_that_exist(length):
    made = plan(length)

    assert made.n_points == made.n_rows * made.n_columns >= length
    for transform in (made.of_columns, made.of_rows):
        passes = [*transform.radices.tolist(), 8] if transform.length > 1 else []
        n_points = 1
        for radix in passes:
            n_points *= radix
        assert n_points == transform.length


@pytest.mark.parametrize("length", [8, 24, 40, 120, 1024])
def test_every_frequency_stands_somewhere(length):
    assert sorted(frequencies(length)) == list(range(length))
