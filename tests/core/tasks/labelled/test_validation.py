"""A validation split takes its share of each class, and never half of what belongs together."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.tasks.labelled.validation import overlap_groups, split_validation


def rows(
    n: int = 0, *, sequences: list[str] | None = None, intervals: list[Interval] | None = None
) -> LabelledRows:
    """Sequences of two classes, two thirds of them of class 0; random ones by default."""
    if sequences is None:
        random = np.random.default_rng(0)
        sequences = ["".join(random.choice(list("ACGT"), 20)) for _ in range(n)]
    n = len(sequences)
    return LabelledRows(
        names=[f"r{index}" for index in range(n)],
        sequences=sequences,
        intervals=intervals or [None] * n,
        targets=np.arange(n, dtype=np.int64) % 3 // 2,
    )


def test_the_two_sides_are_all_rows_and_each_class_gives_its_share():
    data = rows(300)

    train, valid = split_validation(data, fraction=0.2, seed=1)

    assert sorted([*train.names, *valid.names]) == sorted(data.names)
    assert np.bincount(valid.targets).tolist() == [40, 20]  # type: ignore[arg-type]


def test_the_same_seed_gives_the_same_split_and_another_one_does_not():
    first, second, other = (
        split_validation(rows(100), fraction=0.1, seed=seed)[1].names for seed in (1, 1, 2)
    )

    assert first == second
    assert first != other


def test_equal_sequences_of_either_strand_stay_together():
    unique = rows(40)
    sequences = [unique.sequence(index) for index in range(40)]
    data = rows(sequences=[*sequences, *map(reverse_complement, sequences)])

    train, valid = split_validation(data, fraction=0.3, seed=0)

    kept = {train.sequence(index) for index in range(len(train))}
    assert valid.names
    assert not any(
        sequence in kept or reverse_complement(sequence) in kept
        for sequence in (valid.sequence(index) for index in range(len(valid)))
    )


def test_overlapping_intervals_are_one_group_however_long_the_chain():
    places = [(0, 100), (10, 20), (90, 150), (150, 160), (140, 155)]
    intervals = [Interval("c", start, end) for start, end in places] + [Interval("d", 0, 100)]
    data = rows(6, intervals=intervals)

    groups = overlap_groups(data)

    assert len(set(groups[:5].tolist())) == 1
    assert groups[5] != groups[0]


def test_whole_contigs_go_to_one_side():
    intervals = [Interval(f"chr{index % 5}", index * 100, index * 100 + 20) for index in range(50)]

    train, valid = split_validation(
        rows(50, intervals=intervals), fraction=0.2, seed=0, group_by="contig"
    )

    contigs = [{place.contig for place in part.intervals if place} for part in (train, valid)]
    assert valid.names
    assert not contigs[0] & contigs[1]


def test_rows_that_all_belong_together_cannot_be_split():
    with pytest.raises(ValueError, match="all 3 training rows belong together"):
        split_validation(rows(sequences=["ACGT"] * 3), fraction=0.5, seed=0)
