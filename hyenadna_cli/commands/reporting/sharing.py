"""Runs over records whose sequences the processes of torchrun share: one writes, all compute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hyenadna_cli.errors import UsageError

if TYPE_CHECKING:
    from hyenadna_cli.commands.options.output import Destination
    from hyenadna_cli.core.inference.chosen_model import ChosenModel


@contextmanager
def shared(
    model: ChosenModel, n_context: int, *, inputs: Sequence[str], destination: Destination
) -> Iterator[ChosenModel]:
    """The model, with each sequence shared by the `n_context` processes of torchrun.

    Raises UsageError if they are not as many, do not divide the model's channels, or differ.
    """
    if n_context == 1:
        yield model
        return
    from hyenadna_cli.core.model.context import check_divides
    from hyenadna_cli.core.training import distributed

    check_divides(n_context, model.config)
    if "-" in inputs:
        raise UsageError("--context-parallel: several processes cannot read the standard input")
    agreed = {
        "inputs": list(inputs),
        "-o": destination.output,
        **model.settings(),
        **model.identity(),
        "--resume": destination.resume,
    }
    with distributed.joined(model.run.device, n_context=n_context, agreed=agreed) as world:
        if world.size != n_context:
            raise UsageError(
                f"--context-parallel {n_context}: torchrun has {world.size} processes; all share "
                "each sequence here"
            )
        yield replace(model, context=world.context)
