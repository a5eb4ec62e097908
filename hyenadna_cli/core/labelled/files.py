"""Labelled sequences in the files people have: which file holds which split and which class.

    table.csv                                      splits by column or contig, or all train
    train.csv valid.csv test.csv                   a file each, given or found in a directory
    H3_train.fna H3_test.fna                       so are names with one of these words in them
    root/{train,test}/CLASS/*.txt                  GenomicBenchmarks, sequences
    root/{train,test}/CLASS.csv.gz                 GenomicBenchmarks, coordinates
    CLASS=sequences.fa  CLASS=regions.bed          a file for each class
    train.mat  targets.h5  targets.npz             a matrix of targets
    NAME.train.csv.gz NAME.test.csv.gz             a common beginning: give NAME

Without a validation split, one can be cut from the training rows (`core.validation`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hyenadna_cli.core.contigs import ContigNames
from hyenadna_cli.core.coordinates import Interval
from hyenadna_cli.core.io.bed import read_regions
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.io.labelled_fasta import is_fasta, read_bare_sequences, read_labelled_fasta
from hyenadna_cli.core.io.labelled_tables import (
    SPLIT_NAMES,
    LabelRow,
    LabelTable,
    Split,
    read_label_table,
)
from hyenadna_cli.core.io.streams import reads_once
from hyenadna_cli.core.io.target_matrices import SUFFIXES as MATRIX_SUFFIXES
from hyenadna_cli.core.io.target_matrices import read_target_matrix
from hyenadna_cli.core.labelled.columns import Labelling, LabelTexts, infer, targets_of
from hyenadna_cli.core.labelled.rows import SPLITS, LabelledData, LabelledRows, LabelSource, Task
from hyenadna_cli.core.sequence import LetterCounts
from hyenadna_cli.errors import InputFileError, UsageError

_COMPRESSED = (".gz", ".bgz")
_TABLES = (".csv", ".tsv", ".parquet")
_BED = (".bed",)
_KNOWN_SUFFIXES = (
    *_COMPRESSED, *_TABLES, *_BED, *MATRIX_SUFFIXES, ".txt", ".fa", ".fasta", ".fna",
)  # fmt: skip
_BED_LABEL = "name"
_FIRST_KEPT_BED_COLUMN = 7
_MOST_FILES_LISTED = 50
_BESIDE_DATA = (".fai", ".gzi", ".csi", ".tbi", ".md", ".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A file, and the class of everything in it where the file itself has no labels."""

    path: Path
    label: str | None = None


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
    files = _files_of_splits(data, valid, test)
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
            n_before = sum(len(part.names) for part in collected.values())
            for row in table.rows:
                split = _split_of(row, given, reading)
                collected.setdefault(split, _Collected()).add(row, len(columns))
            if sum(len(part.names) for part in collected.values()) == n_before:
                split = given or "train"
                raise InputFileError(file.path, f"holds no rows: the {split} split is empty")
    paths = sorted({file.path for split_files in files.values() for file in split_files})
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
            path=str(paths[0]),
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


def _split_of(row: LabelRow, given: Split | None, reading: Reading) -> Split:
    """The split of the file, of the row, or of its contig; training where none says otherwise."""
    if given is not None:
        if row.split not in (None, given):
            raise row.error(f"is marked {row.split}, in a file given as {given}")
        return given
    by_contig = reading.valid_contigs | reading.test_contigs
    if by_contig:
        if row.interval is None:
            raise row.error("has no coordinates, so its split cannot be told by contig")
        if row.interval.contig in reading.test_contigs:
            return "test"
        return "valid" if row.interval.contig in reading.valid_contigs else "train"
    return row.split or "train"


def _open(file: LabelFile, reading: Reading, letters: LetterCounts) -> LabelTable:
    contigs = reading.contigs
    if contigs is None and reading.genome is not None:
        contigs = ContigNames(reading.genome.lengths)
    kind = _suffix(file.path)
    if kind in _BED:
        if contigs is None:
            raise UsageError(f"{file.path}: regions need the genome they lie on (--fasta)")
        return LabelTable(("label",), _bed_rows(file, contigs, reading.label_columns))
    if kind in MATRIX_SUFFIXES:
        return read_target_matrix(file.path, contigs=contigs, letters=letters)
    if kind not in _TABLES and is_fasta(file.path):
        rows = read_labelled_fasta(file.path, letters=letters, label=file.label)
        return LabelTable(("label",), rows)
    if kind == ".txt" and file.label is not None:
        bare = read_bare_sequences(file.path, letters=letters, label=file.label)
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
    return table


def _bed_rows(
    file: LabelFile, contigs: ContigNames, label_columns: Sequence[str]
) -> Iterator[LabelRow]:
    wanted = label_columns[0] if label_columns else _BED_LABEL
    if len(label_columns) > 1 or not (wanted == _BED_LABEL or wanted.isdigit()):
        raise UsageError(f"the label of a BED is its `name` or a column number, not {wanted!r}")
    for region in read_regions(file.path, contigs=contigs):
        if file.label is not None:
            label = file.label
        elif wanted == _BED_LABEL:
            label = region.name
        else:
            index = int(wanted) - _FIRST_KEPT_BED_COLUMN
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


def _files_of_splits(
    data: Sequence[str], valid: Sequence[str], test: Sequence[str]
) -> dict[Split | None, list[LabelFile]]:
    """Which files form which split; None where the rows themselves say."""
    found: dict[Split | None, list[LabelFile]] = {}
    for text in data:
        for split, files in _found_in(text).items():
            found.setdefault(split, []).extend(files)
    further: tuple[tuple[Split, Sequence[str]], ...] = (("valid", valid), ("test", test))
    for split, texts in further:
        if texts and split in found:
            raise UsageError(f"the data bring a {split} split; do not give another one")
        for text in texts:
            files_by_split = _found_in(text)
            if set(files_by_split) != {None}:
                raise UsageError(f"{text}: splits inside a {split} split")
            found.setdefault(split, []).extend(files_by_split[None])
    if (valid or test) and None in found:
        found.setdefault("train", []).extend(found.pop(None))
    return found


def _found_in(text: str) -> dict[Split | None, list[LabelFile]]:
    label, _, after = text.partition("=")
    if after and not Path(text).exists():
        return {None: [LabelFile(path, label) for path in _inside(Path(after))]}
    path = Path(text)
    if not path.is_dir():
        return _of_file_or_prefix(path)
    found: dict[Split | None, list[LabelFile]] = {}
    for entry in _entries(path):
        split = _named_split(_stem(entry))
        if split is not None:
            found.setdefault(split, []).extend(
                _of_classes(entry) if entry.is_dir() else [LabelFile(entry)]
            )
    return found or {None: _of_classes(path)}


def _named_split(stem: str) -> Split | None:
    """`train`, `H3_test` and `val_hg38_coords_targets` name a split; `train_or_test` none."""
    words = re.split(r"[._-]", stem.lower())
    found = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    return found.pop() if len(found) == 1 else None


def _of_file_or_prefix(path: Path) -> dict[Split | None, list[LabelFile]]:
    if path.exists() or not path.parent.is_dir():
        return {None: [LabelFile(_existing(path))]}
    found: dict[Split | None, list[LabelFile]] = {}
    for entry in _entries(path.parent):
        rest = _stem(entry).removeprefix(f"{path.name}.")
        if entry.name.startswith(f"{path.name}.") and rest in SPLIT_NAMES:
            found.setdefault(SPLIT_NAMES[rest], []).append(LabelFile(entry))
    return found or {None: [LabelFile(_existing(path))]}


def _existing(path: Path) -> Path:
    if reads_once(path):
        raise UsageError(f"{path}: labelled data are read more than once; give a file")
    if not path.exists():
        raise InputFileError(path, "no such file or directory")
    return path


def _of_classes(directory: Path) -> list[LabelFile]:
    """Every folder, and every file, is a class of that name."""
    files = [
        LabelFile(path, _stem(entry)) for entry in _entries(directory) for path in _inside(entry)
    ]
    if not files:
        raise InputFileError(directory, "holds neither splits nor classes: it is empty")
    return files


def _inside(path: Path) -> list[Path]:
    if path.is_dir():
        return [entry for entry in _entries(path) if entry.is_file()]
    return [_existing(path)]


def _entries(directory: Path) -> list[Path]:
    """What may hold data, in sorted order: that of the file system differs between machines."""
    return sorted(
        path
        for path in directory.iterdir()
        if not path.name.startswith(".") and path.suffix.lower() not in _BESIDE_DATA
    )


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix not in _COMPRESSED), "")


def _stem(path: Path) -> str:
    """The name without what says format and compression."""
    name = path.name
    for suffix in reversed(path.suffixes):
        if suffix.lower() not in _KNOWN_SUFFIXES:
            break
        name = name.removesuffix(suffix)
    return name


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def _sources(paths: Sequence[Path]) -> tuple[LabelSource, ...]:
    """A file each; where sequences lie in files of their own, one entry for each folder."""
    found = tuple(map(_source, paths))
    if len(paths) <= _MOST_FILES_LISTED:
        return found
    folders: dict[Path, list[LabelSource]] = {}
    for path, source in zip(paths, found, strict=True):
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
