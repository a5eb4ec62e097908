"""Labelled sequences: what every reader makes of its files, and what is trained and evaluated on.

    rows of text --> label columns --> task, label names --> targets, one array a split

| task | a target | scores are |
|---|---|---|
| binary, multiclass | index into the sorted class names | probabilities of the classes |
| multilabel | float32 (T,) of 0 and 1 | a probability for each label |
| regression | a number, or float32 (T,) | numbers |
| token | int8, one class for each base, -1 where not labelled | class probabilities per base |
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import SPLITS, Split
from hyenadna_cli.core.config.choices import Task as Task
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.io.fasta import Genome

Target = int | float | NDArray[np.float32] | NDArray[np.int8]


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledSequence:
    """A sequence and what is to be predicted from it."""

    name: str
    sequence: str
    """A, C, G, T, N in reading direction."""
    target: Target
    interval: Interval | None
    """Where the sequence lies, if the data say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSource:
    """A file, or a folder of many, that labels or sequences came from."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    """Of a folder: over the names and digests of its files."""


class LabelledRows(Sequence[LabelledSequence]):
    """The rows of one split. Sequences given by coordinates are fetched when a row is asked for.

    `targets`: int64 (n,) of classes, float32 (n,) of values, or (n, T) uint8 (multilabel)
    or float32 (regression); for the task `token` a list of int8 arrays.
    """

    def __init__(
        self,
        *,
        names: Sequence[str],
        sequences: Sequence[str | None],
        intervals: Sequence[Interval | None],
        targets: NDArray[np.generic] | Sequence[NDArray[np.int8]],
        genome: Genome | None = None,
    ) -> None:
        """Raises ValueError if the columns differ in length."""
        if not len(names) == len(sequences) == len(intervals) == len(targets):
            raise ValueError("names, sequences, intervals and targets differ in number")
        self.names = names
        self.intervals = intervals
        self.targets = targets
        self._sequences = sequences
        self.genome = genome
        """Where sequences given by coordinates are fetched."""

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> LabelledSequence: ...
    @overload
    def __getitem__(self, index: slice) -> LabelledRows: ...
    def __getitem__(self, index: int | slice) -> LabelledSequence | LabelledRows:
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        return LabelledSequence(
            name=self.names[index],
            sequence=self.sequence(index),
            target=self._target(index),
            interval=self.intervals[index],
        )

    def __iter__(self) -> Iterator[LabelledSequence]:
        return (self[index] for index in range(len(self)))

    def sequence(self, index: int) -> str:
        """The bases of a row, upper case, in reading direction."""
        sequence = self._sequences[index]
        if sequence is not None:
            return sequence
        interval = self.intervals[index]
        assert self.genome is not None
        assert interval is not None
        fetched = self.genome.fetch(interval).upper()
        return fetched if interval.strand == "+" else reverse_complement(fetched)

    def stored_sequence(self, index: int) -> str | None:
        """The bases of a row, or None if they would have to be fetched."""
        return self._sequences[index]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Bases of every row; nothing is fetched for it."""
        return np.fromiter(map(self._length, range(len(self))), np.int64, count=len(self))

    @property
    def flat_targets(self) -> NDArray[Any]:
        """The targets as metrics take them: for `token` those of the labelled bases of all rows."""
        if isinstance(self.targets, np.ndarray):
            return self.targets
        return np.concatenate([target[target >= 0] for target in self.targets])

    @property
    def groups(self) -> NDArray[np.int64] | None:
        """The row of each of `flat_targets`, for `token`; None where each has its own."""
        if isinstance(self.targets, np.ndarray):
            return None
        n_labelled = [int((target >= 0).sum()) for target in self.targets]
        return np.repeat(np.arange(len(n_labelled)), n_labelled)

    def cropped(self, length: int) -> LabelledRows:
        """The same rows, longer ones cut to `length` bases around their middle."""
        sequences: list[str | None] = []
        intervals: list[Interval | None] = []
        starts = np.maximum(0, self.lengths - length) // 2
        for index, (n_bases, start) in enumerate(zip(self.lengths, starts.tolist(), strict=True)):
            sequence, interval = self._sequences[index], self.intervals[index]
            sequences.append(None if sequence is None else sequence[start : start + length])
            if interval is not None and interval.length == n_bases > length:
                # In reading direction, as the sequence: on the minus strand from the other end.
                first = start if interval.strand == "+" else interval.length - length - start
                inside = interval.start + first
                interval = dataclasses.replace(interval, start=inside, end=inside + length)
            intervals.append(interval)
        targets = self.targets
        return LabelledRows(
            names=self.names,
            sequences=sequences,
            intervals=intervals,
            targets=targets
            if isinstance(targets, np.ndarray)
            else [
                target[start : start + length]
                for target, start in zip(targets, starts.tolist(), strict=True)
            ],
            genome=self.genome,
        )

    def subset(self, indices: Sequence[int] | NDArray[np.int64]) -> LabelledRows:
        """The rows of the given indices, in their order."""
        numbers = [int(index) for index in indices]
        targets = self.targets
        return LabelledRows(
            names=[self.names[index] for index in numbers],
            sequences=[self._sequences[index] for index in numbers],
            intervals=[self.intervals[index] for index in numbers],
            targets=targets[np.array(numbers, dtype=np.int64)]
            if isinstance(targets, np.ndarray)
            else [targets[index] for index in numbers],
            genome=self.genome,
        )

    def _length(self, index: int) -> int:
        sequence = self._sequences[index]
        if sequence is not None:
            return len(sequence)
        interval = self.intervals[index]
        assert interval is not None
        return interval.length

    def _target(self, index: int) -> Target:
        if not isinstance(self.targets, np.ndarray):
            return self.targets[index]
        if self.targets.ndim == 2:
            row: NDArray[np.float32] = self.targets[index].astype(np.float32)
            return row
        value = self.targets[index].item()
        assert isinstance(value, int | float)
        return value


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledData:
    """What to learn, and the rows to learn and to judge it on."""

    task: Task
    label_names: tuple[str, ...]
    """The classes, sorted (whole numbers by value), or the names of the targets in file order."""
    splits: Mapping[Split, LabelledRows]
    """Those that exist; none of them is empty."""
    sources: tuple[LabelSource, ...]
    """Every file read, for training.json."""

    @property
    def n_outputs(self) -> int:
        """Numbers a model puts out a sequence (token: a base); binary: 2, as for any classes."""
        return len(self.label_names)

    @property
    def split_sizes(self) -> dict[str, int]:
        """Rows of each split."""
        return {split: len(rows) for split, rows in self.splits.items()}

    def describe(self) -> str:
        """One line: task, labels, rows and lengths of each split."""
        parts = []
        for split in SPLITS:
            if split in self.splits:
                lengths = self.splits[split].lengths
                span = f"{lengths.min():,}"
                if lengths.min() != lengths.max():
                    span += f"-{lengths.max():,}"
                parts.append(f"{split} {len(lengths):,} x {span} bp")
        return f"{self.task}, {_labels_in_words(self.task, self.label_names)}: {'; '.join(parts)}"

    def digest(self) -> str:
        """SHA-256 over task, labels and all rows: what a resumed run must agree on.

        Rows given by coordinates count by these, and by the size and the contigs of their genome's
        file: fetching or hashing all its bases would take minutes.
        """
        state = hashlib.sha256(repr((self.task, self.label_names)).encode())
        for split, rows in self.splits.items():
            state.update(repr((split, len(rows))).encode())
            for index, name in enumerate(rows.names):
                bases = rows.stored_sequence(index)
                where = None if bases is not None else rows.intervals[index]
                state.update(repr((name, bases, where)).encode())
            # Those of `token` are of every base: also of those without a label.
            targets = rows.targets
            if not isinstance(targets, np.ndarray):
                targets = np.concatenate(targets)
            state.update(np.ascontiguousarray(targets).tobytes())
            if (genome := rows.genome) is not None:
                state.update(repr((genome.path.stat().st_size, genome.lengths)).encode())
        return state.hexdigest()


def _labels_in_words(task: Task, names: tuple[str, ...]) -> str:
    word = "classes" if task in ("binary", "multiclass", "token") else "targets"
    if len(names) == 1:
        return f"target {names[0]}"
    shown = ", ".join(names[:6])
    more = f" and {len(names) - 6:,} more" if len(names) > 6 else ""
    return f"{len(names)} {word} ({shown}{more})"
