"""A validation split cut from the training rows: never from the test rows.

Rows that say the same about a model stay on one side: equal sequences on either strand, and rows
whose coordinates overlap. Or whole contigs go to one side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows
from hyenadna_cli.core.tasks.labelled.settings import GroupBy


def with_validation(
    data: LabelledData, *, fraction: float = 0.1, seed: int = 0, group_by: GroupBy = "overlap"
) -> LabelledData:
    """`data` with a validation split: its own, or about `fraction` of the training rows.

    Raises ValueError if one side would be empty, or for `contig` without coordinates.
    """
    if "valid" in data.splits:
        return data
    train, valid = split_validation(
        data.splits["train"], fraction=fraction, seed=seed, group_by=group_by
    )
    return replace(data, splits={**data.splits, "train": train, "valid": valid})


def split_validation(
    train: LabelledRows, *, fraction: float, seed: int, group_by: GroupBy = "overlap"
) -> tuple[LabelledRows, LabelledRows]:
    """Training and validation rows, both in file order; each class gives its share.

    Raises ValueError as `with_validation` does.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"a fraction between 0 and 1, not {fraction}")
    group_N = contig_groups(train) if group_by == "contig" else overlap_groups(train)
    n_groups = int(group_N.max()) + 1
    if n_groups < 2:
        raise ValueError(
            f"all {len(train):,} training rows belong together (by {group_by}): "
            "no validation rows can be cut from them"
        )
    random = np.random.default_rng(seed)
    size_G = np.bincount(group_N, minlength=n_groups)
    class_G = _class_of_groups(train, group_N, n_groups)
    is_valid_G = np.zeros(n_groups, dtype=bool)
    for class_ in np.unique(class_G):
        groups = random.permutation(np.flatnonzero(class_G == class_))
        target = fraction * size_G[groups].sum()
        before = np.cumsum(size_G[groups]) - size_G[groups]
        # A group goes where it leaves the share nearest to what is wanted.
        is_valid_G[groups[before + size_G[groups] / 2 <= target]] = True
    if not is_valid_G.any():
        is_valid_G[np.argmin(size_G)] = True
    is_valid_N = is_valid_G[group_N]
    return train.subset(np.flatnonzero(~is_valid_N)), train.subset(np.flatnonzero(is_valid_N))


def overlap_groups(rows: LabelledRows) -> NDArray[np.int64]:
    """A number for each row, equal where sequences are equal or intervals overlap.

    Sequences that would have to be fetched are compared by their intervals alone.
    """
    pairs = [*_equal(rows), *_overlapping(rows)]
    a, b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(len(a)), (a, b)), shape=(len(rows), len(rows)))
    _, components = connected_components(graph, directed=False)
    groups: NDArray[np.int64] = components.astype(np.int64)
    return groups


def _equal(rows: LabelledRows) -> Iterator[tuple[int, int]]:
    first_of: dict[bytes, int] = {}
    for index in range(len(rows)):
        sequence = rows.stored_sequence(index)
        if sequence is not None:
            yield first_of.setdefault(canonical_digest(sequence), index), index


def _overlapping(rows: LabelledRows) -> Iterator[tuple[int, int]]:
    """Each row with the one before it, along the genome, that reaches furthest."""
    placed = sorted(
        (interval.contig, interval.start, interval.end, index)
        for index, interval in enumerate(rows.intervals)
        if interval is not None
    )
    reaching: tuple[str, int, int] | None = None
    for contig, start, end, index in placed:
        if reaching is not None and reaching[0] == contig and start < reaching[1]:
            yield reaching[2], index
            if end <= reaching[1]:
                continue
        reaching = (contig, end, index)


def _class_of_groups(
    rows: LabelledRows, group_N: NDArray[np.int64], n_groups: int
) -> NDArray[np.int64]:
    """The class of the first row of each group; 0 where the targets are not classes."""
    class_G = np.zeros(n_groups, dtype=np.int64)
    targets = rows.targets
    if isinstance(targets, np.ndarray) and targets.ndim == 1 and targets.dtype == np.int64:
        class_G[group_N[::-1]] = targets[::-1]
    return class_G


def contig_groups(rows: LabelledRows) -> NDArray[np.int64]:
    """A number for each row, equal on the same contig. Raises ValueError without coordinates."""
    contigs = [interval.contig if interval is not None else None for interval in rows.intervals]
    if None in contigs:
        raise ValueError("rows without coordinates cannot be grouped by contig")
    _, groups = np.unique(np.array(contigs, dtype=str), return_inverse=True)
    return groups.astype(np.int64)


def canonical_digest(sequence: str) -> bytes:
    """16 bytes that stand for a sequence and its reverse complement."""
    canonical = min(sequence, reverse_complement(sequence))
    return hashlib.blake2b(canonical.encode("ascii"), digest_size=16).digest()
