"""A run directory goes on with the content that it was made from, or is started over by force."""

from __future__ import annotations

import json
import shutil

import pytest

from hyenadna_cli.core.outputs.input_files import read_input
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.training.run_identity import MADE_FROM, made_from, starts_over
from hyenadna_cli.core.training.stored_checkpoints import FORMAT_VERSION, seal
from hyenadna_cli.errors import CheckpointError, UsageError


def provenance(*paths, model="m" * 64, config="c" * 64):
    files = tuple(read_input(path) for path in paths)
    return Provenance(model_sha256=model, model_config_sha256=config, inputs=files)


def finished(run_dir, made_by):
    (run_dir / "training.json").write_text(json.dumps({"made_by": made_by.as_json()}))


def stopped(run_dir, made_by):
    checkpoint = run_dir / "checkpoints" / "step_00000002"
    checkpoint.mkdir(parents=True)
    state = {
        "format-version": FORMAT_VERSION,
        "progress": {"best_step": None},
        "about": {MADE_FROM: made_from(made_by)},
    }
    (checkpoint / "state.json").write_text(json.dumps(state))
    seal(checkpoint)
    (run_dir / "last").write_text(f"{checkpoint.name}\n")


@pytest.fixture
def genome(text_file):
    return text_file(">a\nACGT\n", name="genome.fa")


@pytest.fixture(params=[finished, stopped])
def run_dir(request, tmp_path, genome):
    directory = tmp_path / "run"
    directory.mkdir()
    request.param(directory, provenance(genome))
    return directory


def decide(run_dir, made_by, *, force=False):
    return starts_over([run_dir], made_by, resume=True, force=force)


def test_the_same_content_goes_on_also_from_another_folder(run_dir, genome, tmp_path):
    copy = tmp_path / "elsewhere" / "genome.fa"
    copy.parent.mkdir()
    shutil.copy(genome, copy)

    for force in (False, True):
        assert decide(run_dir, provenance(copy), force=force) is False


@pytest.mark.parametrize("what", ["input 1", "input 2", "model", "config.json of the model"])
def test_another_content_is_refused_by_its_name_and_started_over_by_force(
    run_dir, genome, text_file, what, caplog
):
    if what == "input 1":
        genome.write_text(">a\nACGA\n")
    more = [text_file("a 0 4\n", name="more.bed")] if what == "input 2" else []
    models = {"model": {"model": "n" * 64}, "config.json of the model": {"config": "d" * 64}}
    now = provenance(genome, *more, **models.get(what, {}))

    with pytest.raises(UsageError, match=f"of the first run: {what} was .*; --force starts over"):
        decide(run_dir, now)
    assert decide(run_dir, now, force=True) is True

    [line] = caplog.messages
    assert line.startswith("starting over, as --force asks for: --resume needs")
    assert f"{what} was" in line


def test_what_one_of_several_run_directories_was_made_from_counts(run_dir, genome, tmp_path):
    part = tmp_path / "part"
    part.mkdir()
    finished(part, provenance(genome, model="n" * 64))

    with pytest.raises(UsageError, match="model was SHA-256 nnn"):
        starts_over([run_dir, part], provenance(genome), resume=True, force=False)


def test_without_resume_only_force_counts(tmp_path, genome):
    finished(tmp_path, provenance(genome, model="n" * 64))

    for force in (False, True):
        assert starts_over([tmp_path], provenance(genome), resume=False, force=force) is force


def test_there_may_be_nothing_to_go_on_from(tmp_path, genome):
    assert decide(tmp_path / "none", provenance(genome)) is False
    assert decide(tmp_path, provenance(genome), force=True) is False


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"made_by": {"inputs": [1]}}'])
def test_a_record_that_says_nothing_is_refused(tmp_path, genome, text):
    (tmp_path / "training.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"training\.json: does not say what"):
        decide(tmp_path, provenance(genome))
    assert decide(tmp_path, provenance(genome), force=True) is True


def test_a_damaged_checkpoint_is_refused_and_started_over_by_force(tmp_path, genome):
    stopped(tmp_path, provenance(genome))
    (tmp_path / "checkpoints" / "step_00000002" / "state.json").write_text("{}")

    with pytest.raises(CheckpointError, match="no checkpoint is whole"):
        decide(tmp_path, provenance(genome))
    assert decide(tmp_path, provenance(genome), force=True) is True


def test_a_finished_run_of_the_first_version_is_refused(tmp_path, genome):
    made_by = provenance(genome).as_json()
    del made_by["inputs"][0]["sha256"]
    (tmp_path / "training.json").write_text(json.dumps({"made_by": made_by}))

    with pytest.raises(CheckpointError, match=r"written by hyenadna 0\.1\.0, which kept no dig"):
        decide(tmp_path, provenance(genome))
