"""Any model trains, stops early, keeps its best weights, and resumes to the bit."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import math
import shutil
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hyenadna_cli.core.config.settings import TrainConfig
from hyenadna_cli.core.training.loop import Selection, parameter_groups, train
from hyenadna_cli.core.training.run_directory import (
    OtherRunError,
    keeps_seconds,
    read_progress,
    restore_best,
)
from hyenadna_cli.errors import OutputError, UsageError

TRAIN = TrainConfig(
    max_steps=12,
    batch_bases=32,
    learning_rate=0.1,
    warmup_steps=0,
    valid_every=2,
    save_every=5,
    keep_last=1,
)


@dataclass(frozen=True)
class Points:
    """Not a tensor: what a batch of labelled examples looks like to the loop."""

    x_BL: Tensor
    targets_B: Tensor

    def to(self, device):
        return Points(self.x_BL.to(device), self.targets_B.to(device))


class SignOfSum:
    def batch(self, *, step, rows, length, rows_per_step):
        generator = torch.Generator().manual_seed(step * rows_per_step + rows.start)
        x_BL = torch.randn(len(rows), length, generator=generator)
        return Points(x_BL, (x_BL.sum(1) > 0).long())


class TwoParts(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.backbone = nn.Linear(8, 8)
            self.head = nn.Linear(8, 2)

    def forward(self, x_BL):
        return self.head(F.dropout(torch.tanh(self.backbone(x_BL)), 0.1, self.training))


def loss_of(model, points):
    loss = F.cross_entropy(model(points.x_BL), points.targets_B, reduction="sum")
    return loss, len(points.targets_B)


def run(
    directory, *, scores=None, stop_after=None, model=None, config=TRAIN, patience=None, **more
):
    """Train in `directory`; `scores` are what the validations find, in turn, by step."""
    directory.mkdir(exist_ok=True)
    model = model or TwoParts()
    selection = None
    done = read_progress(directory).step
    if scores is not None:
        coming = iter(scores[done // config.valid_every :])
        selection = Selection(score=lambda _: next(coming), patience=patience)
    asked = itertools.count(1)
    reports = train(
        model,
        SignOfSum(),
        loss_of,
        config=config,
        run_dir=directory,
        max_length=8,
        selection=selection,
        should_stop=lambda: next(asked) == stop_after,
        **more,
    )
    return model, list(reports)


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("stop_after", [1, 4, 5, 7])
def test_any_model_resumes_to_the_bit_with_its_best_weights(tmp_path, stop_after):
    scores = [0.1, 0.5, 0.3, 0.5, 0.2, 0.1]
    straight, straight_reports = run(tmp_path / "straight", scores=scores)

    _, first = run(tmp_path / "broken", scores=scores, stop_after=stop_after)
    resumed, rest = run(tmp_path / "broken", scores=scores)

    assert_same(weights(resumed), weights(straight))
    assert [r.valid_score for r in first + rest] == [r.valid_score for r in straight_reports]
    assert read_progress(tmp_path / "broken") == read_progress(tmp_path / "straight")
    for directory, model in (("straight", straight), ("broken", resumed)):
        restore_best(model, tmp_path / directory)
    assert_same(weights(resumed), weights(straight))


@pytest.mark.parametrize("stop_after", [None, 7], ids=["no checkpoint", "a checkpoint"])
def test_a_table_of_metrics_that_a_killed_run_left_is_written_anew(tmp_path, stop_after):
    def steps(directory):
        with (directory / "metrics.csv").open() as table:
            return [int(row["step"]) for row in csv.DictReader(table)]

    broken = tmp_path / "broken"
    broken.mkdir()
    for cut in ("", "step,len", "step,length\n", None):
        if stop_after is not None:
            run(broken, stop_after=stop_after)
        if cut is not None:
            (broken / "metrics.csv").write_text(cut)
        else:
            with (broken / "metrics.csv").open("a") as table:
                table.write("8,8,3")
        run(broken)

        first = 1 if stop_after is None or cut is None else stop_after + 1
        assert steps(broken) == list(range(first, 13))
        shutil.rmtree(broken / "checkpoints")
        (broken / "last").unlink()


def test_a_damaged_row_of_the_table_of_metrics_is_dropped(tmp_path):
    run(tmp_path, stop_after=4)
    table = tmp_path / "metrics.csv"
    lines = table.read_bytes().splitlines(keepends=True)
    table.write_bytes(b"".join([*lines[:2], b"r" + lines[2][1:], b"\xff" + lines[3][1:], lines[4]]))

    run(tmp_path)

    with table.open() as handle:
        assert [row["step"] for row in csv.DictReader(handle)] == [
            "1",
            "4",
            *map(str, range(5, 13)),
        ]


def test_a_table_of_metrics_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "metrics.csv").symlink_to(tmp_path / "gone" / "metrics.csv")

    with pytest.raises(OutputError, match=r"metrics\.csv: cannot write: No such file"):
        run(tmp_path)


def test_the_best_weights_are_those_of_the_step_that_scored_best(tmp_path):
    at_step_4, _ = run(tmp_path / "short", stop_after=4)

    model, _ = run(tmp_path / "long", scores=[0.1, 0.5, 0.3, 0.5, 0.2, 0.1])
    progress = restore_best(model, tmp_path / "long")

    assert (progress.best_step, progress.best_score) == (4, 0.5)
    assert_same(weights(model), weights(at_step_4))


def test_a_run_ends_once_its_patience_is_used_up_and_stays_ended(tmp_path):
    _, reports = run(tmp_path, scores=[0.2, 0.4, 0.3, 0.4, 0.9], patience=2)
    _, more = run(tmp_path, scores=[0.2, 0.4, 0.3, 0.4, 0.9], patience=2)

    assert [report.step for report in reports] == list(range(1, 9))
    assert more == []
    progress = read_progress(tmp_path)
    assert progress.is_done
    assert progress.best_step == 4


def test_patience_counts_over_a_resume(tmp_path):
    scores = [0.4, 0.3, 0.2, 0.1]
    _, first = run(tmp_path, scores=scores, patience=2, stop_after=5)
    _, rest = run(tmp_path, scores=scores, patience=2)

    assert [report.step for report in first + rest] == [1, 2, 3, 4, 5, 6]


def test_a_score_that_is_not_a_number_is_never_the_best(tmp_path):
    run(tmp_path, scores=[math.nan, 0.1, math.nan, 0.05, math.nan, math.nan])

    assert read_progress(tmp_path).best_score == 0.1


def test_without_a_score_the_last_weights_count(tmp_path):
    model, _ = run(tmp_path)
    last = weights(model)

    progress = restore_best(model, tmp_path)

    assert (progress.step, progress.best_step, progress.is_done) == (12, None, True)
    assert_same(weights(model), last)


def test_frozen_weights_do_not_move_and_are_not_stored(tmp_path):
    model = TwoParts()
    model.backbone.requires_grad_(False)
    before = weights(model)

    run(tmp_path, model=model)

    assert_same(weights(model.backbone), {k: before[f"backbone.{k}"] for k in ("weight", "bias")})
    assert not torch.equal(model.head.weight, before["head.weight"])
    unfrozen = TwoParts()
    with pytest.raises(OtherRunError, match="weights of another model"):
        restore_best(unfrozen, tmp_path)


def test_each_part_has_its_own_learning_rate():
    model = TwoParts()

    groups = parameter_groups(model, TRAIN, {"backbone.": 0.1})

    ratio_of = {id(p): g["lr_ratio"] for g in groups for p in g["params"]}
    assert ratio_of[id(model.backbone.bias)] == 0.1
    assert ratio_of[id(model.head.weight)] == 1.0


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"about": {"data": "b"}}, "data was a, is b"),
        ({"lr_ratios": {"head.": 2.0}}, "lr_ratios"),
        ({"config": dataclasses.replace(TRAIN, learning_rate=0.2)}, "learning_rate"),
    ],
    ids=["data", "ratios", "settings"],
)
def test_resuming_with_other_data_or_settings_is_refused(tmp_path, changes, problem):
    run(tmp_path, about={"data": "a"}, stop_after=3)

    with pytest.raises(UsageError, match=problem):
        run(tmp_path, **{"about": {"data": "a"}, **changes})


def test_metrics_have_no_seconds_where_equal_runs_shall_be_equal(tmp_path):
    token = keeps_seconds.set(False)
    try:
        run(tmp_path)
    finally:
        keeps_seconds.reset(token)

    header, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    column = header.split(",").index("seconds")
    assert {row.split(",")[column] for row in rows} == {""}
