"""Which file holds which split and which class, in the shapes people have.

table.csv                                      splits by column or contig, or all train
train.csv valid.csv test.csv                   a file each, given or found in a directory
H3_train.fna H3_test.fna                       so are names with one of these words in them
root/{train,test}/CLASS/*.txt                  GenomicBenchmarks, sequences
root/{train,test}/CLASS.csv.gz                 GenomicBenchmarks, coordinates
CLASS=sequences.fa  CLASS=regions.bed          a file for each class
train.mat  targets.h5  targets.npz             a matrix of targets
NAME.train.csv.gz NAME.test.csv.gz             a common beginning: give NAME
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hyenadna_cli.core.config.choices import Split
from hyenadna_cli.core.io.labelled_tables import SPLIT_NAMES
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.core.io.target_matrices import SUFFIXES as MATRIX_SUFFIXES
from hyenadna_cli.errors import InputFileError, UsageError

TABLES = (".csv", ".tsv", ".parquet")
BED = (".bed",)
_COMPRESSED = (".gz", ".bgz")
_KNOWN_SUFFIXES = (*_COMPRESSED, *TABLES, *BED, *MATRIX_SUFFIXES, ".txt", ".fa", ".fasta", ".fna")
_BESIDE_DATA = (".fai", ".gzi", ".csi", ".tbi", ".md", ".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A file, and the class of everything in it where the file itself has no labels."""

    path: Path
    label: str | None = None


def files_of_splits(
    data: Sequence[str], valid: Sequence[str], test: Sequence[str]
) -> dict[Split | None, list[LabelFile]]:
    """Which files form which split; None where the rows themselves say."""
    by_split: dict[Split | None, list[LabelFile]] = {}
    for text in data:
        for split, files in _found_in(text).items():
            by_split.setdefault(split, []).extend(files)
    further: tuple[tuple[Split, Sequence[str]], ...] = (("valid", valid), ("test", test))
    for split, texts in further:
        if texts and split in by_split:
            raise UsageError(f"the data bring a {split} split; do not give another one")
        for text in texts:
            files_by_split = _found_in(text)
            if set(files_by_split) != {None}:
                raise UsageError(f"{text}: splits inside a {split} split")
            by_split.setdefault(split, []).extend(files_by_split[None])
    if (valid or test) and None in by_split:
        by_split.setdefault("train", []).extend(by_split.pop(None))
    return by_split


def _found_in(text: str) -> dict[Split | None, list[LabelFile]]:
    label, _, after = text.partition("=")
    if after and not Path(text).exists():
        return {None: [LabelFile(path, label) for path in _inside(Path(after))]}
    path = Path(text)
    if not path.is_dir():
        return _of_file_or_prefix(path)
    by_split: dict[Split | None, list[LabelFile]] = {}
    for entry in _entries(path):
        split = _named_split(_stem(entry))
        if split is not None:
            by_split.setdefault(split, []).extend(
                _of_classes(entry) if entry.is_dir() else [LabelFile(entry)]
            )
    return by_split or {None: _of_classes(path)}


def _named_split(stem: str) -> Split | None:
    """`train`, `H3_test` and `val_hg38_coords_targets` name a split; `train_or_test` none."""
    words = re.split(r"[._-]", stem.lower())
    splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
    return splits.pop() if len(splits) == 1 else None


def _of_file_or_prefix(path: Path) -> dict[Split | None, list[LabelFile]]:
    if path.exists() or not path.parent.is_dir():
        return {None: [LabelFile(_existing(path))]}
    by_split: dict[Split | None, list[LabelFile]] = {}
    for entry in _entries(path.parent):
        rest = _stem(entry).removeprefix(f"{path.name}.")
        if entry.name.startswith(f"{path.name}.") and rest in SPLIT_NAMES:
            by_split.setdefault(SPLIT_NAMES[rest], []).append(LabelFile(entry))
    return by_split or {None: [LabelFile(_existing(path))]}


def _existing(path: Path) -> Path:
    if Input(path).reads_once:
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


def suffix_of(path: Path) -> str:
    """The suffix that says what is in a file, whatever its compression; "" without one."""
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
