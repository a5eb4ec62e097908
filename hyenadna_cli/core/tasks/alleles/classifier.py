"""A classifier of alleles: a linear map of their features, calibrated; a file beside a model.

`alleles.json` lies in a model directory, beside the backbone whose vectors and scores it is of:

    format, format-version
    classes       labels; of two, the second is the positive one
    features      names, in the order of the columns
    settings      of the windows, scores and vectors: what `embed --vcf` had
    weight, bias  (C, D) and (C,), of features as they are: logits
    temperature, shift
                  calibration on the validation rows: softmax(temperature x logits + shift)
"""

# N alleles, D numbers of all features, C classes

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from hyenadna_cli.core.config.small_files import read_small
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.errors import CheckpointError

NAME = "alleles.json"
FORMAT = "hyenadna-allele-classifier"
FORMAT_VERSION = 1

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How logits become probabilities that come true as often as they say."""

    temperature: float
    shift_C: Floats

    @classmethod
    def fit(cls, logits_NC: Floats, classes_N: NDArray[np.int64]) -> Self:
        """By maximum likelihood on rows that were not learned from (Platt 1999; Guo et al. 2017).

        A slope below 0 is not allowed: calibration never turns an order round.
        """
        n_classes = logits_NC.shape[1]
        rows = np.arange(len(logits_NC))
        scale = max(1e-9, float(logits_NC.std()))

        def loss(parameters: Floats) -> float:
            shift = np.concatenate([[0.0], parameters[1:]])
            log_p = log_softmax(np.exp(parameters[0]) / scale * logits_NC + shift, axis=1)
            # The weak pull keeps the weights of a set that is separated without error finite.
            return float(-log_p[rows, classes_N].mean() + 1e-4 * np.square(parameters).sum())

        found = minimize(loss, np.zeros(n_classes), method="L-BFGS-B").x
        return cls(float(np.exp(found[0]) / scale), np.concatenate([[0.0], found[1:]]))


@dataclass(frozen=True, kw_only=True, slots=True)
class AlleleClassifier:
    """Features to probabilities of classes."""

    classes: tuple[str, ...]
    features: tuple[str, ...]
    settings: Mapping[str, Any]
    weight_CD: Floats
    bias_C: Floats
    calibration: Calibration

    def probabilities(self, features_ND: Floats) -> Floats:
        """(N, C); NaN for an allele that lacks one of the numbers."""
        logits_NC = features_ND @ self.weight_CD.T + self.bias_C
        of = self.calibration
        probabilities: Floats = softmax(of.temperature * logits_NC + of.shift_C, axis=1)
        return probabilities

    def save(self, directory: Path) -> None:
        """Write alleles.json. Raises OutputError."""
        content = {
            "format": FORMAT,
            "format-version": FORMAT_VERSION,
            "classes": list(self.classes),
            "features": list(self.features),
            "settings": dict(self.settings),
            "temperature": self.calibration.temperature,
            "shift": self.calibration.shift_C.tolist(),
            "bias": self.bias_C.tolist(),
            "weight": self.weight_CD.tolist(),
        }
        atomic.write_text(directory / NAME, json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """The classifier in a model directory; None if there is none. Raises CheckpointError."""
        path = directory / NAME
        if not path.is_file():
            return None
        try:
            content = json.loads(read_small(path))
            if content["format"] != FORMAT or content["format-version"] > FORMAT_VERSION:
                raise CheckpointError(f"{path}: not a classifier that this hyenadna reads")
            shift_C = np.array(content["shift"], dtype=np.float64)
            loaded = cls(
                classes=tuple(content["classes"]),
                features=tuple(content["features"]),
                settings=content["settings"],
                weight_CD=np.array(content["weight"], dtype=np.float64),
                bias_C=np.array(content["bias"], dtype=np.float64),
                calibration=Calibration(float(content["temperature"]), shift_C),
            )
            n_classes = len(loaded.classes)
            if loaded.weight_CD.ndim != 2 or not (
                n_classes == len(loaded.weight_CD) == len(loaded.bias_C) == len(shift_C)
            ):
                raise CheckpointError(f"{path}: damaged: its weights do not fit its classes")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: damaged: {error}") from error
        return loaded
