"""Options declared as the fields of a dataclass."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

import pytest
import typer

from hyenadna_cli.commands.options.groups import (
    OptionsOf,
    Overrides,
    with_option_groups,
)
from hyenadna_cli.commands.options.help_text import GroupedCommand
from hyenadna_cli.core.config.flags import Flag
from hyenadna_cli.errors import UsageError

WidthOption = Annotated[int, typer.Option("--width", min=1, help="In bases.")]


@dataclass(frozen=True, kw_only=True)
class Shape:
    width: WidthOption
    depth: Annotated[int, typer.Option("--depth")] = 2
    is_checked: bool = False


def read_pair(text: str) -> tuple[int, int]:
    first, _, second = text.partition(":")
    return int(first), int(second)


PairOption = Annotated[
    tuple[int, int] | None,
    Flag(name="-p, --pair", help="A pair.", metavar="A:B", parse=read_pair),
]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """As core declares them: no Typer."""

    HEADING: ClassVar[str] = "Training"

    rate: Annotated[float, Flag(name="--lr", help="Learning rate.")] = 0.5
    steps: Annotated[int, Flag(name="--steps", help="Steps.", at_least=1)] = 10
    pair: Annotated[
        tuple[int, int], Flag(name="--pair", help="A pair.", metavar="A:B", parse=read_pair)
    ] = (1, 2)
    is_on: Annotated[bool, Flag(name="--on/--off", help="A switch.")] = False
    words: Annotated[tuple[str, ...], Flag(name="--word", help="Repeatable.")] = ()
    share: Annotated[float, Flag(name="--share", help="A part.", at_least=0, at_most=0.9)] = 0.1
    internal: int = 3

    def __post_init__(self) -> None:
        if self.rate > 1:
            raise ValueError("rate must be at most 1")


def seen_by(command):
    """Runs a command line; what the command got is in the list."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(cls=GroupedCommand)(with_option_groups(command))
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
    kind, option = get_args(hints["width"])
    assert (kind, option.default, option.min) == (int, "--width", 1)


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


def test_settings_of_core_are_options_with_their_defaults():
    got = []

    def paint(*, settings: Settings) -> None:
        got.append(settings)

    paint_with = seen_by(paint)
    paint_with()
    paint_with("--lr", "0.25", "--pair", "3:4")

    assert got == [Settings(), Settings(rate=0.25, pair=(3, 4))]
    with pytest.raises(UsageError, match="rate must be at most 1"):
        paint_with("--lr", "2")
    with pytest.raises(Exception, match="invalid literal"):
        paint_with("--pair", "three")


def test_a_flag_of_the_command_itself_is_spelt_as_a_field_is(capsys):
    got = []

    def paint(*, two: PairOption = None, shape: Shape) -> None:
        got.append((two, shape.width))

    paint_with = seen_by(paint)
    paint_with("--width", "1")
    paint_with("--width", "1", "-p", "3:4")
    paint_with("--help")

    assert got == [(None, 1), ((3, 4), 1)]
    assert "A:B" in capsys.readouterr().out


def test_overrides_are_what_was_spelt_out():
    got = []

    def paint(*, settings: Annotated[Overrides, OptionsOf(Settings, without=["pair"])]) -> None:
        got.append(settings)

    paint_with = seen_by(paint)
    paint_with()
    paint_with("--steps", "4")

    assert got == [{}, {"steps": 4}]
    with pytest.raises(Exception, match="No such option"):
        paint_with("--pair", "3:4")


def test_help_lists_options_under_the_headings_of_their_groups(capsys):
    def paint(
        *,
        colour: Annotated[str, typer.Option("--colour", help="Of the paint.")] = "red",
        settings: Annotated[Overrides, OptionsOf(Settings, defaults={"steps": 7})],
        anything: Any = None,
    ) -> None:
        pass

    seen_by(paint)("--help")

    own, _, training = capsys.readouterr().out.partition("Training:\n")
    assert "--colour" in own
    assert "--lr" not in own
    assert [line.split()[0] for line in training.splitlines() if "--" in line] == [
        "--lr",
        "--steps",
        "--pair",
        "--on",
        "--word",
        "--share",
    ]
    assert "[default: off" in training
    assert "[default: 7" in training
    assert "[default: 0.5" in training


def test_a_group_may_have_an_option_of_its_own_name():
    got = []

    def paint(*, width: Shape) -> None:
        got.append(width)

    seen_by(paint)("--width", "3")

    assert got == [Shape(width=3)]


def test_a_repeated_option_is_a_tuple_and_a_limit_holds():
    got = []

    def paint(*, settings: Settings) -> None:
        got.append((settings.words, settings.share))

    paint_with = seen_by(paint)
    paint_with()
    paint_with("--word", "red", "--word", "blue", "--share", "0.9")

    assert got == [((), 0.1), (("red", "blue"), 0.9)]
    with pytest.raises(Exception, match="less than or equal"):
        paint_with("--share", "0.95")


def test_an_option_that_a_command_needs_is_missed():
    got = []

    def paint(*, settings: Annotated[Overrides, OptionsOf(Settings, required=["words"])]) -> None:
        got.append(settings)

    paint_with = seen_by(paint)
    paint_with("--word", "red")

    assert got == [{"words": ("red",)}]
    with pytest.raises(Exception, match=r"[Mm]issing"):
        paint_with()
