"""Rows: cut around their middle in reading direction, and targets as metrics take them."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows

SEQUENCE = "ACGTTGCAGATTACC"


def rows_of(sequences, targets, *, intervals=None, genome=None):
    names = [f"s{number}" for number in range(len(sequences))]
    return LabelledRows(
        names=names,
        sequences=sequences,
        intervals=intervals or [None] * len(names),
        targets=targets,
        genome=genome,
    )


@pytest.mark.parametrize("length", [1, 4, 5, 14, 15, 99])
def test_a_crop_is_around_the_middle_with_its_labels(length):
    classes = np.arange(15, dtype=np.int8)

    row = rows_of([SEQUENCE], [classes]).cropped(length)[0]

    start = (15 - min(length, 15)) // 2
    assert row.sequence == SEQUENCE[start : start + length]
    assert row.target.tolist() == list(range(start, start + len(row.sequence)))


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("length", [4, 5])
def test_a_crop_of_coordinates_is_the_crop_of_their_sequence(fasta_file, strand, length):
    interval = Interval("chr1", 3, 14, strand)
    with Genome(fasta_file({"chr1": SEQUENCE})) as genome:
        fetched = rows_of([None], np.array([0]), intervals=[interval], genome=genome)
        stored = rows_of([fetched.sequence(0)], np.array([0]), intervals=[interval])

        from_genome, from_text = fetched.cropped(length)[0], stored.cropped(length)[0]

        assert from_genome.sequence == from_text.sequence
        assert from_genome.interval == from_text.interval


def test_labelled_bases_of_all_rows_come_one_after_the_other():
    rows = rows_of(["ACG", "AC", "A"], [np.array(t, np.int8) for t in ([0, -1, 1], [-1, -1], [2])])

    assert rows.flat_targets.tolist() == [0, 1, 2]
    assert rows.groups.tolist() == [0, 0, 2]
    assert rows_of(["A", "C"], np.array([1, 0])).groups is None
