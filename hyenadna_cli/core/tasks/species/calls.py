"""Records to species: probabilities over all windows of a record -> a call, or `unclassified`.

| status | species | when |
|---|---|---|
| OK | the likeliest | |
| UNCLASSIFIED | unclassified | the likeliest is below the asked probability |
| NO_BASES | unclassified, probabilities NaN | nothing but N, or nothing at all |
| NONFINITE | unclassified, probabilities NaN | the model gave an infinity or NaN |
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hyenadna_cli.core.config.choices import StrandChoice
from hyenadna_cli.core.dna.sequence import n_fraction
from hyenadna_cli.core.inference.batching import Batcher, Done
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.outputs.journal import NO_JOURNAL, Journal
from hyenadna_cli.core.tasks.classification import Prediction, predict
from hyenadna_cli.core.tasks.species.manifest import UNCLASSIFIED

COLUMNS = ("id", "length", "n_windows", "species", "prob", "second", "second_prob", "status")
RESULTS = frozenset({"OK", "UNCLASSIFIED"})
"""Statuses of records that were classified, or found to be none of the species."""


@dataclass(frozen=True, slots=True)
class SpeciesCall:
    """What is said of one record."""

    name: str
    length: int
    """Bases."""
    n_windows: int
    species: str
    prob: float
    """Of the likeliest species, which `species` names unless that is `unclassified`."""
    second: str
    second_prob: float
    status: str

    def row(self) -> tuple[str | int | float, ...]:
        """The cells of `COLUMNS`."""
        return (
            self.name,
            self.length,
            self.n_windows,
            self.species,
            self.prob,
            self.second,
            self.second_prob,
            self.status,
        )


def call_species(
    classifier: SequenceClassifier,
    records: Iterable[Record],
    *,
    batcher: Batcher,
    strand: StrandChoice = "+",
    min_prob: float = 0.0,
    journal: Journal = NO_JOURNAL,
) -> Iterator[Done[SpeciesCall]]:
    """Classify a stream of records: one `Done` per batch, its rows at the end of each chunk."""
    names = classifier.config.label_names
    answers = predict(classifier, records, batcher=batcher, strand=strand, journal=journal)
    for done in answers:
        yield Done(done.n_bases, [_call(row, names, min_prob) for row in done.rows])


def _call(prediction: Prediction, names: tuple[str, ...], min_prob: float) -> SpeciesCall:
    record, probs = prediction.record, prediction.values
    length = len(record.sequence)
    if not length or n_fraction(record.sequence) == 1.0:
        status = "NO_BASES"
    elif not np.isfinite(probs).all():
        status = "NONFINITE"
    else:
        # Equal probabilities: the species named first, whatever the sorting does.
        first, second = np.argsort(-probs, kind="stable")[:2]
        status = "OK" if probs[first] >= min_prob else "UNCLASSIFIED"
        species = names[first] if status == "OK" else UNCLASSIFIED
        return SpeciesCall(
            record.name,
            length,
            prediction.n_windows,
            species,
            float(probs[first]),
            names[second],
            float(probs[second]),
            status,
        )
    return SpeciesCall(
        record.name,
        length,
        prediction.n_windows,
        UNCLASSIFIED,
        math.nan,
        UNCLASSIFIED,
        math.nan,
        status,
    )
