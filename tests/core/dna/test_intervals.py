"""Set operations on intervals, against sets of bases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.intervals import intersected, merged, subtracted

some_intervals = st.lists(
    st.builds(
        lambda contig, start, length: Interval(contig, start, start + length),
        st.sampled_from(["chr1", "chr2"]),
        st.integers(0, 30),
        st.integers(1, 12),
    ),
    max_size=6,
)


def bases(intervals):
    return {(i.contig, position) for i in intervals for position in range(i.start, i.end)}


@given(some_intervals)
def test_merging_keeps_every_base_once(intervals):
    result = merged(intervals)

    assert bases(result) == bases(intervals)
    assert sum(i.length for i in result) == len(bases(intervals))


@given(some_intervals, some_intervals)
def test_intersecting_keeps_the_common_bases(these, those):
    assert bases(intersected(these, those)) == bases(these) & bases(those)


@given(some_intervals, some_intervals)
def test_subtracting_keeps_the_other_bases(these, those):
    assert bases(subtracted(these, those)) == bases(these) - bases(those)


def test_intersecting_keeps_the_cuts_of_the_first_list():
    regions = [Interval("chr1", 0, 10), Interval("chr1", 10, 20)]

    assert intersected(regions, [Interval("chr1", 5, 15)]) == [
        Interval("chr1", 5, 10),
        Interval("chr1", 10, 15),
    ]
