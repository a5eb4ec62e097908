"""Run directories: touched only when asked, one run at a time, without what killed runs left."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.run_lock import check_run_dir, claimed_run_dir
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
