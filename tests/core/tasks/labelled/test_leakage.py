"""What splits share is found: places, equal and nearly equal sequences, on either strand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.tasks.labelled.leakage import SharedRows, leakage
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows


def random_dna(n: int, *, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), n))


def rows(
    *sequences: str, intervals: list[Interval | None] | None = None, label: int = 0
) -> LabelledRows:
    return LabelledRows(
        names=[f"r{index}" for index in range(len(sequences))],
        sequences=sequences,
        intervals=intervals or [None] * len(sequences),
        targets=np.full(len(sequences), label, dtype=np.int64),
    )


def shared(test: LabelledRows, train: LabelledRows) -> SharedRows:
    data = LabelledData(
        task="binary", label_names=("0", "1"), splits={"train": train, "test": test}, sources=()
    )
    (pair,) = leakage(data).pairs
    return pair


TRAIN = [random_dna(200, seed=seed) for seed in range(5)]


def test_unrelated_sequences_share_nothing():
    found = shared(rows(*[random_dna(200, seed=seed) for seed in range(10, 20)]), rows(*TRAIN))

    assert not found.is_leaking
    assert found.overlapping is None
    assert found.describe() == "test against train, of 10 rows: 0 are equal, 0 nearly so"


@pytest.mark.parametrize("strand", ["+", "-"])
def test_equal_sequences_of_either_strand_are_found(strand: str):
    copy = TRAIN[3] if strand == "+" else reverse_complement(TRAIN[3])

    found = shared(rows(random_dna(200, seed=9), copy), rows(*TRAIN))

    assert (found.exact.n, found.near.n, found.contradicting.n) == (1, 1, 0)
    assert found.exact.examples == (("r1", "r3"),)


def test_equal_sequences_with_another_label_contradict():
    assert shared(rows(TRAIN[0], label=1), rows(*TRAIN)).contradicting.n == 1


@pytest.mark.parametrize(("n_changed", "n_near"), [(0, 1), (1, 1), (2, 1), (12, 0)])
def test_a_few_changed_bases_are_nearly_equal(n_changed: int, n_near: int):
    letters = list(TRAIN[1])
    for place in np.linspace(10, 190, n_changed).astype(int):
        letters[place] = "A" if letters[place] != "A" else "C"

    found = shared(rows("".join(letters)), rows(*TRAIN))

    assert found.near.n == n_near
    assert found.exact.n == (n_changed == 0)


@pytest.mark.parametrize(("n_moved", "n_near"), [(40, 1), (150, 0)])
def test_windows_that_are_moved_a_little_are_nearly_equal(n_moved: int, n_near: int):
    long = random_dna(400, seed=30)

    found = shared(rows(long[n_moved : n_moved + 200]), rows(long[:200]))

    assert found.near.n == n_near


def test_overlapping_places_are_found_whatever_lies_between():
    places: list[Interval | None] = [Interval("c", 0, 1_000), Interval("c", 10, 20), None]
    judged: list[Interval | None] = [
        Interval("c", 900, 950, "-"),
        Interval("c", 1_000, 1_010),
        Interval("d", 0, 5),
        None,
    ]
    others = [random_dna(60, seed=seed) for seed in range(50, 54)]

    found = shared(rows(*others, intervals=judged), rows(*TRAIN[:3], intervals=places))

    assert found.overlapping is not None
    assert (found.overlapping.n, found.overlapping.examples) == (1, (("r0", "r0"),))
    assert "1 overlap (25.0 %)" in found.describe()


def test_repeats_of_many_rows_say_nothing():
    repeat = random_dna(150, seed=60)
    train = [repeat + random_dna(40, seed=100 + seed) for seed in range(120)]

    assert shared(rows(repeat), rows(*train)).near.n == 0


def test_every_two_splits_are_compared_and_the_report_is_json():
    data = LabelledData(
        task="binary",
        label_names=("0", "1"),
        splits={"train": rows(*TRAIN), "valid": rows(TRAIN[0]), "test": rows("ACGT")},
        sources=(),
    )

    report = leakage(data)

    assert [(pair.judging, pair.other) for pair in report.pairs] == [
        ("test", "train"),
        ("test", "valid"),
        ("valid", "train"),
    ]
    assert report.is_leaking
    assert json.loads(json.dumps(report.as_json()))["pairs"][2]["exact"]["n"] == 1
