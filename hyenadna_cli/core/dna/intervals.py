"""Set operations on lists of intervals (0-based half-open, strands ignored)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hyenadna_cli.core.dna.coordinates import Interval


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Sorted by contig and start, with overlapping and touching ones joined."""
    result: list[Interval] = []
    for interval in sorted(intervals, key=lambda i: (i.contig, i.start, i.end)):
        last = result[-1] if result else None
        if last and last.contig == interval.contig and interval.start <= last.end:
            result[-1] = Interval(last.contig, last.start, max(last.end, interval.end))
        else:
            result.append(Interval(interval.contig, interval.start, interval.end))
    return result


def intersected(these: Iterable[Interval], those: Iterable[Interval]) -> list[Interval]:
    """Every stretch covered by both, cut where an interval of `these` begins or ends."""
    return [
        Interval(a.contig, max(a.start, b.start), min(a.end, b.end))
        for a, b in _overlapping(these, merged(those))
    ]


def subtracted(these: Iterable[Interval], those: Iterable[Interval]) -> list[Interval]:
    """What remains of `these` outside `those`."""
    holes: dict[Interval, list[Interval]] = {}
    these = list(these)
    for a, b in _overlapping(these, merged(those)):
        holes.setdefault(a, []).append(b)
    result = []
    for a in these:
        start = a.start
        for hole in holes.get(a, []):
            if hole.start > start:
                result.append(Interval(a.contig, start, hole.start))
            start = max(start, hole.end)
        if start < a.end:
            result.append(Interval(a.contig, start, a.end))
    return result


def _overlapping(
    these: Iterable[Interval], those: list[Interval]
) -> Iterator[tuple[Interval, Interval]]:
    """Pairs that overlap; `those` are merged, so their starts and ends both ascend."""
    by_contig: dict[str, list[Interval]] = {}
    for b in those:
        by_contig.setdefault(b.contig, []).append(b)
    for contig, group in _grouped(these).items():
        candidates, first = by_contig.get(contig, []), 0
        for a in group:
            while first < len(candidates) and candidates[first].end <= a.start:
                first += 1
            index = first
            while index < len(candidates) and candidates[index].start < a.end:
                yield a, candidates[index]
                index += 1


def _grouped(intervals: Iterable[Interval]) -> dict[str, list[Interval]]:
    groups: dict[str, list[Interval]] = {}
    for interval in sorted(intervals, key=lambda i: (i.contig, i.start, i.end)):
        groups.setdefault(interval.contig, []).append(interval)
    return groups
