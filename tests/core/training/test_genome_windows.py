"""Training windows: a function of (seed, step, row), inside their spans, every base in reach."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.training.genome_windows import GenomeWindows, Span


@pytest.fixture
def genome(fasta_file):
    random = np.random.default_rng(0)
    contigs = {
        name: "".join(random.choice(list("ACGT"), length))
        for name, length in [("chr1", 300), ("chr2", 40)]
    }
    with Genome(fasta_file(contigs)) as genome:
        yield genome


def windows(genome, *spans, seed=3, both=False, **settings):
    found = [Span(genome, span) for span in spans or (Interval("chr1", 0, 300),)]
    return GenomeWindows(found, seed=seed, use_both_strands=both, **settings)


def draw(source, *, step=0, rows=range(4), length=32):
    return source.batch(step=step, rows=rows, length=length, rows_per_step=4)


def test_a_row_is_a_function_of_seed_step_and_row(genome):
    whole = draw(windows(genome), step=5)

    parts = [draw(windows(genome), step=5, rows=range(i, i + 2)) for i in (0, 2)]

    assert [p.tolist() for p in whole] == [row.tolist() for part in parts for row in part]
    assert draw(windows(genome), step=6).tolist() != whole.tolist()
    assert draw(windows(genome, seed=4), step=5).tolist() != whole.tolist()


def test_every_window_lies_inside_a_span_and_every_base_is_reached(genome):
    span = Interval("chr1", 100, 200)
    text = genome.fetch(Interval("chr1", 0, 300))
    source = windows(genome, span)

    starts = set()
    for step in range(300):
        for ids in draw(source, step=step).numpy():
            starts.add(text.index(tokenizer.decode(ids.astype(np.uint8))))

    assert min(starts) == 100
    assert max(starts) == 200 - 32


def test_a_span_shorter_than_the_window_is_read_whole_and_padded_on_the_right(genome):
    (row,) = draw(windows(genome, Interval("chr2", 5, 25)), rows=range(1)).tolist()

    assert row[:20] == tokenizer.encode(genome.fetch(Interval("chr2", 5, 25))).tolist()
    assert row[20:] == [tokenizer.PAD] * 12


def test_both_strands_are_read(genome):
    text = genome.fetch(Interval("chr1", 0, 300))
    source = windows(genome, both=True)

    is_forward = [
        tokenizer.decode(ids.astype(np.uint8)) in text
        for step in range(20)
        for ids in draw(source, step=step).numpy()
    ]

    assert 20 < sum(is_forward) < 60


def test_spans_are_drawn_in_proportion_to_their_length(genome):
    source = windows(genome, Interval("chr1", 0, 160), Interval("chr2", 0, 40))
    short = genome.fetch(Interval("chr2", 0, 40))

    from_short = sum(
        tokenizer.decode(ids.astype(np.uint8)) in short
        for step in range(250)
        for ids in draw(source, step=step, length=8).numpy()
    )

    assert 0.14 < from_short / 1_000 < 0.28


def test_tiles_cover_the_spans_and_thin_out_evenly(genome):
    source = windows(genome, Interval("chr1", 0, 300))

    assert source.tiles(length=100, max_bases=10_000) == [
        Interval("chr1", start, start + 100) for start in (0, 100, 200)
    ]
    assert source.tiles(length=50, max_bases=150) == [
        Interval("chr1", start, start + 50) for start in (0, 100, 200)
    ]


def test_published_intervals_come_once_an_epoch_first_bases_first(genome):
    spans = [Interval("chr1", start, start + 50) for start in (0, 60, 120, 180)]
    source = windows(genome, *spans, sampling="intervals")

    rows = draw(source, step=2, length=20).numpy().astype(np.uint8)

    expected = {genome.fetch(Interval("chr1", s.start, s.start + 20)) for s in spans}
    assert {tokenizer.decode(row) for row in rows} == expected


def test_published_tokens_read_n_as_pad_and_end_with_sep(fasta_file):
    with Genome(fasta_file({"chr1": "ACGNN"})) as genome:
        source = GenomeWindows(
            [Span(genome, Interval("chr1", 0, 5))],
            seed=0,
            use_both_strands=False,
            sampling="intervals",
            as_published=True,
        )

        (row,) = source.batch(step=0, rows=range(1), length=5, rows_per_step=1).tolist()

    assert row == [7, 8, 9, 4, 4, 1]


def test_nothing_to_draw_from_is_an_error(genome):
    with pytest.raises(ValueError, match="no training regions"):
        GenomeWindows([], seed=0, use_both_strands=False)
