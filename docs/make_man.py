"""Write man pages, one per command, from what `--help` says.

python docs/make_man.py DIR       # such as $PREFIX/share/man/man1; or: make man
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
# make_reference takes what is particular to this machine out of the environment.
from make_reference import cli

from hyenadna_cli import __version__


def escaped(text: str) -> str:
    """Text that troff prints as it stands."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def pages(command: Any, context: Any = None, name: str = "hyenadna") -> Iterator[tuple[str, str]]:
    """File name and text of the page of a command, and of all below it."""
    context = typer.Context(command, info_name=name, parent=context)
    yield f"{context.command_path.replace(' ', '-')}.1", page(command, context)
    for below, found in getattr(command, "commands", {}).items():
        yield from pages(found, context, below)


def page(command: Any, context: Any) -> str:
    """One page."""
    path = context.command_path
    title = path.replace(" ", "-")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH {escaped(title).upper()} 1 "" "hyenadna {__version__}" "hyenadna"',
        ".SH NAME",
        f"{escaped(title)} \\- {escaped(summary(command))}",
        ".SH SYNOPSIS",
        f".B {escaped(path)}",
        escaped(usage),
        ".SH DESCRIPTION",
    ]
    if hasattr(command, "option_rows"):
        for text, examples in command.paragraphs():
            lines += [".PP", escaped(" ".join(text.split()))] if text else [".PP", ".EX"]
            lines += [*map(escaped, examples), ".EE"] if examples else []
        sections = command.option_rows(context)
    else:
        lines.append(escaped(inspect.cleandoc(command.help or "")))
        rows = [p.get_help_record(context) for p in command.get_params(context)]
        verbs = [(n, summary(c)) for n, c in command.commands.items()]
        sections = {"Options": [row for row in rows if row], "Commands": verbs}
    for heading, of_heading in sections.items():
        lines.append(f'.SH "{escaped(heading).upper()}"')
        for names, text in of_heading:
            lines += [".TP", f".B {escaped(names)}", escaped(" ".join(text.split())) or "\\&"]
    if context.parent is not None:
        lines += [".SH SEE ALSO", f".BR {escaped(title).rpartition(chr(92))[0]} (1)"]
    return "\n".join(lines) + "\n"


def summary(command: Any) -> str:
    """The first sentence of a help text, for NAME."""
    first = " ".join(inspect.cleandoc(command.help or "").split("\n\n")[0].split())
    return re.split(r"[.:] ", first)[0].rstrip(".")


def main(folder: Path) -> None:
    """Write every page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages(typer.main.get_command(cli.app)):
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
