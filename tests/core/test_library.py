"""The notebook's calls give what the commands give."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import hyenadna_cli as hd
from hyenadna_cli.core.io.vcf import VcfFile

TEST_DATA = Path(__file__).parents[2] / "test_data"
VARIANTS, FASTA = TEST_DATA / "variants.vcf", TEST_DATA / "tiny.fa"


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


@pytest.mark.parametrize("layout", ["centred", "grid"])
def test_scores_are_those_of_the_command(hyenadna, tiny_model, layout):
    done = hyenadna(
        "score-variants",
        VARIANTS,
        "--fasta",
        FASTA,
        "-m",
        tiny_model,
        "-O",
        "t",
        "--window",
        "200",
        "--layout",
        layout,
        "--device",
        "cpu",
        "--threads",
        "1",
    )
    assert done.code == 0, done.err
    expected = list(csv.DictReader(done.out.splitlines(), delimiter="\t"))
    with VcfFile(VARIANTS).open_vcf() as reader:
        variants = [hd.Variant(r.chrom, r.start, r.ref, r.alts) for r in reader.records() if r.alts]

    model = hd.load_model(str(tiny_model), device="cpu", threads=1)
    with hd.Genome(FASTA) as genome:
        scored = hd.score_variants(model, variants, genome, window=200, layout=layout)

    alleles = [allele for row in scored for allele in row]
    rows = [row for row in expected if row["status"] != "NO_ALT"]
    assert [allele.status for allele in alleles] == [row["status"] for row in rows]
    for allele, row in zip(alleles, rows, strict=True):
        for score in ("llr", "site"):
            assert allele.values[score] == pytest.approx(float(row[score]), abs=1e-5, nan_ok=True)


def test_a_contig_that_the_genome_lacks_is_a_status_and_a_long_window_an_error(tiny_model):
    model = hd.load_model(str(tiny_model), device="cpu", threads=1)
    with hd.Genome(FASTA) as genome:
        (scores,) = hd.score_variants(model, [hd.Variant("chr99", 5, "A", ("C",))], genome)

        with pytest.raises(ValueError, match="reads 258 bases"):
            hd.score_variants(model, [], genome, window=259)

    assert [allele.status for allele in scores] == ["NO_CONTIG"]


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'embedd'"):
        _ = hd.embedd
