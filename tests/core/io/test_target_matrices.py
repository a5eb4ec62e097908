"""Matrices of targets in HDF5, .npz and DeepSEA's .mat read as rows."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import io as scipy_io
from sklearn import metrics as sk

from hyenadna_cli.core.dna.sequence import LetterCounts
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.labelled_tables import LabelRow
from hyenadna_cli.core.io.target_matrices import read_target_matrix
from hyenadna_cli.core.tasks.labelled.files import Reading, read_labelled
from hyenadna_cli.core.tasks.metrics.evaluation import evaluate
from hyenadna_cli.core.tasks.metrics.ranks import chromatin_groups
from hyenadna_cli.errors import InputFileError

TARGETS = np.array([[1, 0, 0], [0, 1, 1]], dtype=np.uint8)
SEQUENCES = np.array([b"ACGT", b"ggnA"])


def rows(path: Path, contigs: ContigNames | None = None) -> list[LabelRow]:
    return list(read_target_matrix(path, contigs=contigs, letters=LetterCounts()).rows)


def one_hot(sequence: str, order: str) -> np.ndarray:
    """(4, L); N is all zero."""
    return np.array([[base == letter for base in sequence] for letter in order], dtype=np.uint8)


def test_sequences_and_named_targets_of_hdf5(tmp_path: Path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["targets"] = TARGETS
        file["sequences"] = SEQUENCES
        file["target_names"] = np.array([b"TF_a", b"DHS_b", b"HM_c"])
        file["split"] = np.array([b"train", b"test"])

    data = read_labelled([str(path)], reading=Reading(), letters=LetterCounts())

    assert (data.task, data.label_names) == ("multilabel", ("TF_a", "DHS_b", "HM_c"))
    assert [row.sequence for row in data.splits["test"]] == ["GGNA"]
    assert data.splits["train"].targets.tolist() == [[1, 0, 0]]  # type: ignore[union-attr]


@pytest.mark.parametrize("is_channels_first", [True, False])
def test_one_hot_bases_of_npz(tmp_path: Path, is_channels_first: bool):
    path = tmp_path / "x.npz"
    x = np.stack([one_hot("ACGTN", "ACGT"), one_hot("GGNAT", "ACGT")])
    np.savez(path, y=TARGETS, x=x if is_channels_first else x.transpose(0, 2, 1))

    assert [row.sequence for row in rows(path)] == ["ACGTN", "GGNAT"]


def test_coordinates(tmp_path: Path):
    path = tmp_path / "x.npz"
    np.savez(path, y=TARGETS, chrom=["c", "c"], start=[0, 2], end=[4, 8], strand=["+", "-"])

    found = rows(path, ContigNames({"c": 8}))

    assert [str(row.interval) for row in found] == ["c:1-4", "c:3-8"]
    with pytest.raises(InputFileError, match=r"x\.npz:2: end 8 is past c"):
        rows(path, ContigNames({"c": 7}))
    with pytest.raises(InputFileError, match="--fasta"):
        rows(path)


@pytest.mark.parametrize("layout", ["train", "test"])
def test_deepseas_own_files(tmp_path: Path, layout: str):
    path = tmp_path / f"{layout}.mat"
    x = np.stack([one_hot("ACGTN", "AGCT"), one_hot("GGNAT", "AGCT")])
    if layout == "train":
        with h5py.File(path, "w") as file:
            file["trainxdata"] = x.transpose(2, 1, 0)
            file["traindata"] = TARGETS.T
    else:
        scipy_io.savemat(path, {"testxdata": x, "testdata": TARGETS})

    found = rows(path)

    assert [row.sequence for row in found] == ["ACGTN", "GGNAT"]
    assert [list(row.labels) for row in found] == TARGETS.tolist()
    assert {row.split for row in found} == {layout}


@pytest.fixture
def deepsea(tmp_path: Path) -> Path:
    """A folder as DeepSEA's bundle is, but of few and short rows: train.mat is HDF5 with the rows
    last, valid.mat and test.mat are of the old format.
    """
    random = np.random.default_rng(0)
    for split, n in (("train", 12), ("valid", 4), ("test", 6)):
        x = np.eye(4, dtype=np.uint8)[random.integers(0, 4, (n, 50))].transpose(0, 2, 1)
        y = (random.random((n, 919)) < 0.5).astype(np.uint8)
        path = tmp_path / f"{split}.mat"
        if split == "train":
            with h5py.File(path, "w") as file:
                file["trainxdata"], file["traindata"] = x.transpose(2, 1, 0), y.T
        else:
            scipy_io.savemat(path, {f"{split}xdata": x, f"{split}data": y})
    return tmp_path


def test_the_whole_of_deepsea_has_its_splits_and_the_medians_of_its_groups(deepsea: Path):
    data = read_labelled([str(deepsea)], reading=Reading(), letters=LetterCounts())

    assert data.task == "multilabel"
    assert {split: len(rows) for split, rows in data.splits.items()} == {
        "train": 12,
        "valid": 4,
        "test": 6,
    }
    groups = {name: len(places) for name, places in chromatin_groups(data.label_names).items()}
    assert groups == {"DHS": 125, "TF": 690, "HM": 104}
    truth = data.splits["test"].targets
    scores = np.random.default_rng(1).random((6, 919))
    values = evaluate("multilabel", truth, scores, data.label_names).values
    expected = [
        sk.roc_auc_score(y, p) for y, p in zip(truth.T, scores.T, strict=True) if 0 < y.sum() < 6
    ]
    assert values["auroc_median"].value == pytest.approx(np.median(expected))
    dhs = [
        sk.roc_auc_score(y, p)
        for y, p in zip(truth.T[:125], scores.T[:125], strict=True)
        if 0 < y.sum() < 6
    ]
    assert values["auroc_median_DHS"].value == pytest.approx(np.median(dhs))


def test_targets_of_deepsea_have_their_names_without_a_list(deepsea: Path):
    data = read_labelled([str(deepsea)], reading=Reading(), letters=LetterCounts())
    names = data.label_names

    assert len(set(names)) == 919
    # Each by its own name, so that the order has no say.
    groups = chromatin_groups(names[::-1])
    assert {name: len(places) for name, places in groups.items()} == {
        "DHS": 125,
        "TF": 690,
        "HM": 104,
    }
    assert (names[0], names[125], names[815]) == (
        "8988T|DNase|None",
        "Dnd41|CTCF|None",
        "H1-hESC|H2AK5ac|None",
    )
    assert names[-1] == "Osteoblasts|H3K9me3|None"
    first = names.index("K562|YY1|None")
    assert names[first + 1] == "K562|YY1|None.2"


def test_other_numbers_of_targets_have_numbers_for_names(tmp_path: Path):
    scipy_io.savemat(
        tmp_path / "test.mat", {"testxdata": np.zeros((2, 4, 5)), "testdata": np.eye(2, 918)}
    )

    table = read_target_matrix(tmp_path / "test.mat", contigs=None, letters=LetterCounts())

    assert (table.label_columns[0], table.label_columns[-1]) == ("target_1", "target_918")


@pytest.mark.parametrize("header", ["", "index\tcell|assay|treatment is not a header\n"])
def test_names_of_deepsea_are_taken_from_its_list(deepsea: Path, header: str):
    names = [f"cell{n}|DNase|None" for n in range(919)]
    name = "feature_name" if header else "predictor.names"
    lines = "".join(f"{n + 1}\t{name}\n" for n, name in enumerate(names))
    (deepsea / name).write_text(header.replace("|", " ") + lines)

    for split in ("train", "test"):
        table = read_target_matrix(deepsea / f"{split}.mat", contigs=None, letters=LetterCounts())
        assert table.label_columns == tuple(names)
    (deepsea / name).write_text(lines[: lines.index("\n") + 1])
    with pytest.raises(InputFileError, match="names 1 targets"):
        rows(deepsea / "test.mat")


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x": [1]}, "holds none of targets, labels, y"),
        ({"y": TARGETS}, "needs `sequences`"),
        ({"y": TARGETS, "sequences": SEQUENCES[:1]}, "sequences has 1 rows, y 2"),
        ({"y": TARGETS, "sequences": ["ACGT", "AC-T"]}, r"x\.npz:2: '-' is not an IUPAC"),
        ({"y": [[0.5], [np.nan]], "sequences": SEQUENCES}, r"x\.npz:2: a target is not finite"),
        ({"y": TARGETS, "sequences": SEQUENCES, "target_names": ["a"]}, "1 names for 3 targets"),
        ({"y": TARGETS, "x": np.zeros((2, 5, 3))}, "one-hot bases are"),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path: Path, arrays: dict, problem: str):
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)

    with pytest.raises(InputFileError, match=problem):
        rows(path)


def test_a_file_that_is_damaged_is_an_error(tmp_path: Path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK\x03\x04 and no more")

    with pytest.raises(InputFileError, match="cannot be read"):
        rows(path)
