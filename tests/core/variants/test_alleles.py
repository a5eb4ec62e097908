"""Which alleles can be scored, and in which windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.variants.alleles import (
    Centred,
    Grid,
    Place,
    Variant,
    assess,
    read_window,
)

SEQUENCE = "ACGTTGCAACGGTTAACCGA"
LAYOUT = Centred(upstream=4, downstream=4)


@pytest.fixture
def genome(fasta_file):
    with Genome(fasta_file({"chr1": SEQUENCE.lower() + "N"})) as genome:
        yield genome


def statuses(genome, start, ref, *alts, contig="chr1", layout=LAYOUT, longest=100):
    variant = Variant(contig, start, ref, alts)
    return list(assess(variant, genome, layout=layout, max_allele_length=longest).statuses)


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


def test_a_contig_that_the_genome_does_not_have(genome):
    site = assess(Variant(None, 0, "A", ("C", "*")), genome, layout=LAYOUT, max_allele_length=9)

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
    assert LAYOUT.place(Interval("chr1", 3, 4), "+", contig_length=20) == Place(-1, 4, is_edge=True)


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
        if not place.is_edge:
            assert min(left, right) >= grid.min_context
            assert place.offset > window - grid.min_context - grid.step - n_ref


@pytest.mark.parametrize("min_context", [-1, 0, 50, 60])
def test_a_grid_without_room_is_refused(min_context):
    with pytest.raises(ValueError, match="room"):
        Grid(window=100, min_context=min_context)


def test_windows_past_an_end_are_padded_with_n(genome):
    before = read_window(genome, "chr1", -2, length=6, extra=0, strand="+")
    after = read_window(genome, "chr1", 18, length=5, extra=1, strand="+")

    assert before.bases == "NN" + SEQUENCE[:4].lower()
    assert after.bases == "gaNNNN"
    assert after.n_fraction == pytest.approx(1 / 3)


def test_the_extra_bases_of_a_reverse_window_lie_before_it(genome):
    window = read_window(genome, "chr1", 5, length=6, extra=2, strand="-")

    assert window.bases == reverse_complement(SEQUENCE[3:11].lower())


def test_a_window_that_misses_the_contig_is_all_padding(genome):
    assert read_window(genome, "chr1", 30, length=4, extra=0, strand="+").bases == "NNNN"
