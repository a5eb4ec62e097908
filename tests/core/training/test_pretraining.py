"""Settings merge in one order, and what does not exist or fit is refused."""

from __future__ import annotations

import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.machine.runtime import Runtime
from hyenadna_cli.core.training.distributed import World
from hyenadna_cli.core.training.pretraining import faster_as_processes, plan
from hyenadna_cli.core.training.settings import settings
from hyenadna_cli.errors import InputFileError, UsageError


def test_options_win_over_the_file_which_wins_over_the_preset(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[model]\nn_layer = 3\n[train]\nmax_steps = 7\nseed = 5\n")

    model, train = settings(
        model={"d_model": 32}, train={"seed": 9}, config_file=file, preset="paper"
    )

    assert (model.d_model, model.n_layer, model.d_inner) == (32, 3, 128)
    assert (train.max_steps, train.seed) == (7, 9)
    assert (model.filter_shift, train.decay, train.targets) == (0.0, "published", "all")


def test_the_final_learning_rate_follows_the_peak():
    _, train = settings(model={}, train={"learning_rate": 2e-3})

    assert train.min_learning_rate == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[train]\nsteps = 3\n", "unknown training settings: steps"),
        ("[model]\nwidth = 3\n", "unknown model settings: width"),
        ("[optimiser]\nlr = 3\n", "unknown tables: optimiser"),
        ("[model]\nd_model = nan\n", "d_model must be a finite number, got nan"),
        ("[model]\nd_model = 8.5\n", "d_model must be a whole number, got 8.5"),
        ("[model]\nd_model = [[8]]\n", "d_model must be a finite number, got"),
        ("[model]\nd_model = 1e400\n", "d_model must be a finite number, got inf"),
        ("[model]\nn_layer = {a = 1}\n", "n_layer must be a whole number, got {'a': 1}"),
        ("[model]\nl_max = 2147483648\n", "l_max must be from 1 to 16,777,216"),
        ("[train]\nlearning_rate = '1e-3'\n", "learning_rate must be a finite number, got '1e-3'"),
        ("[train]\nlength_schedule = [[2048, 10]]\n", "length-schedule reaches 2,048"),
    ],
)
def test_a_setting_that_does_not_exist_or_fit_is_refused(tmp_path, text, problem):
    file = tmp_path / "run.toml"
    file.write_text(text)

    with pytest.raises(UsageError, match=problem):
        settings(model={}, train={}, config_file=file)


def test_a_dry_run_makes_no_model(tiny_regions):
    shape = ModelConfig(d_model=1 << 16, n_layer=9, d_inner=1 << 20, l_max=1 << 24)

    text = plan(tiny_regions, shape, TrainConfig(length_schedule=((64, 2),)))

    assert "model: 1,391,630,824,512 parameters" in text


def advice(*, threads=4, size=1, device="cpu", **settings):
    runtime = Runtime(torch.device(device), torch.float32, "torch", threads, ())
    config = TrainConfig(**{"max_steps": 5_000, "batch_bases": 4_000} | settings)
    return faster_as_processes(config, max_length=1_000, runtime=runtime, world=World(size=size))


def test_a_long_run_on_threads_is_told_how_processes_share_it():
    assert "--nproc-per-node 4 -m hyenadna_cli pretrain ... --threads 1" in advice()
    # No more processes than a step has sequences.
    assert "--nproc-per-node 2 -m hyenadna_cli pretrain ... --threads 2" in advice(
        batch_bases=2_000
    )


@pytest.mark.parametrize(
    "settings",
    [{"threads": 1}, {"size": 2}, {"device": "meta"}, {"max_steps": 20}, {"batch_bases": 1_000}],
    ids=str,
)
def test_nothing_is_said_where_processes_would_not_help(settings):
    assert advice(**settings) is None


@pytest.fixture
def tiny_regions():
    """Regions of which a plan asks for a line."""

    class Regions:
        def describe(self):
            return "train 1 base"

    return Regions()


@pytest.mark.parametrize(
    "text", ["[train\n", f"[model]\nl_max = {'9' * 5_000}\n", "a = " + "[" * 5_000]
)
def test_a_file_that_is_not_toml_is_refused(tmp_path, text):
    file = tmp_path / "run.toml"
    file.write_text(text)

    with pytest.raises(InputFileError, match="not TOML"):
        settings(model={}, train={}, config_file=file)
