"""The 96 changes of a trinucleotide by an SNV, both strands as one: by the pyrimidine in it.

Rates of mutation and the scores of language models depend on them more than on anything else that
is as cheap to know (Alexandrov et al. 2013).
"""

from __future__ import annotations

from hyenadna_cli.core.dna.sequence import reverse_complement

CHANGES = tuple(
    f"{before}{ref}{after}>{alt}"
    for ref in "CT"
    for alt in "ACGT"
    if alt != ref
    for before in "ACGT"
    for after in "ACGT"
)
"""Such as `ACG>T`."""
_KNOWN = frozenset(CHANGES)


def trinucleotide_change(ref: str, alt: str, before: str, after: str) -> str | None:
    """The change of an SNV between what stands before and after it; None for all else, beside N,
    and at the end of a contig, where nothing does.
    """
    if not (len(ref) == len(alt) == 1 and before and after):
        return None
    three, alt = f"{before[-1]}{ref}{after[0]}".upper(), alt.upper()
    if three[1] in "AG" and alt in "ACGT":
        three, alt = reverse_complement(three), reverse_complement(alt)
    change = f"{three}>{alt}"
    return change if change in _KNOWN else None
