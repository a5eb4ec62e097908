"""One kind of input: a valid file, and a judge of what is read of damaged copies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """What is mutated, and who judges."""

    name: str
    data: bytes
    """A valid file."""
    judge: Callable[[bytes], str | None]
    """Reads a file of these bytes with the program; says in words what is wrong with the outcome,
    None if nothing is. What the reader raises passes through: a refusal, or an internal error."""
    is_text: bool = True


def differing(got: object, expected: object) -> str | None:
    """In words, how an outcome is not the expected one; None if it is."""
    if got == expected:
        return None
    if isinstance(got, list) and isinstance(expected, list):
        if len(got) != len(expected):
            return f"{len(got)} entries, not {len(expected)}"
        got, expected = next(pair for pair in zip(got, expected, strict=True) if pair[0] != pair[1])
    return f"{got!r:.300} instead of {expected!r:.300}"
