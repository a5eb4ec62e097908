"""Options that mean the same in commands which train."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hyenadna_cli.commands.options import shared as opt

METHODS = ("finetune", "probe", "scratch", "attention", "cnn", "kmer")


def parse_length_schedule(text: str) -> tuple[tuple[int, int], ...]:
    """`64:2000,128:2000` as (length in bases, steps) stages."""
    stages = []
    for stage in text.split(","):
        length, _, steps = stage.partition(":")
        if not steps.strip().isdigit():
            raise typer.BadParameter(f"{stage!r} is not LENGTH:STEPS")
        stages.append((opt.parse_bases(length), int(steps)))
    return tuple(stages)


def parse_methods(text: str) -> tuple[str, ...]:
    """Methods by commas; `none` for none."""
    if text == "none":
        return ()
    methods = tuple(text.split(","))
    if unknown := [method for method in methods if method not in METHODS]:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(METHODS)}")
    return methods


def parse_freeze(text: str) -> Literal["all", "none"] | int:
    """`all`, `none` or a number of blocks."""
    if text.isdigit():
        return int(text)
    if text not in ("all", "none"):
        raise typer.BadParameter(f"{text!r} is neither all nor none nor a number of blocks")
    return "all" if text == "all" else "none"


RunDirectoryOption = Annotated[
    Path, typer.Option("-o", "--output", help="Run directory, then model directory.")
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", metavar="paper", help="The published recipe.")
]
MicroBatchBasesOption = Annotated[
    int | None,
    typer.Option(
        "--micro-batch-bases",
        parser=opt.parse_bases,
        metavar="BASES",
        help="Bases per forward pass; gradients accumulate.",
    ),
]
RecomputeBlocksOption = Annotated[
    bool | None,
    typer.Option("--checkpoint-blocks/--no-checkpoint-blocks", help="Gradient checkpointing."),
]
OptionalSeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="Of everything random.")
]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDirectory:
    """Where a training run writes, and the options about it, as given."""

    output: RunDirectoryOption
    max_time: Annotated[
        Any,
        typer.Option(
            "--max-time",
            parser=opt.parse_seconds,
            metavar="MINUTES|HH:MM:SS",
            help="Stop with a checkpoint after this time (exit 143).",
        ),
    ] = None
    """Seconds, or None."""
    force: opt.ForceOption = False
    resume: opt.ResumeOption = False
    stats: opt.StatsOption = None
    no_version: opt.NoVersionOption = False

    def check(self) -> None:
        """Refuse a directory, or --stats, that this run may not write. Raises OutputError."""
        from hyenadna_cli.core.outputs import atomic, locks

        if self.stats is not None:
            atomic.check_output(self.stats, overwrite=True)
        locks.check_run_dir(self.output, force=self.force, resume=self.resume)

    def claimed(
        self, *, parts: Sequence[Path] = (), is_main: bool = True
    ) -> AbstractContextManager[None]:
        """The directory, made and kept from other runs; see `run_lock.claimed_run_dir`."""
        from hyenadna_cli.core.outputs import locks

        return locks.claimed_run_dir(
            self.output, restart=self.restart, parts=parts, is_main=is_main
        )

    @property
    def restart(self) -> bool:
        """Whether an older run makes room for this one."""
        return self.force and not self.resume


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOptions:
    """Training by steps of so many bases; None leaves a setting to --config or its default."""

    length_schedule: Annotated[
        Any,
        typer.Option(
            "--length-schedule",
            parser=parse_length_schedule,
            metavar="BASES:STEPS,...",
            help="Sequence-length warm-up.",
        ),
    ] = None
    max_steps: Annotated[int | None, typer.Option("--max-steps", help="Optimiser steps.")] = None
    batch_bases: Annotated[
        int | None,
        typer.Option(
            "--batch-bases",
            parser=opt.parse_bases,
            metavar="BASES",
            help="Bases per optimiser step, over all processes.",
        ),
    ] = None
    micro_batch_bases: MicroBatchBasesOption = None
    learning_rate: Annotated[float | None, typer.Option("--lr", help="Peak learning rate.")] = None
    min_learning_rate: Annotated[
        float | None, typer.Option("--min-lr", help="Final learning rate.")
    ] = None
    warmup_steps: Annotated[int | None, typer.Option("--warmup-steps")] = None
    reverse_complement: Annotated[
        bool | None,
        typer.Option("--rc-aug/--no-rc-aug", help="Read training windows from both strands."),
    ] = None
    recompute_blocks: RecomputeBlocksOption = None
    valid_every: Annotated[int | None, typer.Option("--valid-every", help="In steps.")] = None
    save_every: Annotated[int | None, typer.Option("--save-every", help="In steps.")] = None
    seed: OptionalSeedOption = None


def given(values: dict[str, Any]) -> dict[str, Any]:
    """The settings that options speak of."""
    return {name: value for name, value in values.items() if value is not None}
