"""Random SNVs of small regions."""

from __future__ import annotations

from collections import Counter

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.variants import random_snvs


def test_all_that_small_regions_hold_is_drawn_and_no_more_is_waited_for(fasta_file, monkeypatch):
    n_read = 0
    three = random_snvs._three

    def counted(*place):
        nonlocal n_read
        n_read += 1
        return three(*place)

    monkeypatch.setattr(random_snvs, "_three", counted)
    with Genome(fasta_file({"chr1": f"{'AT' * 30}NACGAACGA{'AT' * 20}"})) as genome:
        regions = [Interval("chr1", 0, 62), Interval("chr1", 62, genome.lengths["chr1"])]
        snvs = random_snvs.random_snvs(genome, regions, per_change=10, seed=0)

    of_change = Counter(snv.change for snv in snvs)
    assert {of_change[f"ATA>{alt}"] for alt in "ACG"} == {10}
    assert {of_change[f"ACG>{alt}"] for alt in "AGT"} == {2}
    assert {of_change[f"GTT>{alt}"] for alt in "ACG"} == {1}
    assert of_change["TTT>A"] == 0
    # 200 draws for each SNV asked for would be 192,000.
    assert n_read < 30_000
