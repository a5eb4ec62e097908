"""`finetune --preset` and `--resume`: settings that exist, no stale results."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hyenadna_cli.core.model.checkpoints import catalogue
from hyenadna_cli.core.tasks.finetuning.settings import FinetuneConfig
from hyenadna_cli.core.tasks.labelled import presets

TABLE = Path(__file__).parent.parent.parent / "test_data" / "labelled.csv"
FAST = ("--device", "cpu", "--threads", "1", "--compare", "none")


@pytest.mark.parametrize("name", presets.names())
def test_every_presets_settings_are_settings(name: str):
    FinetuneConfig.from_mapping(presets.find(name).settings)


PUBLISHED = {
    # suite: backbone, sequences a step, learning rate, epochs, pooling, longest
    "genomic-benchmarks": ("tiny-1k", 128, 6e-4, 100, "mean", 1_024),
    "nucleotide-transformer": ("tiny-1k-d256", 128, 6e-4, 100, "mean", 1_024),
    "chromatin": ("medium-160k", 64, 6e-4, 50, "mean", None),
}
SHARED = {
    "weight_decay": 0.1,
    "adam_betas": (0.9, 0.999),
    "decay": "published",
    "lr_schedule": "published",
    "min_lr_ratio": 0.1,
    "warmup": 0.01,
    "backbone_lr_ratio": 1.0,
    "dropout": 0.0,
    "freeze": "none",
    "head_init": "random",
    "class_weights": "none",
    "reverse_complement": False,
    "both_strands": False,
    "length_schedule": (),
    "seed": 2222,
}


@pytest.mark.parametrize("name", presets.names())
def test_a_recipe_is_the_published_one_of_its_suite(name: str):
    preset = presets.find(name)
    config = FinetuneConfig.from_mapping(preset.recipe.settings)

    found = (config.batch_size, config.learning_rate, config.epochs, config.pooling)
    model, *wanted = PUBLISHED[name.split("/")[0]]
    assert preset.recipe.model == model
    assert [*found, config.max_length] == wanted
    assert {field: getattr(config, field) for field in SHARED} == SHARED
    assert config.select == preset.metric
    assert config.patience == config.epochs, "no run ended before its last epoch"
    catalogue.find(preset.recipe.model)


def test_the_training_loop_gets_what_a_recipe_says():
    recipe = presets.find("genomic-benchmarks/human_enhancers_cohn").recipe
    config = FinetuneConfig.from_mapping(recipe.settings)

    train = config.train_config(n_rows=1_000, max_length=500)

    assert (train.max_steps, train.warmup_steps) == (100 * 8, 8)
    assert train.sequences_per_step(500, max_length=500) == 128
    assert (train.adam_betas, train.decay, train.lr_schedule) == ((0.9, 0.999), *["published"] * 2)
    assert train.min_learning_rate == pytest.approx(6e-5)


@pytest.fixture
def tables(tmp_path):
    """A folder with train.csv and test.csv."""
    folder = tmp_path / "data"
    folder.mkdir()
    header, *rows = TABLE.read_text().splitlines()
    for split in ("train", "test"):
        mine = [row for row in rows if f",{split}," in row]
        (folder / f"{split}.csv").write_text("\n".join([header, *mine, ""]))
    return folder


def test_a_recipe_runs_and_what_differs_from_it_is_said(hyenadna, tiny_model, tables, tmp_path):
    recipe = ("--preset", "genomic-benchmarks/human_enhancers_cohn", "--recipe", "published")
    ours = ("--epochs", "1", "--max-length", "200", "--micro-batch-bases", "4k", "-m", tiny_model)

    done = hyenadna(
        "finetune", *recipe, "--data", tables, *ours, "-o", tmp_path / "run", "--table", *FAST
    )

    assert done.code == 0, done.err
    assert "--recipe published: the backbone is tiny_model, published tiny-1k" in done.err
    assert "--recipe published: epochs is 1.0, published 100" in done.err
    assert "--recipe published: 128 sequences per step go through the model up to 3" in done.err
    assert "here the best epoch is chosen on rows cut from the training set" in done.err
    assert "batch_size is" not in done.err
    assert "published HyenaDNA" in done.out


def test_a_recipe_needs_a_preset_and_brings_its_model(hyenadna, tables, tmp_path):
    recipe = ("--recipe", "published", "-o", tmp_path / "run")
    preset = ("--preset", "nucleotide-transformer/H3", "--data", tables)

    alone = hyenadna("finetune", "--data", TABLE, *recipe)
    uncached = hyenadna("finetune", *preset, *recipe, "--offline", "--cache-dir", tmp_path)

    assert (alone.code, uncached.code) == (2, 4)
    assert "give --preset" in alone.err
    assert "hyenadna models download tiny-1k-d256" in uncached.err


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
