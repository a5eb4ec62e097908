"""One token a base."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.dna import tokenizer


@pytest.mark.parametrize(
    ("specials", "expected"),
    [
        ("none", [7, 8, 9, 10, 11]),
        ("sep", [7, 8, 9, 10, 11, 1]),
        ("cls-sep", [0, 7, 8, 9, 10, 11, 1]),
    ],
)
def test_letters_and_specials_have_the_official_ids(specials, expected):
    ids = tokenizer.add_specials(tokenizer.encode("ACGTN"), specials)

    assert ids.tolist() == expected


def test_lower_case_reads_as_upper_case_and_other_letters_are_unknown():
    assert tokenizer.encode("acgtnRé").tolist() == [7, 8, 9, 10, 11, 6, 6]


def test_an_empty_sequence_has_no_tokens():
    assert tokenizer.encode("").tolist() == []


def test_decoding_inverts_encoding():
    assert tokenizer.decode(tokenizer.encode("GATTACAN")) == "GATTACAN"


def test_the_padding_rows_of_the_vocabulary_have_no_letter():
    with pytest.raises(ValueError, match="token id 12 has no letter"):
        tokenizer.decode(np.array([7, 12], np.uint8))
