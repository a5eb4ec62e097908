"""Chunks of consecutive records, and shards made of whole chunks.

    records -> chunks (fixed by the input alone) -> shard i of N = a run of whole chunks

Batches are made inside a chunk and never across two, so every batch holds the same records
whatever N is, and the shards of any N, put together, are the same rows to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.errors import UsageError

CHUNK_RECORDS = 256
CHUNK_BASES = 1_000_000
"""A chunk closes with the record that brings it to either of these."""

_ARRAY_VARIABLES = {
    "Slurm": (
        "SLURM_ARRAY_TASK_ID",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
        "SLURM_ARRAY_TASK_STEP",
    ),
    "LSF": ("LSB_JOBINDEX", "LSB_JOBINDEX_START", "LSB_JOBINDEX_END", "LSB_JOBINDEX_STEP"),
    "SGE": ("SGE_TASK_ID", "SGE_TASK_FIRST", "SGE_TASK_LAST", "SGE_TASK_STEPSIZE"),
}
"""Task, first, last, step; what is not set is 1. LSF says 0, SGE "undefined", outside an array."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Shard:
    """The `index`-th (from 1) of `count` parts of the input."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read `3/16`. Raises UsageError unless 1 <= i <= N."""
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError(f"--shard {text}: use i/N with 1 <= i <= N, such as 3/16")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of_array_task(cls, environment: Mapping[str, str]) -> Shard:
        """The shard of this task of a Slurm, LSF or SGE array, which starts at 1 (or 0).

        Raises UsageError outside an array, and for an array that is a part of another one: there
        nobody but the user knows how many shards there are.
        """
        for scheduler, names in _ARRAY_VARIABLES.items():
            values = [environment.get(name, "") for name in names]
            if values[0].isdecimal() and not (scheduler == "LSF" and values[0] == "0"):
                break
        else:
            raise UsageError(
                "--shard auto: this is not a task of a Slurm, LSF or SGE array; use i/N"
            )
        task, first, last, step = (int(text) if text.isdecimal() else 1 for text in values)
        count = (last - first) // max(1, step) + 1
        n_tasks = environment.get("SLURM_ARRAY_TASK_COUNT", "") if scheduler == "Slurm" else ""
        is_part = first > 1 or (n_tasks.isdecimal() and int(n_tasks) != count)
        if is_part or not values[2].isdecimal():
            raise UsageError(
                f"--shard auto: the {scheduler} array is not 1-N as a whole, so the number of "
                f"shards is not known; use --shard ${names[0]}/N"
            )
        return cls((task - first) // step + 1, count)

    def __str__(self) -> str:
        """`3/16`."""
        return f"{self.index}/{self.count}"


def chunks(items: Iterable[Item], *, length_of: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Cut a stream into chunks; `length_of` an item is in bases. One chunk is held at a time."""
    chunk: list[Item] = []
    n_bases = 0
    for item in items:
        chunk.append(item)
        n_bases += length_of(item)
        if len(chunk) >= CHUNK_RECORDS or n_bases >= CHUNK_BASES:
            yield chunk
            chunk, n_bases = [], 0
    if chunk:
        yield chunk


def shard_range(lengths: Sequence[int] | NDArray[np.int64], shard: Shard) -> range:
    """The records (0-based) of one shard, from the lengths of all records in bases.

    Contiguous, in whole chunks, balanced by bases: a chunk belongs to the shard in whose part of
    all bases its middle lies. The ranges of shards 1 ... N follow each other without a gap; with
    fewer chunks than shards some are empty.
    """
    n_records = n_bases = 0
    ends, twice_the_middles = [], []
    for chunk in chunks(lengths, length_of=int):
        chunk_bases = int(sum(chunk))
        n_records += len(chunk)
        ends.append(n_records)
        twice_the_middles.append(2 * n_bases + chunk_bases)
        n_bases += chunk_bases
    # Records without any base at the very end have their middle at the end of all bases.
    owners = [
        min(middle * shard.count // (2 * n_bases), shard.count - 1) if n_bases else 0
        for middle in twice_the_middles
    ]
    starts = [0, *ends[:-1]]
    mine = [number for number, owner in enumerate(owners) if owner == shard.index - 1]
    return range(starts[mine[0]], ends[mine[-1]]) if mine else range(0)
