"""Tuning a prompt: the model stays as it is, the task is learned, resuming is exact."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.model.classifier import backbone_digest
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows
from hyenadna_cli.core.tasks.prompts import tuning as prompt_tuning
from hyenadna_cli.core.tasks.prompts.settings import PromptConfig
from hyenadna_cli.core.training.run_directory import read_progress, restore_best

CONFIG = PromptConfig(
    n_tokens=4,
    words=("A", "T"),
    epochs=6,
    batch_size=8,
    learning_rate=0.1,
    patience=None,
    reverse_complement=False,
)


def rows(n, *, seed):
    """Class 1 is rich in T, class 0 in A."""
    random = np.random.default_rng(seed)
    shares = ([0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7])
    targets = np.arange(n) % 2
    sequences = ["".join(random.choice(list("ACGT"), 20, p=shares[t])) for t in targets]
    return LabelledRows(
        names=[f"r{number}" for number in range(n)],
        sequences=sequences,
        intervals=[None] * n,
        targets=targets,
    )


@pytest.fixture(scope="module")
def data():
    splits = {"train": rows(32, seed=0), "valid": rows(20, seed=1), "test": rows(20, seed=2)}
    return LabelledData(task="binary", label_names=("a", "t"), splits=splits, sources=())


@pytest.fixture
def model(tiny_model):
    return checkpoint.load(tiny_model)[0]


def fit(model, data, run_dir, *, config=CONFIG, stop_after=None):
    classifier = prompt_tuning.build(model, data, config)
    run_dir.mkdir(exist_ok=True)
    reports = []
    for report in prompt_tuning.fit(
        classifier,
        data,
        config,
        run_dir=run_dir,
        about={},
        should_stop=lambda: stop_after is not None and len(reports) + 1 == stop_after,
    ):
        reports.append(report)
    return classifier, reports


def test_tuning_words_lowers_the_loss_and_the_model_stays_bit_for_bit(model, data, tmp_path):
    before = backbone_digest(model)

    _, reports = fit(model, data, tmp_path / "run")

    scores = [report.valid_score for report in reports if report.valid_score is not None]
    assert scores[-1] > scores[0]
    assert backbone_digest(model) == before
    assert all(p.grad is None for p in model.parameters())


def test_a_head_behind_a_prompt_learns_the_task(model, data, tmp_path):
    config = dataclasses.replace(CONFIG, words=(), pooling="mean", head_learning_rate=0.1)
    before = backbone_digest(model)

    classifier, _ = fit(model, data, tmp_path / "run", config=config)
    restore_best(classifier, tmp_path / "run")
    found = prompt_tuning.judge(classifier.eval(), data, device=torch.device("cpu"), seed=0)

    assert backbone_digest(model) == before
    assert set(found) == {"valid", "test"}
    assert found["test"].n == 20
    assert found["test"].values["accuracy"].value >= 0.9


def test_stopping_and_resuming_gives_the_prompt_of_never_stopping(model, data, tmp_path):
    whole, _ = fit(model, data, tmp_path / "whole")

    fit(model, data, tmp_path / "parts", stop_after=5)
    assert read_progress(tmp_path / "parts").step == 5
    resumed, _ = fit(model, data, tmp_path / "parts")

    assert torch.equal(resumed.backbone.prompt, whole.backbone.prompt)


def test_the_first_vectors_are_bases_or_noise_and_the_seed_s(model):
    from hyenadna_cli.core.tasks.prompts.soft_prompt import initial_prompt

    def draw(*, from_vocabulary, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return initial_prompt(model, 50, from_vocabulary=from_vocabulary, generator=generator)

    table = model.backbone.embeddings.word_embeddings.weight
    distances = torch.cdist(draw(from_vocabulary=True), table[7:11])
    assert (distances.amin(1) < 1e-3).all()  # rounding of the distances
    noise = draw(from_vocabulary=False)
    assert 0.015 < float(noise.std()) < 0.025
    assert torch.equal(noise, draw(from_vocabulary=False))
    assert not torch.equal(noise, draw(from_vocabulary=False, seed=1))


@pytest.mark.parametrize("n_examples", [2, 7, 20])
def test_examples_are_as_equal_in_classes_as_can_be(data, n_examples):
    chosen = prompt_tuning.chosen_rows(data, n_examples=n_examples, seed=1)

    counts = np.bincount(chosen.splits["train"].targets, minlength=2)
    assert counts.sum() == n_examples
    assert abs(counts[0] - counts[1]) <= 1
    assert chosen.splits["valid"] is data.splits["valid"]
    again = prompt_tuning.chosen_rows(data, n_examples=n_examples, seed=1)
    assert again.splits["train"].names == chosen.splits["train"].names


def test_more_examples_than_there_are_is_refused(data):
    with pytest.raises(ValueError, match="33 examples of 32"):
        prompt_tuning.chosen_rows(data, n_examples=33, seed=0)


@pytest.mark.parametrize("n_tokens", [0, 32_769])
def test_a_prompt_has_at_least_one_token_and_at_most_so_many(n_tokens):
    with pytest.raises(ValueError, match="1 to 32,768"):
        PromptConfig(n_tokens=n_tokens)
