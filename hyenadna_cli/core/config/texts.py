"""Settings as people write them: texts to lengths, lists and choices."""

from __future__ import annotations

import re
from typing import Literal

_LENGTH = re.compile(r"(\d+(?:\.\d+)?)([km]?)")
_MULTIPLES = {"": 1, "k": 1_000, "m": 1_000_000}


def parse_bases(text: str) -> int:
    """A number of bases: `32768`, `32k` = 32,000, `1m` = 1,000,000. Raises ValueError."""
    match = _LENGTH.fullmatch(text.strip().lower().replace(",", ""))
    if match is None:
        raise ValueError(f"{text!r} is not a length such as 32768, 32k or 1m")
    bases = float(match[1]) * _MULTIPLES[match[2]]
    if bases != int(bases):
        raise ValueError(f"{text!r} is not a whole number of bases")
    return int(bases)


def parse_list(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def parse_length_schedule(text: str) -> tuple[tuple[int, int], ...]:
    """`64:2000,128:2000` as (length in bases, steps) stages. Raises ValueError."""
    stages = []
    for stage in text.split(","):
        length, _, steps = stage.partition(":")
        if not steps.strip().isdigit():
            raise ValueError(f"{stage!r} is not LENGTH:STEPS")
        stages.append((parse_bases(length), int(steps)))
    return tuple(stages)


def parse_freeze(text: str) -> Literal["all", "none"] | int:
    """`all`, `none` or a number of blocks. Raises ValueError."""
    if text.isdigit():
        return int(text)
    if text not in ("all", "none"):
        raise ValueError(f"{text!r} is neither all nor none nor a number of blocks")
    return "all" if text == "all" else "none"


def parse_seconds(text: str) -> float:
    """A time: `90` minutes, `01:25:00` hours, minutes and seconds, or `2-00:00:00` with days.

    Raises ValueError.
    """
    match = re.fullmatch(r"(?:(?:(\d+)-)?(\d+):)?(\d+)(?::(\d+))?", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time such as 90 (minutes) or 01:25:00")
    if ":" not in text:
        return 60.0 * int(text)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    if match[4] is None:
        hours, minutes, seconds = 0, hours, minutes
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
