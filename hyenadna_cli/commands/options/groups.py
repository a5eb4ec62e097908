"""Options that go together, declared once as the fields of a dataclass: a heading of `--help`.

A command asks for such a dataclass as for an option, and Typer sees the options themselves:

    @with_option_groups
    def embed(*, records: RecordFiles, vectors: VectorSettings, destination: Destination) -> None:

Fields annotated with a typer.Option, or with a `Flag` where the dataclass is a settings type of
core, are options; others are not, and need defaults. The dataclass's HEADING is that of its
options. `Annotated[Overrides, OptionsOf(TrainConfig)]` gives the settings that were spelt out, by
name, for a command that merges them with a file's or a preset's. An option that the command
declares too stands where the command has it, with its default and its help; the command gets the
value, and so does the dataclass.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo

from hyenadna_cli.core.config.flags import Flag
from hyenadna_cli.errors import UsageError

_REPEATED: dict[Any, Any] = {tuple[str, ...]: list[str], tuple[Path, ...]: list[Path]}
"""Typer's types of options that may be given again and again."""

Overrides = Mapping[str, Any]
"""Settings by name: those that options speak of."""


@dataclass(frozen=True, slots=True)
class OptionsOf:
    """Ask for the fields of a settings type as options that may be left out."""

    settings: type
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """What holds here where nothing is said, if not the type's own defaults: for `--help`."""
    without: Collection[str] = ()
    """Fields that are not options of this command."""
    required: Collection[str] = ()
    """Fields that this command cannot do without."""


@dataclass(frozen=True, slots=True)
class _Group:
    settings: type
    options: dict[str, inspect.Parameter]
    is_partial: bool

    def build(self, values: Mapping[str, Any]) -> Any:
        """What the command gets. Raises UsageError for values that do not go together."""
        own = {
            # Settings are frozen: what may be given again and again is a tuple in them.
            name: tuple(values[name]) if isinstance(values[name], list) else values[name]
            for name in self.options
        }
        if self.is_partial:
            return {name: value for name, value in own.items() if value is not None}
        try:
            return self.settings(**own)
        except ValueError as error:
            raise UsageError(str(error)) from error


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with options in place of the groups among its keyword-only parameters."""
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    groups = {name: group for name in own if (group := _group(hints[name])) is not None}
    shown: dict[str, inspect.Parameter] = {}
    for name, parameter in own.items():
        if name in groups:
            options = groups[name].options
            shown.update({o: p for o, p in options.items() if o not in own or o in groups})
        else:
            shown[name] = parameter.replace(annotation=_annotation(hints[name]))

    @functools.wraps(command)
    def run(**values: Any) -> None:
        built = {name: group.build(values) for name, group in groups.items()}
        command(**{name: built[name] if name in built else values[name] for name in own})

    run.__annotations__ = {name: parameter.annotation for name, parameter in shown.items()}
    run.__signature__ = inspect.Signature(list(shown.values()))  # type: ignore[attr-defined]
    return run


def _annotation(hint: Any) -> Any:
    """Of a parameter of the command's own, which a flag may spell as it does a field."""
    if get_origin(hint) is not Annotated or not isinstance(get_args(hint)[1], Flag):
        return hint
    kind, option = _option(*get_args(hint)[:2])
    return Annotated[kind, option]


def _group(hint: Any) -> _Group | None:
    """The group that a parameter of this type asks for."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _Group(hint, _options(hint, None), is_partial=False)
    marks = [mark for mark in get_args(hint)[1:] if isinstance(mark, OptionsOf)]
    if not marks:
        return None
    return _Group(marks[0].settings, _options(marks[0].settings, marks[0]), is_partial=True)


@functools.cache  # most groups belong to several commands, and all are declared at every start
def _hints(settings: type) -> dict[str, Any]:
    return get_type_hints(settings, include_extras=True)


def _options(settings: type, partial: OptionsOf | None) -> dict[str, inspect.Parameter]:
    """A parameter for each field that is an option."""
    hints = _hints(settings)
    heading = getattr(settings, "HEADING", None)
    options = {}
    for of in dataclasses.fields(settings):
        if get_origin(hints[of.name]) is not Annotated:
            continue
        if partial is not None and of.name in partial.without:
            continue
        kind, mark = get_args(hints[of.name])[:2]
        default = inspect.Parameter.empty if of.default is dataclasses.MISSING else of.default
        if isinstance(mark, Flag):
            kind, option = _option(_REPEATED.get(kind, kind), mark)
        else:
            option = copy.copy(mark)
        option.rich_help_panel = option.rich_help_panel or heading
        if partial is not None and of.name in partial.required:
            default = inspect.Parameter.empty
        elif partial is not None:
            option.show_default = _shown(partial.defaults.get(of.name, default), option)
            kind, default = kind if kind is Any else kind | None, None
        options[of.name] = inspect.Parameter(
            of.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=Annotated[kind, option],
        )
    return options


def _shown(default: Any, option: OptionInfo) -> str | bool:
    """How help names what holds where nothing is said."""
    names = str(option.default).split("/")
    if isinstance(default, bool) and len(names) == 2:
        default = names[not default].lstrip("-")
    if default in (inspect.Parameter.empty, None, (), "") or default is False:
        return False
    return str(default)


def _option(kind: Any, flag: Flag) -> tuple[Any, OptionInfo]:
    """The option of a flag, and the type that Typer reads its text as."""

    def parsed(text: Any) -> Any:
        if not isinstance(text, str):  # Typer hands the default over as well.
            return text
        assert flag.parse is not None
        try:
            return flag.parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    option = typer.Option(
        *flag.name.split(", "),
        help=flag.help,
        metavar=flag.metavar,
        min=flag.at_least,
        max=flag.at_most,
    )
    if flag.parse is not None:
        option.parser = parsed
        return Any, option
    return kind, option
