"""Labelled sequences in the files people have: rows of each split, with targets.

    file_layouts.py says which file holds what -> rows as they come in -> task and targets

Without a validation split, one can be cut from the training rows (`labelled.validation`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from hyenadna_cli.core.config.choices import SPLITS, Split, Task
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import LetterCounts
from hyenadna_cli.core.io.bed import read_regions
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.labelled_fasta import read_bare_sequences, read_labelled_fasta
from hyenadna_cli.core.io.labelled_tables import CONTROL, LabelRow, LabelTable, read_label_table
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.core.io.target_matrices import SUFFIXES as MATRIX_SUFFIXES
from hyenadna_cli.core.io.target_matrices import read_target_matrix
from hyenadna_cli.core.tasks.labelled.columns import Labelling, LabelTexts, infer, targets_of
from hyenadna_cli.core.tasks.labelled.file_layouts import (
    BED,
    TABLES,
    LabelFile,
    files_of_splits,
    suffix_of,
)
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows, LabelSource
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)

_BED_LABEL = "name"
_FIRST_KEPT_BED_COLUMN = 7
_MOST_FILES_LISTED = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How labelled files are to be read."""

    genome: Genome | None = None
    """For rows that are coordinates."""
    contigs: ContigNames | None = None
    """How contig names become those of `genome`; None: exactly."""
    task: Task | None = None
    """None: inferred from the training labels."""
    label_columns: tuple[str, ...] = ()
    """Columns of a table, or one of a BED: `name` (the default) or a number from 7 up."""
    valid_contigs: frozenset[str] = frozenset()
    test_contigs: frozenset[str] = frozenset()
    """Contigs whose rows form the validation and the test split."""
    known: Labelling | None = None
    """Task and label names of a trained model, which the files must fit."""


@dataclass(slots=True)
class _Collected:
    """The rows of one split as they come in."""

    names: list[str] = field(default_factory=list)
    sequences: list[str | None] = field(default_factory=list)
    intervals: list[Interval | None] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    places: list[tuple[str, int]] = field(default_factory=list)
    labels: LabelTexts = field(default_factory=LabelTexts)

    def add(self, row: LabelRow, n_columns: int) -> None:
        self.names.append(row.name)
        self.sequences.append(row.sequence)
        self.intervals.append(row.interval)
        if row.sequence is not None:
            self.lengths.append(len(row.sequence))
        else:
            assert row.interval is not None
            self.lengths.append(row.interval.length)
        self.places.append((row.path, row.line))
        self.labels.add(row, n_columns=n_columns)


def read_labelled(
    data: Sequence[str],
    *,
    valid: Sequence[str] = (),
    test: Sequence[str] = (),
    reading: Reading,
    letters: LetterCounts,
) -> LabelledData:
    """Read everything of one task; each of `data`, `valid`, `test` is a PATH or CLASS=PATH.

    Raises InputFileError naming file and row for whatever does not fit, UsageError for files whose
    splits contradict each other.
    """
    files = files_of_splits(data, valid, test)
    collected: dict[Split, _Collected] = {}
    columns: tuple[str, ...] | None = None
    for given, split_files in files.items():
        for file in split_files:
            table = _open(file, reading, letters)
            if columns is not None and table.label_columns != columns:
                raise InputFileError(
                    file.path,
                    f"has the label columns {_listed(table.label_columns)}; "
                    f"other files have {_listed(columns)}",
                )
            columns = table.label_columns
            if broken := [name for name in columns if CONTROL.search(name)]:
                problem = f"the label column {broken[0]!r} has a tab or a line break in its name"
                raise InputFileError(file.path, problem)
            n_before = sum(len(part.names) for part in collected.values())
            for row in table.rows:
                split = _split_of(row, given, reading)
                collected.setdefault(split, _Collected()).add(row, len(columns))
            if sum(len(part.names) for part in collected.values()) == n_before:
                split = given or "train"
                raise InputFileError(file.path, f"holds no rows: the {split} split is empty")
    # Those of training first: what is wrong with a split that is missing is said of them.
    by_split = [sorted(file.path for file in files.get(split, ())) for split in (None, *SPLITS)]
    paths = list(dict.fromkeys(chain.from_iterable(by_split)))
    return _assembled(collected, columns or (), paths, reading)


def _assembled(
    collected: Mapping[Split, _Collected],
    columns: tuple[str, ...],
    paths: Sequence[Path],
    reading: Reading,
) -> LabelledData:
    labelling = reading.known
    if labelling is None:
        if "train" not in collected:
            raise InputFileError(paths[0], "holds no training rows")
        train = collected["train"]
        labelling = infer(
            train.labels,
            lengths=train.lengths,
            label_columns=columns,
            task=reading.task,
            path=train.places[0][0],
        )
    for name, contigs in (("valid", reading.valid_contigs), ("test", reading.test_contigs)):
        if contigs and name not in collected:
            raise InputFileError(
                paths[0], f"no row lies on {', '.join(sorted(contigs))}: the {name} split is empty"
            )
    splits: dict[Split, LabelledRows] = {}
    for split in SPLITS:
        if split in collected:
            part = collected[split]
            splits[split] = LabelledRows(
                names=part.names,
                sequences=part.sequences,
                intervals=part.intervals,
                targets=targets_of(
                    part.labels, labelling, lengths=part.lengths, places=part.places
                ),
                genome=reading.genome,
            )
    return LabelledData(
        task=labelling.task,
        label_names=labelling.label_names,
        splits=splits,
        sources=_sources(paths),
    )


def _split_of(row: LabelRow, of_file: Split | None, reading: Reading) -> Split:
    """The split of the file, of the row, or of its contig; training where none says otherwise.

    Contigs take rows from training only: a row that is held out stays where it is.
    """
    if of_file is not None and row.split not in (None, of_file):
        raise row.error(f"is marked {row.split}, in a file given as {of_file}")
    stated = of_file or row.split or "train"
    by_contig = _split_of_contig(row, reading) if stated == "train" or of_file is None else None
    if by_contig is None or by_contig == stated:
        return stated
    if stated != "train":
        raise row.error(f"is marked {stated}, but its contig is one of --{by_contig}-contigs")
    return by_contig


def _split_of_contig(row: LabelRow, reading: Reading) -> Split | None:
    if not (reading.valid_contigs or reading.test_contigs):
        return None
    if row.interval is None:
        raise row.error("has no coordinates, so its split cannot be told by contig")
    if row.interval.contig in reading.test_contigs:
        return "test"
    return "valid" if row.interval.contig in reading.valid_contigs else None


def _open(file: LabelFile, reading: Reading, letters: LetterCounts) -> LabelTable:
    contigs = reading.contigs
    if contigs is None and reading.genome is not None:
        contigs = ContigNames(reading.genome.lengths)
    kind = suffix_of(file.path)
    if kind in BED:
        if contigs is None:
            raise UsageError(f"{file.path}: regions need the genome they lie on (--fasta)")
        return LabelTable(("label",), _bed_rows(file, contigs, reading.label_columns))
    if kind in MATRIX_SUFFIXES:
        return read_target_matrix(file.path, contigs=contigs, letters=letters)
    source = Input(file.path)
    if kind not in TABLES and source.kind == "FASTA":
        rows = read_labelled_fasta(source, letters=letters, label=file.label)
        return LabelTable(("label",), rows)
    if kind == ".txt" and file.label is not None:
        bare = read_bare_sequences(source, letters=letters, label=file.label)
        return LabelTable(("label",), bare)
    table = read_label_table(
        file.path,
        contigs=contigs,
        letters=letters,
        label_columns=() if file.label is not None else reading.label_columns,
    )
    if file.label is not None:
        return LabelTable(("label",), _relabelled(table.rows, file.label))
    if not table.label_columns:
        raise InputFileError(file.path, "has no label column", line=1)
    if table.left_out:
        log.warning(
            "%s: left out %s, which looks like row numbers (--label-columns takes it as a label)",
            file.path,
            _listed(table.left_out),
        )
    return table


def _bed_rows(
    file: LabelFile, contigs: ContigNames, label_columns: Sequence[str]
) -> Iterator[LabelRow]:
    column = label_columns[0] if label_columns else _BED_LABEL
    if len(label_columns) > 1 or not (column == _BED_LABEL or column.isdigit()):
        raise UsageError(f"the label of a BED is its `name` or a column number, not {column!r}")
    for region in read_regions(Input(file.path), contigs=contigs):
        if file.label is not None:
            label = file.label
        elif column == _BED_LABEL:
            label = region.name if region.has_name else ""
        else:
            index = int(column) - _FIRST_KEPT_BED_COLUMN
            label = region.columns[index] if 0 <= index < len(region.columns) else ""
        interval = region.interval
        yield LabelRow(
            path=str(file.path),
            line=region.line,
            name=f"{interval.contig}:{interval.start}-{interval.end}",
            sequence=None,
            interval=interval,
            labels=(label,),
            split=None,
        )


def _relabelled(rows: Iterator[LabelRow], label: str) -> Iterator[LabelRow]:
    for row in rows:
        yield LabelRow(
            path=row.path,
            line=row.line,
            name=row.name,
            sequence=row.sequence,
            interval=row.interval,
            labels=(label,),
            split=row.split,
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _sources(paths: Sequence[Path]) -> tuple[LabelSource, ...]:
    """A file each; where sequences lie in files of their own, one entry for each folder."""
    sources = tuple(map(_source, paths))
    if len(paths) <= _MOST_FILES_LISTED:
        return sources
    folders: dict[Path, list[LabelSource]] = {}
    for path, source in zip(paths, sources, strict=True):
        folders.setdefault(path.parent, []).append(source)
    return tuple(_folder(folder, files) for folder, files in folders.items())


def _folder(folder: Path, files: list[LabelSource]) -> LabelSource:
    """All files of a folder as one: the digest is over their names and digests, in order."""
    listing = "".join(f"{Path(file.path).name} {file.sha256}\n" for file in files)
    return LabelSource(
        path=str(folder),
        size=sum(file.size for file in files),
        sha256=hashlib.sha256(listing.encode()).hexdigest(),
    )


def _source(path: Path) -> LabelSource:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return LabelSource(path=str(path), size=path.stat().st_size, sha256=digest)
