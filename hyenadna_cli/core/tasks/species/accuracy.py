"""How accuracy grows with length: fixed windows of held-out contigs, one length after the other.

fixed windows -> probabilities -> metrics of each length -> tables
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Split, StrandChoice
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.model.classifier import SequenceClassifier
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.tasks.classification import predict
from hyenadna_cli.core.tasks.metrics import evaluation
from hyenadna_cli.core.tasks.metrics.evaluation import Metrics
from hyenadna_cli.core.tasks.species import curve
from hyenadna_cli.core.tasks.species.manifest import SpeciesGenomes
from hyenadna_cli.core.tasks.species.settings import Measurement
from hyenadna_cli.core.tasks.species.windows import SpeciesWindow, check_lengths, fixed_windows
from hyenadna_cli.errors import UsageError

log = logging.getLogger(__name__)

ACCURACY_COLUMNS = (
    "length",
    "n_windows",
    "n_species",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "balanced_accuracy",
    "mcc",
)
SPECIES_COLUMNS = ("length", "species", "n_windows", "precision", "recall", "f1")
REPORT = "metrics.json"
"""By which a directory of such tables is known."""
CONFUSION_COLUMNS = ("length", "species", "predicted", "n_windows")


@dataclass(frozen=True, slots=True)
class AtLength:
    """What was measured with windows of one length."""

    length: int
    """Bases."""
    metrics: Metrics

    def __str__(self) -> str:
        return (
            f"{self.length:,} bases: accuracy {self.metrics.values['accuracy']}, "
            f"{self.metrics.n:,} windows of {self.n_species} species"
        )

    @property
    def n_species(self) -> int:
        """Species that have windows of this length."""
        assert self.metrics.confusion_CC is not None
        return int((self.metrics.confusion_CC.sum(1) > 0).sum())


def accuracy_by_length(
    classifier: SequenceClassifier,
    genomes: SpeciesGenomes,
    *,
    lengths: Sequence[int],
    max_windows: int,
    device: torch.device,
    split: Split = "test",
    strand: StrandChoice = "+",
    seed: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[AtLength]:
    """Classify at most `max_windows` windows per species of each length (bases).

    Ends early once `should_stop` says so. Raises InputFileError, before anything is classified, if
    there is no window of a length at all.
    """
    check_lengths(genomes, split, lengths)
    for length in lengths:
        windows = fixed_windows(genomes, split, length=length, max_windows=max_windows)
        labels: list[int] = []
        batcher = Batcher(
            tiling=Tiling(length, length),
            limits=BatchLimits.choose(device, batch_size=None),
            device=device,
        )
        batches = predict(classifier, _records(windows, labels), batcher=batcher, strand=strand)
        probabilities: list[NDArray[np.float64]] = []
        for done in batches:
            if should_stop():
                return
            probabilities += [row.values for row in done.rows]
        metrics = evaluation.evaluate(
            "multiclass", np.array(labels), np.stack(probabilities), genomes.names, seed=seed
        )
        yield AtLength(length, metrics)


def measure(
    classifier: SequenceClassifier,
    genomes: SpeciesGenomes,
    asked: Measurement,
    output: Path,
    *,
    overwrite: bool,
    made_by: Provenance,
    should_stop: Callable[[], bool] = lambda: False,
) -> bool:
    """Write accuracy by length into `output`; False, and nothing, if `should_stop` says so."""
    results, lengths = [], sorted(set(asked.lengths))
    for result in accuracy_by_length(
        classifier,
        genomes,
        lengths=lengths,
        max_windows=asked.n_windows,
        device=next(classifier.parameters()).device,
        split=asked.split,
        strand=asked.strand,
        should_stop=should_stop,
    ):
        log.info("%s", result)
        results.append(result)
    if len(results) < len(lengths):
        return False
    with atomic.replace_dir_on_success(output, overwrite=overwrite, marker=REPORT) as scratch:
        write_report(results, scratch)
        text = json.dumps(made_by.as_json(), indent=2)
        (scratch / "manifest.json").write_text(f"{text}\n")
        try:
            points = curve.read_curve("this model", scratch / "accuracy.tsv")
            curve.draw(points, scratch / "accuracy.png", overwrite=False)
        except UsageError as error:
            log.warning("no accuracy.png: %s", error)
    return True


def _records(windows: Iterator[SpeciesWindow], labels: list[int]) -> Iterator[Record]:
    """The windows as records; their labels are appended as they pass."""
    for window in windows:
        interval = window.genome_window.interval
        labels.append(window.label)
        yield Record(
            str(interval), interval.contig, interval.start, interval.end, "+", window.sequence()
        )


def write_report(results: Sequence[AtLength], directory: Path) -> None:
    """Write accuracy.tsv, species.tsv, confusion.tsv and metrics.json into an empty directory."""
    _write(directory / "accuracy.tsv", ACCURACY_COLUMNS, map(_accuracy_row, results))
    _write(directory / "species.tsv", SPECIES_COLUMNS, _species_rows(results))
    _write(directory / "confusion.tsv", CONFUSION_COLUMNS, _confusion_rows(results))
    by_length = {str(result.length): result.metrics.as_json() for result in results}
    (directory / REPORT).write_text(json.dumps(by_length, indent=2) + "\n")


def _write(
    path: Path, columns: Sequence[str], rows: Iterator[tuple[str | int | float, ...]]
) -> None:
    with TsvWriter(str(path), columns=columns, overwrite=False) as table:
        for row in rows:
            table.write_row(row)


def _accuracy_row(result: AtLength) -> tuple[str | int | float, ...]:
    values = result.metrics.values
    accuracy = values["accuracy"]
    return (
        result.length,
        result.metrics.n,
        result.n_species,
        accuracy.value,
        accuracy.low,
        accuracy.high,
        values["balanced_accuracy"].value,
        values["mcc"].value,
    )


def _species_rows(results: Sequence[AtLength]) -> Iterator[tuple[str | int | float, ...]]:
    for result in results:
        for name, values in result.metrics.per_label.items():
            numbers = (values[key] for key in ("precision", "recall", "f1"))
            yield (result.length, name, int(values["n"]), *numbers)


def _confusion_rows(results: Sequence[AtLength]) -> Iterator[tuple[str | int | float, ...]]:
    for result in results:
        names, counts = result.metrics.label_names, result.metrics.confusion_CC
        assert counts is not None
        for row, name in enumerate(names):
            for column, predicted in enumerate(names):
                yield (result.length, name, predicted, int(counts[row, column]))
