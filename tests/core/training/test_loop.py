"""The one training loop: schedules, groups, exact resume, shared work."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import pytest
import safetensors.torch
import torch

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.model.likelihood import next_base_loss, next_token_loss
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.loop import (
    evaluate,
    learning_rate_at,
    parameter_groups,
    stage_at,
    train,
)
from hyenadna_cli.core.training.settings import settings
from hyenadna_cli.errors import DeviceMemoryError, UsageError

MODEL = ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=34, filter_order=4, embed_dropout=0.2)
TRAIN = TrainConfig(
    max_steps=9,
    batch_bases=128,
    micro_batch_bases=64,
    learning_rate=1e-2,
    warmup_steps=2,
    min_learning_rate=1e-3,
    length_schedule=((16, 3), (32, 6)),
    save_every=4,
    valid_every=100,
)


class RepeatedMotif:
    """Windows of a repeating motif at a random phase: easy to learn, different at every step."""

    def batch(self, *, step, rows, length, rows_per_step):
        starts = torch.tensor([(step * rows_per_step + row) * 7 % 5 for row in rows])
        motif = torch.tensor([7, 8, 9, 10, 8])
        return motif[(starts[:, None] + torch.arange(length)) % 5]


def fresh_model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return HyenaDNA(MODEL)


def run(directory, *, config=TRAIN, stop_after=None, **settings):
    """Train a fresh model in `directory`; returns it and the reports."""
    directory.mkdir(exist_ok=True)
    model = fresh_model()
    asked = itertools.count(1)
    reports = train(
        model,
        RepeatedMotif(),
        next_base_loss,
        config=config,
        run_dir=directory,
        max_length=32,
        should_stop=lambda: next(asked) == stop_after,
        **settings,
    )
    return model, list(reports)


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.slow
def test_training_lowers_the_loss(tmp_path):
    config = dataclasses.replace(TRAIN, max_steps=60, save_every=1_000)

    _, reports = run(tmp_path, config=config)

    assert reports[0].loss == pytest.approx(math.log(16), abs=0.1)
    assert reports[-1].loss < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 3, 4, 8])
def test_stopping_and_resuming_gives_the_weights_of_never_stopping(tmp_path, stop_after):
    """Law: resume. Dropout is on, and the stop falls on and off checkpoints and stages."""
    straight, straight_reports = run(tmp_path / "straight")

    _, first = run(tmp_path / "broken", stop_after=stop_after)
    resumed, rest = run(tmp_path / "broken")

    assert len(first) == stop_after
    assert weights(resumed).keys() == weights(straight).keys()
    for name, value in weights(straight).items():
        assert torch.equal(weights(resumed)[name], value), name
    assert [r.loss for r in first + rest] == [r.loss for r in straight_reports]


def test_a_killed_run_loses_the_steps_since_the_last_checkpoint_and_no_more(tmp_path):
    """What kill -9 leaves: rows of metrics.csv beyond the checkpoint, perhaps half a row."""
    straight, _ = run(tmp_path / "straight")
    run(tmp_path / "killed", stop_after=4)
    metrics = tmp_path / "killed" / "metrics.csv"
    metrics.write_text(metrics.read_text() + "5,16,128,1.0,0.1,1.0,0.1,\n6,32,12")

    resumed, rest = run(tmp_path / "killed")

    assert [r.step for r in rest] == [5, 6, 7, 8, 9]
    steps = [line.split(",")[0] for line in metrics.read_text().splitlines()[1:]]
    assert steps == [str(step) for step in range(1, 10)]
    assert torch.equal(resumed.lm_head.weight, straight.lm_head.weight)


def too_large():
    torch.empty(1 << 50)


def out_of_device_memory():
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("fail", [out_of_device_memory, too_large])
def test_a_step_that_does_not_fit_ends_with_advice_and_goes_on_from_a_checkpoint(tmp_path, fail):
    model, passes = fresh_model(), itertools.count(1)

    def loss_of(model, tokens_BL):
        if next(passes) == 11:
            fail()
        return next_base_loss(model, tokens_BL)

    with pytest.raises(DeviceMemoryError, match="after step 5, in passes of 64 bases") as caught:
        list(train(model, RepeatedMotif(), loss_of, config=TRAIN, run_dir=tmp_path, max_length=32))

    assert caught.value.exit_code == 75
    assert [report.step for report in run(tmp_path)[1]] == [5, 6, 7, 8, 9]


def test_other_errors_of_a_step_are_not_taken_for_a_lack_of_memory(tmp_path):
    def loss_of(model, tokens_BL):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(
            train(
                fresh_model(),
                RepeatedMotif(),
                loss_of,
                config=TRAIN,
                run_dir=tmp_path,
                max_length=32,
            )
        )


def test_resuming_with_other_settings_is_refused_and_names_them(tmp_path):
    run(tmp_path, stop_after=4)

    with pytest.raises(UsageError, match=r"learning_rate was 0\.01, is 0\.02"):
        run(tmp_path, config=dataclasses.replace(TRAIN, learning_rate=2e-2))


def test_only_the_newest_checkpoints_stay(tmp_path):
    run(tmp_path, config=dataclasses.replace(TRAIN, save_every=2, keep_last=2))

    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step_00000008", "step_00000009"]
    assert (tmp_path / "last").read_text() == "step_00000009\n"


def test_a_checkpoint_holds_no_pickle(tmp_path):
    run(tmp_path, stop_after=4)

    directory = tmp_path / "checkpoints" / "step_00000004"
    assert {p.suffix for p in directory.iterdir()} <= {".json", ".safetensors"}
    assert json.loads((directory / "state.json").read_text())["step"] == 4
    assert safetensors.torch.load_file(directory / "optimiser.safetensors")


def test_accumulating_gradients_gives_the_step_of_the_whole_batch(tmp_path):
    no_dropout = dataclasses.replace(MODEL, embed_dropout=0.0)
    results = []
    for name, micro in (("whole", 128), ("pieces", 32)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = HyenaDNA(no_dropout)
        (tmp_path / name).mkdir()
        config = dataclasses.replace(TRAIN, micro_batch_bases=micro, max_steps=3)
        list(
            train(
                model,
                RepeatedMotif(),
                next_base_loss,
                config=config,
                run_dir=tmp_path / name,
                max_length=32,
            )
        )
        results.append(weights(model))

    for name, value in results[0].items():
        torch.testing.assert_close(results[1][name], value, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("n_rows", [0, 1, 2, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_processes_share_the_rows_without_gap_or_overlap(n_rows, size):
    shares = [World(rank, size).share(n_rows) for rank in range(size)]

    assert [row for share in shares for row in share] == list(range(n_rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_length_warm_up_keeps_bases_or_sequences():
    by_bases = dataclasses.replace(TRAIN, keep="bases")
    by_sequences = dataclasses.replace(TRAIN, keep="sequences")

    assert [stage_at(s, by_bases, max_length=32) for s in (0, 2, 3, 8, 99)] == [
        (16, 8),
        (16, 8),
        (32, 4),
        (32, 4),
        (32, 4),
    ]
    assert [stage_at(s, by_sequences, max_length=32) for s in (0, 3)] == [(16, 8), (32, 8)]
    assert stage_at(0, dataclasses.replace(TRAIN, length_schedule=()), max_length=32) == (32, 4)


def test_the_learning_rate_follows_the_published_formula():
    """model.md 5.0: linear from 1e-6, then a cosine whose phase is not shifted by the warm-up."""
    config = TrainConfig(
        max_steps=1_000,
        warmup_steps=10,
        learning_rate=6e-4,
        min_learning_rate=6e-5,
        lr_schedule="published",
    )

    assert learning_rate_at(0, config) == 1e-6
    assert learning_rate_at(5, config) == pytest.approx(1e-6 + 5 * (6e-4 - 1e-6) / 10)
    at_warmup_end = 6e-5 + 0.5 * 5.4e-4 * (1 + math.cos(math.pi * 10 / 1_000))
    assert learning_rate_at(10, config) == pytest.approx(at_warmup_end)
    assert learning_rate_at(500, config) == pytest.approx(6e-5 + 0.5 * 5.4e-4)
    assert learning_rate_at(1_000, config) == pytest.approx(6e-5)
    tiny = dataclasses.replace(config, learning_rate=1e-9, min_learning_rate=0.0)
    assert learning_rate_at(0, tiny) == 1e-9, "warming up never starts above the peak"


def test_the_published_schedule_hardly_falls_within_the_run():
    _, config = settings(model={}, train={}, preset="paper")

    assert learning_rate_at(config.max_steps, config) > 0.99 * config.learning_rate


def test_the_cosine_starts_at_the_end_of_the_warm_up():
    config = TrainConfig(max_steps=110, warmup_steps=10, learning_rate=1e-3, min_learning_rate=0.0)

    assert learning_rate_at(10, config) == pytest.approx(1e-3)
    assert learning_rate_at(60, config) == pytest.approx(5e-4)


@pytest.mark.parametrize("decay", ["published", "matrices"])
def test_every_parameter_is_in_one_group_and_filters_never_decay(decay):
    model = fresh_model()
    groups = parameter_groups(model, dataclasses.replace(TRAIN, decay=decay))
    names = {p: name for name, p in model.named_parameters()}

    decayed = {names[p] for g in groups for p in g["params"] if g["weight_decay"] > 0}
    everything = [names[p] for g in groups for p in g["params"]]

    assert sorted(everything) == sorted(names.values())
    assert not any("implicit_filter" in name for name in decayed)
    assert ("backbone.ln_f.bias" in decayed) == (decay == "published")
    assert "backbone.layers.0.mixer.in_proj.weight" in decayed


def test_frozen_parameters_are_left_out():
    model = fresh_model()
    model.backbone.embeddings.requires_grad_(False)

    groups = parameter_groups(model, TRAIN)

    assert all(p is not model.lm_head.weight for g in groups for p in g["params"])


def test_n_pads_and_specials_are_no_targets_unless_published():
    model = fresh_model().eval()
    ids = torch.tensor([[7, 8, 11, 9, 1, 4, 4]])

    _, n_bases = next_base_loss(model, ids)
    _, n_tokens = next_token_loss(model, ids)

    assert n_bases == 2
    assert n_tokens == 6


def test_evaluation_leaves_dropout_off_and_the_mode_as_it_was():
    model = fresh_model().train()
    batches = [RepeatedMotif().batch(step=0, rows=range(4), length=32, rows_per_step=4)]

    first, second = (evaluate(model, batches, next_base_loss) for _ in range(2))

    assert first == second
    assert model.training


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="unknown training settings: learning_rat"):
        TrainConfig.from_mapping({"learning_rat": 1.0})
