"""Scores near contig ends and gaps: what they depend on, over contigs and alleles of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pysam
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.library.models import load_model
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants.alleles import Centred, Grid, Variant, assess
from hyenadna_cli.core.variants.chunks import SCORES, ScoreSettings
from hyenadna_cli.core.variants.scoring import score
from hyenadna_cli.core.variants.stretches import Stretches
from tests.core.variants.by_the_book import log_likelihood, n_acgt, windows_of

MANY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = HyenaDNA(ModelConfig(d_model=8, n_layer=2, d_inner=16, l_max=300)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "implicit_filter" not in name:
                parameter *= 8
    return model.double()


bases = st.text("ACGT", min_size=1, max_size=40)
contigs = st.lists(
    st.tuples(bases, st.sampled_from([0, 1, 3, 10, 11, 30])), min_size=1, max_size=5
).map(lambda parts: "".join(part + "N" * n_unknown for part, n_unknown in parts))
layouts = st.one_of(
    st.builds(Centred, upstream=st.integers(1, 120), downstream=st.integers(1, 120)),
    st.integers(16, 200).map(lambda window: Grid(window=window, min_context=window // 4)),
)


@st.composite
def alleles(draw):
    """A contig and an allele of it: SNV, MNV, insertion or deletion, with an anchor or without."""
    contig = draw(contigs.filter(lambda text: n_acgt(text) > 0))
    start = draw(st.sampled_from([n for n, base in enumerate(contig) if base != "N"]))
    longest = 1
    while longest < 12 and start + longest < len(contig) and contig[start + longest] != "N":
        longest += 1
    ref = contig[start : start + draw(st.integers(1, longest))]
    alt = draw(st.text("ACGT", min_size=1, max_size=12))
    return contig, Variant("chr1", start, ref, (alt,))


def genome_of(folder, **records):
    path = folder / "genome.fa"
    path.unlink(missing_ok=True)
    path.with_name("genome.fa.fai").unlink(missing_ok=True)
    path.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in records.items()))
    pysam.faidx(str(path))
    return Genome(path)


def scored(model, genome, variants, layout, strands=("+", "-"), scores=("llr", "site")):
    chosen = ScoreSettings(layout=layout, scores=scores, strands=strands, max_n_fraction=1.0)
    stretches = Stretches(genome)
    sites = [assess(v, stretches, layout=layout, max_allele_length=50) for v in variants]
    limits = BatchLimits(max_tokens=4_096)
    return [
        allele
        for done in score(model, sites, genome, chosen, limits=limits)
        for row in done.rows
        for allele in row
    ]


def has_room(variant, layout, contig_length):
    """Whether a window of the layout holds REF and ALT on both strands."""
    ref = Interval("chr1", variant.start, variant.end)
    places = [layout.place(ref, strand, contig_length=contig_length) for strand in "+-"]
    if None in places:
        return False
    return len(variant.alts[0]) <= layout.window - max(place.offset for place in places)


@MANY
@given(allele=alleles(), layout=layouts, strand=st.sampled_from("+-"))
def test_a_score_is_that_of_two_plain_passes_over_equally_many_bases(
    model, tmp_path, allele, layout, strand
):
    contig, variant = allele
    with genome_of(tmp_path, chr1=contig) as genome:
        (scores,) = scored(model, genome, [variant], layout, (strand,), ("llr",))
        if scores.status == "TOO_LONG" and not has_room(variant, layout, len(contig)):
            return
        windows = windows_of(genome, variant, variant.alts[0], strand, layout)
    if windows is None:
        assert scores.status in ("TOO_LONG", "N_WINDOW")
        return
    ref, alt = windows
    assert n_acgt(ref) == n_acgt(alt)
    assert scores.status in ("OK", "OK_EDGE")
    expected = log_likelihood(model, alt) - log_likelihood(model, ref)
    assert scores.values["llr"] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("contig", "ref", "alt"), [("AA", "AA", "C"), ("A", "A", "CG")])
def test_windows_cut_to_their_first_base_have_no_score(model, tmp_path, contig, ref, alt):
    variant = Variant("chr1", 0, ref, (alt,))
    with genome_of(tmp_path, chr1=contig) as genome:
        (scores,) = scored(model, genome, [variant], Centred(upstream=8, downstream=8))

    assert scores.status == "TOO_LONG"
    assert all(np.isnan(value) for value in scores.values.values())


def test_a_few_n_at_the_end_of_a_contig_are_an_end(model, tmp_path):
    layout = Centred(upstream=8, downstream=8)
    alts = [Variant("chr1", 1, "A", ("ACCGT",)), Variant("bare", 1, "A", ("ACCGT",))]
    with genome_of(tmp_path, chr1="GATNNN", bare="GAT") as genome:
        tailed, bare = scored(model, genome, alts, layout)

    assert tailed == bare
    assert bare.status == "OK_EDGE"


@MANY
@given(allele=alleles(), layout=layouts)
def test_an_allele_and_its_mirror_image_have_the_same_scores(model, tmp_path, allele, layout):
    contig, variant = allele
    mirrored = Variant(
        "mirror",
        len(contig) - variant.end,
        reverse_complement(variant.ref),
        (reverse_complement(variant.alts[0]),),
    )
    if isinstance(layout, Grid):
        return  # the grid begins at the contig's start
    with genome_of(tmp_path, chr1=contig, mirror=reverse_complement(contig)) as genome:
        one, other = scored(model, genome, [variant, mirrored], layout, scores=SCORES)

    assert one.status == other.status
    np.testing.assert_allclose(
        list(one.values.values()), list(other.values.values()), rtol=0, atol=1e-9
    )


@MANY
@given(
    allele=alleles(), layout=layouts, gap=st.integers(11, 300), junk=st.text("ACGT", max_size=40)
)
def test_a_score_knows_nothing_of_what_lies_behind_a_gap(
    model, tmp_path, allele, layout, gap, junk
):
    """The same stretch cut out as a contig of its own scores as it does in place."""
    contig, variant = allele
    if isinstance(layout, Grid):
        return
    before, after = junk + "N" * gap, "N" * gap + junk
    in_place = Variant("big", variant.start + len(before), variant.ref, variant.alts)
    with genome_of(tmp_path, chr1=contig, big=before + contig + after) as genome:
        alone, there = scored(model, genome, [variant, in_place], layout, scores=SCORES)

    assert alone.status == there.status
    np.testing.assert_allclose(
        list(alone.values.values()), list(there.values.values()), rtol=0, atol=1e-9
    )


@pytest.mark.slow
@MANY
@given(contig=st.text("ACGT", min_size=20, max_size=60), data=st.data())
def test_on_a_contig_that_fits_into_a_window_centred_and_grid_agree(model, tmp_path, contig, data):
    start = data.draw(st.integers(0, len(contig) - 1))
    n_ref = data.draw(st.integers(1, min(8, len(contig) - start)))
    alt = data.draw(st.text("ACGT", min_size=1, max_size=12))
    variant = Variant("chr1", start, contig[start : start + n_ref], (alt,))
    with genome_of(tmp_path, chr1=contig) as genome:
        (centred,) = scored(
            model, genome, [variant], Centred(upstream=100, downstream=100), scores=SCORES
        )
        (grid,) = scored(model, genome, [variant], Grid(window=200, min_context=25), scores=SCORES)

    assert grid.status == centred.status
    np.testing.assert_allclose(
        list(grid.values.values()), list(centred.values.values()), rtol=0, atol=1e-9
    )


SHARED = Path(__file__).parents[4] / "shared"


@pytest.mark.shared
@pytest.mark.slow  # half a minute: passes over a whole mitochondrial genome
@pytest.mark.skipif(not SHARED.exists(), reason="no data folder beside the checkout")
def test_indels_of_a_mitochondrial_genome_score_alike_in_windows_that_reach_past_its_ends():
    """A window of 32,768 bases is longer than chrM: 0.1.0 gave the deletion +9.68 there."""
    deletion = Variant("chrM", 8_270 - 1, "CACCCCCTCT", ("C",))
    model = load_model("builtin")
    with Genome(SHARED / "data" / "mito" / "homo_sapiens.chrM.hg38.fa") as genome:
        ends = [indel(genome, start) for start in (600, 15_900)]
        variants = [deletion, *(variant for pair in ends for variant in pair)]
        of_window = {}
        for window in (4_000, 16_000, 32_768):
            layout = Centred(upstream=window // 2, downstream=window - window // 2)
            of_window[window] = [
                allele.values["llr"] for allele in scored(model, genome, variants, layout)
            ]

    assert all(-1.5 < values[0] < 0.5 for values in of_window.values())
    for number in range(1, len(variants)):
        values = [scores[number] for scores in of_window.values()]
        # Nine bases counted in one window alone would be 12 nats.
        assert max(values) - min(values) < 2


def indel(genome, start):
    """A deletion and an insertion of 9 bases at a place of chrM."""
    ref = genome.fetch(Interval("chrM", start, start + 10)).upper()
    return (
        Variant("chrM", start, ref, (ref[0],)),
        Variant("chrM", start, ref[0], (ref[0] + "ACGTTGCAA",)),
    )


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(("ref", "alt"), [("A", "C"), ("A", "ACCGT"), ("AC", "GT")])
def test_a_locus_cut_out_scores_as_it_does_in_place(model, tmp_path, ref, alt, strand):
    """Where the window holds the same bases: what else the contig has does not matter."""
    drawn = np.random.default_rng(11)
    front, locus_front, locus_back, back = (
        "".join(drawn.choice(list("ACGT"), length)) for length in (90, 40, 50, 90)
    )
    locus = locus_front + ref + locus_back
    before, after = len(locus_front), len(locus) - len(locus_front)
    if strand == "-":
        before, after = len(locus_back), len(locus) - len(locus_back)
    inside = Centred(upstream=before, downstream=after)
    reaching = Centred(upstream=before + 60, downstream=after + 60)
    variants = [
        Variant("whole", len(front) + len(locus_front), ref, (alt,)),
        Variant("cut", len(locus_front), ref, (alt,)),
    ]
    with genome_of(tmp_path, whole=front + locus + back, cut=locus) as genome:
        (in_place,) = scored(model, genome, variants[:1], inside, (strand,))
        (cut_out,) = scored(model, genome, variants[1:], reaching, (strand,))

    assert (in_place.status, cut_out.status) == ("OK", "OK_EDGE")
    assert cut_out.values == pytest.approx(in_place.values, abs=1e-9)
