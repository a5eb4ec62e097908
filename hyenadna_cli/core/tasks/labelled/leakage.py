"""What the rows that judge a model share with the rows it learned from.

| finding | a row of the judging split counts if |
|---|---|
| overlapping | its interval shares a base with one of training (same contig, any strand) |
| exact | its sequence is one of training's, on either strand |
| near | at least half of its 24-mers, on either strand, are those of one training row |

Near-exact rows are told by samples of their 24-mers: those whose hash is lowest, the same share of
all 24-mers in both splits (FracMinHash). A 24-mer of more than 100 training rows is a repeat and
says nothing. Exact rows are near as well, and counted as both.

Memory: 16 bytes a training row and at most 160 MB of 24-mers, whatever the data.
"""

# N rows judged, K sampled k-mers

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.config.choices import Split
from hyenadna_cli.core.tasks.labelled.kmers import kmers_of, mixed
from hyenadna_cli.core.tasks.labelled.rows import LabelledData, LabelledRows
from hyenadna_cli.core.tasks.labelled.validation import canonical_digest

NEAR_K = 24
NEAR_SHARE = 0.5
"""Of a row's sampled 24-mers, in one training row."""

_Example = tuple[str, str]
_PAIRS: tuple[tuple[Split, Split], ...] = (("test", "train"), ("test", "valid"), ("valid", "train"))
_MOST_KMERS = 20_000_000
_MOST_ROWS_OF_A_KMER = 100
_FEWEST_KMERS = 4
_N_EXAMPLES = 3
_BATCH_BASES = 2_000_000
_MOST_ROWS = 200_000
"""Rows of a split whose sequences are compared; of more, every so-manyth."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How many rows of the judging split, and examples: (its row, the other split's row)."""

    n: int
    examples: tuple[_Example, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedRows:
    """What one split shares with another."""

    judging: Split
    other: Split
    n_rows: int
    """Of the judging split."""
    n_compared: int
    """Those whose sequences were compared."""
    overlapping: Finding | None
    """None where the rows have no coordinates."""
    exact: Finding
    contradicting: Finding
    """Exact rows whose targets differ."""
    near: Finding

    @property
    def is_leaking(self) -> bool:
        """Whether anything is shared."""
        return bool(self.exact.n or self.near.n or (self.overlapping and self.overlapping.n))

    def describe(self) -> str:
        """One line: `test against train, of 459 rows: 97 overlap (21.1 %), ...`."""
        parts = []
        if self.overlapping is not None:
            parts.append(
                f"{self.overlapping.n:,} overlap{_percent(self.overlapping.n, self.n_rows)}"
            )
        parts.append(f"{self.exact.n:,} are equal{_percent(self.exact.n, self.n_compared)}")
        parts.append(f"{self.near.n:,} nearly so{_percent(self.near.n, self.n_compared)}")
        if self.contradicting.n:
            parts.append(f"{self.contradicting.n:,} equal with another label")
        text = f"{self.judging} against {self.other}, of {self.n_rows:,} rows: {', '.join(parts)}"
        examples = self.near.examples or (self.overlapping.examples if self.overlapping else ())
        return f"{text}; e.g. {examples[0][0]} and {examples[0][1]}" if examples else text


@dataclass(frozen=True, slots=True)
class LeakageReport:
    """Everything the splits of a data set share."""

    pairs: tuple[SharedRows, ...]

    @property
    def is_leaking(self) -> bool:
        """Whether any split shares anything with another."""
        return any(pair.is_leaking for pair in self.pairs)

    def as_json(self) -> dict[str, object]:
        """For leakage.json."""
        return {
            "near": {"k": NEAR_K, "least_share": NEAR_SHARE, "either_strand": True},
            "is_leaking": self.is_leaking,
            "pairs": [asdict(pair) for pair in self.pairs],
        }


def leakage(data: LabelledData) -> LeakageReport:
    """Compare every two splits that exist."""
    return LeakageReport(
        tuple(
            _shared(judging, other, data.splits[judging], data.splits[other])
            for judging, other in _PAIRS
            if judging in data.splits and other in data.splits
        )
    )


def _shared(
    judging: Split, other: Split, judged: LabelledRows, learned: LabelledRows
) -> SharedRows:
    exact, contradicting = _exact(judged, learned)
    compared = _thinned(len(judged))
    return SharedRows(
        judging=judging,
        other=other,
        n_rows=len(judged),
        n_compared=len(compared),
        overlapping=_overlapping(judged, learned),
        exact=exact,
        contradicting=contradicting,
        near=_near(judged, learned),
    )


def _thinned(n_rows: int) -> range:
    return range(0, n_rows, -(-n_rows // _MOST_ROWS))


def _overlapping(judged: LabelledRows, learned: LabelledRows) -> Finding | None:
    """By contig: sorted starts, and the furthest end up to each of them."""
    placed: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for index, interval in enumerate(learned.intervals):
        if interval is not None:
            placed[interval.contig].append((interval.start, interval.end, index))
    if not placed or all(interval is None for interval in judged.intervals):
        return None
    reach = {contig: _Reach(entries) for contig, entries in placed.items()}
    n, examples = 0, list[_Example]()
    for index, interval in enumerate(judged.intervals):
        if interval is None or interval.contig not in reach:
            continue
        row = reach[interval.contig].first_over(interval.start, interval.end)
        if row is not None:
            n += 1
            if len(examples) < _N_EXAMPLES:
                examples.append((judged.names[index], learned.names[row]))
    return Finding(n, tuple(examples))


class _Reach:
    """Intervals of one contig: does one of them share a base with another interval?"""

    def __init__(self, entries: list[tuple[int, int, int]]) -> None:
        ordered = np.array(sorted(entries), dtype=np.int64)
        self._starts = ordered[:, 0]
        self._rows = ordered[:, 2]
        self._furthest = np.maximum.accumulate(ordered[:, 1])

    def first_over(self, start: int, end: int) -> int | None:
        n_before = int(np.searchsorted(self._starts, end, side="left"))
        if n_before == 0 or self._furthest[n_before - 1] <= start:
            return None
        # The interval that reaches furthest among those that begin before the end.
        furthest = int(np.searchsorted(self._furthest, self._furthest[n_before - 1], side="left"))
        return int(self._rows[furthest])


def _exact(judged: LabelledRows, learned: LabelledRows) -> tuple[Finding, Finding]:
    first_of: dict[bytes, int] = {}
    for index in _thinned(len(learned)):
        first_of.setdefault(canonical_digest(learned.sequence(index)), index)
    n, n_other, examples, others = 0, 0, list[_Example](), list[_Example]()
    for index in _thinned(len(judged)):
        row = first_of.get(canonical_digest(judged.sequence(index)))
        if row is None:
            continue
        names = (judged.names[index], learned.names[row])
        n += 1
        if len(examples) < _N_EXAMPLES:
            examples.append(names)
        if not np.array_equal(judged[index].target, learned[row].target):
            n_other += 1
            if len(others) < _N_EXAMPLES:
                others.append(names)
    return Finding(n, tuple(examples)), Finding(n_other, tuple(others))


def _near(judged: LabelledRows, learned: LabelledRows) -> Finding:
    below = _hash_limit(learned)
    hashes, rows = _sampled(learned, below)
    order = np.argsort(hashes, kind="stable")
    hashes, rows = hashes[order], rows[order]
    n, examples = 0, list[_Example]()
    for batch in _batches(judged):
        sampled, owners = _sample(judged, batch, below)
        for owner, found in _nearest(sampled, owners, hashes, rows).items():
            n += 1
            if len(examples) < _N_EXAMPLES:
                examples.append((judged.names[owner], learned.names[found]))
    return Finding(n, tuple(examples))


def _nearest(
    sampled: NDArray[np.uint64],
    owners: NDArray[np.int64],
    hashes: NDArray[np.uint64],
    rows: NDArray[np.int64],
) -> Mapping[int, int]:
    """Of judged rows near to a learned one: {judged row: learned row}; `hashes` ascend."""
    first = np.searchsorted(hashes, sampled, side="left")
    n_rows = np.searchsorted(hashes, sampled, side="right") - first
    is_known = (n_rows > 0) & (n_rows <= _MOST_ROWS_OF_A_KMER)
    first, n_rows, known_owners = first[is_known], n_rows[is_known], owners[is_known]
    # Every pair of a judged and a learned row, once for each k-mer they share.
    within = np.arange(n_rows.sum()) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows)
    n_learned = int(rows.max(initial=0)) + 1
    pairs = np.repeat(known_owners, n_rows) * n_learned + rows[np.repeat(first, n_rows) + within]
    unique, n_shared = np.unique(pairs, return_counts=True)
    judged, learned = np.divmod(unique, n_learned)
    totals = np.bincount(owners, minlength=1)[judged] if len(unique) else unique
    is_near = (totals >= _FEWEST_KMERS) & (n_shared >= NEAR_SHARE * totals)
    return dict(zip(judged[is_near].tolist(), learned[is_near].tolist(), strict=True))


def _hash_limit(rows: LabelledRows) -> np.uint64:
    """k-mers with a hash up to this are sampled, so that those of all rows fit in memory."""
    lengths = rows.lengths[:: _thinned(len(rows)).step]
    n_kmers = int(np.maximum(lengths - NEAR_K + 1, 0).sum())
    share = min(1.0, _MOST_KMERS / max(n_kmers, 1))
    return np.uint64(min(int(share * 2.0**64), 2**64 - 1))


def _sampled(rows: LabelledRows, below: np.uint64) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    parts = (_sample(rows, batch, below) for batch in _batches(rows))
    hashes, owners = zip(*parts, strict=True)
    return np.concatenate(hashes), np.concatenate(owners)


def _sample(
    rows: LabelledRows, batch: list[int], below: np.uint64
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Hashes of the sampled k-mers of some rows, each once per row, and the row of each."""
    kmers = kmers_of([rows.sequence(index) for index in batch], NEAR_K, is_canonical=True)
    hashes = mixed(kmers.values_K)
    is_sampled = hashes <= below
    owners, hashes = kmers.rows_K[is_sampled], hashes[is_sampled]
    order = np.lexsort((hashes, owners))
    owners, hashes = owners[order], hashes[order]
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = (owners[1:] != owners[:-1]) | (hashes[1:] != hashes[:-1])
    return hashes[is_new], np.array(batch, dtype=np.int64)[owners[is_new]]


def _batches(rows: LabelledRows) -> Iterator[list[int]]:
    """Indices of rows of about two million bases together."""
    lengths = rows.lengths
    batch: list[int] = []
    n_bases = 0
    for index in _thinned(len(rows)):
        batch.append(index)
        n_bases += int(lengths[index])
        if n_bases >= _BATCH_BASES:
            yield batch
            batch, n_bases = [], 0
    if batch:
        yield batch


def _percent(n: int, of: int) -> str:
    return f" ({100 * n / of:.1f} %)" if n else ""
