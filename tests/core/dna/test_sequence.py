from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.sequence import (
    Cleaned,
    LetterCounts,
    LetterError,
    clean,
    n_fraction,
    reverse_complement,
)

IUPAC = "ACGTNRYSWKMBDHV"
iupac_sequences = st.text(IUPAC + IUPAC.lower())


@given(st.text("ACGTNacgtn"))
def test_plain_dna_is_left_alone(sequence: str) -> None:
    assert clean(sequence) == Cleaned(sequence, n_ambiguous=0, n_uracil=0)


def test_ambiguity_codes_become_n_in_their_own_case_and_are_counted() -> None:
    assert clean("AcRYswkmBDhvGt") == Cleaned("AcNNnnnnNNnnGt", n_ambiguous=10, n_uracil=0)


def test_n_itself_is_not_counted_as_ambiguous() -> None:
    assert clean("NNnnR").n_ambiguous == 1


def test_uracil_becomes_thymine_in_its_own_case_and_is_counted() -> None:
    assert clean("AUGuuR") == Cleaned("ATGttN", n_ambiguous=1, n_uracil=3)


@pytest.mark.parametrize(
    "letter", ["-", ".", "*", "X", "e", " ", "\t", "1", ">", "\x00", "Ä", "😀"]
)
@pytest.mark.parametrize("before", ["", "ACGT", "ACRU", "NNNNNN"])
def test_any_other_letter_is_an_error_that_knows_its_place(letter: str, before: str) -> None:
    with pytest.raises(LetterError, match="is not an IUPAC nucleotide code") as caught:
        clean(f"{before}{letter}ACGT*")

    assert (caught.value.position, caught.value.letter) == (len(before), letter)


@given(iupac_sequences)
def test_cleaning_keeps_length_and_case_and_is_final(sequence: str) -> None:
    cleaned = clean(sequence).sequence

    assert len(cleaned) == len(sequence)
    assert [c.islower() for c in cleaned] == [c.islower() for c in sequence]
    assert clean(cleaned) == Cleaned(cleaned, n_ambiguous=0, n_uracil=0)


@given(iupac_sequences)
def test_reverse_complement_is_an_involution(sequence: str) -> None:
    assert reverse_complement(reverse_complement(sequence)) == sequence


@given(iupac_sequences)
def test_cleaning_and_reverse_complement_commute(sequence: str) -> None:
    one_way = clean(reverse_complement(sequence)).sequence

    assert one_way == reverse_complement(clean(sequence).sequence)


def test_reverse_complement_keeps_the_case_of_every_base() -> None:
    assert reverse_complement("AAcgTN") == "NAcgTT"


@pytest.mark.parametrize(
    ("sequence", "fraction"), [("", 0.0), ("ACGT", 0.0), ("NnAC", 0.5), ("nnN", 1.0)]
)
def test_the_n_fraction_counts_both_cases(sequence: str, fraction: float) -> None:
    assert n_fraction(sequence) == fraction


def test_a_tally_adds_up_over_sequences() -> None:
    letters = LetterCounts()

    letters.add(clean("ARU"))
    letters.add(clean("RR"))

    assert letters == LetterCounts(n_ambiguous=3, n_uracil=1)
