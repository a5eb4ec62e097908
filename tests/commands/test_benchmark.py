"""`hyenadna benchmark` from end to end, on a model that takes no time."""

from __future__ import annotations

import csv
import io
import json

import pytest

TINY = (
    "--lengths",
    "40,80",
    "--d-model",
    "16",
    "--n-layer",
    "1",
    "--repeats",
    "1",
    "--threads",
    "1",
    "--device",
    "cpu",
    "--dtype",
    "fp32",
    "--max-seconds",
    "600",
)


@pytest.mark.slow
def test_the_table_says_what_was_measured(hyenadna, tmp_path):
    out = tmp_path / "speed.tsv"

    done = hyenadna(
        "benchmark",
        *TINY,
        "-o",
        out,
        "--plot",
        tmp_path / "speed.svg",
        "--operators",
        tmp_path / "operators.tsv",
    )

    assert done.code == 0, done.err
    rows = list(csv.DictReader(io.StringIO(out.read_text()), delimiter="\t"))
    measured = [row for row in rows if row["status"] == "OK"]
    assert [(r["implementation"], r["length"]) for r in measured] == [
        (name, length) for length in ("40", "80") for name in ("plain", "hyenadna", "attention")
    ]
    assert all(float(row["seconds"]) > 0 and float(row["peak_mb"]) > 10 for row in measured)
    assert float(measured[1]["difference"]) < 1e-4
    assert {row["length"] for row in rows if row["status"] == "EXTRAPOLATED"} == {"1000000"}
    manifest = json.loads((tmp_path / "speed.tsv.manifest.json").read_text())
    assert manifest["settings"]["matmul_flops_fp32"] > 0
    assert "<svg" in (tmp_path / "speed.svg").read_text()
    operators = list(
        csv.DictReader(io.StringIO((tmp_path / "operators.tsv").read_text()), delimiter="\t")
    )
    assert [row["length"] for row in operators] == 6 * ["40"] + 6 * ["80"]
    assert all(float(row["share_of_bandwidth"]) > 0 for row in operators)


@pytest.mark.slow
def test_a_run_that_has_taken_its_minutes_begins_no_case(hyenadna, tmp_path):
    done = hyenadna("benchmark", *TINY, "--max-minutes", "0", "-o", tmp_path / "speed.tsv")

    assert done.code == 0, done.err
    rows = csv.DictReader(io.StringIO((tmp_path / "speed.tsv").read_text()), delimiter="\t")
    assert {(row["status"], row["note"]) for row in rows} == {
        ("SKIPPED", "the run has taken its 0 minutes")
    }


@pytest.mark.slow
def test_a_run_that_is_slower_than_a_kept_table_ends_with_5(hyenadna, tmp_path):
    """The table is written all the same, and what fell is named."""
    old, new = tmp_path / "old.tsv", tmp_path / "new.tsv"
    case = (*TINY[2:], "--lengths", "40", "--against", "plain", "--extrapolate", "0")
    assert hyenadna("benchmark", *case, "-o", old).code == 0
    rows = list(csv.DictReader(io.StringIO(old.read_text()), delimiter="\t"))
    rows[1]["times_faster_than_plain"] = rows[1]["share_of_floor"] = "1e6"
    with old.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

    slower = hyenadna("benchmark", *case, "-o", new, "--compare", old, "--max-loss", "0.99")

    assert slower.code == 5
    assert "1x16, 40 x 1, forward, fp32: times faster than plain" in slower.err
    assert "1 of 1 cases fell by more than 99% in every figure" in slower.err
    assert len(new.read_text().splitlines()) == 3


@pytest.mark.slow
def test_a_wrong_result_has_no_time(hyenadna, monkeypatch):
    monkeypatch.setattr("hyenadna_cli.core.machine.benchmark.measuring.TOLERANCE", {"fp32": 0.0})

    done = hyenadna("benchmark", *TINY, "--against", "plain")

    assert done.code == 1
    assert "differs from the plain formulation" in done.err
    assert done.out == ""


def test_a_table_to_compare_with_is_read_before_anything_runs(hyenadna, tmp_path):
    done = hyenadna("benchmark", *TINY, "--compare", tmp_path / "missing.tsv")

    assert done.code == 3
    assert "missing.tsv: no such file" in done.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ("--lengths", "20m"),
            "2x128, 20,000,000 x 1, forward: l_max must be from 1 to 16,777,216",
        ),
        (("--lengths", "40", "--d-model", "100000"), "d_model must be from 1 to 65,536"),
        (("--case", "9x9"), "--case 9x9: use 2x128-1k"),
        (("--dtype", "fp16"), "--dtype fp16: use fp32, bf16"),
        (("--kernels", "auto,cuda"), "--kernels cuda"),
        (("--against", "rnn"), "--against rnn: use plain, attention"),
        (("--plot", "x.gif"), "--plot x.gif: use .png"),
    ],
)
def test_what_there_is_not_is_refused_before_anything_runs(hyenadna, arguments, problem):
    done = hyenadna("benchmark", *arguments)

    assert done.code == 2
    assert problem in done.err
