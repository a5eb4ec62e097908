from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.coordinates import (
    Interval,
    Strand,
    along,
    from_one_based,
    read_region,
    to_one_based,
)

contig_names = st.text("abcXY019_.*:-", min_size=1)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """Intervals of at least one base, close enough together to overlap often."""
    start = draw(st.integers(0, 50))
    end = draw(st.integers(start + 1, 51))
    return Interval(draw(st.sampled_from(["chr1", "chr2"])), start, end)


@given(st.integers(0, 10**12))
def test_the_two_conversions_undo_each_other(start: int) -> None:
    assert from_one_based(to_one_based(start)) == start


def test_the_first_base_is_zero_inside_and_one_in_text() -> None:
    assert from_one_based(1) == 0
    assert to_one_based(0) == 1


@given(contig_names, st.integers(0, 10**10), st.integers(1, 10**10))
def test_what_people_are_shown_reads_back_as_the_same_interval(
    contig: str, start: int, length: int
) -> None:
    interval = Interval(contig, start, start + length)

    assert Interval.parse(str(interval)) == interval


@given(intervals())
def test_the_length_is_the_number_of_bases(interval: Interval) -> None:
    assert interval.length == len(range(interval.start, interval.end))


@pytest.mark.parametrize(("start", "end"), [(-1, 4), (5, 4)], ids=["negative", "backwards"])
def test_an_impossible_interval_is_refused(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="0 <= start <= end, got chr1"):
        Interval("chr1", start, end)


def test_an_interval_reads_as_one_based_closed_with_thousands() -> None:
    assert str(Interval("chr7", 140_753_335, 140_753_336)) == "chr7:140,753,336-140,753,336"


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("chr7:140,753,336-140,753,336", Interval("chr7", 140_753_335, 140_753_336)),
        ("chr1:1-10", Interval("chr1", 0, 10)),
        (" chr1:1-10\n", Interval("chr1", 0, 10)),
        ("HLA-A*01:01:01:5-6", Interval("HLA-A*01:01:01", 4, 6)),
    ],
)
def test_a_region_is_one_based_closed(text: str, interval: Interval) -> None:
    assert Interval.parse(text) == interval


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("chr7", ("chr7", 0, None)),
        ("chr7:1,000", ("chr7", 999, 1_000)),
        ("chr7:1000-", ("chr7", 999, None)),
        ("chr7:10-20", ("chr7", 9, 20)),
        ("{HLA-A*01:01}", ("HLA-A*01:01", 0, None)),
        ("{HLA-A*01:01}:1-20", ("HLA-A*01:01", 0, 20)),
        ("HLA-A*01:01:02:1-20", ("HLA-A*01:01:02", 0, 20)),
    ],
)
def test_a_region_may_leave_out_its_end_or_its_place(text, region) -> None:
    assert read_region(text) == region


@pytest.mark.parametrize(
    "text", ["", "chr1:0", "chr1:0-", "chr1:0-5", "chr1:9-4", "{chr1", "{}:1-2", "{a}b:1"]
)
def test_what_is_no_open_region_either_is_refused(text) -> None:
    with pytest.raises(ValueError, match="region"):
        read_region(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "chr1",
        "chr1:5",
        "chr1:5-",
        "chr1:a-b",
        "chr1:-5-6",
        ":1-2",
        "chr1:0-5",
        "chr1:9-4",
        "chr1:6-5",
        "chr1:,-,",
    ],
)
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"region|interval"):
        Interval.parse(text)


@pytest.mark.parametrize(
    ("strand", "start", "end", "place"),
    [
        ("+", 0, 1, (10, 11)),
        ("+", -1, 0, (9, 10)),
        ("+", -3, 5, (7, 15)),
        ("-", 0, 1, (9, 10)),
        ("-", -1, 0, (10, 11)),
        ("-", -3, 5, (5, 13)),
        ("-", 2, 12, (-2, 8)),
    ],
)
def test_offsets_from_a_boundary_count_in_reading_direction(
    strand: Strand, start: int, end: int, place: tuple[int, int]
) -> None:
    assert along(strand, 10, start, end) == place
