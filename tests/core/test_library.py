"""The notebook's calls give what the commands give."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import hyenadna_cli as hd


def test_vectors_are_those_of_the_command(hyenadna, tiny_model, fasta_file, tmp_path):
    sequences = ["ACGTNACGT" * 5, "GATTACA", "acgtacgt" * 90]
    fasta = fasta_file({str(i): s for i, s in enumerate(sequences)})
    code, _, err = hyenadna(
        "embed", "--fasta", fasta, "-m", tiny_model, "-o", tmp_path / "x.tsv", "--device", "cpu"
    )
    assert code == 0, err
    with (tmp_path / "x.tsv").open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    expected = [
        [float(v) for k, v in row.items() if k[0] == "e" and k[1:].isdigit()] for row in rows
    ]

    model = hd.load_model(str(tiny_model), device="cpu", threads=1)
    vectors = hd.embed(model, sequences)

    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)


def test_no_sequences_give_no_rows(tiny_model):
    model = hd.load_model(str(tiny_model), device="cpu", threads=1)

    assert hd.embed(model, []).shape == (0, model.config.d_model)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'embedd'"):
        _ = hd.embedd
