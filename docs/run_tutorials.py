"""Run the commands of docs/tutorials/ and compare what they print with what the pages show.

    python docs/run_tutorials.py [NAME ...]      exit 1 if a page shows something else
    python docs/run_tutorials.py --write NAME    put what was printed, and pictures, into the page

A command is a line that begins with `$` in a block of ```console, up to the next such line its
output. A line of dots stands for lines left out. Numbers may differ by 2 %, or 0.02; seconds by
anything. Every page runs in an empty folder that has test_data.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
TUTORIALS = REPOSITORY / "docs" / "tutorials"
FIGURES = REPOSITORY / "docs" / "figures" / "tutorials"
LEFT_OUT = "..."

_NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)")
_SECONDS = re.compile(r"\b[\d.]+ s\b|(?<=estimated_seconds\t)[\d.]+")
_PICTURE = re.compile(r"\]\(\.\./figures/tutorials/(?P<name>[\w-]+\.png)\)")


@dataclass(frozen=True, slots=True)
class Step:
    """A command of a page, and what the page shows of its output."""

    command: str
    shown: list[str]
    first: int
    """Line of the page, from 0, at which the output begins."""


def steps(page: str) -> Iterator[Step]:
    """The commands of a page, in order."""
    lines = page.splitlines()
    is_inside, number = False, 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith("```"):
            is_inside = line == "```console"
        if not (is_inside and line.startswith("$ ")):
            continue
        command = [line.removeprefix("$ ")]
        while command[-1].endswith("\\"):
            command.append(lines[number])
            number += 1
        first = number
        while not lines[number].startswith(("$ ", "```")):
            number += 1
        yield Step("\n".join(command), lines[first:number], first)


def printed_by(command: str, folder: Path) -> list[str]:
    """What a command prints to both streams. Raises ValueError if it fails."""
    program = folder / ".bin" / "hyenadna"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m hyenadna_cli "$@"\n')
        program.chmod(0o755)
    path = f"{program.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    places = {"PATH": path, "PYTHONPATH": str(REPOSITORY), "COLUMNS": "100", "NO_COLOR": "1"}
    done = subprocess.run(  # noqa: S603
        ["bash", "-o", "pipefail", "-c", command],  # noqa: S607
        cwd=folder,
        env={**os.environ, **places},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    # 141: the reader of a pipe has had enough.
    if done.returncode not in (0, 141):
        raise ValueError(f"$ {command}\nends with exit code {done.returncode}:\n{done.stdout}")
    lines = (line.rstrip() for line in done.stdout.splitlines())
    # Once a minute a run says how much is left.
    return [line for line in lines if not line.endswith(" left")]


def is_same(shown: list[str], printed: list[str]) -> bool:
    """Whether a page shows what was printed, as the module says."""
    if LEFT_OUT in shown:
        at = shown.index(LEFT_OUT)
        n_after = len(shown) - at - 1
        if len(printed) < at + n_after:
            return False
        printed = [*printed[:at], LEFT_OUT, *printed[len(printed) - n_after :]]
    return len(shown) == len(printed) and all(map(_is_same_line, shown, printed))


def _is_same_line(shown: str, printed: str) -> bool:
    these, those = (_SECONDS.sub("N s", line) for line in (shown, printed))
    if [*map(str.strip, _NUMBER.split(these))] != [*map(str.strip, _NUMBER.split(those))]:
        return False
    pairs = zip(_NUMBER.findall(these), _NUMBER.findall(those), strict=True)
    return all(
        math.isclose(*(float(n.replace(",", "")) for n in pair), rel_tol=0.02, abs_tol=0.02)
        for pair in pairs
    )


def run(path: Path) -> Iterator[tuple[Step, list[str]]]:
    """Run a page; each step with what it printed. Pictures that it shows are made as well."""
    page = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_data").symlink_to(REPOSITORY / "test_data")
        (folder / "workflows").symlink_to(REPOSITORY / "workflows")
        for step in steps(page):
            yield step, printed_by(step.command, folder)
        for picture in _PICTURE.findall(page):
            if not (folder / picture).is_file():
                raise ValueError(f"{path.name} shows {picture}, which no command makes")
            if "--write" in sys.argv:
                FIGURES.mkdir(exist_ok=True)
                shutil.copy(folder / picture, FIGURES / picture)


def rewritten(page: str, done: list[tuple[Step, list[str]]]) -> str:
    """The page with what was printed; lines that it leaves out stay left out."""
    lines = page.splitlines()
    for step, printed in reversed(done):
        if LEFT_OUT in step.shown:
            at = step.shown.index(LEFT_OUT)
            n_after = len(step.shown) - at - 1
            printed = [*printed[:at], LEFT_OUT, *printed[len(printed) - n_after :]]
        lines[step.first : step.first + len(step.shown)] = printed
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the pages that are named, or all."""
    names = [name for name in sys.argv[1:] if name != "--write"]
    n_wrong = 0
    for path in sorted(TUTORIALS.glob("*.md")):
        if names and path.stem not in names:
            continue
        done = list(run(path))
        if "--write" in sys.argv:
            page = path.read_text(encoding="utf-8")
            path.write_text(rewritten(page, done), encoding="utf-8")
            continue
        for step, printed in done:
            if not is_same(step.shown, printed):
                n_wrong += 1
                print(f"{path.name}: $ {step.command}", *printed, sep="\n")
    sys.exit(1 if n_wrong else 0)


if __name__ == "__main__":
    main()
