"""Settings types of core as options: every flag reaches its field, under the type's heading."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer

from hyenadna_cli.commands.options.groups import (
    OptionsOf,
    Overrides,
    with_option_groups,
)
from hyenadna_cli.commands.options.help_text import GroupedCommand
from hyenadna_cli.core.config.flags import Flag
from hyenadna_cli.core.config.settings import ModelConfig, TrainConfig
from hyenadna_cli.core.tasks.finetuning.settings import Comparison, FinetuneConfig
from hyenadna_cli.core.tasks.labelled.settings import LabelledFiles
from hyenadna_cli.core.tasks.prompts.settings import Answers, FewShotConfig, PromptConfig
from hyenadna_cli.core.tasks.species.settings import Measurement, SpeciesConfig, SpeciesFiles
from hyenadna_cli.core.training.settings import DataFiles

TYPES = (
    Answers,
    Comparison,
    DataFiles,
    FewShotConfig,
    FinetuneConfig,
    LabelledFiles,
    Measurement,
    ModelConfig,
    PromptConfig,
    SpeciesConfig,
    SpeciesFiles,
    TrainConfig,
)
OF_A_PARSER = {
    "all|none|N": ("2", 2),
    "BASES": ("3k", 3_000),
    "BASES,...": ("1k,2k", (1_000, 2_000)),
    "BASES:STEPS,...": ("1k:2,4k:3", ((1_000, 2), (4_000, 3))),
    "CLASS=WORD,...": ("a=c,b=GT", {"a": "C", "b": "GT"}),
    "METHOD,...": ("probe,cnn", ("probe", "cnn")),
    "NAME,...": ("x, y", ("x", "y")),
}
OF_A_TYPE: dict[Any, tuple[str, Any]] = {
    float: ("0.5", 0.5),
    int: ("7", 7),
    str: ("text", "text"),
    Path: ("a/file", Path("a/file")),
}


def flags() -> list[tuple[type, str, Any, Flag]]:
    """(settings type, field, type of the field, flag)."""
    return [
        (settings, name, *get_args(hint)[:2])
        for settings in TYPES
        for name, hint in get_type_hints(settings, include_extras=True).items()
        if get_origin(hint) is Annotated
    ]


def words_and_value(kind: Any, flag: Flag) -> tuple[list[str], Any]:
    """What to write on the command line, and what should come of it."""
    names = flag.name.split("/")
    if flag.parse is not None:
        text, value = OF_A_PARSER[flag.metavar]
        return [names[0], text], value
    if kind is bool:
        return [names[-1]], len(names) == 1
    if get_origin(kind) is tuple:
        text, value = OF_A_TYPE[get_args(kind)[0]]
        return [names[0], text, names[0], text], (value, value)
    parts = get_args(kind)
    if parts and not isinstance(parts[0], type):  # choices, perhaps or None
        choice = (get_args(parts[0]) or parts)[-1]
        return [names[0], choice], choice
    text, value = OF_A_TYPE[parts[0] if parts else kind]
    return [names[0], text], value


@pytest.mark.parametrize(
    ("settings", "field", "kind", "flag"),
    flags(),
    ids=[f"{settings.__name__}.{field}" for settings, field, *_ in flags()],
)
def test_a_flag_reaches_its_field(settings, field, kind, flag):
    got = []

    def command(*, given: Annotated[Overrides, OptionsOf(settings)]) -> None:
        got.append(given)

    command.__annotations__["given"] = Annotated[Overrides, OptionsOf(settings)]
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(cls=GroupedCommand)(with_option_groups(command))
    words, value = words_and_value(kind, flag)

    app(args=words, standalone_mode=False)

    assert got == [{field: value}]


@pytest.mark.parametrize("settings", TYPES)
def test_a_settings_type_has_one_text_for_each_option(settings):
    """No flag is declared twice, and what has a flag says in words what it is."""
    hints = get_type_hints(settings, include_extras=True)
    mine = [get_args(hint)[1] for hint in hints.values() if get_origin(hint) is Annotated]

    assert len({flag.name for flag in mine}) == len(mine)
    assert all(flag.help.endswith(".") for flag in mine)


@pytest.mark.parametrize(
    ("command", "types"),
    [
        (["pretrain"], [DataFiles, ModelConfig, TrainConfig]),
        (["finetune"], [LabelledFiles, Comparison, FinetuneConfig]),
        (["prompt-tune"], [LabelledFiles, Answers, PromptConfig, FewShotConfig]),
        (
            ["classify-species", "train"],
            [SpeciesFiles, ModelConfig, SpeciesConfig, TrainConfig, Measurement],
        ),
        (["classify-species", "evaluate"], [SpeciesFiles, Measurement]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else None,
)
def test_options_of_a_settings_type_stand_under_its_heading(command, types, hyenadna):
    heading, sections = "", dict[str, set[str]]()
    for line in hyenadna(*command, "--help").out.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            heading = line[:-1]
        elif line.startswith("  -"):
            sections.setdefault(heading, set()).add(line.split()[0])

    for settings in types:
        names = {flag.name.split("/")[0] for of, _, _, flag in flags() if of is settings}
        assert sections.pop(settings.HEADING) & names
        assert not names & set().union(
            *(sections.get(heading, ()) for heading in ("Options", "Output"))
        )


@pytest.mark.parametrize("command", [["pretrain"], ["classify-species", "train"]])
def test_help_tells_defaults_of_the_command_not_of_the_type(command, hyenadna):
    text = " ".join(hyenadna(*command, "--help").out.split())

    assert "[default: a tenth of --lr]" in text
    assert ("[default: 2000]" in text) == (len(command) == 2)
