"""How `--help` reads: headings, whole summaries, examples that can be pasted.

The text is the same everywhere. On a terminal its headings and names stand out, unless NO_COLOR is
set; that takes no library that would have to be loaded first.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_KINDS = {"int": "N", "float": "NUMBER", "path": "PATH", "str": "TEXT"}
"""What Typer calls the types of values, and what help calls them."""


_WHOLE = str.maketrans("-", "\N{NON-BREAKING HYPHEN}")
"""While lines are wrapped: `--max-time` and score-variants are not to be cut at a hyphen."""


class _Formatter(typer.Context.formatter_class):  # type: ignore[misc, valid-type]
    """Plain text, in colours where a person reads it on a terminal."""

    def write(self, string: str) -> None:
        super().write(string.replace("\N{NON-BREAKING HYPHEN}", "-"))

    def write_text(self, text: str) -> None:
        super().write_text(text.translate(_WHOLE))

    def write_heading(self, heading: str) -> None:
        super().write_heading(_styled(heading, bold=True))

    def write_dl(self, rows: Sequence[tuple[str, str]], *more: Any, **further: Any) -> None:
        super().write_dl(
            [(_styled(name, fg="cyan"), text.translate(_WHOLE)) for name, text in rows],
            *more,
            **further,
        )


def _styled(text: str, **style: Any) -> str:
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if is_plain or not sys.stdout.isatty() else typer.style(text, **style)


def _plain(row: tuple[str, str]) -> tuple[str, str]:
    """Names and text of an option in the words of a reader, not in those of Typer."""
    names, text = row
    names = re.sub(
        r"<(?:list\[)?(\w+)\]?(?: range)?>",
        lambda kind: _KINDS.get(kind[1].lower(), kind[0]),
        names,
    )
    names = re.sub(r"<(\S+\|\S+)>", r"\1", names)
    text = re.sub(r"\[default: \((.+?)\)(?=[\];])", r"[default: \1", text)
    for typers, readers in (
        (r"([\d.]+)<=x<=([\d.]+)", r"\1 to \2"),
        (r"x>=([\d.]+)", r"at least \1"),
    ):
        text = re.sub(rf"(?<=[\[ ]){typers}\]$", rf"{readers}]", text)
    return names, text


class _Context(typer.Context):
    formatter_class = _Formatter


class HelpfulGroup(TyperGroup):
    """Verbs whose help is what they do where none of them is asked for."""

    context_class = _Context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Print help for an empty command line, and be done."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write all of each summary."""
        rows = [
            (name, command.get_short_help_str(limit=500))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class GroupedCommand(TyperCommand):
    """A command whose help lists its options under the headings of their groups."""

    context_class = _Context

    def paragraphs(self) -> list[tuple[str, list[str]]]:
        """What the command says of itself: a text each, or examples, which are never wrapped."""
        said: list[tuple[str, list[str]]] = []
        for paragraph in inspect.cleandoc(self.help or "").split("\n\n"):
            if paragraph.startswith(" "):
                # In the source a command may go on in the next line.
                joined = re.sub(r"\n +(?!hyenadna )", " ", paragraph)
                said.append(("", joined.splitlines()))
            else:
                said.append((paragraph, []))
        return said

    def option_rows(self, ctx: Any) -> dict[str, list[tuple[str, str]]]:
        """Arguments and options by heading; `--help` comes last, under the last one."""
        rows: dict[str, list[tuple[str, str]]] = {}
        last = "Options"
        for parameter in self.get_params(ctx):
            if (row := parameter.get_help_record(ctx)) is not None:
                if parameter.param_type_name == "argument":
                    heading, row = "Arguments", (row[0].split(" <")[0], row[1])
                elif parameter.name == "help":
                    heading = last
                else:
                    heading = last = getattr(parameter, "rich_help_panel", None) or "Options"
                rows.setdefault(heading, []).append(_plain(row))
        return rows

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        """Write each example in one line: a wrapped one cannot be pasted."""
        for text, examples in self.paragraphs():
            formatter.write_paragraph()
            with formatter.indentation():
                if text:
                    formatter.write_text(text)
                for line in examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options under their headings."""
        for heading, of_heading in self.option_rows(ctx).items():
            with formatter.section(heading):
                formatter.write_dl(of_heading)
