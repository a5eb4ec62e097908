"""What a classifier of alleles sees of each of them: numbers in a fixed order.

embedding             all vectors of the file, the main one first
llr site jsd l2 cos   one score each
context               no model: the trinucleotide change of an SNV (96, both strands one), bases
added and removed (log), GC and CpG of up to 50 bases on either side
kmer                  baseline: canonical 4-mers around, and how the allele changes their counts
"""

# N alleles, D numbers of a feature

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna.trinucleotides import CHANGES, trinucleotide_change
from hyenadna_cli.core.tasks.labelled.kmers import canonical_columns, kmers_of

_NUMBER_OF = {change: number for number, change in enumerate(CHANGES)}
_K = 4


@dataclass(frozen=True, slots=True)
class AlleleTexts:
    """The letters of alleles: REF, ALT, and up to 50 bases on either side on the plus strand."""

    refs: Sequence[str]
    alts: Sequence[str]
    befores: Sequence[str]
    afters: Sequence[str]

    def __len__(self) -> int:
        return len(self.refs)


def context(texts: AlleleTexts) -> NDArray[np.float64]:
    """(N, 100)."""
    rows = np.zeros((len(texts), len(CHANGES) + 4))
    letters = zip(texts.refs, texts.alts, texts.befores, texts.afters, strict=True)
    for row, (ref, alt, before, after) in zip(rows, letters, strict=True):
        change = trinucleotide_change(ref, alt, before, after)
        if change is not None:
            row[_NUMBER_OF[change]] = 1
        around = f"{before}{ref}{after}".upper()
        row[-4] = np.log1p(max(0, len(alt) - len(ref)))
        row[-3] = np.log1p(max(0, len(ref) - len(alt)))
        row[-2] = (around.count("G") + around.count("C")) / max(1, len(around))
        row[-1] = around.count("CG") / max(1, len(around))
    return rows


def kmers(texts: AlleleTexts) -> NDArray[np.float64]:
    """(N, 2 x 136): shares of 4-mers around, and what the allele changes of their counts."""
    of_ref, of_alt = (
        _counts(
            [
                before + allele + after
                for before, allele, after in zip(texts.befores, alleles, texts.afters, strict=True)
            ]
        )
        for alleles in (texts.refs, texts.alts)
    )
    shares = of_ref / np.maximum(1, of_ref.sum(axis=1, keepdims=True))
    return np.concatenate([shares, of_alt - of_ref], axis=1)


def _counts(sequences: Sequence[str]) -> NDArray[np.float64]:
    columns = canonical_columns(_K)
    found = kmers_of(sequences, _K, is_canonical=True)
    counts = np.zeros((len(sequences), int(columns.max()) + 1))
    np.add.at(counts, (found.rows_K, columns[found.values_K.astype(np.int64)]), 1)
    return counts


def feature_parts(
    names: Sequence[str],
    vectors: Mapping[str, NDArray[np.floating]],
    scores: Mapping[str, NDArray[np.float64]],
    texts: AlleleTexts,
) -> dict[str, NDArray[np.float64]]:
    """Each feature by its name: (N, D). NaN where an allele has no such number."""
    parts: dict[str, NDArray[np.float64]] = {}
    for name in names:
        if name == "embedding":
            parts[name] = np.concatenate(list(vectors.values()), axis=1).astype(np.float64)
        elif name == "context":
            parts[name] = context(texts)
        else:
            parts[name] = np.asarray(scores[name], dtype=np.float64)[:, None]
    return parts
