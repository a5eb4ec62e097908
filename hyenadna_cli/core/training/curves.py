"""Training curves: metrics.csv -> a table of bins -> a picture of it; events of TensorBoard."""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyenadna_cli.core.io.tsv import TsvWriter
from hyenadna_cli.core.outputs.figures import new_figure, save_figure
from hyenadna_cli.errors import InputFileError, UsageError

if TYPE_CHECKING:
    # For its type only: a curve is drawn without torch.
    from hyenadna_cli.core.training.loop import StepReport

COLUMNS = ("step", "bases_seen", "length", "loss", "valid_loss")


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A bin of consecutive steps of one sequence length."""

    step: int
    """The last step of the bin."""
    bases_seen: int
    """Bases of all windows up to and with that step."""
    length: int
    """Bases per window."""
    loss: float
    """Mean training loss of the bin, nats per target."""
    valid_loss: float | None
    """The last held-out loss in the bin, nats per target."""


def read_curve(run: Path, *, n_points: int = 200) -> list[CurvePoint]:
    """The metrics of a run directory in about `n_points` bins.

    Raises InputFileError if metrics.csv is missing, empty or not of this tool.
    """
    path = run / "metrics.csv"
    try:
        with path.open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        steps = [
            (
                int(r["step"]),
                int(r["n_bases"]),
                int(r["length"]),
                float(r["loss"]),
                float(r["valid_loss"]) if r["valid_loss"] else None,
            )
            for r in rows
        ]
    except OSError as error:
        raise InputFileError(path, error.strerror or str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputFileError(path, f"not the metrics of a training run: {error}") from error
    if not steps:
        raise InputFileError(path, "no steps yet")
    width = max(1, math.ceil(len(steps) / n_points))
    points: list[CurvePoint] = []
    seen, losses, valid = 0, list[float](), None
    for index, (step, n_bases, length, loss, valid_loss) in enumerate(steps):
        seen += n_bases
        losses.append(loss)
        valid = valid_loss if valid_loss is not None else valid
        is_last = index + 1 == len(steps) or steps[index + 1][2] != length
        if len(losses) == width or is_last:
            points.append(CurvePoint(step, seen, length, sum(losses) / len(losses), valid))
            losses, valid = [], None
    return points


def write_table(curve: Sequence[CurvePoint], path: Path, *, overwrite: bool) -> None:
    """The points as TSV."""
    with TsvWriter(str(path), columns=COLUMNS, overwrite=overwrite) as writer:
        for point in curve:
            valid = "" if point.valid_loss is None else point.valid_loss
            writer.write_row((point.step, point.bases_seen, point.length, point.loss, valid))


def draw(curve: Sequence[CurvePoint], path: Path, *, overwrite: bool) -> None:
    """Loss against bases seen, with the held-out loss and the stages of sequence length.

    Raises UsageError if matplotlib is missing, OutputError if `path` cannot be written.
    """
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    axes.plot(
        [p.bases_seen / 1e6 for p in curve],
        [p.loss for p in curve],
        color="#8aa4c8",
        label="training",
    )
    held_out = [(p.bases_seen / 1e6, p.valid_loss) for p in curve if p.valid_loss is not None]
    axes.plot(
        [seen for seen, _ in held_out],
        [loss for _, loss in held_out],
        "o-",
        color="#b03a2e",
        markersize=4,
        label="held out",
    )
    stages = [(0.0, curve[0].length)] + [
        (before.bases_seen / 1e6, after.length)
        for before, after in itertools.pairwise(curve)
        if after.length != before.length
    ]
    for begin, length in stages:
        axes.axvline(begin, color="0.8", linewidth=0.8, zorder=0)
        # Upright, so that many short stages do not write over each other.
        axes.annotate(
            f"{length:,}",
            (begin, 1),
            xycoords=("data", "axes fraction"),
            xytext=(1, -3),
            textcoords="offset points",
            fontsize=7,
            color="0.4",
            rotation=90,
            va="top",
        )
    axes.set_xlabel("million bases seen (grey: from here on, windows of as many bases)")
    axes.set_ylabel("loss (nats per base)")
    axes.legend(frameon=False)
    save_figure(figure, path, overwrite=overwrite)


def with_events(steps: Iterable[StepReport], directory: Path) -> Iterator[StepReport]:
    """The same steps, as events of TensorBoard too. Raises UsageError without that package."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError("--tensorboard needs the package tensorboard") from error
    with SummaryWriter(str(directory)) as writer:
        for step in steps:
            for name in ("loss", "learning_rate", "gradient_norm", "valid_loss", "length"):
                if (value := getattr(step, name)) is not None:
                    writer.add_scalar(name, value, step.step)
            yield step
