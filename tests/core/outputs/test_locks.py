"""Run directories: touched only when asked, one run at a time, without what killed runs left."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.model.checkpoints import checkpoint, known_answer
from hyenadna_cli.core.outputs.locks import check_run_dir, claimed_run_dir
from hyenadna_cli.core.tasks.finetuning.comparison_table import COMPARISON
from hyenadna_cli.core.tasks.finetuning.settings import METHODS
from hyenadna_cli.core.tasks.metrics.files import EVALUATION_FILES
from hyenadna_cli.errors import OutputError


def test_a_run_directory_is_touched_only_when_asked(tmp_path):
    run = tmp_path / "run"
    with claimed_run_dir(run, restart=False):
        check_run_dir(run, force=False, resume=False)
    (run / "last").write_text("step_00000004\n")

    with pytest.raises(OutputError, match="holds a run"):
        check_run_dir(run, force=False, resume=False)
    check_run_dir(run, force=False, resume=True)
    with claimed_run_dir(run, restart=True):
        assert not (run / "last").exists()


def test_a_second_run_is_refused_until_the_first_has_ended(tmp_path):
    with claimed_run_dir(tmp_path, restart=False):
        second = claimed_run_dir(tmp_path, restart=True)
        with pytest.raises(OutputError, match="another run is writing it"), second:
            pass
        # The other processes of the same run.
        with claimed_run_dir(tmp_path, restart=False, is_main=False):
            pass
    with claimed_run_dir(tmp_path, restart=False):
        pass


def test_what_killed_runs_left_unfinished_is_removed(tmp_path):
    checkpoints = tmp_path / "checkpoints"
    for name in ("step_00000007", "step_00000014.tmp.123.node", "step_00000007.old.9.node"):
        (checkpoints / name).mkdir(parents=True)
    (tmp_path / "last.tmp.123.node").write_text("")
    (tmp_path / "notes.tmp").write_text("mine")

    with claimed_run_dir(tmp_path, restart=False):
        pass

    assert [path.name for path in checkpoints.iterdir()] == ["step_00000007"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "notes.tmp"]


OF_A_RUN = (
    "last",
    "metrics.csv",
    "training.json",
    "config.json",
    "model.safetensors",
    "leakage.json",
    known_answer.FILE_NAME,
    checkpoint.PROMPT,
    COMPARISON,
    *EVALUATION_FILES,
)


def files_in(directory):
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )


def test_starting_over_forgets_the_earlier_run_and_nothing_else(tmp_path):
    parts = ("", "seed0", "finetune-seed1", *METHODS, *(f"{method}-seed10" for method in METHODS))
    written = [f"{part}/{name}" for part in parts for name in OF_A_RUN]
    written += ["checkpoints/step_00000004/state.json", "cnn/checkpoints/step_00000001/state.json"]
    written += ["evaluation/accuracy.tsv", "evaluation/metrics.json"]
    written += ["tensorboard/events.out.tfevents.17.node.1.0"]
    mine = ["evaluation/notes.txt", "kmer/notes.txt", "notes.txt", "seeds.tsv", "seed/last"]
    for name in (*written, *mine):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")

    with claimed_run_dir(tmp_path, restart=True, parts=[tmp_path / "seed0"]):
        pass

    assert files_in(tmp_path) == sorted(mine)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "evaluation",
        "kmer",
        "seed",
        "seed0",
    }


@pytest.mark.parametrize("name", OF_A_RUN)
def test_any_file_of_a_run_is_replaced_only_when_asked(tmp_path, name):
    (tmp_path / name).write_text("")

    with pytest.raises(OutputError, match=f"holds a run \\({name}\\)"):
        check_run_dir(tmp_path, force=False, resume=False)
    check_run_dir(tmp_path, force=True, resume=False)
