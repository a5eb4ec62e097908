"""DNA strings: which letters are allowed and what they become, reverse complement, N content.

Case carries soft-masking (lower case = repeat) and is kept throughout.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from Bio.Data import IUPACData
from Bio.Seq import reverse_complement as _iupac_reverse_complement

_KEPT = b"ACGTNacgtn"
_AMBIGUITY_CODES = "".join(sorted(set(IUPACData.ambiguous_dna_letters) - set("ACGTN"))).encode()
_AMBIGUOUS = _AMBIGUITY_CODES + _AMBIGUITY_CODES.lower()
_URACIL = b"Uu"
_REPLACE = bytes.maketrans(
    _AMBIGUOUS + _URACIL,
    b"N" * len(_AMBIGUITY_CODES) + b"n" * len(_AMBIGUITY_CODES) + b"Tt",
)
_BASES_OF = {**IUPACData.ambiguous_dna_values, "U": "T"}
_NOT_ALLOWED = re.compile(f"[^{(_KEPT + _AMBIGUOUS + _URACIL).decode()}]")


class Bases(Protocol):
    """A sequence that is in memory (a string) or elsewhere; slices are strings."""

    def __len__(self) -> int: ...

    def __getitem__(self, window: slice, /) -> str: ...

    def count(self, letter: str, /) -> int:
        """How often N or n occurs."""
        ...


class LetterError(ValueError):
    """A letter that is not an IUPAC nucleotide, at a 0-based `position` of its sequence."""

    def __init__(self, letter: str, position: int) -> None:
        super().__init__(f"{letter!r} is not an IUPAC nucleotide code")
        self.letter = letter
        self.position = position


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A sequence of A, C, G, T, N in either case, and how many letters were replaced in it."""

    sequence: str
    n_ambiguous: int
    """IUPAC codes other than A, C, G, T, N that became N."""
    n_uracil: int
    """U that became T."""


@dataclass(slots=True)
class LetterCounts:
    """A running tally of replaced letters, for one note to the user at the end."""

    n_ambiguous: int = 0
    """IUPAC codes other than A, C, G, T, N that became N."""
    n_uracil: int = 0
    """U that became T."""

    def add(self, cleaned: Cleaned) -> None:
        """Count what `clean` replaced in one sequence."""
        self.n_ambiguous += cleaned.n_ambiguous
        self.n_uracil += cleaned.n_uracil


def clean(sequence: str) -> Cleaned:
    """Read ambiguity codes as N and U as T; keep the case and the length.

    Raises LetterError at the first letter that is not an IUPAC nucleotide code (gaps are none).
    """
    try:
        letters = sequence.encode("ascii")
    except UnicodeEncodeError:
        raise _first_bad_letter(sequence) from None
    # Nearly every sequence is plain ACGTN: one C-speed pass then decides, and nothing is copied.
    replaced = letters.translate(None, delete=_KEPT)
    if not replaced:
        return Cleaned(sequence, n_ambiguous=0, n_uracil=0)
    if replaced.translate(None, delete=_AMBIGUOUS + _URACIL):
        raise _first_bad_letter(sequence)
    n_uracil = sum(replaced.count(letter) for letter in (b"U", b"u"))
    return Cleaned(
        letters.translate(_REPLACE).decode("ascii"),
        n_ambiguous=len(replaced) - n_uracil,
        n_uracil=n_uracil,
    )


def _first_bad_letter(sequence: str) -> LetterError:
    match = _NOT_ALLOWED.search(sequence)
    assert match is not None
    return LetterError(match.group(), match.start())


def reverse_complement(sequence: str) -> str:
    """The other strand read 5' to 3'; IUPAC codes are complemented and the case kept."""
    complement: str = _iupac_reverse_complement(sequence)
    return complement


def share_a_base(letter: str, other: str) -> bool:
    """Whether two upper-case IUPAC codes can stand for the same base; U is T.

    N tells nothing about a base and agrees with N alone: a REF in a gap is of another assembly.
    """
    if "N" in (letter, other):
        return letter == other
    bases, others = (_BASES_OF.get(code, "") for code in (letter, other))
    return bool(set(bases) & set(others))


def n_fraction(sequence: Bases) -> float:
    """The share of N or n in a cleaned sequence; 0.0 for an empty one."""
    if not len(sequence):
        return 0.0
    return (sequence.count("N") + sequence.count("n")) / len(sequence)
