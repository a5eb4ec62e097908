"""Where real sequence ends, against a search base by base."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.variants.stretches import Stretches

contigs = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([0, 1, 2, 3, 4, 30])), min_size=1, max_size=6
).map(lambda parts: "".join("A" * n_bases + "N" * n_unknown for n_bases, n_unknown in parts) + "C")


@given(contig=contigs, start=st.integers(-10, 200), length=st.integers(1, 200))
def test_stretches_of_any_window_are_those_found_base_by_base(
    tmp_path_factory, contig, start, length
):
    """Of several gaps behind the window too, of which one was once taken for sequence."""
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    path.write_text(f">chr1\n{contig}\n")
    with Genome(path) as genome:
        found = Stretches(genome, max_n_run=2).within("chr1", start=start, end=start + length)

    is_real = [True] * len(contig)
    for gap in re.finditer("N{3,}|^N+|N+$", contig):
        is_real[gap.start() : gap.end()] = [False] * len(gap.group())
    inside = range(max(0, start), min(start + length, len(contig)))
    assert [base for piece in found for base in range(piece.start, piece.end)] == [
        base for base in inside if is_real[base]
    ]
    assert all(a.end < b.start for a, b in itertools.pairwise(found))
    assert all(isinstance(piece, Interval) and piece.length > 0 for piece in found)
