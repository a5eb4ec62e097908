"""Options that mean the same in commands which train by steps of so many bases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hyenadna_cli.commands import _options as opt


def parse_length_schedule(text: str) -> tuple[tuple[int, int], ...]:
    """`64:2000,128:2000` as (length in bases, steps) stages."""
    stages = []
    for stage in text.split(","):
        length, _, steps = stage.partition(":")
        if not steps.strip().isdigit():
            raise typer.BadParameter(f"{stage!r} is not LENGTH:STEPS")
        stages.append((opt.parse_bases(length), int(steps)))
    return tuple(stages)


RunDirectoryOption = Annotated[
    Path, typer.Option("-o", "--output", help="Run directory, then model.")
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", metavar="paper", help="The published recipe.")
]
LengthScheduleOption = Annotated[
    Any,
    typer.Option(
        "--length-schedule",
        parser=parse_length_schedule,
        metavar="BASES:STEPS,...",
        help="Sequence-length warm-up.",
    ),
]
MaxStepsOption = Annotated[int | None, typer.Option("--max-steps", help="Optimiser steps.")]
BatchBasesOption = Annotated[
    int | None,
    typer.Option(
        "--batch-bases",
        parser=opt.parse_bases,
        metavar="BASES",
        help="Bases per optimiser step, over all processes.",
    ),
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
LearningRateOption = Annotated[float | None, typer.Option("--lr", help="Peak learning rate.")]
MinLearningRateOption = Annotated[
    float | None, typer.Option("--min-lr", help="Final learning rate.")
]
WarmupStepsOption = Annotated[int | None, typer.Option("--warmup-steps")]
BothStrandsOption = Annotated[
    bool | None,
    typer.Option("--rc-aug/--no-rc-aug", help="Read training windows from both strands."),
]
RecomputeBlocksOption = Annotated[
    bool | None,
    typer.Option("--checkpoint-blocks/--no-checkpoint-blocks", help="Gradient checkpointing."),
]
ValidEveryOption = Annotated[int | None, typer.Option("--valid-every", help="In steps.")]
SaveEveryOption = Annotated[int | None, typer.Option("--save-every", help="In steps.")]
MaxTimeOption = Annotated[
    Any,
    typer.Option(
        "--max-time",
        parser=opt.parse_seconds,
        metavar="MINUTES|HH:MM:SS",
        help="Stop with a checkpoint after this time (exit 143).",
    ),
]
OptionalSeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="Of everything random.")
]
