"""The digest of labelled data: equal for equal data, another for any change that training sees."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.tasks.labelled.digest import digest
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows


def rows_of(sequences, targets=(0, 1), *, names=("x", "y"), intervals=(None, None), genome=None):
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
    one, other = (data_of(train=rows_of(["ACGT", "GGCC"])) for _ in range(2))

    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    "other",
    [
        data_of(train=rows_of(["ACGA", "GGCC"])),
        data_of(train=rows_of(["ACGTG", "GCC"])),
        data_of(train=rows_of(["ACGT", "GGCC"], (1, 0))),
        data_of(train=rows_of(["ACGT", "GGCC"], names=("x", "z"))),
        data_of(valid=rows_of(["ACGT", "GGCC"])),
        dataclasses.replace(data_of(train=rows_of(["ACGT", "GGCC"])), label_names=("a", "c")),
    ],
    ids=["base", "border", "target", "name", "split", "label"],
)
def test_any_change_that_training_sees_changes_the_digest(other):
    assert digest(other) != digest(data_of(train=rows_of(["ACGT", "GGCC"])))


def test_a_base_without_a_label_counts_too():
    def token(classes):
        rows = LabelledRows(
            names=["x"], sequences=["ACG"], intervals=[None], targets=[np.array(classes, np.int8)]
        )
        return dataclasses.replace(data_of(train=rows), task="token")

    assert digest(token([0, -1, 1])) != digest(token([0, 1, -1]))


def test_coordinates_count_by_their_place_and_genome(fasta_file):
    def of(sequence, *places):
        with Genome(fasta_file({"chr1": sequence})) as genome:
            intervals = [Interval("chr1", *place) for place in places]
            return digest(data_of(train=rows_of([None] * 2, intervals=intervals, genome=genome)))

    found = of("ACGT" * 9, (0, 4), (8, 12))

    assert found == of("ACGT" * 9, (0, 4), (8, 12))
    assert found != of("ACGT" * 9, (0, 4), (8, 13))
    assert found != of("ACGT" * 9, (0, 4, "-"), (8, 12))
    assert found != of("ACGT" * 10, (0, 4), (8, 12))
