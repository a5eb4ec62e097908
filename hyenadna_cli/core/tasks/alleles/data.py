"""Labelled alleles of an embedding file, in three splits that share no group.

/obs/LABEL --positive, --negative or every label a class--> classes
/obs/GROUP --stratified, seeded--> train, valid, test
/X, /obsm, scores, before and after --> numbers (features.py)
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from hyenadna_cli.core.config.choices import SPLITS, Split
from hyenadna_cli.core.io.embeddings_reading import Embeddings, read_embeddings
from hyenadna_cli.core.io.vcf_info import MISSING
from hyenadna_cli.core.tasks.alleles.features import AlleleTexts, feature_parts
from hyenadna_cli.core.tasks.alleles.settings import LabelledAlleleSettings
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)

_ALLELE_COLUMNS = ("pos", "ref", "alt", "before", "after")
_N_FOLDS = 5


@dataclass(frozen=True, slots=True)
class LabelledAlleles:
    """Alleles with a label and with all numbers."""

    names: list[str]
    chroms: list[str]
    starts: NDArray[np.int64]
    """0-based."""
    texts: AlleleTexts
    parts: Mapping[str, NDArray[np.float64]]
    """Each feature: (N, D)."""
    classes: tuple[str, ...]
    """Of two, the second is the positive one."""
    targets: NDArray[np.int64]
    groups: list[str]
    rotations: tuple[Mapping[Split, NDArray[np.int64]], ...]
    """Splits; those of the classifier that is kept come first, and of several no test row is one of
    another's."""
    settings: Mapping[str, Any]
    """What the file says of how it was made."""

    @property
    def window(self) -> int:
        """Bases around each allele."""
        return int(self.settings["window"])

    @property
    def rows_of(self) -> Mapping[Split, NDArray[np.int64]]:
        """The splits of the classifier that is kept."""
        return self.rotations[0]

    @property
    def judged_rows(self) -> NDArray[np.int64]:
        """The test rows of all rotations, one after the other."""
        return np.concatenate([rows_of["test"] for rows_of in self.rotations])

    @property
    def split_sizes(self) -> dict[str, int]:
        """Alleles of each split."""
        return {split: len(rows) for split, rows in self.rows_of.items()}

    def describe(self) -> str:
        """One line for each split: alleles, groups, and how many of each class."""
        lines = []
        for split, rows in self.rows_of.items():
            counts = np.bincount(self.targets[rows], minlength=len(self.classes)).tolist()
            of_class = ", ".join(f"{n:,} {c}" for c, n in zip(self.classes, counts, strict=True))
            n_groups = len({self.groups[row] for row in rows})
            kind = "group" if n_groups == 1 else "groups"
            lines.append(f"{split}: {len(rows):,} alleles of {n_groups:,} {kind} ({of_class})")
        if len(self.rotations) > 1:
            n_judged = len(self.judged_rows)
            lines.append(f"judged in {len(self.rotations)} rotations: {n_judged:,} alleles")
        return "; ".join(lines)


def read_labelled_alleles(
    path: Path, asked: LabelledAlleleSettings, *, seed: int
) -> LabelledAlleles:
    """What can be learned from. Raises InputFileError, and UsageError for features it lacks."""
    file = read_embeddings(path)
    _check_columns(path, file, asked)
    assert asked.label_column is not None
    assert asked.groups is not None
    labels = [str(label) for label in file.obs[asked.label_column]]
    classes, targets = _classes(path, labels, asked)
    scores: dict[str, NDArray[np.float64]] = {
        name: file.obs[name] for name in asked.features if name in file.obs
    }
    columns = {name: [str(text) for text in file.obs[name]] for name in _ALLELE_COLUMNS[1:]}
    texts = AlleleTexts(*(columns[name] for name in _ALLELE_COLUMNS[1:]))
    parts = feature_parts(asked.features, _in_order(file), scores, texts)
    is_whole = np.all([np.isfinite(part).all(axis=1) for part in parts.values()], axis=0)
    is_whole &= np.isin(file.obs["status"], ["OK", "OK_EDGE"])
    kept = np.flatnonzero((targets >= 0) & is_whole)
    _say_what_is_left_out(labels, targets, is_whole, asked)
    groups = [str(group) for group in file.obs[asked.groups][kept]]
    if missing := groups.count(MISSING) + groups.count(""):
        raise InputFileError(
            path, f"{missing:,} labelled alleles have no {asked.groups}, which --groups goes by"
        )
    _check_classes(path, classes, targets[kept], asked)
    return LabelledAlleles(
        names=[file.names[row] for row in kept],
        chroms=[str(chrom) for chrom in file.obs["chrom"][kept]],
        starts=np.asarray(file.obs["start"][kept], dtype=np.int64),
        texts=AlleleTexts(*([columns[c][row] for row in kept] for c in _ALLELE_COLUMNS[1:])),
        parts={name: part[kept] for name, part in parts.items()},
        classes=classes,
        targets=targets[kept],
        groups=groups,
        rotations=_rotations(path, targets[kept], groups, classes, asked, seed),
        settings=file.made_by,
    )


def _check_columns(path: Path, file: Embeddings, asked: LabelledAlleleSettings) -> None:
    if missing := [name for name in _ALLELE_COLUMNS if name not in file.obs]:
        raise InputFileError(
            path, f"has no column {missing[0]}: it is not of alleles, from `embed --vcf`"
        )
    for option, name in (("--label-column", asked.label_column), ("--groups", asked.groups)):
        if name not in file.obs:
            raise InputFileError(
                path,
                f"has no column {name} ({option}); it has {', '.join(file.obs)}; INFO keys of the "
                "VCF become columns by `embed --vcf --info KEY`",
            )
    for name in asked.features:
        if name not in ("embedding", "context") and name not in file.obs:
            raise UsageError(f"--features {name}: {path} has no such scores; embed --scores {name}")


def _in_order(file: Embeddings) -> dict[str, NDArray[np.floating]]:
    """The vectors in the order of the run that made them, which HDF5 does not keep."""
    poolings = str(file.made_by["pooling"]).split(",")
    layers = str(file.made_by["layer"]).split(",")
    main = str(file.made_by["X"])
    keys = [f"{pooling}_layer{layer}" for pooling in poolings for layer in layers]
    return {key: file.vectors[key] for key in (main, *(key for key in keys if key != main))}


def _classes(
    path: Path, labels: Sequence[str], asked: LabelledAlleleSettings
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The classes, and that of each allele; -1 where it has none of them."""
    if asked.positives:
        number_of = dict.fromkeys(asked.negatives, 0) | dict.fromkeys(asked.positives, 1)
        present = set(labels)
        if not present & number_of.keys():
            seen = ", ".join(label for label, _ in Counter(labels).most_common(6))
            raise InputFileError(
                path, f"no allele has one of the labels of --positive and --negative; it has {seen}"
            )
        classes: tuple[str, ...] = (asked.negative, asked.positive)
    else:
        found = sorted(set(labels) - {MISSING, ""})
        if len(found) > 50:
            raise InputFileError(
                path,
                f"{asked.label_column} has {len(found):,} labels, such as {found[0]}; name the two "
                "classes with --positive and --negative",
            )
        number_of = {label: number for number, label in enumerate(found)}
        classes = tuple(found)
    targets = np.array([number_of.get(label, -1) for label in labels], dtype=np.int64)
    return classes, targets


def _say_what_is_left_out(
    labels: Sequence[str],
    targets: NDArray[np.int64],
    is_whole: NDArray[np.bool_],
    asked: LabelledAlleleSettings,
) -> None:
    n_unlabelled = int((targets < 0).sum())
    n_unscored = int(((targets >= 0) & ~is_whole).sum())
    if n_unlabelled:
        others = Counter(label for label, target in zip(labels, targets, strict=True) if target < 0)
        shown = ", ".join(f"{n:,} {label or MISSING}" for label, n in others.most_common(4))
        log.info("%s alleles have none of the labels: %s", f"{n_unlabelled:,}", shown)
    if n_unscored:
        log.warning(
            "%s labelled alleles are left out: they have no score or vector (see their status)",
            f"{n_unscored:,}",
        )


def _check_classes(
    path: Path,
    classes: tuple[str, ...],
    targets: NDArray[np.int64],
    asked: LabelledAlleleSettings,
) -> None:
    present = [classes[number] for number in np.unique(targets)]
    if not present:
        raise InputFileError(path, f"no allele that can be scored has a {asked.label_column}")
    if len(present) < max(2, len(classes)):
        raise InputFileError(
            path,
            f"all labelled alleles are of one class, {present[0]}: there is nothing to tell apart"
            if len(present) == 1
            else f"no allele that can be scored is {next(c for c in classes if c not in present)}",
        )


def _rotations(
    path: Path,
    targets: NDArray[np.int64],
    groups: Sequence[str],
    classes: tuple[str, ...],
    asked: LabelledAlleleSettings,
    seed: int,
) -> tuple[dict[Split, NDArray[np.int64]], ...]:
    """About 3/5, 1/5 and 1/5 of the alleles, whole groups, every class in each.

    One such split or, to cross-validate, one for each fifth as the test rows.
    """
    names = sorted(set(groups))
    of_class = [
        len({group for group, target in zip(groups, targets, strict=True) if target == number})
        for number in range(len(classes))
    ]
    if min(of_class) < len(SPLITS):
        rarest = classes[int(np.argmin(of_class))]
        raise InputFileError(
            path,
            f"{rarest} is in {min(of_class)} of {len(names)} groups of {asked.groups}: train, "
            "valid and test need one each; choose another --groups",
        )
    folds = StratifiedGroupKFold(
        n_splits=min(_N_FOLDS, len(names)), shuffle=True, random_state=seed
    )
    parts = [rows for _, rows in folds.split(np.zeros(len(targets)), targets, groups)]
    whole = [rows for rows in parts if len(np.unique(targets[rows])) == len(classes)]
    if len(whole) >= len(SPLITS):
        rotations: list[dict[Split, NDArray[np.int64]]] = []
        for number in range(len(whole) if asked.cross_validate else 1):
            test, valid = whole[number], whole[(number + 1) % len(whole)]
            train = np.setdiff1d(np.arange(len(targets)), np.concatenate([test, valid]))
            rotations.append({"train": train, "valid": valid, "test": test})
        if all(len(np.unique(targets[one["train"]])) == len(classes) for one in rotations):
            return tuple(rotations)
    raise InputFileError(
        path,
        f"groups of {asked.groups} hold mostly one class: no split of {len(names)} groups leaves "
        "every class in train, valid and test; choose another --groups or --seed",
    )
