"""Settings from a file, which may give any name and type, against what a dataclass declares."""

from __future__ import annotations

import functools
import math
import numbers
import reprlib
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from hyenadna_cli.core.config.small_files import read_small
from hyenadna_cli.errors import InputFileError, UsageError

_WORDS = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a text"}


SettingsT = TypeVar("SettingsT")


def read_tables(path: Path | None, *names: str) -> dict[str, dict[str, Any]]:
    """The tables of a settings file by name, empty where it, or the file, is missing.

    Raises InputFileError for a file that is not TOML, UsageError for one with anything else in it.
    """
    content = {} if path is None else _read_toml(path)
    if unknown := sorted(content.keys() - set(names)):
        raise UsageError(f"{path}: unknown tables: {', '.join(unknown)}")
    tables = {name: content.get(name, {}) for name in names}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: [{name}] is not a table")
    return tables


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_small(path, takes_pipes=True))
    except OSError as error:
        raise InputFileError(path, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise InputFileError(path, f"not TOML: {error}") from error


def from_mapping(kind: type[SettingsT], values: Mapping[str, Any], *, called: str) -> SettingsT:
    """Settings by name; lists, as TOML and JSON have them, become tuples.

    Raises ValueError on an unknown or missing name, as on whatever `kind` refuses.
    """
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"unknown {called} settings: {', '.join(unknown)}")
    try:
        return kind(**{name: _as_tuple(value) for name, value in values.items()})
    except TypeError as error:
        raise ValueError(f"incomplete {called} settings: {error}") from error


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value


def checked_number(name: str, values: Mapping[str, Any]) -> Any:
    """The value of that name, to compute with. Raises ValueError if it is not a finite number."""
    if not _fits(values[name], float):
        raise ValueError(f"{name} must be {_WORDS[float]}, got {reprlib.repr(values[name])}")
    return values[name]


def check_types(settings: Any) -> None:
    """Raise ValueError for the first field of a dataclass whose value its annotation excludes.

    Numbers are finite; a whole number will do for a float, true and false for no number.
    """
    kind: type = type(settings)
    hints = _hints(kind)
    for field in fields(settings):
        value = getattr(settings, field.name)
        if not _fits(value, hints[field.name]):
            raise ValueError(
                f"{field.name} must be {_words(hints[field.name])}, got {reprlib.repr(value)}"
            )


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return any(value == part and type(value) is type(part) for part in parts)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        each = [parts[0]] * len(value) if parts[1:] == (...,) else list(parts)
        return len(each) == len(value) and all(map(_fits, value, each))
    if hint is int:
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if hint is float:
        is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        return is_number and _is_finite(value)
    return isinstance(value, hint)


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False


def _words(hint: Any) -> str:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(map(str, parts[:-1])) + f" or {parts[-1]}" if parts[1:] else str(parts[0])
    if origin in (Union, types.UnionType):
        return " or ".join(_words(part) for part in parts if part is not types.NoneType)
    if origin is tuple:
        return "a list of " + _words(parts[0]) if parts[1:] == (...,) else "a list"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))
