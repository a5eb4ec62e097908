"""Log-likelihoods of records against their definition, base by base."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.inference.perplexity import COLUMNS, PerplexityRow, Total, perplexity
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.model.checkpoints import checkpoint


@pytest.fixture(scope="module")
def model(tiny_model):
    return checkpoint.load(tiny_model)[0]


@pytest.fixture
def random():
    return np.random.default_rng(0)


def dna(random, length, letters="ACGT"):
    return "".join(random.choice(list(letters), length))


def record(sequence, *, name="r", strand="."):
    return Record(name, "chr1", 0, len(sequence), strand, sequence)


def score(model, records, *, window=256, stride=None, batch_size=None, **choices):
    if isinstance(records, str):
        records = [record(records)]
    batcher = Batcher(
        tiling=Tiling(window, stride or window),
        limits=BatchLimits(max_tokens=600, max_windows=batch_size),
        device=torch.device("cpu"),
    )
    return [
        row for done in perplexity(model, records, batcher=batcher, **choices) for row in done.rows
    ]


def log_probs(model, sequence, *, full_vocabulary=False):
    """ln p of each base given those before it; NaN for the first and for N."""
    ids = tokenizer.encode(sequence).astype(np.int64)
    with torch.inference_mode():
        logits = model(torch.from_numpy(ids)[None])[0].double().numpy()
    rows = slice(None) if full_vocabulary else slice(tokenizer.A, tokenizer.N)
    result = np.full(len(ids), math.nan)
    for t in range(1, len(ids)):
        if ids[t] != tokenizer.N:
            result[t] = logits[t - 1, ids[t]] - np.log(np.exp(logits[t - 1, rows]).sum())
    return result


@pytest.mark.parametrize("full_vocabulary", [False, True])
def test_the_log_likelihood_sums_over_bases_two_to_the_last(model, random, full_vocabulary):
    sequence = dna(random, 120)

    (row,) = score(model, sequence, full_vocabulary=full_vocabulary)

    expected = log_probs(model, sequence, full_vocabulary=full_vocabulary)[1:].sum()
    assert row.log_likelihood == pytest.approx(expected, rel=1e-6)
    assert row.n_bases == 119


@pytest.mark.parametrize("full_vocabulary", [False, True])
def test_n_is_read_but_neither_scored_nor_counted(model, random, full_vocabulary):
    sequence = dna(random, 150, "ACGTNacgtn")

    (row,) = score(model, sequence, full_vocabulary=full_vocabulary)

    of_bases = log_probs(model, sequence.upper(), full_vocabulary=full_vocabulary)
    assert row.log_likelihood == pytest.approx(np.nansum(of_bases), rel=1e-6)
    assert row.n_bases == np.isfinite(of_bases).sum()


def test_the_columns_follow_from_each_other():
    row = PerplexityRow(record("ACGTA"), "+", 4, -4 * math.log(4))

    assert row.nats_per_base == pytest.approx(math.log(4))
    assert row.bits_per_base == pytest.approx(2)
    assert row.perplexity == pytest.approx(4)


@pytest.mark.parametrize("sequence", ["", "A", "NNNN", "ANNN"])
def test_nothing_to_score_is_a_status(model, sequence):
    (row,) = score(model, sequence)

    assert (row.n_bases, row.log_likelihood, row.status) == (0, 0, "NO_BASES")
    assert math.isnan(row.perplexity)


def test_a_hopeless_prediction_is_infinite_not_an_error():
    assert PerplexityRow(record("AC"), "+", 1, -1e6).perplexity == math.inf
    assert PerplexityRow(record("AC"), "+", 1, -math.inf).status == "NONFINITE"


def test_the_minus_strand_is_the_reverse_complement(model, random):
    sequence = dna(random, 300)

    (minus,) = score(model, sequence, strand="-")
    (plus,) = score(model, reverse_complement(sequence))

    assert minus.log_likelihood == plus.log_likelihood
    assert (minus.strand, plus.strand) == ("-", "+")


def test_both_strands_give_the_mean_of_their_log_likelihoods(model, random):
    sequence = dna(random, 100)

    (both,), (plus,), (minus,) = (score(model, sequence, strand=s) for s in ("both", "+", "-"))
    (other,) = score(model, reverse_complement(sequence), strand="both")

    mean = (plus.log_likelihood + minus.log_likelihood) / 2
    assert both.log_likelihood == pytest.approx(mean, rel=1e-6)
    assert both.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-4)
    assert (both.strand, both.n_bases) == ("both", 99)


def test_strands_that_score_different_numbers_of_bases_are_averaged_too(model):
    (row,) = score(model, "NACGT", strand="both")

    assert row.n_bases == 3.5


def test_without_overlap_the_first_base_of_each_window_is_not_scored(model, random):
    sequence = dna(random, 130)
    pieces = [sequence[:50], sequence[50:100], sequence[100:]]

    (row,) = score(model, sequence, window=50)

    expected = sum(np.nansum(log_probs(model, piece)) for piece in pieces)
    assert row.log_likelihood == pytest.approx(expected, rel=1e-6)
    assert row.n_bases == 127


def test_with_overlap_each_base_is_scored_where_it_has_most_left_context(model, random):
    sequence = dna(random, 130)
    expected = np.full(130, math.nan)
    for start in (80, 60, 40, 20, 0):
        piece = log_probs(model, sequence[start : start + 50])
        expected[start + 1 : start + 50] = piece[1:]

    (row,) = score(model, sequence, window=50, stride=20)

    assert row.n_bases == 129
    assert row.log_likelihood == pytest.approx(np.nansum(expected), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_a_score_is_the_same_alone_and_in_any_batch(model, random, batch_size):
    """Law: padding never counts."""
    records = [record(dna(random, n), name=str(n)) for n in random.integers(0, 500, 30)]

    together = score(model, records, batch_size=batch_size, strand="both")

    assert [row.record.name for row in together] == [one.name for one in records]
    for one, row in zip(records, together, strict=True):
        (alone,) = score(model, [one], strand="both")
        assert row.log_likelihood == pytest.approx(alone.log_likelihood, rel=1e-5, abs=1e-5)
        assert row.n_bases == alone.n_bases


def test_special_tokens_are_refused(model):
    batcher = Batcher(
        tiling=Tiling(8, 8),
        limits=BatchLimits(max_tokens=8),
        device=torch.device("cpu"),
        specials="sep",
    )

    with pytest.raises(ValueError, match="special"):
        list(perplexity(model, [record("ACG")], batcher=batcher))


def test_a_row_of_the_table_has_whole_numbers_of_bases_where_they_are_whole():
    row = PerplexityRow(record("ACGTA"), "+", 4.0, -8.0)
    halves = PerplexityRow(record("ACGTA"), "both", 3.5, -8.0)

    assert len(row.cells()) == len(COLUMNS)
    assert row.cells()[:7] == ("r", "chr1", 0, 5, "+", 4, -8.0)
    assert str(row.cells()[5]) == "4"
    assert halves.cells()[5] == 3.5


def test_all_records_together_are_weighted_by_their_bases():
    total = Total()
    assert total.results() == {}

    total.add(PerplexityRow(record("ACGTA"), "+", 4.0, -8.0))
    total.add(PerplexityRow(record("NN"), "+", 0.0, 0.0))
    total.add(PerplexityRow(record("AC"), "+", 1.0, -math.inf))
    total.add(PerplexityRow(record("ACGTA"), "+", 4.0, -4.0))

    assert total.results() == {"nats_per_base": 1.5, "bits_per_base": 1.5 / math.log(2)}
