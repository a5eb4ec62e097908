"""Damage to a checkpoint is found, and the run goes on from the one before, to the bit."""

from __future__ import annotations

import itertools
import json
import logging
import shutil

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import next_base_loss
from hyenadna_cli.core.training.loop import Selection, train
from hyenadna_cli.core.training.run_directory import read_progress, restore_best
from hyenadna_cli.errors import CheckpointError

CONFIG = TrainConfig(
    max_steps=6, batch_bases=16, learning_rate=0.1, warmup_steps=0, valid_every=2, save_every=2
)
LANGUAGE_MODEL = ("config.json", "known_answer.json", "model.safetensors")
STEP_4, STEP_6 = "step_00000004", "step_00000006"


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)

    def forward(self, ids_BL):
        return self.head(F.one_hot(ids_BL - 7, 4).float().mean(1))


class Bases:
    def batch(self, *, step, rows, length, rows_per_step):
        generator = torch.Generator().manual_seed(step * 100 + rows.start)
        return torch.randint(7, 11, (len(rows), length), generator=generator)


def class_loss(model, ids_BL):
    return F.cross_entropy(model(ids_BL), ids_BL[:, 0] % 2, reduction="sum"), len(ids_BL)


def classifier():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Classifier()


def language_model():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return HyenaDNA(ModelConfig(d_model=4, n_layer=1, d_inner=8, l_max=10))


def run(directory, *, make=classifier, scores=None, stop_after=None):
    """Train in `directory`; `scores` are what validations after steps 2, 4 and 6 find."""
    directory.mkdir(exist_ok=True)
    model, selection = make(), None
    if scores is not None:
        coming = iter(scores[read_progress(directory).step // 2 :])
        selection = Selection(score=lambda _: next(coming))
    asked = itertools.count(1)
    reports = train(
        model,
        Bases(),
        class_loss if make is classifier else next_base_loss,
        config=CONFIG,
        run_dir=directory,
        max_length=8,
        selection=selection,
        should_stop=lambda: next(asked) == stop_after,
    )
    return model, [report.step for report in reports]


def assert_same_weights(one, other):
    for (name, value), (_, expected) in zip(
        one.named_parameters(), other.named_parameters(), strict=True
    ):
        assert torch.equal(value, expected), name


def flip(file):
    """One bit, in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file):
    file.write_bytes(b"")


def delete(file):
    file.unlink()


DAMAGES = (flip, cut, empty, delete)


@pytest.fixture(scope="module", params=[classifier, language_model])
def whole(request, tmp_path_factory):
    """A finished run with checkpoints at steps 4 and 6: how its model is made, and the model."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    model, _ = run(directory, make=request.param)
    return directory, request.param, model


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_the_newest_checkpoint_costs_its_steps_and_no_more(
    whole, tmp_path, damage, caplog
):
    directory, make, model = whole
    names = sorted(file.name for file in (directory / "checkpoints" / STEP_6).iterdir())
    assert {"digests.json", "optimiser.safetensors", "state.json"} < set(names)
    for name in names:
        broken = shutil.copytree(directory, tmp_path / name)
        damage(broken / "checkpoints" / STEP_6 / name)
        caplog.clear()

        resumed, steps = run(broken, make=make)

        assert steps == [5, 6], name
        assert_same_weights(resumed, model)
        [line] = [record.getMessage() for record in caplog.records]
        assert f"{STEP_6}: " in line
        assert name in line or name == "digests.json"
        assert line.endswith("going on from step 4")
        for file in (directory / "checkpoints" / STEP_6).iterdir():
            remade = broken / "checkpoints" / STEP_6 / file.name
            assert remade.read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("damage", DAMAGES)
def test_without_a_whole_checkpoint_nothing_starts_at_step_0(whole, copy, damage):
    _, make, _ = whole
    for name in (STEP_4, STEP_6):
        damage(copy / "checkpoints" / name / "state.json")

    for _ in range(2):  # and nothing of it is lost
        with pytest.raises(CheckpointError, match=f"no checkpoint is whole .{STEP_6}: .*--force"):
            run(copy, make=make)
    assert len(list((copy / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "last is missing"),
        ("", "last is empty"),
        ("step_00000009\n", "last names 'step_00000009', which is missing"),
        ("\x1b[2J", r"last names '\x1b[2J', which is missing"),
        (b"step_\xff", "last is damaged"),
    ],
)
def test_a_pointer_that_points_nowhere_is_said_and_mended(whole, copy, text, problem, caplog):
    pointer = copy / "last"
    if text is None:
        pointer.unlink()
    else:
        pointer.write_bytes(text if isinstance(text, bytes) else text.encode())

    assert run(copy, make=whole[1])[1] == []

    assert caplog.messages == [f"{copy}: {problem}; going on from step 6"]
    assert pointer.read_text() == f"{STEP_6}\n"


def test_a_pointer_that_is_a_dangling_link_is_replaced(whole, copy, caplog):
    (copy / "last").unlink()
    (copy / "last").symlink_to(copy / "gone" / "last")

    assert run(copy, make=whole[1])[1] == []

    assert caplog.messages == [f"{copy}: last is missing; going on from step 6"]
    assert not (copy / "last").is_symlink()


def test_a_pointer_without_any_checkpoint_is_no_start_at_step_0(whole, copy):
    shutil.rmtree(copy / "checkpoints")

    with pytest.raises(CheckpointError, match=f"last names '{STEP_6}', which is missing"):
        run(copy, make=whole[1])


def test_a_finished_run_without_checkpoints_is_not_trained_again(whole, copy):
    shutil.rmtree(copy / "checkpoints")
    (copy / "last").unlink()
    (copy / "training.json").write_text("{}\n")

    with pytest.raises(CheckpointError, match="a finished run and no checkpoint to go on from"):
        run(copy, make=whole[1])


def test_a_run_killed_between_checkpoint_and_pointer_goes_on_without_a_word(whole, copy, caplog):
    (copy / "last").write_text(f"{STEP_4}\n")

    assert run(copy, make=whole[1])[1] == []

    assert caplog.messages == []


def test_a_checkpoint_of_the_first_version_is_refused(whole, copy):
    for checkpoint in (copy / "checkpoints").iterdir():
        state = json.loads((checkpoint / "state.json").read_text())
        del state["format-version"]
        (checkpoint / "state.json").write_text(json.dumps(state))
        (checkpoint / "digests.json").unlink()

    with pytest.raises(CheckpointError, match=r"written by hyenadna 0\.1\.0.*--force starts over"):
        run(copy, make=whole[1])


def test_a_start_at_step_0_after_steps_without_a_checkpoint_is_said(tmp_path, caplog):
    (tmp_path / "metrics.csv").write_text("step,length\n1,8\n")

    assert run(tmp_path)[1] == [1, 2, 3, 4, 5, 6]

    assert caplog.messages == [f"{tmp_path}: has no checkpoint yet; starting at step 0"]


def test_the_best_weights_outlast_a_fall_back(tmp_path, caplog):
    """Step 2 was the best at step 4: without it, a run that goes on from there could not end."""
    scores = [0.5, 0.1, 0.9]
    straight, _ = run(tmp_path / "straight", scores=scores)
    run(tmp_path / "broken", scores=scores)
    flip(tmp_path / "broken" / "checkpoints" / STEP_6 / "trained.safetensors")

    resumed, steps = run(tmp_path / "broken", scores=scores)

    assert steps == [5, 6]
    assert restore_best(resumed, tmp_path / "broken").best_step == 6
    assert_same_weights(resumed, straight)
    # Where the score differs this time, the best one is still there.
    flip(tmp_path / "broken" / "checkpoints" / STEP_6 / "trained.safetensors")
    resumed, _ = run(tmp_path / "broken", scores=[0.5, 0.1, 0.2])
    assert restore_best(resumed, tmp_path / "broken").best_step == 2


def test_damaged_best_weights_are_found_before_the_run_goes_on(tmp_path):
    scores = [0.9, 0.5, 0.1]
    run(tmp_path, scores=scores, stop_after=4)
    flip(tmp_path / "checkpoints" / "step_00000002" / "trained.safetensors")

    with pytest.raises(CheckpointError, match=r"its best weights, step_00000002: trained\.safe"):
        run(tmp_path, scores=scores)


def test_a_process_that_is_not_the_main_one_changes_and_says_nothing(whole, copy, caplog):
    from hyenadna_cli.core.training.run_directory import RunState

    flip(copy / "checkpoints" / STEP_6 / "state.json")
    model = whole[1]()
    optimiser = torch.optim.AdamW(model.parameters())
    about = {"lr_ratios": {}, "patience": None}

    with caplog.at_level(logging.INFO):
        progress = RunState(model, optimiser, CONFIG, copy, about=about).resume(is_main=False)

    assert progress.step == 4
    assert caplog.messages == []
    assert (copy / "checkpoints" / STEP_6).exists()
