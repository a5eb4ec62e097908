"""Dependency maps, against every substitution read in a plain pass of its own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.interpretation import dependencies as module
from hyenadna_cli.core.interpretation.dependencies import DependencySettings, dependencies
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.outputs.journal import open_journal
from hyenadna_cli.errors import UsageError

LIMITS = BatchLimits(max_tokens=4_096)
DRAWN = np.random.default_rng(3)
SEQUENCE = "".join(DRAWN.choice(list("ACGT"), 90)) + "NN" + "".join(DRAWN.choice(list("acgt"), 58))


@pytest.fixture
def genome(fasta_file):
    with Genome(fasta_file({"chr1": SEQUENCE, "gap": "N" * 30 + SEQUENCE[:60]})) as genome:
        yield genome


def whole_map(model, region, genome, *, limits=LIMITS, **settings):
    settings = DependencySettings(**{"context": 40, **settings})
    done = list(dependencies(model, region, genome, settings, limits=limits))
    assert sum(batch.n_bases for batch in done) == pytest.approx(region.length)
    return np.concatenate([rows.values for batch in done for rows in batch.rows])


def odds(model, text):
    """(L, 4): log2 odds of each base at each position of a text; NaN for the first."""
    ids = torch.from_numpy(tokenizer.encode(text).astype(np.int64))[None]
    with torch.inference_mode():
        logits_L4 = model(ids)[0, :-1, tokenizer.A : tokenizer.T + 1]
    p_L4 = torch.softmax(logits_L4.double(), dim=-1).numpy()
    return np.concatenate([np.full((1, 4), np.nan), np.log(p_L4 / (1 - p_L4)) / math.log(2)])


def by_brute_force(model, sequence, region, context, strands="+-"):
    """Every substitution of the region, read whole: context on one side, the region, nothing."""
    n = region.length
    found = np.full((n, n), np.nan)
    for strand in strands:
        if strand == "+":
            before = sequence[max(0, region.start - context) : region.start]
            text = before + sequence[region.start : region.end]
        else:
            before = reverse_complement(sequence[region.end : region.end + context])
            text = before + reverse_complement(sequence[region.start : region.end])
        text, first = text.upper(), len(before)
        ref = odds(model, text)
        for query in range(first, len(text)):
            for base in set("ACGT") - {text[query]} if text[query] != "N" else ():
                alt = odds(model, text[:query] + base + text[query + 1 :])
                for target in range(query + 1, len(text)):
                    if text[target] == "N":
                        continue
                    i, j = query - first, target - first
                    if strand == "-":
                        i, j = n - 1 - i, n - 1 - j
                    moved = np.abs(alt[target] - ref[target]).max()
                    found[i, j] = np.fmax(found[i, j], moved)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 1, 45, 90])
def test_a_map_is_that_of_every_substitution_read_by_itself(model, genome, start):
    region = Interval("chr1", start, start + 60)

    found = whole_map(model, region, genome)

    np.testing.assert_allclose(
        found, by_brute_force(model, SEQUENCE, region, 40), rtol=1e-4, atol=1e-5
    )


def test_each_strand_has_one_triangle(model, genome):
    region = Interval("chr1", 20, 70)

    plus = whole_map(model, region, genome, strands=("+",))
    minus = whole_map(model, region, genome, strands=("-",))

    above = np.triu(np.ones((50, 50), dtype=bool), 1)
    assert np.isfinite(plus[above]).all()
    assert np.isnan(plus[~above]).all()
    assert np.isfinite(minus[above.T]).all()
    assert np.isnan(minus[~above.T]).all()
    np.testing.assert_array_equal(np.fmax(plus, minus), whole_map(model, region, genome))


@pytest.mark.slow
@pytest.mark.parametrize("max_distance", [1, 7, 200])
def test_a_map_of_near_pairs_is_a_band_of_the_whole_one(model, genome, max_distance, monkeypatch):
    monkeypatch.setattr(module, "_QUERIES", 23)
    region = Interval("chr1", 5, 85)
    distance = np.abs(np.subtract.outer(range(80), range(80)))

    near = whole_map(model, region, genome, max_distance=max_distance)
    whole = whole_map(model, region, genome)

    assert np.isnan(near[distance > max_distance]).all()
    inside = (distance <= max_distance) & (distance > 0)
    np.testing.assert_allclose(near[inside], whole[inside], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_neither_batches_nor_pieces_show(model, genome, monkeypatch):
    region = Interval("chr1", 30, 110)
    whole = whole_map(model, region, genome, context=20)

    few = whole_map(model, region, genome, context=20, limits=BatchLimits(max_tokens=1))
    np.testing.assert_allclose(few, whole, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(module, "_QUERIES", 17)
    monkeypatch.setattr(module, "_STEP", 5)
    np.testing.assert_allclose(
        whole_map(model, region, genome, context=20), whole, rtol=1e-5, atol=1e-6
    )


@pytest.mark.slow
def test_a_band_of_a_region_that_is_too_long_reads_context_before_each_piece(
    model, fasta_file, monkeypatch
):
    monkeypatch.setattr(module, "_QUERIES", 40)
    text = "".join(np.random.default_rng(5).choice(list("ACGT"), 400))
    region = Interval("chr1", 20, 380)  # The model reads 300.
    with Genome(fasta_file({"chr1": text})) as genome:
        found = whole_map(model, region, genome, max_distance=10)
        for first in (0, 40, 320):
            piece = Interval("chr1", 20 + first, min(20 + first + 50, 380))
            own = by_brute_force(model, text, piece, 40, "+")
            for query in range(40):
                targets = slice(query + 1, min(query + 11, piece.length))
                expected = own[query, targets]
                columns = slice(first + query + 1, first + query + 1 + len(expected))
                np.testing.assert_allclose(
                    found[first + query, columns], expected, rtol=1e-4, atol=1e-5
                )


def test_n_has_neither_a_row_nor_a_column_and_context_ends_at_a_gap(model, genome):
    over_n = whole_map(model, Interval("chr1", 80, 100), genome)
    assert np.isnan(over_n[10:12]).all()
    assert np.isnan(over_n[:, 10:12]).all()
    assert np.isfinite(over_n[9, 12])

    behind_gap = whole_map(model, Interval("gap", 30, 60), genome)
    at_start = by_brute_force(model, SEQUENCE[:60], Interval("chr1", 0, 30), 40)
    np.testing.assert_allclose(behind_gap, at_start, rtol=1e-4, atol=1e-5)


def test_rows_that_were_kept_are_not_computed_again(model, genome, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_QUERIES", 20)
    region, settings = Interval("chr1", 0, 50), DependencySettings(context=10)

    def rows(journal):
        done = dependencies(model, region, genome, settings, limits=LIMITS, journal=journal)
        return [of for batch in done for of in batch.rows]

    output = tmp_path / "map.h5"
    first: list = []

    def stopped():
        with open_journal(output, {"a": 1}, resume=False, overwrite=False) as journal:
            first.extend(rows(journal))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    monkeypatch.setattr(module._Passes, "run", None)
    with open_journal(output, {"a": 1}, resume=True, overwrite=False) as journal:
        again = rows(journal)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize(
    ("length", "settings", "problem"),
    [
        (150, {"context": 200}, "this model reads 300; give a shorter region"),
        (20, {"max_distance": 0}, "--max-distance is at least 1"),
    ],
)
def test_a_map_that_cannot_be_made_is_refused(model, genome, length, settings, problem):
    with pytest.raises(UsageError, match=problem):
        whole_map(model, Interval("chr1", 0, length), genome, **settings)
