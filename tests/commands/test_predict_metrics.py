"""`hyenadna predict --metrics`: when the comparison with labels is refused, repeated or empty."""

from __future__ import annotations

import json

import pytest
import torch

from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.classifier import SequenceClassifier, save_classifier

ROWS = "sequence,label\nACGTACGT,a\nGGGTACGA,b\nACCCACGT,a\n"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, tiny_model):
    """A directory of untrained classifiers, by task."""
    backbone, _ = checkpoint.load(tiny_model)
    directory = tmp_path_factory.mktemp("classifiers")
    for task, names in (("binary", ("a", "b")), ("token", ("a", "b")), ("multilabel", ("a", "b"))):
        (directory / task).mkdir()
        torch.manual_seed(0)
        config = HeadConfig(task=task, label_names=names)
        width = backbone.config.d_model
        save_classifier(SequenceClassifier(backbone, config, width=width), directory / task)
    return directory


@pytest.fixture
def run(hyenadna, classifier, text_file, tmp_path):
    """Predict rows of a table into p.tsv and m.json."""

    def start(*more, rows=ROWS, task="binary", metrics="m.json"):
        table = text_file(rows, name="t.csv")
        return hyenadna(
            "predict",
            "-m",
            classifier / task,
            "--data",
            table,
            "--device",
            "cpu",
            "-o",
            tmp_path / "p.tsv",
            "--metrics",
            tmp_path / metrics,
            *more,
        )

    return start


def test_metrics_that_exist_are_replaced_by_force_alone(run, tmp_path):
    (tmp_path / "m.json").write_text("mine")

    done = run()

    assert (done.code, (tmp_path / "m.json").read_text()) == (6, "mine")
    assert not (tmp_path / "p.tsv").exists()
    assert run("--force").code == 0
    assert json.loads((tmp_path / "m.json").read_text())["n"] == 3


def test_metrics_that_cannot_be_written_are_refused_before_any_work(run, tmp_path):
    done = run(metrics="nowhere/m.json")

    assert done.code == 6
    assert "no such directory" in done.err
    assert not (tmp_path / "p.tsv").exists()


def test_resume_writes_the_metrics_that_are_missing(run, tmp_path):
    assert run().code == 0
    predictions = (tmp_path / "p.tsv").read_bytes()
    metrics = (tmp_path / "m.json").read_bytes()
    (tmp_path / "m.json").unlink()

    done = run("--resume")

    assert done.code == 0, done.err
    assert "m.json is missing" in done.err
    assert (tmp_path / "p.tsv").read_bytes() == predictions
    assert (tmp_path / "m.json").read_bytes() == metrics
    assert "nothing to do" in run("--resume").err


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("binary", "sequence,label\n"),
        ("multilabel", "sequence,y_a,y_b\n"),
        ("token", "sequence,label\n"),
        ("token", "sequence,label\nACGT,....\n"),
    ],
    ids=["binary", "multilabel", "token", "no-labelled-base"],
)
def test_nothing_to_judge_has_metrics_of_no_rows(run, tmp_path, task, rows):
    done = run(task=task, rows=rows)

    assert done.code == 0, done.err
    assert "no row has both a label and an answer" in done.err
    content = json.loads((tmp_path / "m.json").read_text())
    assert (content["n"], content["values"]) == (0, {})


@pytest.mark.parametrize("option", [("--rename-chrs", "nofile"), ("--contig-map", "auto")])
def test_contig_names_without_a_genome_are_a_mistake(run, option):
    done = run(*option)

    assert done.code == 2
    assert "about the contigs of --fasta" in done.err
