"""`hyenadna prompt-tune` end to end, and `predict` with what it wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch

TABLE = Path(__file__).parent.parent.parent / "test_data" / "labelled.csv"
FAST = ("--device", "cpu", "--threads", "1", "--batch-size", "16")


@pytest.fixture
def prompt_tune(hyenadna, tiny_model, tmp_path):
    def run(*options, data=TABLE, out="prompt", model=tiny_model):
        return hyenadna(
            "prompt-tune",
            "--data",
            data,
            "-m",
            model,
            "-o",
            tmp_path / out,
            *FAST,
            "--max-length",
            "40",
            *(() if "--shots" in options else ("--epochs", "1")),
            *options,
        )

    return run


@pytest.fixture
def predict(hyenadna, tmp_path, fasta_file):
    fasta = fasta_file({"one": "ACGTACGTAC", "two": "GGGGCCCC"}, is_indexed=False)

    def run(*options, out="prompt"):
        return hyenadna(
            "predict",
            "-m",
            tmp_path / out,
            "--fasta",
            fasta,
            "--device",
            "cpu",
            "--threads",
            "1",
            *options,
        )

    return run


def record(directory):
    return json.loads((directory / "training.json").read_text())


def test_a_prompt_is_a_small_file_that_predict_reads(prompt_tune, predict, tmp_path):
    tuned = prompt_tune("--tokens", "5", "--label-words", "island=G, bulk = T")
    found = predict()

    assert tuned.code == 0, tuned.err
    assert "test, 40 rows: accuracy" in tuned.err
    tensors = safetensors.torch.load_file(tmp_path / "prompt" / "prompt.safetensors")
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {"prompt": (5, 16)}
    content = record(tmp_path / "prompt")
    assert content["settings"]["words"] == ["T", "G"]  # of the sorted classes
    assert content["metrics"]["test"]["n"] == 40
    header, *rows = [line.split("\t") for line in found.out.splitlines()]
    assert found.code == 0, found.err
    assert header[-4:] == ["prediction", "p_bulk", "p_island", "status"]
    assert [row[0] for row in rows] == ["one", "two"]
    for row in rows:
        assert float(row[-3]) + float(row[-2]) == pytest.approx(1)


def test_a_head_can_answer_too(prompt_tune, predict):
    assert prompt_tune("--tokens", "2", "--head", "--init", "random").code == 0
    assert predict().code == 0


@pytest.mark.parametrize("samples", ["0", "4"])
def test_demonstrations_make_a_directory_that_predict_reads(
    prompt_tune, predict, tmp_path, samples
):
    done = prompt_tune("--shots", "1", "--samples", samples)

    assert done.code == 0, done.err
    assert (tmp_path / "prompt" / "model.safetensors").exists() == (samples != "0")
    assert record(tmp_path / "prompt")["metrics"]["valid"]["n"] == 20
    assert predict().code == 0


def test_another_model_refuses_the_prompt_with_exit_4(prompt_tune, predict):
    prompt_tune("--tokens", "3")

    done = predict("--base", "builtin")

    assert done.code == 4
    assert "tuned on" in done.err


def test_a_record_of_nothing_but_n_is_not_answered(prompt_tune, predict, fasta_file):
    fasta = fasta_file({"gap": "N" * 30}, name="gap.fa", is_indexed=False)
    prompt_tune("--tokens", "3")

    done = predict("--fasta", fasta)

    assert done.code == 0, done.err
    assert done.out.splitlines()[1].split("\t")[-4:] == [".", "nan", "nan", "NO_BASES"]


def test_what_prompt_and_answer_leave_is_the_longest_window(prompt_tune, predict):
    prompt_tune("--tokens", "100")

    assert predict("--window", "157").code == 0
    refused = predict("--window", "158")
    assert refused.code == 4
    assert "101 of them for a prompt" in refused.err


def test_a_finished_run_resumes_to_the_same_prompt_and_is_not_overwritten(prompt_tune, tmp_path):
    options = ("--tokens", "3")
    assert prompt_tune(*options).code == 0
    before = (tmp_path / "prompt" / "prompt.safetensors").read_bytes()

    assert prompt_tune(*options).code == 6
    assert prompt_tune(*options, "--resume").code == 0
    assert (tmp_path / "prompt" / "prompt.safetensors").read_bytes() == before
    assert prompt_tune("--tokens", "4", "--resume").code == 2


@pytest.fixture
def other_data(text_file):
    """The same names, lengths and labels; other bases."""
    header, *lines = TABLE.read_text().splitlines()
    at = header.split(",").index("sequence")
    rows = [line.split(",") for line in lines]
    for row in rows:
        row[at] = row[at].translate(str.maketrans("ACGT", "CATG"))
    return text_file("\n".join([header, *map(",".join, rows)]) + "\n", name="other.csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [("--tokens", "3"), ("--shots", "1"), ("--shots", "1", "--samples", "4")],
    ids=["tokens", "shots", "samples"],
)
def test_a_run_goes_on_with_its_own_data_model_and_settings_only(
    prompt_tune, tmp_path, other_data, options
):
    assert prompt_tune(*options).code == 0
    prompt = tmp_path / "prompt" / "prompt.safetensors"
    before = prompt.read_bytes()

    for changed, what in (
        ({"data": other_data}, "input 1 was labelled.csv"),
        ({"model": "builtin"}, "model was"),
        ({"options": ("--seed", "7")}, "settings and data of the first run: seed was 0, is 7"),
    ):
        more = changed.pop("options", ())
        refused = prompt_tune(*options, *more, "--resume", **changed)
        assert (refused.code, what in refused.err) == (2, True), refused.err
    assert prompt_tune(*options, "--resume").code == 0
    assert prompt.read_bytes() == before


def test_a_stopped_run_goes_on_with_its_own_data_only(prompt_tune, other_data):
    assert prompt_tune("--epochs", "3", "--max-time", "00:00:00").code == 143

    refused = prompt_tune("--epochs", "3", "--resume", data=other_data)

    assert (refused.code, "input 1 was labelled.csv" in refused.err) == (2, True), refused.err
    assert prompt_tune("--epochs", "3", "--resume").code == 0


def test_a_prompt_alone_is_replaced_only_when_asked(prompt_tune, tmp_path):
    assert prompt_tune("--tokens", "2").code == 0
    for path in (tmp_path / "prompt").iterdir():
        if path.name != "prompt.safetensors":
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    assert prompt_tune("--tokens", "3").code == 6
    assert prompt_tune("--tokens", "3", "--force").code == 0


@pytest.mark.slow
def test_a_model_trained_in_its_place_leaves_no_prompt_to_answer(
    prompt_tune, predict, hyenadna, tiny_model, tmp_path
):
    assert prompt_tune("--tokens", "2").code == 0

    trained = hyenadna(
        "finetune",
        "--data",
        TABLE,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "prompt",
        *FAST,
        "--epochs",
        "1",
        "--max-length",
        "40",
        "--compare",
        "none",
        "--force",
    )

    assert trained.code == 0, trained.err
    assert not (tmp_path / "prompt" / "prompt.safetensors").exists()
    assert predict().code == 0


def test_a_dry_run_says_what_would_be_done(prompt_tune, tmp_path):
    done = prompt_tune("--dry-run")

    assert "train_rows\t80\n" in done.out
    assert "words\tbulk=A,island=C\n" in done.out
    assert "behind 32 prompt tokens" in done.out
    assert "memory" in prompt_tune("--dry-run", "--shots", "1", "--samples", "2").out
    assert "memory" not in prompt_tune("--dry-run", "--shots", "1").out  # nothing is trained
    assert not (tmp_path / "prompt").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--tokens", "218"), 4, "218 prompt tokens"),
        (("--tokens", "0"), 2, "1 to 32,768"),
        (("--tokens", "40000"), 2, "1 to 32,768"),
        (("--shots", "4"), 4, "this model reads at most 258"),
        (("--shots", "41"), 3, "41 shots need 41"),
        (("--shots", "0", "--samples", "81"), 3, "81 samples of 80"),
        (("--examples", "81"), 3, "81 examples of 80"),
        (("--label-words", "bulk=A,island=X"), 2, "word 'X' of class 'island' is outside"),
        (("--label-words", "bulk=A,isle=C"), 2, "bulk, island"),
        (("--label-words", "bulk"), 2, "CLASS=WORD"),
        (("--label-words", "bulk=A,island=C", "--head"), 2, "no --label-words"),
        (("--lr", "0"), 2, "learning_rate must be positive"),
        (("--shots", "2", "--samples", "2", "--lr", "0"), 2, "learning_rate must be positive"),
        (("--samples", "2"), 2, "--shots"),
        (("--shots", "2", "--head"), 2, "no --head"),
        (("--shots", "2", "--tokens", "8", "--rc-aug"), 2, "no --tokens, --rc-aug"),
        (("--shots", "2", "--epochs", "3", "--patience", "1"), 2, "no --epochs, --patience"),
        (("--shots", "2", "--init", "random"), 2, "no --init"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_what_cannot_be_is_refused_before_anything_starts(
    prompt_tune, tmp_path, options, code, words
):
    done = prompt_tune(*options)

    assert done.code == code, done.err
    assert words in done.err
    assert not (tmp_path / "prompt").exists()
