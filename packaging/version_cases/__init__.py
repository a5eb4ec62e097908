"""The command lines that compare_versions.py runs: every verb and format, resumed runs, bad inputs.

A case writes into a folder of its name, and needs the cases whose folders its arguments name. All
paths are relative, so that messages are the same in both versions. Models are tiny: what is
compared is the program, and it takes two seconds to start.
"""

from __future__ import annotations

from version_cases.base import Case
from version_cases.faults import handed_over_cases, refused_cases, resumed_cases
from version_cases.models import informing_cases, model_cases, plot_cases
from version_cases.records import record_cases
from version_cases.training import pretraining_cases, training_cases


def all_cases() -> list[Case]:
    """Every case, in an order in which none comes before what it needs."""
    return [
        *informing_cases(), *pretraining_cases(), *record_cases(), *training_cases(),
        *model_cases(), *plot_cases(), *resumed_cases(), *handed_over_cases(), *refused_cases(),
    ]  # fmt: skip


def selected(names: list[str]) -> list[Case]:
    """The named cases and, before them, those that they need. Raises ValueError for other names."""
    cases = all_cases()
    of_name = {case.name: case for case in cases}
    if unknown := [name for name in names if name not in of_name]:
        raise ValueError(f"no case is called {', '.join(unknown)}")
    wanted, waiting = set[str](), list(names)
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting += of_name[name].named_folders() & of_name.keys() - wanted
    return [case for case in cases if case.name in wanted]
