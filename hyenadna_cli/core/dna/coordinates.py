"""Places on a genome: the only module that converts between coordinate bases.

Inside the program every coordinate is 0-based half-open. One-based numbers exist only in text:
`from_one_based` and `to_one_based` are the two conversions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple, Self

Strand = Literal["+", "-"]

_REGION = re.compile(r"(?P<contig>.+):(?P<start>\d[\d,]*)-(?P<end>\d[\d,]*)", re.ASCII)
_OPEN_REGION = re.compile(
    r"(?:\{(?P<braced>[^{}]+)\}|(?P<contig>[^{}]+?))"
    r"(?::(?P<start>\d[\d,]*)(?P<to>-(?P<end>\d[\d,]*)?)?)?",
    re.ASCII,
)


def from_one_based(position: int) -> int:
    """The 0-based start of a 1-based position."""
    return position - 1


def to_one_based(start: int) -> int:
    """The 1-based position of a 0-based start."""
    return start + 1


def along(strand: Strand, boundary: int, start: int, end: int) -> tuple[int, int]:
    """The place of offsets `start` to `end` (half-open) from a boundary, in reading direction.

    `boundary` and the place are 0-based, on the plus strand; offset 0 is the first base behind the
    boundary as `strand` is read. The place may begin below 0.
    """
    if strand == "+":
        return boundary + start, boundary + end
    return boundary - end, boundary - start


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

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `chr7:140,753,336-140,753,336` names (1-based closed). Raises ValueError.

        >>> import hyenadna_cli as hd
        >>> hd.Interval.parse("chr7:101-200")
        Interval(contig='chr7', start=100, end=200, strand='+')
        """
        match = _REGION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a region such as chr7:140,753,336-140,753,336")
        start = from_one_based(int(match["start"].replace(",", "")))
        end = int(match["end"].replace(",", ""))
        if not 0 <= start < end:
            raise ValueError(f"{text!r} is not a region: from 1 up, and not backwards")
        return cls(match["contig"], start, end)

    @property
    def length(self) -> int:
        """Bases covered."""
        return self.end - self.start

    def __str__(self) -> str:
        """1-based closed, for people: `chr7:140,753,336-140,753,336`."""
        return f"{self.contig}:{to_one_based(self.start):,}-{self.end:,}"


class RegionText(NamedTuple):
    """A region as it is written, of a contig whose length is not known yet."""

    contig: str
    start: int
    """0-based."""
    end: int | None
    """One past the last base; None for the end of the contig."""

    def holds(self, contig: str, start: int) -> bool:
        """Whether a base is inside."""
        return contig == self.contig and self.start <= start < (self.end or start + 1)


def read_region(text: str) -> RegionText:
    """Read what `Interval.parse` reads, and `chr7`, `chr7:100` (one base) and `chr7:100-`.

    A contig may stand in braces: `{HLA-A*01:01}:1-20`. Raises ValueError for anything else.
    """
    match = _OPEN_REGION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{text!r} is not a region such as chr7:140,753,336-140,753,336, chr7 or "
            "{HLA-A*01:01}:1-20"
        )
    contig = match["braced"] or match["contig"]
    if match["start"] is None:
        return RegionText(contig, 0, None)
    first = match["start"]
    last = match["end"] if match["to"] else first
    if last is None:
        start = from_one_based(int(first.replace(",", "")))
        if start < 0:
            raise ValueError(f"{text!r} is not a region: positions count from 1")
        return RegionText(contig, start, None)
    interval = Interval.parse(f"{contig}:{first}-{last}")
    return RegionText(contig, interval.start, interval.end)
