"""Perplexity against context: every value against passes of its own, and what can change it."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.interpretation import contexts
from hyenadna_cli.core.interpretation.contexts import (
    ContextSettings,
    Site,
    curve,
    draw_sites,
    interval,
    selected_contexts,
)
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.errors import CheckpointError, InputFileError

LIMITS = BatchLimits(max_tokens=1_024)
LETTERS = "".join(np.random.default_rng(5).choice(list("ACGT"), 900))
WHOLE = Interval("chr1", 0, 900)


@pytest.fixture
def opened(fasta_file):
    """`opened(sequence)`: a genome of one contig."""
    held = []

    def build(sequence):
        held.append(Genome(fasta_file({"chr1": sequence}, name=f"genome{len(held)}.fa")))
        return held[-1]

    yield build
    for genome in held:
        genome.close()


def settings_of(*lengths, **more):
    given = {"n_targets": 40, "strands": ("+",), "seed": 0}
    return ContextSettings(contexts=lengths, **{**given, **more})


def rows_of(model, sites, genome, settings, *, limits=LIMITS, of=None):
    done = curve(model, sites, genome, settings, contexts=of or settings.contexts, limits=limits)
    return [row for batch in done for row in batch.rows]


def log_prob(model, text):
    """Ln p of the last letter of a text after the others, over A, C, G and T."""
    ids = torch.from_numpy(tokenizer.encode(text).astype(np.int64))[None]
    with torch.inference_mode():
        logits_4 = model(ids)[0, -2, tokenizer.A : tokenizer.T + 1].double()
    return float(torch.log_softmax(logits_4, -1)["ACGT".index(text[-1])])


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_row_is_the_mean_over_passes_of_what_the_definition_says_is_read(model, opened, strand):
    """A site of 20 bases, context 80: stretches of 10, each read with 80 bases before it."""
    genome = opened(LETTERS)
    site, context = Site(Interval("chr1", 300, 320), 0), 80
    settings = settings_of(context, strands=(strand,))

    (row,) = rows_of(model, [site], genome, settings)

    values, before = [], []
    for first, last in ((300, 310), (310, 320)):
        for base in range(first, last):
            text = LETTERS[first - 80 : base + 1]
            if strand == "-":
                text = reverse_complement(LETTERS[base : last + 80])
            values.append(log_prob(model, text))
            before.append(len(text) - 1)
    assert (row.context, row.n_bases) == (80, 20)
    assert row.nats_per_base == pytest.approx(-np.mean(values), rel=1e-9)
    assert row.mean_context == np.mean(before)
    assert min(before) == 80
    assert max(before) <= 80 * 9 / 8


@pytest.mark.parametrize("context", [16, 64, 100, 250])
def test_a_base_counts_up_to_the_context_and_not_beyond_nine_eighths_of_it(model, opened, context):
    """The site is one base, so that every distance is known."""
    target = 600

    def nats(changed=None):
        letters = list(LETTERS)
        if changed is not None:
            letters[changed] = "ACGT"[("ACGT".index(letters[changed]) + 1) % 4]
        site = Site(Interval("chr1", target, target + 1), 0)
        (row,) = rows_of(model, [site], opened("".join(letters)), settings_of(context))
        return row.nats_per_base

    same = nats()

    assert nats(target - math.floor(context * 9 / 8) - 1) == same
    assert nats(target - context) != same
    assert nats(target - 1) != same


def test_the_last_target_of_a_stretch_reads_nine_eighths_and_no_more(model, opened):
    """Context 64: the last of eight targets has 71 bases before it, all from base 536 on."""

    def nats(changed=None):
        letters = list(LETTERS)
        if changed is not None:
            letters[changed] = "ACGT"[("ACGT".index(letters[changed]) + 1) % 4]
        site = Site(Interval("chr1", 600, 608), 0)
        (row,) = rows_of(model, [site], opened("".join(letters)), settings_of(64))
        return row.nats_per_base

    assert nats(535) == nats()
    assert nats(536) != nats()


def test_every_context_is_asked_for_the_same_bases(model, opened):
    genome, settings = opened(LETTERS), settings_of(8, 50, 200, n_targets=300)
    sites = draw_sites(genome, [WHOLE], settings, is_whole=True)

    rows = rows_of(model, sites, genome, settings)

    assert [row.n_bases for row in rows] == [300, 300, 300]
    assert all(r.context <= r.mean_context <= max(r.context + 7, r.context * 9 / 8) for r in rows)
    assert draw_sites(genome, [WHOLE], settings_of(200, n_targets=300), is_whole=True) == sites
    assert all(site.interval.start >= 200 for site in sites)
    covered = [n for s in sites for n in range(s.interval.start, s.interval.end)]
    assert len(covered) == len(set(covered)) == 300


def test_batches_and_the_company_of_other_contexts_change_nothing(model, opened):
    genome, settings = opened(LETTERS), settings_of(16, 90, strands=("+", "-"))
    sites = draw_sites(genome, [WHOLE], settings, is_whole=True)

    together = rows_of(model, sites, genome, settings)
    single = rows_of(model, sites, genome, settings, limits=BatchLimits(max_tokens=1))

    for row, other in zip(together, single, strict=True):
        assert row.nats_per_base == pytest.approx(other.nats_per_base, abs=1e-9)
    assert rows_of(model, sites, genome, settings, of=(90,)) == [together[1]]


def test_targets_lie_where_the_longest_context_is_real_sequence(model, opened):
    """No context reaches over the gap, nor out of the contig; one or two N are no gap."""
    sequence = LETTERS[:300] + "N" * 20 + LETTERS[320:500] + "NN" + LETTERS[502:]
    genome = opened(sequence)
    settings = settings_of(100, n_targets=10_000, strands=("+", "-"))

    sites = draw_sites(genome, [WHOLE], settings)
    (row,) = rows_of(model, sites, genome, settings)

    covered = {n for s in sites for n in range(s.interval.start, s.interval.end)}
    assert covered == {*range(100, 200), *range(420, 800)}
    assert row.n_bases == 2 * (len(covered) - 2)


def test_regions_say_where_targets_are_and_not_where_context_ends(model, opened):
    genome, settings = opened(LETTERS), settings_of(200, n_targets=10_000)
    regions = [Interval("chr1", 150, 210), Interval("chr1", 400, 405)]

    sites = draw_sites(genome, regions, settings)

    spans = [(s.interval.start, s.interval.end, s.unit) for s in sites]
    assert (spans[0][0], spans[-1]) == (200, (400, 405, 1))
    assert sum(end - start for start, end, _ in spans) == 15


def test_regions_without_room_are_an_error_and_too_few_targets_are_said(opened, caplog):
    genome = opened(LETTERS)

    with pytest.raises(InputFileError, match="no base of the regions has 900 bases"):
        draw_sites(genome, [WHOLE], settings_of(900))
    with caplog.at_level(logging.WARNING):
        draw_sites(genome, [WHOLE], settings_of(890))
    assert "the regions have 10 targets" in caplog.text
    assert draw_sites(genome, [], settings_of(900)) == []


def test_a_context_that_fills_the_model_leaves_room_for_one_target(model, opened):
    genome, settings = opened(LETTERS), settings_of(299, n_targets=3)
    sites = [Site(Interval("chr1", 400, 403), 0)]

    assert selected_contexts(sites, settings, l_max=300, shard=None) == (299,)
    (row,) = rows_of(model, sites, genome, settings)

    assert (row.n_bases, row.mean_context) == (3, 299)
    with pytest.raises(CheckpointError, match="use 298 or less"):
        selected_contexts(sites, settings, l_max=299, shard=None)


def test_every_context_is_in_one_shard(opened):
    genome, settings = opened(LETTERS), settings_of(8, 16, 32, 64, 128)
    sites = draw_sites(genome, [WHOLE], settings, is_whole=True)

    for count in (1, 2, 3, 7):
        parts = [
            selected_contexts(sites, settings, l_max=300, shard=f"{number}/{count}")
            for number in range(1, count + 1)
        ]
        assert sum(parts, ()) == settings.contexts


def test_the_interval_is_of_regions_drawn_again():
    """Two regions, one better: every resample is one of three means."""
    sums, counts = np.array([1.0, 1.0, 6.0]), np.array([1.0, 1.0, 2.0])

    low, high = interval(sums, counts, [0, 0, 1], seed=1)

    assert (low, high) == (1.0, 3.0)
    assert all(math.isnan(end) for end in interval(sums, counts, [4, 4, 4], seed=1))
    assert contexts.ContextRow(8, 1, 8.0, math.inf, 0, 0).status == "NONFINITE"
