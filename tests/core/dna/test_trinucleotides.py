"""Changes of trinucleotides: 96, the same from both strands."""

from __future__ import annotations

import itertools
from collections import Counter

from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.trinucleotides import CHANGES, trinucleotide_change


def test_every_snv_has_one_change_and_its_other_strand_the_same():
    found = Counter()
    for before, ref, after, alt in itertools.product("ACGT", repeat=4):
        change = trinucleotide_change(ref, alt, f"TT{before}", f"{after}AA")
        if ref == alt:
            assert change is None
            continue
        of_other = trinucleotide_change(
            *map(reverse_complement, (ref, alt, f"{after}AA", f"TT{before}"))
        )
        assert change == of_other
        found[change] += 1

    assert found == dict.fromkeys(CHANGES, 2)
    assert trinucleotide_change("c", "t", "a", "g") == "ACG>T"


def test_what_is_no_snv_between_two_bases_has_none():
    for letters in [
        ("AC", "A", "G", "T"),
        ("A", "AC", "G", "T"),
        ("A", "C", "", "T"),
        ("A", "C", "G", ""),
        ("A", "C", "N", "T"),
        ("N", "C", "G", "T"),
        ("A", "*", "G", "T"),
        ("A", "R", "G", "T"),
    ]:
        assert trinucleotide_change(*letters) is None
