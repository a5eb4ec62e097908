"""Gradients, against small steps of a likelihood that is written down once more here."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.inference.batching import BatchLimits
from hyenadna_cli.core.interpretation.gradients import gradients
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.outputs.journal import open_journal
from hyenadna_cli.core.variants.alleles import Centred, Grid
from hyenadna_cli.core.variants.chunks import ScoreSettings
from hyenadna_cli.core.variants.mutagenesis import mutagenize

LIMITS = BatchLimits(max_tokens=4_096)
GRID = ScoreSettings(layout=Grid(window=100, min_context=20), scores=("site",))
DRAWN = np.random.default_rng(8)
SHORT = "".join(DRAWN.choice(list("ACGTacgt"), 40)) + "NN" + "".join(DRAWN.choice(list("ACGT"), 30))
LONG = "".join(DRAWN.choice(list("ACGT"), 330))
STEP = 1e-4


@pytest.fixture
def genome(fasta_file):
    with Genome(fasta_file({"short": SHORT, "long": LONG + "N" * 40 + SHORT})) as genome:
        yield genome


def found(model, region, genome, settings=GRID, *, limits=LIMITS):
    done = gradients(model, region, genome, settings, limits=limits)
    return [piece for batch in done for piece in batch.rows]


@torch.inference_mode()
def log_likelihoods(model, weights_BL4, text, *, full_vocabulary):
    """Ln P of letters that are mixtures: embedded, and predicted, by their weights."""
    table = model.embed_tokens(torch.arange(16))
    is_n = torch.tensor([letter == "N" for letter in text])
    embedded = weights_BL4 @ table[tokenizer.A : tokenizer.T + 1]
    embedded = torch.where(is_n[:, None], table[tokenizer.N], embedded)
    logits = model.logits(model.hidden_states_of(embedded)[0])[:, :-1]
    bases = slice(tokenizer.A, tokenizer.T + 1)
    if full_vocabulary:
        log_probs = torch.log_softmax(logits, dim=-1)[..., bases]
    else:
        log_probs = torch.log_softmax(logits[..., bases], dim=-1)
    return (weights_BL4[:, 1:] * log_probs).sum((1, 2)).numpy()


def by_small_steps(model, text, strand, *, full_vocabulary=False):
    """(L, 4): the slope of ln P where each base turns into another, NaN for itself and N."""
    text = text.upper()
    text = text if strand == "+" else reverse_complement(text)
    one_hot = torch.tensor([[float(letter == base) for base in "ACGT"] for letter in text])
    changes = [
        (place, column)
        for place, letter in enumerate(text)
        for column, base in enumerate("ACGT")
        if letter not in ("N", base)
    ]
    ends = []
    for step in (STEP, -STEP):
        weights = one_hot.double().repeat(len(changes), 1, 1)
        for number, (place, column) in enumerate(changes):
            weights[number, place, column] += step
            weights[number, place, "ACGT".index(text[place])] -= step
        ends.append(log_likelihoods(model, weights, text, full_vocabulary=full_vocabulary))
    slopes = np.full((len(text), 4), np.nan)
    slopes[tuple(np.transpose(changes))] = (ends[0] - ends[1]) / (2 * STEP)
    return slopes if strand == "+" else slopes[::-1, ::-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strands", "full_vocabulary"), [(("+",), True), (("-",), False), (("+", "-"), False)]
)
def test_a_gradient_is_the_slope_of_the_likelihood(model, genome, strands, full_vocabulary):
    settings = dataclasses.replace(GRID, strands=strands, full_vocabulary=full_vocabulary)

    (piece,) = found(model, Interval("short", 0, len(SHORT)), genome, settings)

    slopes = [by_small_steps(model, SHORT, s, full_vocabulary=full_vocabulary) for s in strands]
    assert np.isnan(piece.gradient[40:42]).all()
    assert np.abs(piece.gradient[~np.isnan(piece.gradient)]).min() > 0
    np.testing.assert_allclose(piece.gradient, np.mean(slopes, axis=0), rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_each_base_is_read_in_the_window_of_its_scores(model, genome):
    region = Interval("long", 0, len(LONG))
    (whole,) = found(model, region, genome)
    (scored,) = (
        piece
        for batch in mutagenize(model, region, genome, GRID, limits=LIMITS)
        for piece in batch.rows
    )
    window = next(
        start
        for start in range(0, 300, GRID.layout.step)
        if start == GRID.layout.of_bases(Interval("long", 200, 201), "+", contig_length=402)[0][0]
    )
    one = dataclasses.replace(GRID, strands=("+",))

    (base,) = found(model, Interval("long", 200, 201), genome, one)

    np.testing.assert_allclose(whole.site, scored.site, rtol=0, atol=1e-9)
    assert whole.statuses == scored.statuses
    alone = by_small_steps(model, LONG[window : window + 100], "+")
    np.testing.assert_allclose(base.gradient[0], alone[200 - window], rtol=1e-6, atol=1e-7)


def test_a_gradient_estimates_the_likelihood_ratio(model, genome):
    region = Interval("long", 100, 160)
    (piece,) = found(model, region, genome)
    full = dataclasses.replace(GRID, scores=("site", "llr"))
    done = mutagenize(model, region, genome, full, limits=LIMITS)
    (exact,) = (row for batch in done for row in batch.rows)
    is_known = np.isfinite(exact.llr)

    # First order only: the two are of one kind, and not equal.
    assert np.corrcoef(piece.gradient[is_known], exact.llr[is_known])[0, 1] > 0.5


@pytest.mark.slow
def test_neither_batches_nor_what_is_asked_besides_show(model, genome):
    (whole,) = found(model, Interval("long", 0, 402), genome)
    (part,) = found(
        model, Interval("long", 150, 160), genome, limits=BatchLimits(max_tokens=4, max_windows=1)
    )

    np.testing.assert_allclose(part.gradient, whole.gradient[150:160], rtol=0, atol=1e-9)


def test_a_pass_that_was_kept_is_not_computed_again(model, genome, tmp_path, monkeypatch):
    region, output = Interval("long", 0, 100), tmp_path / "x.tsv"
    first: list = []

    def stopped():
        with open_journal(output, {"a": 1}, resume=False, overwrite=False) as journal:
            done = gradients(model, region, genome, GRID, limits=LIMITS, journal=journal)
            first.extend(piece for batch in done for piece in batch.rows)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    with open_journal(output, {"a": 1}, resume=True, overwrite=False) as journal:
        monkeypatch.setattr(model.backbone, "forward", None)
        done = gradients(model, region, genome, GRID, limits=LIMITS, journal=journal)
        again = [piece for batch in done for piece in batch.rows]
    np.testing.assert_array_equal(first[0].gradient, again[0].gradient)


def test_gradients_leave_no_trace_in_the_model(model, genome):
    before = model.execution

    found(model, Interval("short", 0, 20), genome)

    assert model.execution == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_other_layouts_and_ratios_are_refused(model, genome):
    for settings in (
        dataclasses.replace(GRID, layout=Centred(upstream=40, downstream=30)),
        dataclasses.replace(GRID, scores=("site", "llr")),
    ):
        with pytest.raises(ValueError, match="on the grid"):
            found(model, Interval("short", 0, 20), genome, settings)
