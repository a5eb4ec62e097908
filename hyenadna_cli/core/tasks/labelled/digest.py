"""One digest of labelled data: what a resumed run must agree on."""

from __future__ import annotations

import hashlib

import numpy as np

from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows


def digest(data: LabelledData) -> str:
    """SHA-256 over task, labels and all rows in order: their names, bases and targets.

    Rows given by coordinates count by these, and by the size and the contigs of their genome's
    file: fetching or hashing all its bases would take minutes.
    """
    found = hashlib.sha256(repr((data.task, data.label_names)).encode())
    for split, rows in data.splits.items():
        found.update(repr((split, len(rows))).encode())
        for index, name in enumerate(rows.names):
            bases = rows.stored_sequence(index)
            where = None if bases is not None else rows.intervals[index]
            found.update(repr((name, bases, where)).encode())
        found.update(_all_targets(rows).tobytes())
        if rows.genome is not None:
            found.update(_of_file(rows.genome).encode())
    return found.hexdigest()


def _all_targets(rows: LabelledRows) -> np.ndarray:
    """Of every base, for the task `token`: also of those without a label."""
    if isinstance(rows.targets, np.ndarray):
        return np.ascontiguousarray(rows.targets)
    return np.concatenate(rows.targets)


def _of_file(genome: Genome) -> str:
    return repr((genome.path.stat().st_size, genome.lengths))
