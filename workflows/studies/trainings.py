"""What trainings took and reached, one row a run: python trainings.py NAME=RUN... -o table.tsv.

RUN is a run directory of `hyenadna classify-species train --lengths`; accuracy is that of the
longest windows measured, with its 95 % interval, and the loss that of the last validation.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from hyenadna_cli.core.io.tsv import TsvWriter

COLUMNS = ("run", "steps", "bases", "valid_loss", "length", "n_windows", "accuracy", "low", "high")


def row_of(name: str, run: Path) -> tuple[str | int | float, ...]:
    """Of one run."""
    with (run / "metrics.csv").open(newline="") as handle:
        steps = list(csv.DictReader(handle))
    losses = [step["valid_loss"] for step in steps if step["valid_loss"]]
    with (run / "evaluation" / "accuracy.tsv").open(newline="") as handle:
        longest = max(csv.DictReader(handle, delimiter="\t"), key=lambda row: int(row["length"]))
    accuracy = (float(longest[f"accuracy{end}"]) for end in ("", "_low", "_high"))
    return (
        name,
        len(steps),
        sum(int(step["n_bases"]) for step in steps),
        float(losses[-1]),
        int(longest["length"]),
        int(longest["n_windows"]),
        *accuracy,
    )


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("-o", "--output", required=True)
    given = parser.parse_args()
    with TsvWriter(given.output, columns=COLUMNS, overwrite=True) as table:
        for run in given.runs:
            name, _, path = run.rpartition("=")
            table.write_row(row_of(name, Path(path)))


if __name__ == "__main__":
    main()
