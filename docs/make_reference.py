"""Write docs/reference.md: the help of every command, as the program prints it.

python docs/make_reference.py             # or: make reference
python docs/make_reference.py --check     # exit 1 if the page is not what would be written
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

# The width of the help, and defaults that do not depend on this machine.
os.environ["COLUMNS"] = "80"
for _name in [n for n in os.environ if n.startswith(("HYENADNA_", "SLURM_"))]:
    del os.environ[_name]

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from hyenadna_cli import cli  # noqa: E402

REFERENCE = Path(__file__).with_name("reference.md")


def commands(
    command: Any, context: Any = None, name: str = "hyenadna"
) -> Iterator[tuple[str, str]]:
    """Name and help of a command and of all below it."""
    context = typer.Context(command, info_name=name, parent=context, terminal_width=80)
    yield context.command_path, command.get_help(context)
    for below, found in getattr(command, "commands", {}).items():
        yield from commands(found, context, below)


def text() -> str:
    """The whole page."""
    parts = ["# Every command and option\n\nWritten by `python docs/make_reference.py`.\n"]
    for path, said in commands(typer.main.get_command(cli.app)):
        lines = "\n".join(line.rstrip() for line in said.splitlines())
        parts.append(f"## {path}\n\n```text\n{lines}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if sys.argv[1:] != ["--check"]:
        REFERENCE.write_text(text(), encoding="utf-8")
    elif REFERENCE.read_text(encoding="utf-8") != text():
        sys.exit("docs/reference.md is not what the program prints: make reference")
