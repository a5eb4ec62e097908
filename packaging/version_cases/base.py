"""What a case is, and the options that most cases share."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One run of `hyenadna`."""

    arguments: tuple[str, ...]
    stdin: str | None = None
    """A file to read from; without it stdin is empty."""
    stopped_by: str | None = None
    """A journal: once it holds a finished block, SIGTERM is sent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Commands that are run one after the other and compared together."""

    name: str
    commands: tuple[Command, ...]
    equal: tuple[tuple[str, str], ...] = ()
    """Files that must have the same bytes within each version."""
    is_handover: bool = False
    """Whether AFTER runs the last command, in the folder of BEFORE: the files of `equal` are then
    the same, or the command is refused in one line."""

    @property
    def is_interrupted(self) -> bool:
        """Whether a signal ends one of the commands, at a moment that no two runs share."""
        return any(command.stopped_by for command in self.commands)

    def named_folders(self) -> set[str]:
        """The first parts of all paths that are named."""
        texts = [text for command in self.commands for text in command.arguments]
        texts += [path for pair in self.equal for path in pair]
        paths = [part for text in texts for part in re.split("[=,]", text) if "/" in part]
        return {path.split("/")[0] for path in paths} - {self.name}


CPU = ("--device", "cpu", "--threads", "1")
FIXED = (*CPU, "--no-version")
TORCH = (*FIXED, "--kernels", "torch")
"""Starts a second faster than with compiled loops; a few cases run those."""
TINY = ("-m", "pretrain-random/run", *TORCH)
GENOME = ("--fasta", "test_data/tiny.fa")
REGIONS = (*GENOME, "--bed", "test_data/regions.bed")
FEW = (*GENOME, "--bed", "inputs/few.bed")
LABELLED = ("--data", "test_data/labelled.csv")
AT_ONCE = ("--max-time", "00:00:00")
"""Ends a run after its first step or batch, at the same place every time."""


def hyenadna(*arguments: str, stdin: str | None = None, stopped_by: str | None = None) -> Command:
    """One run of the program."""
    return Command(arguments=arguments, stdin=stdin, stopped_by=stopped_by)


def several(name: str, *commands: Command, equal: tuple[tuple[str, str], ...] = ()) -> Case:
    """A case of several runs."""
    return Case(name=name, commands=commands, equal=equal)


def one(name: str, *arguments: str, stdin: str | None = None) -> Case:
    """A case of one run."""
    return several(name, hyenadna(*arguments, stdin=stdin))


def sharded(name: str, command: tuple[str, ...], suffix: str, *more: str, n_shards: int) -> Case:
    """A run of everything, and shards that are merged; `more` is for whole and merged output."""
    shards = [f"{name}/{i}{suffix}" for i in range(1, n_shards + 1)]
    whole, merged = f"{name}/whole{suffix}", f"{name}/merged{suffix}"
    parts = [
        hyenadna(*command, "-o", shard, "--shard", f"{i}/{n_shards}")
        for i, shard in enumerate(shards, start=1)
    ]
    merge = ("merge", *shards, *more, "--no-version", "--stats", f"{name}/stats.json")
    return several(
        name, hyenadna(*command, *more, "-o", whole), *parts, hyenadna(*merge, "-o", merged),
        equal=((merged, whole),),
    )  # fmt: skip
