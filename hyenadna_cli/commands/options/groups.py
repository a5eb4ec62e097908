"""Options that go together, declared once as the fields of a dataclass.

A command asks for such a dataclass as for an option, and Typer sees the options themselves:

    @with_option_groups
    def embed(*, fasta: opt.FastaOption, output: opt.OutputOption = "-", ...,
              compute: ComputeRequest, destination: Destination) -> None:

Fields with Annotated types are options; others are not, and need defaults. An option that the
command declares too, as `output` above, stands where the command has it, with its default and its
help; the command gets the value, and so does the dataclass.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_origin, get_type_hints


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with options in place of the dataclasses among its keyword-only parameters."""
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    groups = {name: _options(hints[name]) for name in own if dataclasses.is_dataclass(hints[name])}
    shown: dict[str, inspect.Parameter] = {}
    for name, parameter in own.items():
        if name in groups:
            shown.update({o: p for o, p in groups[name].items() if o not in own})
        else:
            shown[name] = parameter.replace(annotation=hints[name])

    @functools.wraps(command)
    def run(**given: Any) -> None:
        built = {
            name: hints[name](**{option: given[option] for option in options})
            for name, options in groups.items()
        }
        command(**{name: built[name] if name in built else given[name] for name in own})

    run.__annotations__ = {name: parameter.annotation for name, parameter in shown.items()}
    run.__signature__ = inspect.Signature(list(shown.values()))  # type: ignore[attr-defined]
    return run


def _options(group: type) -> dict[str, inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return {
        field.name: inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=(
                inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
            ),
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(group)
        if get_origin(hints[field.name]) is Annotated
    }
