"""What a prediction looks like in a table, task by task."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hyenadna_cli.core.config.settings import HeadConfig
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.tasks.classification import Prediction
from hyenadna_cli.core.tasks.prediction_table import columns, rows, write_metrics

PLACE = ("r", "chr1", 10, 14, "+")


def prediction(answer, sequence="ACGT"):
    return Prediction(Record("r", "chr1", 10, 14, "+", sequence), "+", 1, np.array(answer))


def head(task):
    scales = {"target_means": (0.0, 0.0), "target_scales": (1.0, 1.0)}
    return HeadConfig(task=task, label_names=("a", "b"), **(scales if task == "regression" else {}))


@pytest.mark.parametrize(
    ("task", "answer", "cells"),
    [
        ("binary", [0.25, 0.75], (1, "b", 0.25, 0.75, "OK")),
        ("multilabel", [0.5, 0.75], (1, "a;b", 0.5, 0.75, "OK")),
        ("multilabel", [0.25, 0.0], (1, "-", 0.25, 0.0, "OK")),
        ("regression", [3.0, -1.0], (1, 3.0, -1.0, "OK")),
    ],
)
def test_a_record_is_a_row(task, answer, cells):
    (row,) = rows(prediction(answer), head(task))

    assert row == (*PLACE, *cells)
    assert len(row) == len(columns(head(task)))


@pytest.mark.parametrize(("task", "answer"), [("binary", [0.5, 0.5]), ("token", [[1.0, 0.0]] * 4)])
def test_further_columns_of_a_region_come_last(task, answer):
    record = Record("r", "chr1", 10, 14, "+", "ACGT", columns=("coding", "x"))

    (row,) = rows(Prediction(record, "+", 1, np.array(answer)), head(task))

    assert row[-3:] == ("OK", "coding", "x")
    assert columns(head(task), ["biotype", "status"])[-3:] == ("status", "biotype", "status-1")


def test_a_record_of_nothing_but_n_has_no_answer():
    (row,) = rows(prediction([0.25, 0.75], "NNNN"), head("binary"))

    assert row[6] == "."
    assert row[-1] == "NO_BASES"


def test_runs_of_bases_of_one_class_have_their_mean_probability():
    answer = [[0.75, 0.25], [0.25, 0.75], [0.0, 1.0], [1.0, 0.0]]

    assert list(rows(prediction(answer), head("token"))) == [
        ("r", "chr1", 10, 11, "+", "a", 0.75, "OK"),
        ("r", "chr1", 11, 13, "+", "b", 0.875, "OK"),
        ("r", "chr1", 13, 14, "+", "a", 1.0, "OK"),
    ]


def test_metrics_without_a_judged_record_say_so(tmp_path, caplog):
    path = tmp_path / "m.json"

    write_metrics(path, [prediction([0.25, 0.75], "NNNN")], np.array([1]), head("binary"))

    assert json.loads(path.read_text())["n"] == 0
    assert "has no metrics" in caplog.text
