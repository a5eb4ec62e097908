"""Vectors of records: each pooling against its definition, and the laws of batches and strands."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from hyenadna_cli.core.dna import tokenizer
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.dna.tiling import Tiling
from hyenadna_cli.core.inference.batching import Batcher, BatchLimits
from hyenadna_cli.core.inference.embedding import embed
from hyenadna_cli.core.inference.pooling import POOLINGS, Pooled
from hyenadna_cli.core.io.records import Record
from hyenadna_cli.core.model.checkpoints import checkpoint

# Float32 sums of another batch shape differ in their last bits.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def model(tiny_model):
    return checkpoint.load(tiny_model)[0]


@pytest.fixture
def random():
    return np.random.default_rng(0)


def dna(random, length, letters="ACGT"):
    return "".join(random.choice(list(letters), length))


def record(sequence, *, name="r", strand="+"):
    return Record(name, "chr1", 0, len(sequence), strand, sequence)


def make_batcher(*, window=256, stride=None, max_tokens=2_048, batch_size=None, specials="none"):
    return Batcher(
        tiling=Tiling(window, stride or window),
        limits=BatchLimits(max_tokens=max_tokens, max_windows=batch_size),
        device=torch.device("cpu"),
        specials=specials,
    )


def embed_all(model, records, pooled=None, **options):
    if isinstance(records, str):
        records = [record(records)]
    batches = embed(model, records, pooled or Pooled(), batcher=make_batcher(**options))
    return [row for done in batches for row in done.rows]


def embed_one(model, sequence, **choices):
    (row,) = embed_all(model, sequence, Pooled(**choices))
    return row.vectors[Pooled(**choices).keys[0]]


def states(model, sequence, layer=-1, specials="none"):
    """Hidden states (L, D) of a sequence read on its own."""
    token_ids = tokenizer.add_specials(tokenizer.encode(sequence), specials)
    with torch.inference_mode():
        (states_1LD,) = model.hidden_states(
            torch.from_numpy(token_ids.astype(np.int64))[None], [layer]
        )
    return states_1LD[0].numpy()


DEFINITION = {
    "mean": lambda rows: rows.mean(0),
    "max": lambda rows: rows.max(0),
    "first": lambda rows: rows[0],
    "last": lambda rows: rows[-1],
    "center": lambda rows: rows[len(rows) // 2],
}


@pytest.mark.parametrize("length", [1, 2, 7, 100, 256])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_vector_is_what_its_pooling_says(model, random, pooling, length):
    sequence = dna(random, length)

    vector = embed_one(model, sequence, poolings=(pooling,))

    np.testing.assert_allclose(vector, DEFINITION[pooling](states(model, sequence)), **CLOSE)
    assert vector.dtype == np.float32


@pytest.mark.parametrize("layer", [0, 1, 2, -1])
def test_a_layer_is_chosen(model, random, layer):
    sequence = dna(random, 30)

    vector = embed_one(model, sequence, layers=(layer,))

    np.testing.assert_allclose(vector, states(model, sequence, layer).mean(0), **CLOSE)


def test_all_poolings_and_layers_come_from_one_pass(model, random):
    sequence = dna(random, 50)
    pooled = Pooled(poolings=POOLINGS, layers=(0, 2, -1))

    (row,) = embed_all(model, sequence, pooled)

    assert tuple(row.vectors) == pooled.keys
    for pooling in POOLINGS:
        for layer in (0, 2, -1):
            expected = DEFINITION[pooling](states(model, sequence, layer))
            np.testing.assert_allclose(row.vectors[f"{pooling}_layer{layer}"], expected, **CLOSE)


@pytest.mark.parametrize("specials", ["sep", "cls-sep"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_special_tokens_are_read_but_never_count(model, random, pooling, specials):
    sequence = dna(random, 40)
    n_front = 1 if specials == "cls-sep" else 0
    bases = states(model, sequence, specials=specials)[n_front : n_front + 40]

    (row,) = embed_all(model, sequence, Pooled(poolings=(pooling,)), specials=specials)

    np.testing.assert_allclose(
        row.vectors[f"{pooling}_layer-1"], DEFINITION[pooling](bases), **CLOSE
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"max_tokens": 256}, {"max_tokens": 700}, {"batch_size": 1}, {"batch_size": 7}],
    ids=str,
)
def test_a_sequence_alone_and_in_any_batch_gives_the_same_vectors(model, random, options):
    """Law: batch invariance."""
    records = [record(dna(random, length)) for length in random.integers(1, 600, 40)]
    pooled = Pooled(poolings=POOLINGS, layers=(1, -1), strand="both")

    together = embed_all(model, records, pooled, **options)

    for one, row in zip(records, together, strict=True):
        (alone,) = embed_all(model, [one], pooled)
        for key in pooled.keys:
            np.testing.assert_allclose(row.vectors[key], alone.vectors[key], **CLOSE)


def test_rows_come_out_in_input_order(model, random):
    records = [record(dna(random, n), name=f"{n}") for n in random.integers(0, 500, 300)]

    rows = embed_all(model, records)

    assert [row.name for row in rows] == [one.name for one in records]
    assert [row.length for row in rows] == [len(one.sequence) for one in records]


def test_a_row_tells_what_was_read(model):
    (row,) = embed_all(model, [Record("x", "chr2", 5, 11, "-", "ACNNgt")], Pooled(strand="bed"))

    assert (row.name, row.chrom, row.start, row.end, row.strand) == ("x", "chr2", 5, 11, "-")
    assert (row.length, row.n_windows, row.status) == (6, 1, "OK")
    assert row.n_frac == pytest.approx(2 / 6)


@pytest.mark.parametrize("length", [9, 10, 600])
def test_the_minus_strand_is_the_reverse_complement_read_forward(model, random, length):
    """Law: strand."""
    sequence = dna(random, length, "ACGTN")
    pooled = {"poolings": POOLINGS, "layers": (-1,)}

    (minus,) = embed_all(model, sequence, Pooled(**pooled, strand="-"))
    (plus,) = embed_all(model, reverse_complement(sequence), Pooled(**pooled))

    for key in plus.vectors:
        np.testing.assert_array_equal(minus.vectors[key], plus.vectors[key])


@pytest.mark.parametrize("length", [9, 10, 600])
def test_both_strands_give_the_mean_and_so_the_same_for_the_reverse_complement(
    model, random, length
):
    sequence = dna(random, length)
    both, plus, minus, other = (
        embed_all(model, read, Pooled(poolings=POOLINGS, strand=strand))[0]
        for read, strand in (
            (sequence, "both"),
            (sequence, "+"),
            (sequence, "-"),
            (reverse_complement(sequence), "both"),
        )
    )

    for key, vector in both.vectors.items():
        np.testing.assert_allclose(vector, (plus.vectors[key] + minus.vectors[key]) / 2, **CLOSE)
        np.testing.assert_allclose(other.vectors[key], vector, **CLOSE)
    assert both.strand == "both"


def test_the_strand_of_each_record_is_honoured(model, random):
    sequence = dna(random, 20)
    records = [record(sequence, strand=strand) for strand in "+-."]

    plus, minus, none = embed_all(model, records, Pooled(strand="bed"))

    assert [row.strand for row in (plus, minus, none)] == ["+", "-", "+"]
    np.testing.assert_array_equal(plus.vectors["mean_layer-1"], none.vectors["mean_layer-1"])
    assert np.abs(plus.vectors["mean_layer-1"] - minus.vectors["mean_layer-1"]).max() > 0.01


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(
    ("excluded", "is_counted"),
    [
        ({"exclude_n": True}, lambda base: base not in "Nn"),
        ({"exclude_softmasked": True}, str.isupper),
        ({"exclude_n": True, "exclude_softmasked": True}, lambda base: base in "ACGT"),
    ],
    ids=["N", "softmasked", "both"],
)
def test_excluded_bases_are_read_but_do_not_count(model, random, excluded, is_counted, strand):
    sequence = dna(random, 300, "ACGTNacgtn")
    read = sequence if strand == "+" else reverse_complement(sequence)
    counted = np.array([is_counted(base) for base in read])
    pooled = Pooled(poolings=("mean", "max", "last"), strand=strand, **excluded)

    (row,) = embed_all(model, sequence, pooled, window=256, stride=256)

    pieces = [states(model, read[:256]), states(model, read[256:])]
    rows = np.concatenate(pieces)
    np.testing.assert_allclose(row.vectors["mean_layer-1"], rows[counted].mean(0), **CLOSE)
    np.testing.assert_allclose(row.vectors["max_layer-1"], rows[counted].max(0), **CLOSE)
    np.testing.assert_allclose(row.vectors["last_layer-1"], rows[-1], **CLOSE)


def test_a_record_without_a_base_that_counts_has_a_status_and_no_mean(model):
    pooled = Pooled(poolings=("mean", "max", "last"), exclude_n=True)

    all_n, some = embed_all(model, [record("NNNN"), record("NNAN")], pooled)

    assert (all_n.status, some.status) == ("ALL_EXCLUDED", "OK")
    assert np.isnan(all_n.vectors["mean_layer-1"]).all()
    assert np.isnan(all_n.vectors["max_layer-1"]).all()
    assert np.isfinite(all_n.vectors["last_layer-1"]).all()


def test_an_empty_record_keeps_its_row(model):
    rows = embed_all(model, [record(""), record("ACGT"), record("")], Pooled(poolings=POOLINGS))

    assert [row.status for row in rows] == ["EMPTY", "OK", "EMPTY"]
    assert all(np.isnan(vector).all() for vector in rows[0].vectors.values())
    assert rows[0].n_windows == 0


def test_no_records_give_no_rows(model):
    assert embed_all(model, []) == []


def test_a_model_that_overflows_gives_a_status(model):
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.backbone.ln_f.bias[3] = torch.inf

    (row,) = embed_all(broken, "ACGT")

    assert row.status == "NONFINITE"


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(("window", "stride"), [(50, 50), (50, 20), (7, 1)])
def test_windows_are_put_together_as_documented(model, random, window, stride, strand):
    sequence = dna(random, 173)
    read = sequence if strand == "+" else reverse_complement(sequence)
    starts = [0]
    while starts[-1] + window < len(read):
        starts.append(starts[-1] + stride)
    windows = [states(model, read[start : start + window]) for start in starts]
    centre = len(read) // 2
    holding = next(i for i, start in enumerate(starts) if centre < start + window)
    weights = [len(rows) for rows in windows]
    expected = {
        "mean": np.average([rows.mean(0) for rows in windows], axis=0, weights=weights),
        "max": np.max([rows.max(0) for rows in windows], axis=0),
        "first": windows[0][0],
        "last": windows[-1][-1],
        "center": windows[holding][centre - starts[holding]],
    }
    pooled = Pooled(poolings=POOLINGS, strand=strand)

    (row,) = embed_all(model, sequence, pooled, window=window, stride=stride)

    assert row.n_windows == len(windows)
    for pooling, vector in expected.items():
        np.testing.assert_allclose(row.vectors[f"{pooling}_layer-1"], vector, **CLOSE)


def test_progress_counts_every_base_once(model, random):
    records = [record(dna(random, n)) for n in (0, 10, 700, 256)]
    batcher = make_batcher(window=100, stride=30, batch_size=3)

    batches = list(embed(model, records, Pooled(strand="both"), batcher=batcher))

    assert sum(done.n_bases for done in batches) == pytest.approx(966)
    assert len(batches) > 5


def test_a_mean_over_many_positions_keeps_its_digits(model):
    """Sums of chunks are in float64; a float32 running sum over 40,000 bases loses three digits."""
    from hyenadna_cli.core.inference.embedding import _sum_and_max

    states_1LD = torch.rand(1, 40_000, 4) + 1
    is_counted_1L = torch.ones(1, 40_000, dtype=torch.bool)

    sums_1D, maxima_1D = _sum_and_max(states_1LD, is_counted_1L, True)

    torch.testing.assert_close(sums_1D, states_1LD.double().sum(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(maxima_1D.float(), states_1LD.amax(1), rtol=0, atol=0)


def test_a_float64_model_is_pooled_in_float64(model, random):
    sequence = dna(random, 60)
    wide = copy.deepcopy(model).double()

    (row,) = embed_all(wide, sequence)

    expected = states(wide, sequence).mean(0).astype(np.float32)
    np.testing.assert_array_equal(row.vectors["mean_layer-1"], expected)
