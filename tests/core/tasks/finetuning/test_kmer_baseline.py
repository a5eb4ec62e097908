"""The baseline learns what k-mers can say, for every task, and nothing from the test rows."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.tasks.finetuning.kmer_baseline import fit_kmer_baseline
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows, Task
from hyenadna_cli.core.tasks.metrics.evaluation import evaluate

MOTIF = "GATTACA"


def random_sequences(n: int, *, seed: int, length: int = 80) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGT"), length)) for _ in range(n)]


def planted(n: int, *, seed: int) -> tuple[list[str], np.ndarray]:
    """Sequences of which some have the motif, and how often: 0 to 2 times."""
    random = np.random.default_rng(seed)
    counts = random.integers(0, 3, n)
    sequences = []
    for sequence, count in zip(random_sequences(n, seed=seed), counts, strict=True):
        for copy in range(count):
            at = 10 + 40 * copy
            sequence = sequence[:at] + MOTIF + sequence[at + len(MOTIF) :]
        sequences.append(sequence)
    return sequences, counts


def data(task: Task, n: int = 240) -> LabelledData:
    splits = {}
    names = {"regression": ("n",), "multilabel": ("any", "two"), "multiclass": ("0", "1", "2")}
    for seed, split in enumerate(("train", "valid", "test")):
        sequences, counts = planted(n, seed=seed)
        targets: object = {
            "binary": (counts > 0).astype(np.int64),
            "multiclass": counts.astype(np.int64),
            "multilabel": np.stack([counts > 0, counts > 1], axis=1).astype(np.uint8),
            "regression": counts.astype(np.float32),
            "token": [
                np.array([int(base in "GC") for base in sequence], dtype=np.int8)
                for sequence in sequences
            ],
        }[task]
        splits[split] = LabelledRows(
            names=[str(index) for index in range(n)],
            sequences=sequences,
            intervals=[None] * n,
            targets=targets,  # type: ignore[arg-type]
        )
    return LabelledData(
        task=task, label_names=names.get(task, ("0", "1")), splits=splits, sources=()
    )  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "metric", "at_least"),
    [
        ("binary", "auroc", 0.9),
        ("multiclass", "auroc", 0.8),
        ("multilabel", "auroc_mean", 0.85),
        ("regression", "spearman", 0.6),
    ],
)
def test_planted_motifs_are_learnt(task: Task, metric: str, at_least: float):
    rows = data(task)

    fitted = fit_kmer_baseline(rows, ks=(3, 5))

    test = rows.splits["test"]
    found = evaluate(task, test.targets, fitted.scores(test), rows.label_names)  # type: ignore[arg-type]
    assert fitted.k == 5
    assert found.values[metric].value > at_least


def test_classes_of_bases_are_learnt_from_their_surroundings():
    rows = data("token", n=20)

    fitted = fit_kmer_baseline(rows)

    test = rows.splits["test"]
    found = evaluate(
        "token", test.flat_targets, fitted.scores(test), ("0", "1"), groups=test.groups
    )
    assert found.values["accuracy"].value > 0.99


def test_both_strands_score_the_same_with_canonical_kmers():
    rows = data("binary", n=120)
    forward = LabelledRows(names=["x"], sequences=["ACCGATTACAGG"], intervals=[None], targets=[0])
    reverse = LabelledRows(names=["x"], sequences=["CCTGTAATCGGT"], intervals=[None], targets=[0])

    fitted = fit_kmer_baseline(rows, is_canonical=True, ks=(4,))

    np.testing.assert_allclose(fitted.scores(forward), fitted.scores(reverse))


def test_the_same_data_give_the_same_scores():
    rows = data("binary", n=100)

    first, second = (fit_kmer_baseline(rows, ks=(3,)).scores(rows.splits["test"]) for _ in "12")

    np.testing.assert_array_equal(first, second)


def test_no_validation_rows_are_an_error():
    rows = data("binary", n=10)

    with pytest.raises(ValueError, match="training and validation rows"):
        fit_kmer_baseline(
            LabelledData(
                task="binary",
                label_names=("0", "1"),
                splits={"train": rows.splits["train"]},
                sources=(),
            )
        )
