"""One run: labelled alleles to a directory whose classifier scores a VCF."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

from hyenadna_cli.core.inference.chosen_model import ChosenModel
from hyenadna_cli.core.io.tsv import Cell
from hyenadna_cli.core.model.checkpoints import checkpoint
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.core.tasks.alleles.classifier import AlleleClassifier
from hyenadna_cli.core.tasks.alleles.data import LabelledAlleles
from hyenadna_cli.core.tasks.alleles.judging import (
    COLUMNS,
    Fitted,
    feature_sets,
    fit,
    regions_of,
    report_leakage,
    table_rows,
    task_of,
    write_table,
)
from hyenadna_cli.core.tasks.alleles.regions import Transcripts
from hyenadna_cli.core.tasks.alleles.stored import SETTINGS
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.tasks.metrics.evaluation import Metrics
from hyenadna_cli.core.tasks.metrics.files import write_evaluation
from hyenadna_cli.errors import InputFileError

log = logging.getLogger(__name__)


def check_model(path: Path, alleles: LabelledAlleles, model: ChosenModel) -> None:
    """Raise InputFileError unless the vectors and scores are the model's."""
    made = alleles.settings
    if made.get("sha256") != model.source.sha256:
        raise InputFileError(
            path,
            f"was made with {made.get('model', 'a model without a name')}, whose weights are not "
            f"those of {model.source.name}; name its model with -m",
        )
    if float(made.get("filter_shift", model.filter_shift)) != model.filter_shift:
        raise InputFileError(
            path,
            f"was made with --filter-shift {made['filter_shift']}, not {model.filter_shift}",
        )


def fit_alleles(
    alleles: LabelledAlleles,
    model: ChosenModel,
    *,
    genes: Path | None,
    select: str | None,
    output: Path,
    made_by: Provenance,
) -> list[tuple[Cell, ...]]:
    """Fit and judge every set of features, and write the classifier of all that were asked for.

    Returns the rows of feature_sets.tsv, under `judging.COLUMNS`. Raises UsageError for a `select`
    that the task does not have, InputFileError for `genes`, and OutputError.
    """
    transcripts = None if genes is None else Transcripts(genes)
    report_leakage(alleles, transcripts, output)
    regions = regions_of(alleles, transcripts)
    rows: list[tuple[Cell, ...]] = []
    kept: tuple[Fitted, Metrics] | None = None
    for name, kind, features_ND in feature_sets(alleles, transcripts):
        fitted = fit(alleles, features_ND, select=select)
        for row, metrics in table_rows(name, kind, fitted, alleles, regions):
            rows.append(row)
            kept = kept or (fitted, metrics)
    assert kept is not None
    write_table(output / "feature_sets.tsv", rows)
    _write(alleles, model, *kept, output=output, made_by=made_by)
    return rows


def printed(rows: list[tuple[Cell, ...]]) -> Iterator[str]:
    """The rows as aligned lines: features, region, alleles, AUROC and AUPRC with intervals.

    Region classes are shown of what is kept and of baselines.
    """
    place = {name: number for number, name in enumerate(COLUMNS)}
    rows = [row for row in rows if row[2] == "all" or row[1] in ("all", "baseline", "beside")]
    width = max(len(str(row[0])) for row in rows)
    yield f"{'features':{width}}  region  alleles  AUROC (95 %)      AUPRC (95 %)"
    for row in rows:
        values = [_interval(row[place[name] : place[name] + 3]) for name in ("auroc", "auprc")]
        region, n = row[place["region"]], row[place["n"]]
        yield f"{row[0]:{width}}  {region:6}  {n:>7,}  {'  '.join(values)}"


def _interval(cells: tuple[Cell, ...]) -> str:
    value, low, high = (float(cell) for cell in cells)
    return f"{value:.3f} ({low:.3f}-{high:.3f})"


def _write(
    alleles: LabelledAlleles,
    model: ChosenModel,
    fitted: Fitted,
    metrics: Metrics,
    *,
    output: Path,
    made_by: Provenance,
) -> None:
    checkpoint.save(model.load(), output)
    AlleleClassifier(
        classes=alleles.classes,
        features=tuple(alleles.parts),
        settings={name: alleles.settings[name] for name in SETTINGS if name in alleles.settings},
        weight_CD=fitted.probe.weight_CD,
        bias_C=fitted.probe.bias_C,
        calibration=fitted.calibration,
    ).save(output)
    record = {
        "task": task_of(alleles),
        "method": "probe",
        "label_map": {name: index for index, name in enumerate(alleles.classes)},
        "features": list(alleles.parts),
        "strength": fitted.probe.strength,
        "rows": alleles.split_sizes,
        "rotations": len(alleles.rotations),
        "groups": {
            split: sorted({alleles.groups[row] for row in of_split})
            for split, of_split in alleles.rows_of.items()
        },
        "results": {name: found.value for name, found in metrics.values.items()},
        "made_by": made_by.as_json(),
    }
    atomic.write_text(output / "training.json", json.dumps(record, indent=2) + "\n")
    test = alleles.judged_rows
    rows = LabelledRows(
        names=[alleles.names[row] for row in test],
        sequences=[""] * len(test),
        intervals=[None] * len(test),
        targets=alleles.targets[test],
    )
    facts = {"method": "probe", "split": "test", "strength": fitted.probe.strength}
    write_evaluation(output, rows, fitted.scores, metrics, facts=facts)
