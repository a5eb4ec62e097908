"""`--stats` of the commands that train: what was read, how much was learned, how fast."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

TABLE = Path(__file__).parents[3] / "test_data" / "labelled.csv"
ON_CPU = ("--device", "cpu", "--threads", "1", "-q")
ROWS = ("--data", TABLE, "--max-length", "40")


@pytest.fixture
def stats_of(hyenadna, tmp_path):
    """`stats_of(command, *options)`: what a run of it writes."""

    def run(*words):
        path = tmp_path / "stats.json"
        done = hyenadna(*words, "-o", tmp_path / "run", "--stats", path, *ON_CPU)
        assert done.code == 0, done.err
        return json.loads(path.read_text())

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "n_steps"),
    [
        (("finetune", "--epochs", "2", "--batch-size", "16", "--compare", "kmer"), 10),
        (("finetune", "--probe", "--compare", "none"), 0),
        (("prompt-tune", "--tokens", "4", "--epochs", "1", "--batch-size", "16"), 5),
        (("prompt-tune", "--shots", "1", "--samples", "4"), 2),
    ],
    ids=["finetune", "probe", "soft-prompt", "few-shot"],
)
def test_labelled_rows_are_counted_by_split_and_steps_by_their_bases(
    stats_of, tiny_model, options, n_steps
):
    found = stats_of(*options, *ROWS, "-m", tiny_model)

    assert found["schema"] == 1
    assert found["command"] == options[0]
    assert found["status"] == {"train": 80, "valid": 20, "test": 40}
    assert found["steps"] == n_steps
    assert (found["bases"] > 0) == (n_steps > 0)
    assert found["bases_per_second"] == pytest.approx(found["bases"] / found["seconds"], rel=0.01)
    assert found["model"]["sha256"]
    assert found["settings"]["dtype"] == "fp32"


@pytest.mark.slow
def test_pretraining_counts_the_bases_of_each_split(stats_of, fasta_file):
    random = np.random.default_rng(0)
    genome = fasta_file({name: "".join(random.choice(list("ACGT"), 600)) for name in "ab"})

    found = stats_of(
        "pretrain",
        "--fasta",
        genome,
        "--valid-contigs",
        "b",
        "--d-model",
        "16",
        "--n-layer",
        "1",
        "--max-length",
        "32",
        "--batch-bases",
        "128",
        "--max-steps",
        "3",
    )

    assert found["status"] == {"train": 600, "valid": 600, "test": 0}
    assert (found["steps"], found["bases"], found["model"]) == (3, 384, None)


def test_species_count_the_bases_of_each_split(stats_of, tiny_model, fasta_file, text_file):
    random = np.random.default_rng(0)
    rows = ["species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs"]
    for species in ("yeast", "fly"):
        contigs = {name: "".join(random.choice(list("ACGT"), 400)) for name in "abc"}
        fasta_file(contigs, name=f"{species}.fa")
        rows.append(f"{species}\t{species}.fa\ta\tb\tc")
    manifest = text_file("\n".join(rows) + "\n", name="species.tsv")

    found = stats_of(
        "classify-species",
        "train",
        "--manifest",
        manifest,
        "-m",
        tiny_model,
        "--length",
        "32",
        "--max-steps",
        "2",
        "--batch-bases",
        "128",
        "--probe-bases",
        "1k",
    )

    assert found["command"] == "classify-species train"
    assert found["status"] == {"train": 800, "valid": 800, "test": 800}
    assert (found["steps"], found["bases"]) == (2, 256)


def test_a_run_that_was_stopped_writes_none(hyenadna, tiny_model, tmp_path):
    done = hyenadna(
        "finetune",
        *ROWS,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "run",
        "--compare",
        "none",
        "--max-time",
        "00:00:00",
        "--stats",
        tmp_path / "stats.json",
        *ON_CPU,
    )

    assert done.code == 143
    assert not (tmp_path / "stats.json").exists()


def test_a_place_that_cannot_be_written_is_refused_before_training(hyenadna, tiny_model, tmp_path):
    done = hyenadna(
        "finetune",
        *ROWS,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "run",
        "--stats",
        tmp_path / "missing" / "stats.json",
        *ON_CPU,
    )

    assert done.code == 6
    assert not (tmp_path / "run").exists()


PRETRAIN = ("--valid-contigs", "b", "--d-model", 8, "--n-layer", 1, "--max-length", 32)
STEPS = ("--max-steps", 2, "--batch-bases", 64, *ON_CPU)


def test_two_equal_trainings_have_equal_bytes_without_version(hyenadna, fasta_file, tmp_path):
    random = np.random.default_rng(0)
    genome = fasta_file({name: "".join(random.choice(list("ACGT"), 600)) for name in "ab"})
    found = []
    for output in (tmp_path / "first", tmp_path / "second"):
        command = ("pretrain", "--fasta", genome, *PRETRAIN, *STEPS, "--no-version", "-o", output)
        done = hyenadna(*command)
        assert done.code == 0, done.err
        files = (path for path in sorted(output.rglob("*")) if path.is_file())
        found.append({str(path.relative_to(output)): path.read_bytes() for path in files})

    assert "metrics.csv" in found[0]
    assert found[0] == found[1]


def test_statistics_overwrite_neither_an_input_nor_a_file_of_the_run(
    hyenadna, fasta_file, tmp_path
):
    genome, output = fasta_file({"a": "ACGT" * 100, "b": "ACGT" * 100}), tmp_path / "run"
    before = genome.read_bytes()

    for stats in (genome, output / "metrics.csv", output / "config.json"):
        command = ("pretrain", "--fasta", genome, *PRETRAIN, *STEPS, "-o", output)
        done = hyenadna(*command, "--stats", stats)
        assert (done.code, len(done.err.splitlines())) == (2, 1), done.err
        output.mkdir(exist_ok=True)

    assert genome.read_bytes() == before
