"""Checkpoints of a training that was stopped, to mutate: what `--resume` makes of them.

Whole runs of the program, in this process. It has to find the damage and to go on from the
checkpoint before, to the same model.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench import Bench, contents
from kind import Kind
from mutated_runs import program

_STEPS = ("--max-steps", "6", "--save-every", "2", "--valid-every", "3")


class Trainings:
    """A training stopped before it wrote its model, and the kinds made of what it left."""

    def __init__(self, folder: Path, bench: Bench) -> None:
        self.folder = folder
        (case,) = (case for case in bench.trainings if case.name == "pretrain")
        # The last word of an option counts.
        self.command = (*case.arguments, "--batch-bases", "128", "--length-schedule", "32:3,64:3")
        self.whole = self._model_of(folder / "whole")
        self.stopped = folder / "stopped"

    def kinds(self) -> Iterator[Kind]:
        """Each file of the newest checkpoint, and the file that names it."""
        shutil.copytree(self.folder / "whole", self.stopped)
        for path in self.stopped.iterdir():
            # What only a training that has ended has.
            if path.name not in ("checkpoints", "last", "metrics.csv", "regions.bed"):
                path.unlink()
        newest = max(self.stopped.glob("checkpoints/step_*"))
        for path in (*sorted(newest.iterdir()), self.stopped / "last"):
            name = str(path.relative_to(self.stopped))
            yield Kind(
                f"checkpoint of a training, {path.name}",
                path.read_bytes(),
                partial(self._judge, name),
                is_text=path.suffix != ".safetensors",
            )

    def _judge(self, name: str, data: bytes) -> str | None:
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.stopped, run)
        (run / name).write_bytes(data)
        again = self._model_of(run, "--resume")
        return None if again == self.whole else "another model than of an undisturbed training"

    def _model_of(self, run: Path, *more: str) -> dict[str, bytes]:
        program(*self.command, *_STEPS, *more, "-o", str(run))
        found = contents(run)
        return {name: data for name, data in found.items() if "/" not in name and name != "last"}
