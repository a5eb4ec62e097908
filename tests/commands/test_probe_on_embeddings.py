"""`hyenadna finetune --probe --embeddings`: a probe on stored vectors, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

# What nearly all of it reads is embedded and tuned first, in six seconds.
pytestmark = pytest.mark.slow
TABLE = Path(__file__).parent.parent.parent / "test_data" / "labelled.csv"


@pytest.fixture(scope="module")
def vectors(tmp_path_factory, tiny_model):
    """Embeddings of the rows of `TABLE`."""
    directory = tmp_path_factory.mktemp("embedded")
    records = [line.split(",") for line in TABLE.read_text().splitlines()[1:]]
    (directory / "all.fa").write_text("".join(f">{r[0]}\n{r[3]}\n" for r in records))
    asked = ["embed", "--fasta", directory / "all.fa", "-m", tiny_model, "--device", "cpu", "-q"]
    command = [*map(str, asked), "-o", str(directory / "e.h5ad")]
    # Not here: the program would leave its logging to the tests of this process.
    subprocess.run([sys.executable, "-m", "hyenadna_cli", *command], check=True)
    return directory / "e.h5ad"


@pytest.fixture
def labels(tmp_path):
    """Their names, labels and splits."""
    records = [line.split(",") for line in TABLE.read_text().splitlines()[1:]]
    path = tmp_path / "labels.csv"
    path.write_text("name,label,split\n" + "".join(f"{r[0]},{r[2]},{r[1]}\n" for r in records))
    return path


@pytest.fixture
def probe(hyenadna, vectors, labels, tmp_path):
    """A probe of the labels on the vectors, into `s`."""

    def run(*more, embeddings=vectors):
        return hyenadna(
            "finetune",
            "--probe",
            "--embeddings",
            embeddings,
            "--data",
            labels,
            "-o",
            tmp_path / "s",
            *more,
        )

    return run


def test_agrees_with_the_probe_on_the_model(probe, hyenadna, tiny_model, tmp_path):
    stored = probe()
    direct = hyenadna(
        "finetune",
        "--data",
        TABLE,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "d",
        "--probe",
        "--compare",
        "none",
        "--device",
        "cpu",
        "--threads",
        "1",
        "-q",
    )

    assert (stored.code, direct.code) == (0, 0), stored.err
    values = [
        json.loads((tmp_path / name / "metrics.json").read_text())["values"]["auroc"]["value"]
        for name in ("s", "d")
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-3)
    assert not json.loads((tmp_path / "s" / "leakage.json").read_text())["is_leaking"]


def test_needs_a_vector_for_every_label(probe, labels):
    labels.write_text(labels.read_text() + "nobody,bulk,test\n")

    done = probe()

    assert done.code == 3
    assert "'nobody' is not in e.h5ad" in done.err


def test_a_vector_that_is_not_finite_is_refused_by_the_name_of_its_row(probe, vectors, tmp_path):
    copy = tmp_path / "nan.h5ad"
    copy.write_bytes(vectors.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["X"][3] = np.nan
        name = file["obs/_index"].asstr()[3]

    done = probe(embeddings=copy)

    assert done.code == 3
    assert done.err.count("\n") == 1
    assert f"labels.csv:5: {name!r} has no vector of finite numbers in nan.h5ad" in done.err


@pytest.mark.parametrize(
    "retold",
    [
        lambda text: "\ufeff" + text,
        lambda text: text + "\n\n",
        lambda text: '"' + text.replace(",", '","').replace("\n", '"\n"')[:-1],
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(",", "\t"),
    ],
    ids=["byte-order-mark", "blank-lines", "quoted", "crlf", "tabs"],
)
def test_labels_are_read_like_any_other_table(probe, labels, tmp_path, retold):
    labels.write_bytes(retold(labels.read_text()).encode())

    done = probe("--dry-run")

    assert done.code == 0, done.err
    assert "(bulk, island), 16 features: train 80 rows; valid 20 rows; test 40 rows" in done.out


def test_a_dry_run_checks_the_inputs_and_writes_nothing(probe, labels, tmp_path):
    assert probe("--dry-run").code == 0
    assert not (tmp_path / "s").exists()

    labels.write_text(labels.read_text() + "nobody,bulk,test\n")
    assert probe("--dry-run").code == 3


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_split_without_rows_is_named(probe, labels, split):
    labels.write_text(labels.read_text().replace(f",{split}\n", ",valid\n"))

    done = probe()

    assert done.code == 3
    assert f"no row is marked {split}: the {split} split is empty" in done.err


def test_names_in_two_splits_are_reported(probe, labels, tmp_path):
    names = [line.split(",")[0] for line in labels.read_text().splitlines() if "train" in line]
    labels.write_text(labels.read_text() + f"{names[0]},bulk,test\n{names[1]},bulk,test\n")

    done = probe()

    assert done.code == 0, done.err
    assert "test against train, of 42 rows: 2 have a name that stands in both" in done.err
    report = json.loads((tmp_path / "s" / "leakage.json").read_text())
    assert report["is_leaking"]
    shared = {(pair["judging"], pair["other"]): pair["examples"] for pair in report["pairs"]}
    assert shared == {("test", "valid"): [], ("test", "train"): names[:2], ("valid", "train"): []}


@pytest.mark.parametrize(
    "option",
    [("--compare", "cnn"), ("--seeds", "3"), ("--table",), ("--test", "x"), ("--valid", "x")],
    ids=lambda option: option[0],
)
def test_options_without_meaning_are_refused(probe, tmp_path, option):
    done = probe(*option)

    assert done.code == 2
    assert f"{option[0]} means nothing with --embeddings" in done.err
    assert not (tmp_path / "s").exists()
