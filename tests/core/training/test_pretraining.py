"""Settings merge in one order, and what does not exist or fit is refused."""

from __future__ import annotations

import pytest

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
        ("[train]\nlength_schedule = [[2048, 10]]\n", "length-schedule reaches 2,048"),
    ],
)
def test_a_setting_that_does_not_exist_or_fit_is_refused(tmp_path, text, problem):
    file = tmp_path / "run.toml"
    file.write_text(text)

    with pytest.raises(UsageError, match=problem):
        settings(model={}, train={}, config_file=file)


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[train\n")

    with pytest.raises(InputFileError, match="not TOML"):
        settings(model={}, train={}, config_file=file)
