"""An allele in the window that it is read in, and what of REF and ALT is compared there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Strand
from hyenadna_cli.core.dna.tokenizer import TokenIds


@dataclass(frozen=True, slots=True)
class Allele:
    """One allele in one window, in reading direction."""

    row: int
    """Of the chunk's table of values."""
    offset: int
    ref: str
    alt: str

    def ids(self, bases: TokenIds, length: int) -> TokenIds:
        """The ALT window: `bases` with ALT for REF, cut to `length`."""
        after = bases[self.offset + len(self.ref) :]
        whole = np.concatenate([bases[: self.offset], tokenizer.encode(self.alt), after])
        return whole[:length]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What of the two windows of an allele is compared: equally many A, C, G and T.

    What an insertion adds is cut off at the far end of ALT, and what a deletion removes is read on
    behind the window; where nothing follows, REF is cut as well.
    """

    first: int
    """Where the windows first differ; the window's length if nowhere."""
    ref_end: int
    """One past the last base of REF that is compared."""
    alt_end: int
    """The same of ALT."""

    @classmethod
    def of(cls, bases: TokenIds, allele: Allele, length: int) -> Comparison | None:
        """None if sequence ends before there is anything to compare.

        `bases` are the REF window, `length` of them, and what follows it.
        """
        # The first base of a window has nothing before it, and so no probability.
        if not _is_base(bases[1:length]).any():
            return None
        if len(allele.ref) == len(allele.alt):
            pairs = zip(allele.ref.upper(), allele.alt.upper(), strict=True)
            inside = next((i for i, (ref, alt) in enumerate(pairs) if ref != alt), None)
            return cls(length if inside is None else allele.offset + inside, length, length)
        ref, alt = bases[:length], allele.ids(bases, length)
        n_before = [np.cumsum(_is_base(ids)) for ids in (ref, alt)]
        n_compared = min(int(counts[-1]) for counts in n_before)
        ref_end, alt_end = (int(np.searchsorted(c, n_compared)) + 1 for c in n_before)
        if not _is_base(ref[1:ref_end]).any():
            return None
        # In a repeat an indel shows only where the repeat ends.
        last = min(ref_end, alt_end)
        differs = alt[allele.offset : last] != ref[allele.offset : last]
        if differs.any():
            return cls(allele.offset + int(differs.argmax()), ref_end, alt_end)
        is_whole = allele.offset + max(len(allele.ref), len(allele.alt)) <= last
        return cls(length, ref_end, alt_end) if is_whole else None


@dataclass(frozen=True, slots=True)
class Window:
    """A window that was read, and the alleles to score in it."""

    strand: Strand
    bases: TokenIds
    """The window, and what deletions bring into it behind its end."""
    length: int
    alleles: list[tuple[Allele, Comparison]]

    @property
    def token_ids(self) -> TokenIds:
        """The REF window."""
        return self.bases[: self.length]


@dataclass(frozen=True, slots=True)
class Task:
    """An allele of a window of a REF pass."""

    in_batch: int
    """The window's place in the REF pass."""
    window: Window
    allele: Allele
    compared: Comparison

    @property
    def first(self) -> int:
        """Where the windows first differ; the window's length if nowhere."""
        return self.compared.first

    def ids(self) -> TokenIds:
        """The ALT window, as far as it is compared."""
        return self.allele.ids(self.window.bases, self.window.length)[: self.compared.alt_end]

    def tokens_at_first(self) -> tuple[int, int]:
        """REF and ALT token where the windows first differ."""
        allele, inside = self.allele, self.first - self.allele.offset
        if len(allele.ref) == len(allele.alt):
            alt_id = int(tokenizer.encode(allele.alt[inside])[0])
        else:
            alt_id = int(self.ids()[self.first])
        return int(self.window.bases[self.first]), alt_id


def _is_base(token_ids: TokenIds) -> NDArray[np.bool_]:
    return (token_ids >= tokenizer.A) & (token_ids <= tokenizer.T)
