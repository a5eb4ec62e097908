"""Labels out of the embedding file itself: a column of /obs, and splits that regions allow.

    /obs column --(rows without a label or a vector, rare classes left out)--> rows
    rows --test contigs, or a fifth--> test   --valid contigs, or a share--> valid, train

Regions that overlap stay on one side, and each class gives its share (`labelled.validation`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Split
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.embeddings_reading import Embeddings, read_embeddings
from hyenadna_cli.core.io.labelled_tables import LabelRow
from hyenadna_cli.core.tasks.finetuning.embedded_probe import (
    EmbeddedData,
    EmbeddedSplit,
    label_texts,
)
from hyenadna_cli.core.tasks.labelled.columns import infer, targets_of
from hyenadna_cli.core.tasks.labelled.rows import LabelledRows
from hyenadna_cli.core.tasks.labelled.settings import LabelledFiles
from hyenadna_cli.core.tasks.labelled.validation import split_validation
from hyenadna_cli.errors import InputFileError, UsageError

log = logging.getLogger(__name__)

_TEST_FRACTION = 0.2
_NO_LABEL = ("", ".")


def read_column(
    embeddings: Path, column: str, files: LabelledFiles, *, min_class: int = 1
) -> EmbeddedData:
    """Labelled vectors by split; classes of fewer than `min_class` rows are left out, and said.

    Raises InputFileError for a file without that column, or with fewer than two such classes;
    UsageError for contigs that leave a split empty.
    """
    vectors = read_embeddings(embeddings)
    if column not in vectors.obs:
        raise InputFileError(
            embeddings, f"has no column {column!r}; there are {', '.join(vectors.obs)}"
        )
    texts = [str(value) for value in vectors.obs[column]]
    kept = _kept(texts, vectors, min_class)
    if len({texts[index] for index in kept}) < 2:
        raise InputFileError(
            embeddings, f"{column}: fewer than two labels have {min_class:,} rows or more"
        )
    rows = [
        LabelRow(
            str(embeddings), index + 1, vectors.names[index], None, None, (texts[index],), None
        )
        for index in kept
    ]
    intervals = [_interval(vectors, index) for index in kept]
    labelled = label_texts(rows)
    lengths = [0] * len(rows)
    labelling = infer(
        labelled, lengths=lengths, label_columns=(column,), task=files.task, path=str(embeddings)
    )
    targets = targets_of(
        labelled, labelling, lengths=lengths, places=[(row.path, row.line) for row in rows]
    )
    # Rows are found again by their names, which are unique.
    whole = LabelledRows(
        names=[row.name for row in rows],
        sequences=[None] * len(rows),
        intervals=intervals,
        targets=targets,
    )
    place_of = {name: index for index, name in enumerate(vectors.names)}
    splits = {
        split: EmbeddedSplit(part, vectors.X[[place_of[name] for name in part.names]])
        for split, part in _split(whole, files).items()
    }
    return EmbeddedData(labelling, splits)


def _kept(texts: Sequence[str], vectors: Embeddings, min_class: int) -> list[int]:
    """Rows with a label and a vector, and of a class that is not rare; the others are counted."""
    is_finite_N = np.isfinite(vectors.X).all(axis=1)
    is_labelled_N = np.array([text.strip() not in _NO_LABEL for text in texts], dtype=bool)
    for what, n in (
        ("no label", int((~is_labelled_N).sum())),
        ("a label and no vector of finite numbers", int((is_labelled_N & ~is_finite_N).sum())),
    ):
        if n:
            log.warning("%s of %s rows have %s and are left out", f"{n:,}", f"{len(texts):,}", what)
    usable = np.flatnonzero(is_labelled_N & is_finite_N).tolist()
    sizes = Counter(texts[index] for index in usable)
    rare = sorted((name, n) for name, n in sizes.items() if n < min_class)
    if rare:
        named = ", ".join(f"{name} {n:,}" for name, n in rare)
        log.warning("left out, as fewer than %s rows have them: %s", f"{min_class:,}", named)
    return [index for index in usable if sizes[texts[index]] >= min_class]


def _interval(vectors: Embeddings, index: int) -> Interval:
    obs = vectors.obs
    return Interval(str(obs["chrom"][index]), int(obs["start"][index]), int(obs["end"][index]))


def _split(rows: LabelledRows, files: LabelledFiles) -> dict[Split, LabelledRows]:
    """Test and validation rows by contig, or drawn; without either, there is no `valid`."""
    rest, splits = rows, {}
    for split, contigs, fraction in (
        ("test", files.test_contigs, _TEST_FRACTION),
        ("valid", files.valid_contigs, files.valid_fraction),
    ):
        if contigs:
            is_here = np.array([of is not None and of.contig in contigs for of in rest.intervals])
            rest, mine = _both_sides(rest, is_here, f"--{split}-contigs {','.join(contigs)}")
        elif fraction:
            try:
                rest, mine = split_validation(rest, fraction=fraction, seed=files.seed)
            except ValueError as error:
                raise UsageError(f"no {split} rows can be drawn: {error}") from error
        else:
            continue
        splits[split] = mine
    return {"train": rest, **splits}  # type: ignore[dict-item]


def _both_sides(
    rows: LabelledRows, is_here: NDArray[np.bool_], called: str
) -> tuple[LabelledRows, LabelledRows]:
    if is_here.all() or not is_here.any():
        raise UsageError(f"{called}: {'all' if is_here.all() else 'none'} of the rows are there")
    return rows.subset(np.flatnonzero(~is_here)), rows.subset(np.flatnonzero(is_here))
