"""Alleles of a VCF with the probabilities of a classifier."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.inference.batching import Done
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.tasks.alleles.classifier import AlleleClassifier
from hyenadna_cli.core.tasks.alleles.features import AlleleTexts, feature_parts
from hyenadna_cli.core.variants.allele_rows import flanks
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.sites import Scored


def classified(
    batches: Iterable[Done[Scored]],
    classifier: AlleleClassifier,
    genome: Genome,
    settings: ScoreSettings,
) -> Iterator[Done[Scored]]:
    """The same records, their alleles with `prob`, and `label` where there are several classes.

    `prob` is that of the positive class of two, else that of the likeliest; NaN where an allele was
    not scored.
    """
    for done in batches:
        yield Done(done.n_bases, _with_probabilities(done.rows, classifier, genome, settings))


def _with_probabilities(
    rows: list[Scored], classifier: AlleleClassifier, genome: Genome, settings: ScoreSettings
) -> list[Scored]:
    known = [
        (row, number)
        for row, (_, _, alleles) in enumerate(rows)
        for number, allele in enumerate(alleles)
        if allele.status in ("OK", "OK_EDGE")
    ]
    answers = _answers(rows, known, classifier, genome, settings) if known else {}
    answered: list[Scored] = []
    for row, (record, site, alleles) in enumerate(rows):
        of_record = []
        for number, allele in enumerate(alleles):
            probability, label = answers.get((row, number), (math.nan, ""))
            more = {**allele.more, "prob": probability}
            of_record.append(dataclasses.replace(allele, more=more, label=label))
        answered.append((record, site, of_record))
    return answered


def _answers(
    rows: list[Scored],
    known: list[tuple[int, int]],
    classifier: AlleleClassifier,
    genome: Genome,
    settings: ScoreSettings,
) -> dict[tuple[int, int], tuple[float, str]]:
    alleles = [rows[row][2][number] for row, number in known]
    sides = [flanks(rows[row][1].variant, genome) for row, _ in known]
    texts = AlleleTexts(
        [rows[row][0].ref for row, _ in known],
        [rows[row][0].alts[number] for row, number in known],
        [before for before, _ in sides],
        [after for _, after in sides],
    )
    vectors = {}
    if settings.vectors is not None:
        # In float32, as an embedding file has them.
        stacked = np.array([allele.vectors_KD for allele in alleles], dtype=np.float32)
        keys = settings.vectors.pooled.keys
        vectors = {key: stacked[:, place] for place, key in enumerate(keys)}
    scores: dict[str, NDArray[np.float64]] = {
        name: np.array([allele.values[name] for allele in alleles]) for name in settings.scores
    }
    parts = feature_parts(classifier.features, vectors, scores, texts)
    probabilities = classifier.probabilities(np.concatenate(list(parts.values()), axis=1))
    answers = {}
    for key, of_classes in zip(known, probabilities, strict=True):
        if len(classifier.classes) == 2:
            answers[key] = float(of_classes[1]), ""
        elif np.isfinite(of_classes).all():
            best = int(of_classes.argmax())
            answers[key] = float(of_classes[best]), classifier.classes[best]
    return answers
