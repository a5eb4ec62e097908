"""Which alleles can be scored, and in which windows."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.variants.alleles import (
    Centred,
    Grid,
    Place,
    Reading,
    Variant,
    assess,
    readings,
)
from hyenadna_cli.core.variants.stretches import Stretches

SEQUENCE = "ACGTTGCAACGGTTAACCGA"
LAYOUT = Centred(upstream=4, downstream=4)


@pytest.fixture
def genome(fasta_file):
    with Genome(fasta_file({"chr1": SEQUENCE.lower() + "N"})) as genome:
        yield genome


def statuses(genome, start, ref, *alts, contig="chr1", layout=LAYOUT, longest=100):
    variant = Variant(contig, start, ref, alts)
    stretches = Stretches(genome)
    return list(assess(variant, stretches, layout=layout, max_allele_length=longest).statuses)


@pytest.mark.parametrize(
    ("alt", "status"),
    [
        ("G", None),
        ("gt", None),
        ("*", "STAR"),
        ("<DEL>", "SYMBOLIC"),
        ("<*>", "SYMBOLIC"),
        ("<NON_REF>", "SYMBOLIC"),
        ("N[chr2:9[", "BND"),
        ("]chr2:9]N", "BND"),
        ("G.", "BND"),
        (".G", "BND"),
        (".", "NO_ALT"),
        ("R", "NON_ACGT"),
        ("AN", "NON_ACGT"),
        ("GGGGG", "TOO_LONG"),
    ],
)
def test_each_kind_of_allele_has_its_status(genome, alt, status):
    assert statuses(genome, 0, "A", "C", alt) == [None, status]


def test_ref_is_compared_with_the_genome_case_apart(genome):
    assert statuses(genome, 1, "CG", "T") == [None]
    assert statuses(genome, 1, "cg", "T") == [None]
    assert statuses(genome, 1, "CC", "T", "<DEL>") == ["REF_MISMATCH", "SYMBOLIC"]
    assert statuses(genome, 19, "ANC", "T") == ["REF_MISMATCH"]
    assert statuses(genome, -1, "N", "T") == ["REF_MISMATCH"]
    assert statuses(genome, 20, "N", "T") == ["NON_ACGT"]


@pytest.mark.parametrize(
    ("start", "ref", "status"),
    [
        (1, "R", "NON_ACGT"),  # what the FASTA has, to the letter
        (1, "A", "NON_ACGT"),  # as the VCF specification writes it
        (1, "C", "REF_MISMATCH"),
        (0, "M", "NON_ACGT"),  # a code that may be the FASTA's base
        (0, "K", "REF_MISMATCH"),
        (0, "A", None),
        (2, "N", "REF_MISMATCH"),
    ],
)
def test_letters_that_share_a_base_agree_and_only_bases_are_scored(fasta_file, start, ref, status):
    with Genome(fasta_file({"chr1": "ARCGTTGCAACGGTTAACCGA"})) as genome:
        assert statuses(genome, start, ref, "T") == [status]


def test_a_contig_that_the_genome_does_not_have(genome):
    variant = Variant(None, 0, "A", ("C", "*"))
    site = assess(variant, Stretches(genome), layout=LAYOUT, max_allele_length=9)

    assert site.ref_agrees is None
    assert site.statuses == ("NO_CONTIG", "STAR")


def test_alleles_longer_than_asked_or_than_the_window_are_too_long(genome):
    assert statuses(genome, 0, "ACGT", "A") == [None]
    assert statuses(genome, 0, "ACGT", "A", longest=3) == ["TOO_LONG"]
    assert statuses(genome, 0, "ACGTT", "A") == ["TOO_LONG"]


def test_centred_windows_mirror_each_other():
    ref = Interval("chr1", 10, 12)

    assert LAYOUT.place(ref, "+", contig_length=20) == Place(6, 4, is_edge=False)
    assert LAYOUT.place(ref, "-", contig_length=20) == Place(8, 4, is_edge=False)
    assert LAYOUT.place(Interval("chr1", 3, 4), "+", contig_length=20) == Place(
        -1, 4, is_edge=False
    )


# A long allele just behind the first base, whose window would be nowhere else in any case.
@example(start=19, n_ref=20, window=64, share=0.34375)
@given(
    start=st.integers(0, 2_999),
    n_ref=st.integers(1, 20),
    window=st.integers(64, 300),
    share=st.floats(0.02, 0.35),
)
def test_the_grid_gives_every_allele_its_context(start, n_ref, window, share):
    """`min_context` on both sides where the contig has it, and as much as can be before it."""
    contig_length = 3_020
    grid = Grid(window=window, min_context=int(share * window))
    ref = Interval("chr1", start, start + n_ref)

    for strand in ("+", "-"):
        place = grid.place(ref, strand, contig_length=contig_length)
        if place is None:
            assert n_ref > window - 2 * grid.min_context - grid.step
            continue
        assert place.start % grid.step == 0
        left = start - place.start
        right = min(place.start + window, contig_length) - ref.end
        assert place.offset == (left if strand == "+" else place.start + window - ref.end)
        assert left >= min(grid.min_context, start)
        assert right >= min(grid.min_context, contig_length - ref.end)
        if not place.is_edge and place.start + window <= contig_length:
            assert right >= grid.min_context
            assert place.offset > window - grid.min_context - grid.step - n_ref


@pytest.mark.parametrize("min_context", [-1, 0, 50, 60])
def test_a_grid_without_room_is_refused(min_context):
    with pytest.raises(ValueError, match="room"):
        Grid(window=100, min_context=min_context)


GAPPED = "AC" + "N" * 11 + "GGCATT" + "N" * 10 + "CATG"
"""A gap of 11 N, and 10 N that are no gap."""


@pytest.fixture
def gapped(fasta_file):
    with Genome(fasta_file({"chr1": GAPPED})) as genome:
        yield Stretches(genome)


def test_a_window_ends_where_the_contig_does_and_at_gaps(gapped):
    layout = Centred(upstream=20, downstream=20)

    of_first = readings(Variant("chr1", 1, "C", ("G",)), gapped, layout)
    of_second = readings(Variant("chr1", 14, "G", ("A",)), gapped, layout)

    assert of_first == {
        "+": Reading(Interval("chr1", 0, 2), offset=1, room=None, is_edge=True),
        "-": Reading(Interval("chr1", 0, 2), offset=0, room=None, is_edge=True),
    }
    assert of_second == {
        "+": Reading(Interval("chr1", 13, 33), offset=1, room=None, is_edge=True),
        "-": Reading(Interval("chr1", 13, 33), offset=18, room=None, is_edge=True),
    }


def test_a_window_inside_real_sequence_is_whole(gapped):
    layout = Centred(upstream=2, downstream=3)

    reading = readings(Variant("chr1", 15, "C", ("G",)), gapped, layout)["+"]

    assert reading == Reading(Interval("chr1", 13, 18), offset=2, room=3, is_edge=False)


def test_n_at_the_front_of_a_window_is_not_read(gapped):
    text = gapped.read(Interval("chr1", 20, 33), "+")

    assert (text.bases, text.n_trimmed, text.n_fraction) == ("CATG", 9, 0.0)


def test_what_follows_a_window_is_read_as_far_as_it_is_real(gapped):
    assert gapped.read(Interval("chr1", 14, 16), "+", n_behind=2).bases == "GCAT"
    assert gapped.read(Interval("chr1", 14, 16), "-", n_behind=9).bases == "GCC"
    assert gapped.read(Interval("chr1", 0, 2), "+", n_behind=9).bases == "AC"


@pytest.mark.parametrize("max_n_run", [0, 3, 10, 11])
def test_stretches_are_what_is_left_without_gaps(fasta_file, max_n_run):
    with Genome(fasta_file({"chr1": GAPPED})) as genome:
        stretches = Stretches(genome, max_n_run=max_n_run)
        found = stretches.within("chr1", start=-5, end=99)

        pieces = re.split(f"N{{{max_n_run + 1},}}", GAPPED)
        assert [genome.fetch(stretch) for stretch in found] == pieces


@given(
    parts=st.lists(
        st.tuples(st.integers(1, 90_000), st.sampled_from([0, 1, 9, 10, 11, 12, 70_000])),
        min_size=1,
        max_size=4,
    ),
    at=st.floats(0, 0.999),
)
def test_gaps_are_found_across_the_pieces_that_are_searched(tmp_path_factory, parts, at):
    sequence = "".join("A" * n_bases + "N" * n_unknown for n_bases, n_unknown in parts) + "A"
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text(f">chr1\n{sequence}\n")
    base = int(at * len(sequence))
    with Genome(path) as genome:
        around = Stretches(genome).around(
            Interval("chr1", base, base + 1), start=-9, end=len(sequence) + 9
        )
    if sequence[base] == "N":
        return
    starts = [match.end() for match in re.finditer("N{11,}", sequence) if match.end() <= base]
    ends = [match.start() for match in re.finditer("N{11,}", sequence) if match.start() > base]
    assert (around.start, around.end) == (max(starts, default=0), min(ends, default=len(sequence)))
