"""Tracks: every value against a pass of its own over what the definition says is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.interpretation import tracks
from hyenadna_cli.core.interpretation.tracks import TrackSettings, pieces, track
from hyenadna_cli.core.io.fasta import Genome

LIMITS = BatchLimits(max_tokens=1_024)
DRAWN = np.random.default_rng(5)
LETTERS = "".join(DRAWN.choice(list("ACGT"), 500))
SEQUENCE = "NNN" + LETTERS[:120] + "N" + LETTERS[121:260] + "N" * 20 + LETTERS[280:] + "NN"


@pytest.fixture
def genome(fasta_file):
    with Genome(fasta_file({"chr1": SEQUENCE})) as genome:
        yield genome


def values_of(model, region, genome, *, limits=LIMITS, **settings):
    settings = TrackSettings(**{"value": "logp", "window": 64, "min_context": 24, **settings})
    done = list(track(model, [region], genome, settings, limits=limits))
    assert sum(batch.n_bases for batch in done) == pytest.approx(region.length)
    found = [piece for batch in done for piece in batch.rows]
    assert [piece.interval for piece in found] == pieces(region, settings.step)
    return np.concatenate([piece.values for piece in found])


def log_probs(model, text):
    """(L, 4) by position of a text; NaN for the first."""
    ids = torch.from_numpy(tokenizer.encode(text).astype(np.int64))[None]
    with torch.inference_mode():
        logits_L4 = model(ids)[0, :-1, tokenizer.A : tokenizer.T + 1].double()
    return np.concatenate([np.full((1, 4), np.nan), torch.log_softmax(logits_L4, -1).numpy()])


def by_definition(model, sequence, base, strand, *, step=40, min_context=24):
    """Ln p of the base at `base`, or NaN: its tile, cut to real sequence, with context before."""
    real = [False] * len(sequence)
    gap_ends = (3, len(sequence) - 2)
    gap = sequence.index("N" * 20)
    for n in range(*gap_ends):
        real[n] = not gap <= n < gap + 20
    if sequence[base] == "N" or not real[base]:
        return np.nan
    start, end = base // step * step, (base // step + 1) * step
    start, end = (start - min_context, end) if strand == "+" else (start, end + min_context)
    first, last = base, base + 1
    while first > max(0, start) and real[first - 1]:
        first -= 1
    while last < min(end, len(sequence)) and real[last]:
        last += 1
    text, at = sequence[first:last], base - first
    if strand == "-":
        text, at = reverse_complement(text), last - 1 - base
    if text[at] == "N" or at == 0:
        return np.nan
    return log_probs(model, text)[at, "ACGT".index(text[at])]


@pytest.mark.slow
@pytest.mark.parametrize("strand", ["+", "-"])
def test_every_value_is_that_of_its_own_tile(model, genome, strand):
    found = values_of(model, Interval("chr1", 0, len(SEQUENCE)), genome, strands=(strand,))

    expected = [by_definition(model, SEQUENCE, base, strand) for base in range(len(SEQUENCE))]
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-5, atol=1e-6)


def test_both_strands_are_their_mean_where_both_have_a_value(model, genome):
    region = Interval("chr1", 0, len(SEQUENCE))
    plus, minus = (values_of(model, region, genome, strands=(strand,)) for strand in "+-")

    both = values_of(model, region, genome)

    is_known = np.isfinite(plus) & np.isfinite(minus)
    mean = (plus[is_known].astype(float) + minus[is_known]) / 2
    np.testing.assert_allclose(both[is_known], mean, rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(both), np.isnan(plus) & np.isnan(minus))
    # The first base behind a gap has nothing before it on one strand only.
    assert np.isnan(plus[3])
    assert both[3] == minus[3]


@pytest.mark.parametrize(("start", "end"), [(0, 1), (37, 141), (255, 290), (499, 502)])
def test_a_value_does_not_depend_on_the_region_it_is_asked_for_in(model, genome, start, end):
    whole = values_of(model, Interval("chr1", 0, len(SEQUENCE)), genome)

    part = values_of(model, Interval("chr1", start, end), genome)

    np.testing.assert_array_equal(part, whole[start:end])


def test_neither_batches_nor_pieces_show(model, genome, monkeypatch):
    region = Interval("chr1", 0, len(SEQUENCE))
    whole = values_of(model, region, genome)

    one_by_one = values_of(model, region, genome, limits=BatchLimits(max_tokens=1))
    monkeypatch.setattr(tracks, "_CHUNK_BASES", 90)
    in_pieces = values_of(model, region, genome)

    np.testing.assert_allclose(one_by_one, whole, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(in_pieces, whole, rtol=1e-5, atol=1e-6)


def test_surprise_and_entropy_are_what_they_are_called(model, genome):
    region = Interval("chr1", 40, 80)
    logp = values_of(model, region, genome, strands=("+",))
    text = SEQUENCE[16:80]

    surprise = values_of(model, region, genome, strands=("+",), value="surprise")
    entropy = values_of(model, region, genome, strands=("+",), value="entropy")

    np.testing.assert_array_equal(surprise, -logp)
    log_p = log_probs(model, text)[24:]
    np.testing.assert_allclose(entropy, -(np.exp(log_p) * log_p).sum(1), rtol=1e-5)


@pytest.mark.parametrize("min_context", [0, 64, 70])
def test_context_that_leaves_nothing_to_score_is_refused(min_context):
    with pytest.raises(ValueError, match="--min-context"):
        TrackSettings(value="logp", window=64, min_context=min_context)
