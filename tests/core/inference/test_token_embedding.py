"""Hidden states of every base: their order, strands, windows and bins."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.inference.pooling import Tokens
from hyenadna_cli.core.inference.token_embedding import embed_tokens
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.model.checkpoints import checkpoint

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def model(tiny_model):
    return checkpoint.load(tiny_model)[0]


@pytest.fixture
def random():
    return np.random.default_rng(0)


def dna(random, length):
    return "".join(random.choice(list("ACGT"), length))


def record(sequence, *, name="r", strand="."):
    return Record(name, "chr1", 0, len(sequence), strand, sequence)


def rows_of(
    model, records, *, window=256, stride=None, batch_size=None, specials="none", **choices
):
    if isinstance(records, str):
        records = [record(records)]
    batcher = Batcher(
        tiling=Tiling(window, stride or window),
        limits=BatchLimits(max_tokens=600, max_windows=batch_size),
        device=torch.device("cpu"),
        specials=specials,
        keep_order=True,
    )
    batches = embed_tokens(model, records, Tokens(**choices), batcher=batcher)
    return [rows for done in batches for rows in done.rows]


def states(model, sequence, layer=-1, specials="none"):
    token_ids = tokenizer.add_specials(tokenizer.encode(sequence), specials)
    with torch.inference_mode():
        (states_1LD,) = model.hidden_states(
            torch.from_numpy(token_ids.astype(np.int64))[None], [layer]
        )
    return states_1LD[0].numpy()


def stitched(model, sequence, window, stride):
    """Each base from the first window that holds it: the one with most left context."""
    rows = np.empty((len(sequence), model.config.d_model), np.float32)
    for start in reversed(range(0, max(1, len(sequence) - window + stride), stride)):
        piece = states(model, sequence[start : start + window])
        rows[start : start + len(piece)] = piece
    return rows


@pytest.mark.parametrize("layer", [0, 1, -1])
def test_there_is_one_row_a_base(model, random, layer):
    sequence = dna(random, 77)

    (rows,) = rows_of(model, sequence, layer=layer)

    np.testing.assert_allclose(rows.data, states(model, sequence, layer), **CLOSE)
    assert (rows.strand, rows.status) == ("+", "OK")


def test_rows_follow_the_plus_strand_when_the_minus_strand_is_read(model, random):
    """Row i of a region is its base start + i, as in every genome browser."""
    sequence = dna(random, 77)

    (rows,) = rows_of(model, [record(sequence, strand="-")], strand="bed")

    np.testing.assert_allclose(
        rows.data, states(model, reverse_complement(sequence))[::-1], **CLOSE
    )
    assert rows.strand == "-"


@pytest.mark.parametrize(("window", "stride"), [(256, 256), (40, 40), (40, 15)])
def test_both_strands_are_averaged_base_by_base(model, random, window, stride):
    sequence = dna(random, 100)
    options = {"window": window, "stride": stride}

    both, plus, minus, other = (
        rows_of(model, read, strand=strand, **options)[0].data.copy()
        for read, strand in (
            (sequence, "both"),
            (sequence, "+"),
            (sequence, "-"),
            (reverse_complement(sequence), "both"),
        )
    )

    np.testing.assert_allclose(both, (plus + minus) / 2, **CLOSE)
    np.testing.assert_allclose(other[::-1], both, **CLOSE)


@pytest.mark.parametrize(("window", "stride"), [(50, 50), (50, 20), (7, 1)])
@pytest.mark.parametrize("strand", ["+", "-"])
def test_each_base_comes_from_the_window_with_most_left_context(
    model, random, window, stride, strand
):
    sequence = dna(random, 173)

    (rows,) = rows_of(model, sequence, window=window, stride=stride, strand=strand)

    if strand == "+":
        expected = stitched(model, sequence, window, stride)
    else:
        expected = stitched(model, reverse_complement(sequence), window, stride)[::-1]
    np.testing.assert_allclose(rows.data, expected, **CLOSE)


def test_special_tokens_have_no_row(model, random):
    sequence = dna(random, 30)

    (rows,) = rows_of(model, sequence, specials="cls-sep")

    expected = states(model, sequence, specials="cls-sep")[1:31]
    np.testing.assert_allclose(rows.data, expected, **CLOSE)


@pytest.mark.parametrize("bin_size", [2, 7, 50, 51, 1_000])
@pytest.mark.parametrize(("window", "stride"), [(256, 256), (13, 5)])
@pytest.mark.parametrize("strand", ["-", "both"])
def test_a_bin_is_the_mean_of_its_bases(model, random, bin_size, window, stride, strand):
    sequence = dna(random, 51)
    options = {"window": window, "stride": stride, "strand": strand}
    bases = rows_of(model, sequence, **options)[0].data

    (rows,) = rows_of(model, sequence, bin_size=bin_size, **options)

    expected = [bases[i : i + bin_size].mean(0) for i in range(0, 51, bin_size)]
    np.testing.assert_allclose(rows.data, expected, **CLOSE)


@pytest.mark.parametrize("batch_size", [1, 3, None])
def test_records_come_complete_and_in_order_in_any_batches(model, random, batch_size):
    lengths = [0, 30, 300, 0, 0, 10, 600, 1, 256, 257, 0]
    records = [record(dna(random, n), name=str(i)) for i, n in enumerate(lengths)]

    found = rows_of(model, records, strand="both", batch_size=batch_size)

    assert [rows.record.name for rows in found] == [one.name for one in records]
    assert [len(rows.data) for rows in found] == lengths
    assert [rows.status for rows in found] == ["OK" if n else "EMPTY" for n in lengths]
    for one, rows in zip(records, found, strict=True):
        if one.sequence:
            (alone,) = rows_of(model, [one], strand="both")
            np.testing.assert_allclose(rows.data, alone.data, **CLOSE)


def test_a_record_in_one_window_is_not_copied(model, random):
    (rows,) = rows_of(model, dna(random, 100))

    assert rows.data.base is not None


def test_finished_records_do_not_wait_for_the_chunk(model, random):
    records = [record(dna(random, 256)) for _ in range(5)]
    batcher = Batcher(
        tiling=Tiling(256, 256),
        limits=BatchLimits(max_tokens=512),
        device=torch.device("cpu"),
        keep_order=True,
    )

    batches = list(embed_tokens(model, records, Tokens(), batcher=batcher))

    assert [len(done.rows) for done in batches] == [2, 2, 1, 0]


def test_a_batcher_that_sorts_is_refused(model):
    batcher = Batcher(
        tiling=Tiling(8, 8), limits=BatchLimits(max_tokens=8), device=torch.device("cpu")
    )

    with pytest.raises(ValueError, match="order"):
        list(embed_tokens(model, [record("A")], Tokens(), batcher=batcher))
