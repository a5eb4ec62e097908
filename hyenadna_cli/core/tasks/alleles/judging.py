"""How well each set of features tells alleles apart, and what position and letters alone tell.

Every set is fitted to the same training rows, its strength chosen and its probabilities calibrated
on the same validation rows, and judged on the same test rows, in all and within each region class.
With rotations, the test rows are those of each, judged by the probe that has not seen them.
"""

# N alleles, D numbers of features

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Split, Task
from hyenadna_cli.core.io.tsv import Cell, TsvWriter
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.tasks.alleles import features as allele_features
from hyenadna_cli.core.tasks.alleles.classifier import Calibration, Floats
from hyenadna_cli.core.tasks.alleles.data import LabelledAlleles
from hyenadna_cli.core.tasks.alleles.regions import CLASSES, Transcripts
from hyenadna_cli.core.tasks.classification import as_scores
from hyenadna_cli.core.tasks.finetuning.probing import LinearProbe, fit_probe
from hyenadna_cli.core.tasks.finetuning.training import judged
from hyenadna_cli.core.tasks.metrics.evaluation import Metrics, evaluate

log = logging.getLogger(__name__)

_FEWEST = 10
"""Alleles of the rarest class of a region that say anything about it."""

Kind = Literal["all", "alone", "without", "baseline", "beside"]
"""Of a set: what is kept, one feature of it, all but one; what knows no model; all of both."""

_VALUES = ("auroc", "auprc", "mcc", "brier")
COLUMNS = (
    "features",
    "kind",
    "region",
    "n",
    "n_rarest_class",
    *(f"{name}{end}" for name in _VALUES for end in ("", "_low", "_high")),
)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A probe of some features, its calibration, and what it says of the test rows."""

    probe: LinearProbe
    calibration: Calibration
    scores: Floats
    """As `metrics.evaluate` takes them."""


def task_of(alleles: LabelledAlleles) -> Task:
    """Two classes or several."""
    return "binary" if len(alleles.classes) == 2 else "multiclass"


def fit(alleles: LabelledAlleles, features_ND: Floats, *, select: str | None) -> Fitted:
    """Learn from the training rows; strength and calibration from the validation rows.

    Of several rotations the first one's probe is kept, and each one's judges its own test rows.
    """
    task = task_of(alleles)
    fitted = [
        _fit_rotation(alleles, features_ND, rows_of, select=select) for rows_of in alleles.rotations
    ]
    scores = [
        _scores(task, probe, calibration, features_ND[rows_of["test"]])
        for (probe, calibration), rows_of in zip(fitted, alleles.rotations, strict=True)
    ]
    return Fitted(*fitted[0], np.concatenate(scores))


def _fit_rotation(
    alleles: LabelledAlleles,
    features_ND: Floats,
    rows_of: Mapping[Split, NDArray[np.int64]],
    *,
    select: str | None,
) -> tuple[LinearProbe, Calibration]:
    task, targets = task_of(alleles), alleles.targets
    train, valid = rows_of["train"], rows_of["valid"]

    def judge(probe: LinearProbe) -> float:
        scores = probe.predictions(task, features_ND[valid])
        return judged(task, select, targets[valid], scores, alleles.classes)

    probe = fit_probe(
        task, features_ND[train], targets[train], n_outputs=len(alleles.classes), judge=judge
    )
    return probe, Calibration.fit(probe.scores(features_ND[valid]), targets[valid])


def _scores(
    task: Task, probe: LinearProbe, calibration: Calibration, features_ND: Floats
) -> Floats:
    logits_NC = calibration.temperature * probe.scores(features_ND) + calibration.shift_C
    shifted = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    return as_scores(task, shifted / shifted.sum(axis=1, keepdims=True))


def feature_sets(
    alleles: LabelledAlleles, transcripts: Transcripts | None
) -> Iterator[tuple[str, Kind, Floats]]:
    """Name, kind and numbers of every set that is judged; the one that is kept comes first."""
    names = list(alleles.parts)
    everything = np.concatenate(list(alleles.parts.values()), axis=1)
    yield "+".join(names), "all", everything
    if len(names) > 1:
        for name in names:
            yield name, "alone", alleles.parts[name]
        for name in names:
            rest = [part for other, part in alleles.parts.items() if other != name]
            yield f"all but {name}", "without", np.concatenate(rest, axis=1)
    known = {"context": allele_features.context(alleles.texts)}
    known["kmer"] = allele_features.kmers(alleles.texts)
    if transcripts is not None:
        known["position"] = transcripts.features(alleles.chroms, alleles.starts.tolist())
    for name, part in known.items():
        if name not in names:
            yield name, "baseline", part
    without_model = np.concatenate(list(known.values()), axis=1)
    yield "+".join(known), "baseline", without_model
    of_model = {name: part for name, part in alleles.parts.items() if name not in known}
    if of_model:
        together = np.concatenate([without_model, *of_model.values()], axis=1)
        yield "+".join([*known, *of_model]), "beside", together


def regions_of(alleles: LabelledAlleles, transcripts: Transcripts | None) -> NDArray[np.str_]:
    """The region class of each test row; `all` of every one without transcripts."""
    rows = alleles.judged_rows
    if transcripts is None:
        return np.array(["all"] * len(rows))
    return np.array([transcripts.region(alleles.chroms[r], int(alleles.starts[r])) for r in rows])


def table_rows(
    name: str,
    kind: Kind,
    fitted: Fitted,
    alleles: LabelledAlleles,
    regions: NDArray[np.str_],
) -> Iterator[tuple[tuple[Cell, ...], Metrics]]:
    """A row over all test rows, and one for each region class with enough of every class."""
    targets = alleles.targets[alleles.judged_rows]
    for region in ("all", *CLASSES):
        chosen = np.ones(len(targets), bool) if region == "all" else regions == region
        counts = np.bincount(targets[chosen], minlength=len(alleles.classes))
        if region != "all" and counts.min() < _FEWEST:
            continue
        metrics = evaluate(
            task_of(alleles), targets[chosen], fitted.scores[chosen], alleles.classes
        )
        estimates = [metrics.values[value] for value in _VALUES]
        numbers = [number for e in estimates for number in (e.value, e.low, e.high)]
        yield (name, kind, region, int(chosen.sum()), int(counts.min()), *numbers), metrics


def write_table(path: Path, rows: Sequence[tuple[Cell, ...]]) -> None:
    """feature_sets.tsv. Raises OutputError."""
    with TsvWriter(str(path), columns=COLUMNS, overwrite=True) as table:
        for row in rows:
            table.write_row(row)


def report_leakage(alleles: LabelledAlleles, transcripts: Transcripts | None, output: Path) -> None:
    """Write leakage.json, and warn: test rows whose window overlaps one of a training row, or that
    lie in a gene with one. Raises OutputError.
    """
    places: list[tuple[str, int] | None] = []
    if transcripts is not None:
        places = [
            transcripts.transcript_at(contig, start)
            for contig, start in zip(alleles.chroms, alleles.starts.tolist(), strict=True)
        ]
    overlapping, in_gene = 0, None if transcripts is None else 0
    for rows_of in alleles.rotations:
        train, test = rows_of["train"], rows_of["test"]
        overlapping += _near(alleles, test, train)
        if in_gene is not None:
            known = {places[row] for row in train} - {None}
            in_gene += sum(places[row] in known for row in test)
    n_judged = len(alleles.judged_rows)
    content = {
        "is_leaking": bool(overlapping or in_gene),
        "test_rows": n_judged,
        "windows_overlap_training": overlapping,
        "genes_shared_with_training": in_gene,
    }
    atomic.write_text(output / "leakage.json", json.dumps(content, indent=2) + "\n")
    n_test = f"{n_judged:,}"
    if overlapping:
        log.warning(
            "%s of %s test alleles lie within %s bases of a training allele: their windows overlap",
            f"{overlapping:,}",
            n_test,
            f"{alleles.window:,}",
        )
    if in_gene:
        log.warning("%s of %s test alleles share a gene with training", f"{in_gene:,}", n_test)


def _near(alleles: LabelledAlleles, rows: NDArray[np.int64], others: NDArray[np.int64]) -> int:
    """How many of `rows` lie less than a window from one of `others`."""
    n_near = 0
    chroms = np.array(alleles.chroms)
    for chrom in np.unique(chroms[rows]):
        known = np.sort(alleles.starts[others[chroms[others] == chrom]])
        if not known.size:
            continue
        starts = alleles.starts[rows[chroms[rows] == chrom]]
        after = np.searchsorted(known, starts)
        left = starts - known[np.maximum(after - 1, 0)]
        right = known[np.minimum(after, known.size - 1)] - starts
        n_near += int((np.minimum(np.abs(left), np.abs(right)) < alleles.window).sum())
    return n_near
