"""k-mers are those of every sequence by itself, without N."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.tasks.labelled.kmers import canonical_columns, kmers_of, mixed

SEQUENCES = st.lists(st.text(alphabet="ACGTN", max_size=30), max_size=5)


def value_of(kmer: str) -> int:
    return sum("ACGT".index(base) << (2 * place) for place, base in enumerate(reversed(kmer)))


@given(SEQUENCES, st.integers(1, 6))
def test_kmers_are_counted_one_by_one(sequences: list[str], k: int):
    expected = Counter(
        (row, value_of(sequence[start : start + k]))
        for row, sequence in enumerate(sequences)
        for start in range(len(sequence) - k + 1)
        if "N" not in sequence[start : start + k]
    )

    found = kmers_of(sequences, k, is_canonical=False)

    assert Counter(zip(found.rows_K.tolist(), found.values_K.tolist(), strict=True)) == expected


@given(st.text(alphabet="ACGTN", max_size=40))
def test_canonical_kmers_are_the_same_on_both_strands(sequence: str):
    forward = kmers_of([sequence], 5, is_canonical=True)
    reverse = kmers_of([reverse_complement(sequence)], 5, is_canonical=True)

    assert sorted(forward.values_K.tolist()) == sorted(reverse.values_K.tolist())


@pytest.mark.parametrize(("k", "n_columns"), [(1, 2), (2, 10), (3, 32), (4, 136)])
def test_two_strands_share_a_column(k: int, n_columns: int):
    columns = canonical_columns(k)

    assert len(set(columns.tolist())) == n_columns
    assert columns[value_of("A" * k)] == columns[value_of("T" * k)]


def test_mixing_keeps_numbers_apart():
    numbers = np.arange(10_000, dtype=np.uint64)

    assert len(set(mixed(numbers).tolist())) == 10_000


def test_k_beyond_64_bits_is_an_error():
    with pytest.raises(ValueError, match="from 1 to 31, got 32"):
        kmers_of(["ACGT"], 32, is_canonical=True)
