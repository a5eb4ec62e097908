"""`finetune --preset` and `--resume`: settings that exist, no stale results."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hyenadna_cli.core.tasks.finetuning.settings import FinetuneConfig
from hyenadna_cli.core.tasks.labelled import presets

TABLE = Path(__file__).parent.parent.parent / "test_data" / "labelled.csv"
FAST = ("--device", "cpu", "--threads", "1", "--compare", "none")


@pytest.mark.parametrize("name", presets.names())
def test_every_presets_settings_are_settings(name: str):
    FinetuneConfig.from_mapping(presets.find(name).settings)


def test_without_its_data_a_preset_says_where_they_come_from(hyenadna, tiny_model, tmp_path):
    done = hyenadna(
        "finetune",
        "--preset",
        "genomic-benchmarks/human_enhancers_cohn",
        "--offline",
        "--cache-dir",
        tmp_path,
        "-m",
        tiny_model,
        "-o",
        tmp_path / "run",
    )

    assert done.code == 3
    assert "give --data DIR (source: https://github.com/ML-Bioinfo-CEITEC" in done.err


def test_a_name_that_is_no_preset_is_an_error_of_the_command_line(hyenadna, tmp_path):
    assert hyenadna("finetune", "--preset", "gue/tata", "-o", tmp_path / "run").code == 2


def test_a_finished_run_of_other_settings_or_data_is_not_taken_for_this_one(
    hyenadna, tiny_model, tmp_path
):
    table = tmp_path / "x.csv"
    shutil.copyfile(TABLE, table)
    command = ("finetune", "--data", table, "-m", tiny_model, "-o", tmp_path / "run", "--probe")
    assert hyenadna(*command, *FAST).code == 0

    again = hyenadna(*command, *FAST, "--resume")
    pooled = hyenadna(*command, *FAST, "--resume", "--pool", "max")
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    shorter = hyenadna(*command, *FAST, "--resume")

    assert again.code == 0
    assert (pooled.code, shorter.code) == (2, 2)
    assert "finished run with other settings (pooling)" in pooled.err
    assert "input 1 was x.csv" in shorter.err
