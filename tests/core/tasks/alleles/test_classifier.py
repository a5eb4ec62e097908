"""Calibration, and the file of a classifier."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import softmax

from hyenadna_cli.core.tasks.alleles.classifier import NAME, AlleleClassifier, Calibration
from hyenadna_cli.errors import CheckpointError


def drawn(n, n_classes, *, scale, shift):
    """Logits that are `scale` times too large, and classes drawn by the true probabilities."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(n, n_classes))
    probabilities = softmax(logits + shift, axis=1)
    classes = (probabilities.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    return scale * logits, classes, probabilities


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("scale", [0.01, 5.0])
def test_calibration_finds_the_probabilities_again(n_classes, scale):
    shift = np.linspace(0, 1, n_classes)
    logits, classes, probabilities = drawn(20_000, n_classes, scale=scale, shift=shift)

    found = Calibration.fit(logits, classes)

    after = softmax(found.temperature * logits + found.shift_C, axis=1)
    np.testing.assert_allclose(after, probabilities, atol=0.04)


def test_calibration_never_turns_the_order_round():
    logits, classes, _ = drawn(500, 2, scale=1.0, shift=np.zeros(2))

    assert Calibration.fit(-logits, classes).temperature > 0


def test_classes_that_logits_tell_apart_without_error_stay_finite():
    logits = np.array([[3.0, -3.0], [2.0, -2.0], [-3.0, 3.0], [-1.0, 1.0]])

    found = Calibration.fit(logits, np.array([0, 0, 1, 1]))

    assert np.isfinite([found.temperature, *found.shift_C]).all()


@pytest.fixture
def classifier():
    return AlleleClassifier(
        classes=("B", "P"),
        features=("llr", "site"),
        settings={"window": 64},
        weight_CD=np.array([[0.0, 0.0], [1 / 3, -0.1]]),
        bias_C=np.array([0.0, 0.7]),
        calibration=Calibration(1.3, np.array([0.0, -0.2])),
    )


def test_a_classifier_comes_back_as_it_was(classifier, tmp_path):
    features = np.random.default_rng(1).normal(size=(9, 2))
    features[3, 1] = np.nan

    classifier.save(tmp_path)
    loaded = AlleleClassifier.load(tmp_path)

    found = loaded.probabilities(features)
    np.testing.assert_array_equal(found, classifier.probabilities(features))
    assert np.isnan(found).any(axis=1).tolist() == [row == 3 for row in range(9)]
    assert (loaded.classes, loaded.features, loaded.settings) == (
        ("B", "P"),
        ("llr", "site"),
        {"window": 64},
    )


def test_a_directory_without_one_has_none(tmp_path):
    assert AlleleClassifier.load(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "not a classifier that this hyenadna reads"),
        ({"format-version": 2}, "not a classifier that this hyenadna reads"),
        ({"bias": [0.0]}, "damaged: its weights do not fit its classes"),
        ({"weight": [[0.0]]}, "damaged"),
        ({"classes": None}, "damaged"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(classifier, tmp_path, change, said):
    classifier.save(tmp_path)
    path = tmp_path / NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))

    with pytest.raises(CheckpointError, match=said):
        AlleleClassifier.load(tmp_path)
