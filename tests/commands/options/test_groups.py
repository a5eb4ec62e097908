"""Options declared as the fields of a dataclass."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, get_type_hints

import pytest
import typer

from hyenadna_cli.commands.options.groups import with_option_groups

WidthOption = Annotated[int, typer.Option("--width", min=1, help="In bases.")]


@dataclass(frozen=True, kw_only=True)
class Shape:
    width: WidthOption
    depth: Annotated[int, typer.Option("--depth")] = 2
    is_checked: bool = False


def seen_by(command):
    """Runs a command line; what the command got is in the list."""
    app = typer.Typer(add_completion=False)
    app.command()(with_option_groups(command))
    return lambda *words: app(args=list(words), standalone_mode=False)


def test_the_command_gets_the_dataclass_that_the_options_spell():
    got = []

    def paint(*, colour: Annotated[str, typer.Option("--colour")] = "red", shape: Shape) -> None:
        got.append((colour, shape))

    seen_by(paint)("--width", "3", "--colour", "blue")

    assert got == [("blue", Shape(width=3, depth=2))]


def test_options_stand_where_the_dataclass_stands():
    def paint(*, first: int, shape: Shape, last: int = 1) -> None:
        pass

    signature = inspect.signature(with_option_groups(paint))

    assert list(signature.parameters) == ["first", "width", "depth", "last"]
    hints = get_type_hints(with_option_groups(paint), include_extras=True)
    assert hints["width"] == WidthOption


def test_an_option_that_the_command_declares_too_keeps_its_place_and_default_and_reaches_both():
    got = []

    def paint(*, width: WidthOption = 7, shape: Shape) -> None:
        got.append((width, shape))

    paint_with = seen_by(paint)
    paint_with()
    paint_with("--width", "4")

    assert got == [(7, Shape(width=7)), (4, Shape(width=4))]
    assert list(inspect.signature(with_option_groups(paint)).parameters) == ["width", "depth"]


def test_limits_of_an_option_hold_in_a_dataclass():
    def paint(*, shape: Shape) -> None:
        pass

    with pytest.raises(Exception, match="greater than or equal to 1"):
        seen_by(paint)("--width", "0")
    with pytest.raises(Exception, match=r"[Mm]issing"):
        seen_by(paint)()
