"""Rows: cut around their middle in reading direction, targets as metrics take them, a digest."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows

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


def pair_of(sequences, targets=(0, 1), *, names=("x", "y"), intervals=(None, None), genome=None):
    return LabelledRows(
        names=names,
        sequences=sequences,
        intervals=intervals,
        targets=np.array(targets),
        genome=genome,
    )


def data_of(**splits):
    return LabelledData(task="binary", label_names=("a", "b"), splits=splits, sources=())


def test_equal_data_have_one_digest_wherever_they_lie():
    one, other = (data_of(train=pair_of(["ACGT", "GGCC"])) for _ in range(2))

    assert one.digest() == other.digest()


@pytest.mark.parametrize(
    "other",
    [
        data_of(train=pair_of(["ACGA", "GGCC"])),
        data_of(train=pair_of(["ACGTG", "GCC"])),
        data_of(train=pair_of(["ACGT", "GGCC"], (1, 0))),
        data_of(train=pair_of(["ACGT", "GGCC"], names=("x", "z"))),
        data_of(valid=pair_of(["ACGT", "GGCC"])),
        dataclasses.replace(data_of(train=pair_of(["ACGT", "GGCC"])), label_names=("a", "c")),
    ],
    ids=["base", "border", "target", "name", "split", "label"],
)
def test_any_change_that_training_sees_changes_the_digest(other):
    assert other.digest() != data_of(train=pair_of(["ACGT", "GGCC"])).digest()


def test_a_base_without_a_label_counts_too():
    def token(classes):
        rows = LabelledRows(
            names=["x"], sequences=["ACG"], intervals=[None], targets=[np.array(classes, np.int8)]
        )
        return dataclasses.replace(data_of(train=rows), task="token")

    assert token([0, -1, 1]).digest() != token([0, 1, -1]).digest()


def test_coordinates_count_by_their_place_and_genome(fasta_file):
    def of(sequence, *places):
        with Genome(fasta_file({"chr1": sequence})) as genome:
            intervals = [Interval("chr1", *place) for place in places]
            rows = pair_of([None] * 2, intervals=intervals, genome=genome)
            return data_of(train=rows).digest()

    found = of("ACGT" * 9, (0, 4), (8, 12))

    assert found == of("ACGT" * 9, (0, 4), (8, 12))
    assert found != of("ACGT" * 9, (0, 4), (8, 13))
    assert found != of("ACGT" * 9, (0, 4, "-"), (8, 12))
    assert found != of("ACGT" * 10, (0, 4), (8, 12))
