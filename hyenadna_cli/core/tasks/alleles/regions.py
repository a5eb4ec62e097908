"""Where alleles lie in transcripts of a GTF: what a baseline knows that has seen no sequence.

| class | first base of REF |
|---|---|
| coding | in a CDS |
| splice | outside, at most 8 bases from an end of an exon |
| intron | in a transcript and in none of its exons |
| other | elsewhere: untranslated exons, between genes |

Contigs of the file and of the alleles may differ by the prefix `chr`.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import InputFileError

CLASSES = ("coding", "splice", "intron", "other")
_SPLICE = 8
_FAR = 1_000_000
_KINDS = ("CDS", "exon", "transcript")

Pairs = list[tuple[int, int]]


class Transcripts:
    """CDS, exons and transcripts of a GTF. Raises InputFileError for a file without exons."""

    def __init__(self, path: Path) -> None:
        found: dict[str, dict[str, set[tuple[int, int]]]] = defaultdict(lambda: defaultdict(set))
        with Input(str(path)).open() as lines:
            for number, raw in enumerate(lines, start=1):
                columns = raw.decode("utf-8", "replace").split("\t", 8)
                if len(columns) < 8 or columns[2] not in _KINDS:
                    continue
                try:
                    interval = int(columns[3]) - 1, int(columns[4])
                except ValueError:
                    problem = f"{columns[3]}, {columns[4]} are not a start and an end"
                    raise InputFileError(path, problem, line=number) from None
                found[_plain(columns[0])][columns[2]].add(interval)
        if not any(kinds["exon"] for kinds in found.values()):
            raise InputFileError(path, "has no exon lines; --genes needs a GTF of transcripts")
        self._merged = {
            contig: {kind: _merged(kinds[kind]) for kind in _KINDS}
            for contig, kinds in found.items()
        }
        self._ends = {
            contig: sorted(set(itertools.chain.from_iterable(kinds["exon"])))
            for contig, kinds in found.items()
        }

    def region(self, contig: str, start: int) -> str:
        """The class of a position (0-based)."""
        if self._is_in(contig, start, "CDS"):
            return "coding"
        if self.to_edge(contig, start) <= _SPLICE:
            return "splice"
        is_intron = self._is_in(contig, start, "transcript") and not self._is_in(
            contig, start, "exon"
        )
        return "intron" if is_intron else "other"

    def to_edge(self, contig: str, start: int) -> int:
        """Bases to the nearest end of an exon; a million where there is none nearer."""
        ends = self._ends.get(_plain(contig), [])
        index = bisect_right(ends, start)
        near = (abs(end - start) for end in ends[max(0, index - 1) : index + 1])
        return min(_FAR, *near, _FAR)

    def transcript_at(self, contig: str, start: int) -> tuple[str, int] | None:
        """Which of the merged transcripts holds a position; None between them."""
        pairs = self._merged.get(_plain(contig), {}).get("transcript", [])
        index = bisect_right(pairs, (start, _FAR << 20)) - 1
        return (_plain(contig), index) if index >= 0 and start < pairs[index][1] else None

    def features(self, contigs: Iterable[str], starts: Iterable[int]) -> NDArray[np.float64]:
        """Class, and the distance to an exon's end (log, and within 8 bases each one): (N, 14)."""
        rows = []
        for contig, start in zip(contigs, starts, strict=True):
            distance = self.to_edge(contig, start)
            in_class = [self.region(contig, start) == name for name in CLASSES]
            near = [distance == bases for bases in range(_SPLICE + 1)]
            rows.append([*in_class, *near, np.log1p(distance)])
        return np.array(rows, dtype=np.float64).reshape(-1, len(CLASSES) + _SPLICE + 2)

    def _is_in(self, contig: str, start: int, kind: str) -> bool:
        pairs = self._merged.get(_plain(contig), {}).get(kind, [])
        index = bisect_right(pairs, (start, _FAR << 20)) - 1
        return index >= 0 and start < pairs[index][1]


def _plain(contig: str) -> str:
    return contig.removeprefix("chr")


def _merged(intervals: set[tuple[int, int]]) -> Pairs:
    merged: Pairs = []
    for start, end in sorted(intervals):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
