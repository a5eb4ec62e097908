"""Places on a genome: the only module that converts between coordinate bases.

Inside the program every coordinate is 0-based half-open. One-based numbers exist only in text:
`from_one_based` and `to_one_based` are the two conversions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Strand = Literal["+", "-"]

_REGION = re.compile(r"(?P<contig>.+):(?P<start>\d[\d,]*)-(?P<end>\d[\d,]*)", re.ASCII)


def from_one_based(position: int) -> int:
    """The 0-based start of a 1-based position."""
    return position - 1


def to_one_based(start: int) -> int:
    """The 1-based position of a 0-based start."""
    return start + 1


@dataclass(frozen=True, slots=True)
class Interval:
    """`end - start` bases of a contig, 0-based half-open, read along `strand`."""

    contig: str
    start: int
    end: int
    strand: Strand = "+"

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            raise ValueError(
                f"an interval needs 0 <= start <= end, got {self.contig} {self.start} {self.end}"
            )

    @property
    def length(self) -> int:
        """Bases covered."""
        return self.end - self.start

    def __str__(self) -> str:
        """1-based closed, for people: `chr7:140,753,336-140,753,336`."""
        return f"{self.contig}:{to_one_based(self.start):,}-{self.end:,}"


def parse_region(text: str) -> Interval:
    """Read `chr7:140,753,336-140,753,336` (1-based closed).

    Raises ValueError if the text is not a region or its end precedes its start.
    """
    match = _REGION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a region such as chr7:140,753,336-140,753,336")
    start = from_one_based(int(match["start"].replace(",", "")))
    end = int(match["end"].replace(",", ""))
    if not 0 <= start < end:
        raise ValueError(f"{text!r} is no region: from 1 up, and not backwards")
    return Interval(match["contig"], start, end)
