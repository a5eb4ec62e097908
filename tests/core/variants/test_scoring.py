"""Scores: equal to two plain passes, and the same whatever else is scored, how, and from where."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.model.blocks import Execution
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.variants.alleles import Centred, Grid, Variant, assess
from hyenadna_cli.core.variants.chunks import SCORES, ScoreSettings
from hyenadna_cli.core.variants.pass_plan import plan_passes
from hyenadna_cli.core.variants.scoring import score
from hyenadna_cli.core.variants.stretches import Stretches
from hyenadna_cli.ops.choice import numba_problem
from tests.core.variants.by_the_book import log_likelihood, n_acgt, windows_of

N_BASES = 1_500
AUTO = BatchLimits(max_tokens=4_096)
WINDOWS = [64, 257, 1_000]
EVERYTHING = {"scores": SCORES}


@pytest.fixture(scope="module")
def model():
    """Order 2, short convolution of 3 taps, weights so large that context matters."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = HyenaDNA(ModelConfig(d_model=16, n_layer=3, d_inner=32, l_max=1_000)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "implicit_filter" not in name:
                parameter *= 8
    return model


@pytest.fixture
def genome(fasta_file):
    """chr1 with a homopolymer, two single N and a gap, and its reverse complement as chr1_rc."""
    random = np.random.default_rng(3)
    bases = "".join(random.choice(list("ACGT"), N_BASES))
    bases = bases[:600] + "A" * 20 + "NN" + bases[622:1_180] + "N" * 15 + bases[1_195:]
    path = fasta_file({"chr1": bases, "chr1_rc": reverse_complement(bases)})
    with Genome(path) as genome:
        yield genome


def variant(genome, start, n_ref, *alts):
    """A variant whose REF is `n_ref` bases of chr1; "+ACG" is REF with ACG behind its first base,
    "-" the first base alone, "~" every base of REF exchanged."""
    ref = genome.fetch(Interval("chr1", start, start + n_ref))
    swap = str.maketrans("ACGTN", "CGTAA")
    written = {"-": ref[0], "~": ref.translate(swap)}
    return Variant(
        "chr1",
        start,
        ref,
        tuple(ref[0] + alt[1:] + ref[1:] if alt[0] == "+" else written[alt] for alt in alts),
    )


def of_all_kinds(genome):
    """SNVs, MNV, insertions, deletions, several alleles, in repeats, near N, at contig ends."""
    return [
        variant(genome, 700, 1, "~"),
        variant(genome, 701, 3, "~"),
        variant(genome, 750, 1, "+G", "+ACGTA"),
        variant(genome, 760, 6, "-"),
        variant(genome, 770, 2, "~", "-", "+TT"),
        variant(genome, 605, 2, "-"),
        variant(genome, 605, 1, "+A"),
        variant(genome, 618, 1, "~"),
        variant(genome, 0, 1, "~"),
        variant(genome, 1, 4, "-"),
        variant(genome, 12, 1, "+CC"),
        variant(genome, N_BASES - 1, 1, "~"),
        variant(genome, N_BASES - 6, 5, "-"),
        variant(genome, N_BASES - 3, 1, "+ACGTACG"),
        variant(genome, 1_172, 6, "-"),
        variant(genome, 1_170, 1, "+ACGTACGTACGT", "~"),
        variant(genome, 1_196, 4, "-"),
        variant(genome, 700, 1, "~"),
    ]


def scored(model, variants, genome, settings, *, limits=AUTO):
    stretches = Stretches(genome, max_n_run=settings.max_n_run)
    sites = [
        assess(variant, stretches, layout=settings.layout, max_allele_length=100)
        for variant in variants
    ]
    return [
        row for done in score(model, sites, genome, settings, limits=limits) for row in done.rows
    ]


def values(rows):
    """Alleles by scores; statuses are compared separately."""
    return np.array([list(allele.values.values()) for row in rows for allele in row])


def statuses(rows):
    return [[allele.status for allele in row] for row in rows]


def settings_of(layout, **more):
    return ScoreSettings(layout=layout, **more)


def centred(window):
    return Centred(upstream=window // 2, downstream=window - window // 2)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("strand", ["+", "-"])
def test_llr_is_the_difference_of_two_plain_log_likelihoods(model, genome, window, strand):
    model = model.double()
    settings = settings_of(centred(window), strands=(strand,), scores=("llr",), max_n_fraction=1.0)
    variants = of_all_kinds(genome)

    rows = scored(model, variants, genome, settings)

    for variant_, row in zip(variants, rows, strict=True):
        for alt, allele in zip(variant_.alts, row, strict=True):
            windows = windows_of(genome, variant_, alt, strand, settings.layout)
            if windows is None:
                assert allele.status == "TOO_LONG"
                continue
            ref_bases, alt_bases = windows
            assert n_acgt(ref_bases) == n_acgt(alt_bases)
            expected = log_likelihood(model, alt_bases) - log_likelihood(model, ref_bases)
            assert allele.values["llr"] == pytest.approx(expected, abs=1e-9)
            assert allele.llr_of_strand == {strand: allele.values["llr"]}


LAYOUTS = [
    *(pytest.param(centred(window), id=f"centred{window}") for window in WINDOWS),
    *(
        pytest.param(Grid(window=window, min_context=window // 4), id=f"grid{window}")
        for window in WINDOWS
    ),
    pytest.param(Centred(upstream=900, downstream=100), id="late_in_the_window"),
]


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_shared_prefix_changes_nothing_in_float64(model, genome, layout):
    settings = settings_of(layout, max_n_fraction=1.0, **EVERYTHING)
    plain = dataclasses.replace(settings, state_bytes=0)
    model = model.double()
    variants = of_all_kinds(genome)

    shared_rows = scored(model, variants, genome, settings)
    plain_rows = scored(model, variants, genome, plain)

    assert plan_passes(settings, model.config, AUTO).shares_prefix
    assert not plan_passes(plain, model.config, AUTO).shares_prefix
    assert statuses(shared_rows) == statuses(plain_rows)
    np.testing.assert_allclose(values(shared_rows), values(plain_rows), rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_shared_prefix_stays_within_rounding_in_float32(model, genome, layout):
    settings = settings_of(layout, max_n_fraction=1.0, **EVERYTHING)
    variants = of_all_kinds(genome)

    exact = values(scored(model.double(), variants, genome, settings))
    rounded = values(scored(model.float(), variants, genome, settings))

    # Up to 1,000 log-probabilities, each rounded to 24 bits in two passes.
    np.testing.assert_allclose(rounded, exact, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(numba_problem() is not None, reason="the compiled loops cannot run here")
@pytest.mark.parametrize("layout", [centred(257), Grid(window=1_000, min_context=125)])
def test_compiled_loops_share_prefixes_too(model, genome, layout):
    settings = settings_of(layout, max_n_fraction=1.0, **EVERYTHING)
    variants = of_all_kinds(genome)
    exact = values(scored(model.double(), variants, genome, settings))
    compiled = copy.deepcopy(model).float()
    compiled.execution = Execution(kernels="numba")

    rounded = values(scored(compiled, variants, genome, settings))

    np.testing.assert_allclose(rounded, exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("n_taps", [1, 2, 5])
def test_other_orders_and_short_convolutions_share_prefixes_too(genome, order, n_taps):
    config = ModelConfig(
        d_model=8, n_layer=2, d_inner=16, l_max=80, order=order, short_filter_order=n_taps
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = HyenaDNA(config).eval().double()
    settings = settings_of(centred(64), max_n_fraction=1.0, **EVERYTHING)
    variants = of_all_kinds(genome)

    shared = values(scored(model, variants, genome, settings))
    plain = values(scored(model, variants, genome, dataclasses.replace(settings, state_bytes=0)))

    np.testing.assert_allclose(shared, plain, rtol=0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS)
def test_a_variant_and_its_reverse_complement_twin_score_the_same(model, genome, window):
    """Strand averages know no strand."""
    settings = settings_of(centred(window), max_n_fraction=1.0, **EVERYTHING)
    model = model.double()
    variants = of_all_kinds(genome)
    twins = [
        Variant(
            "chr1_rc",
            N_BASES - v.end,
            reverse_complement(v.ref),
            tuple(reverse_complement(alt) for alt in v.alts),
        )
        for v in variants
    ]

    rows = scored(model, variants, genome, settings)
    of_twins = scored(model, twins, genome, settings)

    np.testing.assert_allclose(values(of_twins), values(rows), rtol=0, atol=1e-9)
    for row, twin in zip(rows, of_twins, strict=True):
        for allele, other in zip(row, twin, strict=True):
            assert allele.llr_of_strand["+"] == pytest.approx(other.llr_of_strand["-"], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7])
@pytest.mark.parametrize("layout", [centred(257), Grid(window=257, min_context=64)])
def test_batch_size_and_order_do_not_change_scores(model, genome, layout, batch_size):
    settings = settings_of(layout, max_n_fraction=1.0, **EVERYTHING)
    model = model.float()
    variants = of_all_kinds(genome)
    expected = values(scored(model, variants, genome, settings))

    batched = scored(
        model, variants, genome, settings, limits=BatchLimits(max_tokens=1, max_windows=batch_size)
    )
    backwards = scored(model, variants[::-1], genome, settings)

    np.testing.assert_allclose(values(batched), expected, rtol=0, atol=1e-4)
    np.testing.assert_allclose(values(backwards[::-1]), expected, rtol=0, atol=1e-4)


def test_a_site_score_takes_the_ref_pass_alone_and_is_the_log_ratio_of_two_bases(model, genome):
    model = model.double()
    variants = [variant(genome, start, 1, "~") for start in range(700, 720)]
    settings = settings_of(centred(64), scores=("site",), strands=("+",))

    rows = scored(model, variants, genome, settings)

    assert not settings.needs_alt_pass
    for v, row in zip(variants, rows, strict=True):
        before = genome.fetch(Interval("chr1", v.start - 32, v.start))
        ids = torch.from_numpy(tokenizer.encode(before).astype(np.int64))[None]
        with torch.inference_mode():
            log_probs = torch.log_softmax(model(ids)[0, -1, 7:11], -1)
        alt, ref = ("ACGT".index(base) for base in (v.alts[0], v.ref))
        expected = (log_probs[alt] - log_probs[ref]).item()
        assert row[0].values["site"] == pytest.approx(expected, abs=1e-9)


def test_the_first_base_of_a_contig_has_no_site_score_on_the_grid(model, genome):
    settings = settings_of(Grid(window=257, min_context=64), strands=("+",))

    ((allele,),) = scored(model, [variant(genome, 0, 1, "~")], genome, settings)

    assert allele.status == "OK_EDGE"
    assert np.isnan(allele.values["site"])
    assert np.isfinite(allele.values["llr"])


def test_an_allele_equal_to_ref_scores_nothing(model, genome):
    ref = genome.fetch(Interval("chr1", 800, 803))
    settings = settings_of(centred(257), **EVERYTHING)

    ((allele,),) = scored(model.float(), [Variant("chr1", 800, ref, (ref,))], genome, settings)

    assert allele.status == "OK"
    np.testing.assert_allclose(list(allele.values.values()), 0, atol=1e-4)


def test_full_vocabulary_spends_probability_on_other_tokens(model, genome):
    variants = [variant(genome, 700, 1, "~")]
    settings = settings_of(centred(257), full_vocabulary=True, **EVERYTHING)
    model = model.double()

    of_bases = values(scored(model, variants, genome, settings_of(centred(257), **EVERYTHING)))
    of_all = values(scored(model, variants, genome, settings))
    plain = values(scored(model, variants, genome, dataclasses.replace(settings, state_bytes=0)))

    np.testing.assert_allclose(of_all, plain, rtol=0, atol=1e-9)
    assert abs(of_all[0, 0] - of_bases[0, 0]) > 1e-6


def test_a_window_of_n_and_a_broken_model_have_their_own_statuses(model, fasta_file):
    random = np.random.default_rng(3)
    bases = "".join(random.choice(list("ACGT"), 400))
    settings = settings_of(centred(64))
    broken = HyenaDNA(model.config).eval()
    with torch.no_grad():
        broken.lm_head.weight[8] = torch.inf
    with Genome(fasta_file({"chr1": bases + "N" * 40 + "A" + "N" * 60})) as genome:
        in_gap = Variant("chr1", 440, "A", ("C",))
        sound = variant(genome, 200, 1, "~")

        rows = scored(model.float(), [in_gap, sound], genome, settings)
        ((of_broken,),) = scored(broken, [sound], genome, settings)

    assert statuses(rows) == [["N_WINDOW"], ["OK"]]
    assert np.isnan(rows[0][0].values["llr"])
    assert of_broken.status == "NONFINITE"
    assert np.isnan(of_broken.values["llr"])


def test_kept_states_are_bounded(model):
    settings = settings_of(centred(1_000), state_bytes=500_000)

    plan = plan_passes(settings, model.config, AUTO)

    per_window = 4 * 500 * 2 * 3 * 16
    assert plan.ref_limits.max_tokens == 500_000 // per_window * 1_000
    assert plan.kept_bytes <= 500_000


def test_alleles_of_a_site_and_equal_sites_share_a_window(model, genome):
    """Three alleles and a duplicate record: one REF window on each strand."""
    settings = settings_of(centred(257))
    variants = [variant(genome, 770, 2, "~", "-", "+TT"), variant(genome, 770, 2, "~")]
    stretches = Stretches(genome)
    sites = [assess(v, stretches, layout=settings.layout, max_allele_length=100) for v in variants]
    limits = BatchLimits(max_tokens=1, max_windows=1)

    progress = [
        done.n_bases
        for done in score(model.float(), sites, genome, settings, limits=limits)
        if done.n_bases
    ]

    assert progress == [1.0, 1.0]  # of two sites, one a window


@pytest.mark.slow  # minutes on a busy machine: windows of the released models' lengths
@pytest.mark.parametrize("window", [8_192, 32_768])
def test_long_windows_share_prefixes_exactly(fasta_file, window):
    random = np.random.default_rng(6)
    config = ModelConfig(d_model=16, n_layer=2, d_inner=32, l_max=window)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = HyenaDNA(config).eval()
    settings = settings_of(centred(window), **EVERYTHING)
    plain = dataclasses.replace(settings, state_bytes=0)
    with Genome(fasta_file({"chr1": "".join(random.choice(list("ACGT"), 80_000))})) as genome:
        variants = [
            variant(genome, 40_000, 1, "~"),
            variant(genome, 41_000, 3, "~", "-", "+ACGT"),
            variant(genome, 100, 1, "~"),
            variant(genome, 79_990, 4, "-"),
        ]

        rounded = values(scored(model.float(), variants, genome, settings))
        rounded_plain = values(scored(model, variants, genome, plain))
        exact = values(scored(model.double(), variants, genome, settings))
        exact_plain = values(scored(model, variants, genome, plain))

    # Tens of thousands of log-probabilities, each rounded to 24 bits in two passes.
    np.testing.assert_allclose(rounded, rounded_plain, rtol=0, atol=5e-4)
    np.testing.assert_allclose(exact, exact_plain, rtol=0, atol=1e-9)
