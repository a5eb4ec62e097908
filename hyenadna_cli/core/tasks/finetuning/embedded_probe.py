r"""A linear probe on an embeddings file and a table of labels: no model, no sequences.

embeddings (.h5, .h5ad) --names--> features  \
    labels (name, label, split) ---> targets ----+-> LinearProbe -> metrics, predictions

Without sequences, the report on leakage can only tell the names that stand in two splits.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Split, Task
from hyenadna_cli.core.config.flags import flag_of
from hyenadna_cli.core.io.embeddings_reading import read_embeddings
from hyenadna_cli.core.io.labelled_cells import table_lines
from hyenadna_cli.core.io.labelled_tables import LabelRow, checked_split
from hyenadna_cli.core.outputs import atomic
from hyenadna_cli.core.outputs.provenance import Provenance, Setting
from hyenadna_cli.core.tasks.finetuning.probing import LinearProbe, fit_probe
from hyenadna_cli.core.tasks.finetuning.settings import Comparison
from hyenadna_cli.core.tasks.finetuning.training import judged
from hyenadna_cli.core.tasks.labelled.columns import Labelling, LabelTexts, infer, targets_of
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.tasks.labelled.settings import LabelledFiles
from hyenadna_cli.core.tasks.metrics.evaluation import Metrics, evaluate
from hyenadna_cli.core.tasks.metrics.files import write_evaluation
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)

_COLUMNS = ("name", "label", "split")
_N_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class EmbeddedSplit:
    """Rows of one split: features (n, d), and what they are labelled with."""

    rows: LabelledRows
    features_ND: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddedData:
    """What a probe learns from and is judged on: the splits train and test, perhaps valid."""

    labelling: Labelling
    splits: dict[Split, EmbeddedSplit]

    def describe(self) -> str:
        """One line: `binary (bulk, island), 128 features: train 80 rows; test 40 rows`."""
        sizes = [f"{split} {len(part.rows):,} rows" for split, part in self.splits.items()]
        width = self.splits["train"].features_ND.shape[1]
        names = self.labelling.label_names
        listed = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        return f"{self.labelling.task} ({listed}), {width:,} features: {'; '.join(sizes)}"

    @property
    def split_sizes(self) -> dict[str, int]:
        """Rows of each split."""
        return {split: len(part.rows) for split, part in self.splits.items()}


@dataclass(frozen=True, slots=True)
class _SharedNames:
    """Rows of one split whose names stand in another one too."""

    judging: Split
    other: Split
    n_rows: int
    """Of the judging split."""
    n_shared: int
    examples: tuple[str, ...]


def files_of(
    comparison: Comparison, files: LabelledFiles, *, preset: str | None
) -> tuple[Path, Path | None]:
    """Vectors and table of labels; None where a column of the vectors has them.

    Raises UsageError for options that mean nothing with them.
    """
    of_column = comparison.label_column is not None
    n_tables = 0 if of_column else 1
    if not comparison.probe or len(files.data) != n_tables or preset or not comparison.embeddings:
        raise UsageError(
            "--embeddings goes with --probe and either one table of labels as --data, or "
            "--label-column"
        )
    known = {"probe", "embeddings", "task", "seed"}
    if of_column:
        known |= {"label_column", "min_class", "test_contigs", "valid_contigs", "valid_fraction"}
    else:
        known.add("data")
    _check_others(comparison, files, known, is_table=not of_column)
    return comparison.embeddings, None if of_column else Path(files.data[0])


def alleles_of(comparison: Comparison, files: LabelledFiles, *, preset: str | None) -> Path:
    """Vectors of alleles. Raises UsageError for options that mean nothing with their labels."""
    if not (comparison.probe and comparison.embeddings and comparison.label_column) or preset:
        raise UsageError("--groups goes with --probe --embeddings ALLELES --label-column KEY")
    known = {"probe", "embeddings", "label_column", "seed"}
    _check_others(comparison, files, known, is_table=False)
    return comparison.embeddings


def _check_others(
    comparison: Comparison, files: LabelledFiles, known: set[str], *, is_table: bool
) -> None:
    """Raise UsageError for an option that says nothing beside vectors."""
    if not comparison.compare:
        known.add("compare")
    for options in (comparison, files):
        for of in fields(options):
            if of.name not in known and getattr(options, of.name) != of.default:
                raise UsageError(
                    f"{flag_of(type(options), of.name)} means nothing with --embeddings"
                    + (": the table's columns name, label " if is_table else " and --label-column")
                    + ("and split say it all" if is_table else "")
                )


def described(comparison: Comparison, files: LabelledFiles) -> dict[str, Setting]:
    """How rows become labelled splits, for provenance; a table says it itself."""
    if comparison.label_column is None:
        return {}
    return {
        "label_column": comparison.label_column,
        "min_class": comparison.min_class,
        "test_contigs": list(files.test_contigs),
        "valid_contigs": list(files.valid_contigs),
        "valid_fraction": files.valid_fraction,
        "task": files.task,
    }


def read_embedded(embeddings: Path, labels: Path, *, task: Task | None) -> EmbeddedData:
    """Labelled vectors by split.

    Raises InputFileError for a table without the columns name, label and split, names without a
    vector of finite numbers, a train or test split that is empty, and labels that do not fit.
    """
    vectors = read_embeddings(embeddings)
    place_of = {name: index for index, name in enumerate(vectors.names)}
    marked: dict[Split, list[LabelRow]] = {}
    for split, row in _label_rows(labels):
        if row.name not in place_of:
            raise row.error(f"{row.name!r} is not in {embeddings.name}")
        if not np.isfinite(vectors.X[place_of[row.name]]).all():
            raise row.error(
                f"{row.name!r} has no vector of finite numbers in {embeddings.name}, as records "
                "that are EMPTY; leave it out"
            )
        marked.setdefault(split, []).append(row)
    needed: tuple[Split, ...] = ("train", "test")
    for split in needed:
        if split not in marked:
            raise InputFileError(labels, f"no row is marked {split}: the {split} split is empty")
    train = label_texts(marked["train"])
    labelling = infer(
        train, lengths=[0] * len(train.texts), label_columns=("label",), task=task, path=str(labels)
    )
    splits: dict[Split, EmbeddedSplit] = {}
    for split, mine in marked.items():
        names = [row.name for row in mine]
        targets = targets_of(
            label_texts(mine),
            labelling,
            lengths=[0] * len(mine),
            places=[(row.path, row.line) for row in mine],
        )
        labelled = LabelledRows(
            names=names, sequences=[""] * len(mine), intervals=[None] * len(mine), targets=targets
        )
        splits[split] = EmbeddedSplit(labelled, vectors.X[[place_of[name] for name in names]])
    return EmbeddedData(labelling, splits)


def report_shared_names(data: EmbeddedData, output: Path) -> None:
    """Write leakage.json, and warn of names that stand in two splits. Raises OutputError."""
    pairs = list(_shared_names(data))
    content = {
        "is_leaking": any(pair.n_shared for pair in pairs),
        "pairs": [asdict(pair) for pair in pairs],
    }
    atomic.write_text(output / "leakage.json", json.dumps(content, indent=2) + "\n")
    for pair in pairs:
        if pair.n_shared:
            log.warning(
                "%s against %s, of %s rows: %s have a name that stands in both, e.g. %s",
                pair.judging,
                pair.other,
                f"{pair.n_rows:,}",
                f"{pair.n_shared:,}",
                pair.examples[0],
            )


def probe_embeddings(
    data: EmbeddedData, *, select: str | None, output: Path, made_by: Provenance
) -> Metrics:
    """Fit on the training rows, choose on the validation rows if there are any, judge on the test.

    Writes the evaluation and training.json into `output`. Raises UsageError for a `select` that the
    task does not have, and OutputError.
    """
    labelling, splits = data.labelling, data.splits
    train, test = splits["train"], splits["test"]
    n_outputs = len(labelling.label_names)

    def score(probe: LinearProbe, part: EmbeddedSplit) -> NDArray[np.float64]:
        return probe.predictions(labelling.task, part.features_ND)

    judge = None
    if (valid := splits.get("valid")) is not None:
        held_out = valid

        def judge(probe: LinearProbe) -> float:
            return judged(
                labelling.task,
                select,
                held_out.rows.flat_targets,
                score(probe, held_out),
                labelling.label_names,
            )

    probe = fit_probe(
        labelling.task, train.features_ND, train.rows.flat_targets, n_outputs=n_outputs, judge=judge
    )
    scores = score(probe, test)
    metrics = evaluate(labelling.task, test.rows.flat_targets, scores, labelling.label_names)
    record = {
        "task": labelling.task,
        "label_map": {name: index for index, name in enumerate(labelling.label_names)},
        "method": "probe",
        "strength": probe.strength,
        "rows": data.split_sizes,
        "results": {name: found.value for name, found in metrics.values.items()},
        "made_by": made_by.as_json(),
    }
    atomic.write_text(output / "training.json", json.dumps(record, indent=2) + "\n")
    facts = {"method": "probe", "split": "test", "strength": probe.strength}
    write_evaluation(output, test.rows, scores, metrics, facts=facts)
    return metrics


def _shared_names(data: EmbeddedData) -> Iterator[_SharedNames]:
    order: tuple[Split, ...] = ("test", "valid", "train")
    for judging, other in combinations([split for split in order if split in data.splits], 2):
        names, known = data.splits[judging].rows.names, set(data.splits[other].rows.names)
        shared = [name for name in names if name in known]
        yield _SharedNames(judging, other, len(names), len(shared), tuple(shared[:_N_EXAMPLES]))


def label_texts(rows: list[LabelRow]) -> LabelTexts:
    """The labels of rows that have one each."""
    texts = LabelTexts()
    for row in rows:
        texts.add(row, n_columns=1)
    return texts


def _label_rows(path: Path) -> Iterator[tuple[Split, LabelRow]]:
    lines = table_lines(path)
    header = [cell.lower() for cell in next(lines, (1, []))[1]]
    if missing := [name for name in _COLUMNS if name not in header]:
        raise InputFileError(
            path, f"has no column {missing[0]!r}; needs {', '.join(_COLUMNS)}", line=1
        )
    name, label, split = (header.index(column) for column in _COLUMNS)
    for line, cells in lines:
        if len(cells) != len(header):
            raise InputFileError(path, f"has {len(cells)} cells, not {len(header)}", line=line)
        try:
            marked = checked_split(cells[split])
        except ValueError as error:
            raise InputFileError(path, str(error), line=line) from None
        yield marked, LabelRow(str(path), line, cells[name], None, None, (cells[label],), marked)
