"""Compare settings by small runs from random weights: python search.py DATA OUT [NAME...]

DATA is the folder of public data. search.toml says what is tried; NAME chooses trials. Prints
Markdown: held-out nats per base in windows of 1,024, where a run of this length has learned
something. A trial that is there already is not run again.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from measured import nats_per_base

HERE = Path(__file__).resolve().parent
PUBLISHED = HERE.parents[2] / "docs" / "figures" / "built-in-model" / "published_regions.bed"
"""A test, never trained on."""
N_STRETCHES = 8
STRETCH = 32_768
"""Held-out stretches that are judged, from the start of as many validation regions, in bases."""


def write_settings(path: Path, base: dict[str, Any], changes: dict[str, Any]) -> None:
    """The settings of one trial as TOML; JSON of a number, a string or a list is TOML as well."""
    lines = []
    for table, settings in base.items():
        lines.append(f"[{table}]")
        values = {**settings, **changes.get(table, {})}
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    path.write_text("\n".join(lines) + "\n")


def write_stretches(regions: Path, bed: Path) -> None:
    """BED of what is judged, from the regions.bed of a run."""
    rows = [line.split("\t") for line in regions.read_text().splitlines()]
    starts = [
        (row[0], int(row[1]))
        for row in rows
        if row[3] == "valid" and int(row[2]) - int(row[1]) >= STRETCH
    ]
    bed.write_text(
        "".join(f"{name}\t{start}\t{start + STRETCH}\n" for name, start in starts[:N_STRETCHES])
    )


def run(*arguments: str | Path) -> None:
    """One command of the tool, quietly."""
    subprocess.run(["hyenadna", *arguments, "-q"], check=True)  # noqa: S603, S607


def main() -> None:
    """Run what is missing, one after the other, and print a row per trial."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    book = tomllib.loads((HERE / "search.toml").read_text())
    genome = data / "genome" / "hg38.partial.fa.gz"
    out.mkdir(parents=True, exist_ok=True)
    print("| change | nats per base |\n|---|---|")
    for name in sys.argv[3:] or book["trials"]:
        trial = out / re.sub(r"\W+", "_", name)
        table = trial.with_suffix(".tsv")
        if not table.exists():
            settings = trial.with_suffix(".toml")
            write_settings(settings, book["base"], book["trials"][name])
            run(
                "pretrain",
                "--fasta",
                genome,
                "--config",
                settings,
                "-o",
                trial,
                "--resume",
                "--valid-contigs",
                "chr20,chr21",
                "--test-contigs",
                "chr17,chr22,chrX",
                "--exclude-bed",
                PUBLISHED,
                "--threads",
                "1",
            )
            bed = trial.with_suffix(".bed")
            write_stretches(trial / "regions.bed", bed)
            run(
                "perplexity",
                "--fasta",
                genome,
                "--bed",
                bed,
                "-m",
                trial,
                "--window",
                "1024",
                "--threads",
                "1",
                "-o",
                table,
            )
        print(f"| {name} | {nats_per_base(table)} |", flush=True)


if __name__ == "__main__":
    main()
