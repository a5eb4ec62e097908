"""What differs between two outcomes, in words."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from version_cases.base import Case
from version_cases.runs import STOPPED, Outcome

_REFUSALS = (2, 3, 4, 6)
"""Exit codes of runs that say what is wrong."""
_LONGEST = 100
"""Characters shown of a line."""


def differences(before: Outcome, after: Outcome) -> Iterator[str]:
    """Exit codes, stdout, stderr and files, in this order."""
    for number, (old, new) in enumerate(zip(before.said, after.said, strict=True), start=1):
        run = f"run {number}: " if len(before.said) > 1 else ""
        if old.exit_code != new.exit_code:
            yield f"{run}exit code was {old.exit_code}, is {new.exit_code}"
        if old.stdout != new.stdout:
            yield f"{run}stdout: {_first(old.stdout, new.stdout)}"
        if old.stderr != new.stderr:
            yield f"{run}stderr: {_first(old.stderr, new.stderr)}"
    for name in sorted(before.files.keys() | after.files.keys()):
        if name not in after.files:
            yield f"{name}: is not written any more"
        elif name not in before.files:
            yield f"{name}: was not written"
        elif before.files[name] != after.files[name]:
            yield f"{name}: {_first(before.files[name], after.files[name])}"


def unequal(case: Case, outcome: Outcome, label: str) -> Iterator[str]:
    """Files that the case wants equal, and that are not, or are not there."""
    for name, other in case.equal:
        data, wanted = outcome.of_equal.get(name), outcome.of_equal.get(other)
        if data is None or wanted is None:
            yield f"{label}: {name if data is None else other} is missing"
        elif data != wanted:
            yield f"{label}: {name} is not {other}: {_first(wanted, data)}"


def of_handover(case: Case, outcome: Outcome) -> tuple[str, list[str]]:
    """How a run of BEFORE went on with AFTER, and what is wrong with that."""
    *earlier, last = outcome.said
    if any(said.exit_code != STOPPED for said in earlier):
        return "", ["BEFORE was not interrupted"]
    text = last.stderr.decode(errors="replace")
    errors = re.findall("^hyenadna: error: (.*)$", text, re.MULTILINE)
    if last.exit_code in _REFUSALS and len(errors) == 1 and "Traceback" not in text:
        return f"refused: {errors[0]}", []
    failed = [f"exit code is {last.exit_code}: {errors}"] if last.exit_code else []
    return "resumed", [*failed, *unequal(case, outcome, "handover")]


def _first(before: bytes, after: bytes) -> str:
    """The first line in which two texts differ, or the first byte of what is no text."""
    try:
        texts = before.decode(), after.decode()
    except UnicodeDecodeError:
        texts = ("\0", "")
    if "\0" in texts[0] + texts[1]:
        pairs = enumerate(itertools.zip_longest(before, after))
        place = next(at for at, (old, new) in pairs if old != new)
        return f"byte {place:,} of {len(before):,} before, {len(after):,} after"
    lines = itertools.zip_longest(*(text.splitlines() for text in texts))
    for number, (old, new) in enumerate(lines, start=1):
        if old != new:
            return f"line {number} was {_shown(old)}, is {_shown(new)}"
    return "line ends"


def _shown(line: str | None) -> str:
    if line is None:
        return "not there"
    return repr(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}...")
