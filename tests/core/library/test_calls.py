"""The notebook's calls give what the commands give."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import hyenadna_cli as hd
from hyenadna_cli.core.io.vcf import VcfFile
from hyenadna_cli.errors import InputFileError

TEST_DATA = Path(__file__).parents[3] / "test_data"
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

    assert vectors.vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-6)


def test_no_sequences_give_no_rows(tiny_model):
    model = hd.load_model(str(tiny_model), device="cpu", threads=1)

    assert hd.embed(model, []).vectors.shape == (0, model.config.d_model)


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


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"name": 5}, TypeError, "named by a text or a path, got int"),
        ({"device": 0}, ValueError, "device must be a text"),
        ({"threads": 0}, ValueError, "threads must be 1 or more"),
        ({"threads": "2"}, ValueError, "threads must be a whole number"),
        ({"dtype": "float32"}, ValueError, "dtype must be auto, fp32 or bf16"),
        ({"kernels": "mkl"}, ValueError, "kernels must be"),
    ],
)
def test_a_wrong_argument_of_load_model_is_named(arguments, error, problem):
    with pytest.raises(error, match=problem):
        hd.load_model(**arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"sequences": "ACGT"}, TypeError, r"sequences must be several strings .*, not str"),
        ({"sequences": b"ACGT"}, TypeError, "sequences must be several strings"),
        ({"sequences": {"a": "ACGT"}}, TypeError, "sequences must be several strings"),
        ({"sequences": TEST_DATA}, InputFileError, "directory"),
        ({"sequences": [hd.Interval("chr1", 0, 9)]}, TypeError, r"sequences\[0\] is an Interval"),
        ({"genome": 3}, TypeError, "genome must be"),
        ({"genome": FASTA}, ValueError, "no such contig"),
        ({"genome": FASTA, "sequences": ["chr1:1-40,000"]}, ValueError, "30,000 bases there"),
        ({"window": 259}, ValueError, "window 259: this model reads 1 to 258 bases"),
        ({"window": 0}, ValueError, "window 0"),
        ({"stride": 300}, ValueError, "stride 300"),
        (
            {"sequences": ["ACGT", None]},
            TypeError,
            r"sequences\[1\] must be a string, not NoneType",
        ),
        ({"sequences": [b"ACGT"]}, TypeError, r"sequences\[0\] must be a string, not bytes"),
        ({"sequences": ["ACGT", "AC*T"]}, ValueError, "'\\*' is not an IUPAC"),
        ({"model": "builtin"}, TypeError, "model must be"),
        ({"pool": "token"}, ValueError, "pool must be mean"),
        ({"layer": 99}, ValueError, "layer must be from -1 to"),
        ({"layer": -2}, ValueError, "layer must be from -1 to"),
        ({"layer": "1"}, ValueError, "layer must be a whole number"),
        ({"strand": "x"}, ValueError, "strand must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be 1 or more"),
    ],
)
def test_a_wrong_argument_of_embed_is_named(model, arguments, error, problem):
    with pytest.raises(error, match=problem):
        hd.embed(**{"model": model, "sequences": ["ACGT"], **arguments})


def test_sequences_may_come_from_a_generator(model):
    assert hd.embed(model, (s for s in ("ACGT", "GG"))).vectors.shape == (2, model.config.d_model)


def test_variants_and_genome_may_be_files(model):
    with VcfFile(VARIANTS).open_vcf() as reader:
        variants = [hd.Variant(r.chrom, r.start, r.ref, r.alts) for r in reader.records()]
    with hd.Genome(FASTA) as genome:
        expected = hd.score_variants(model, variants, genome, window=64)

    from_files = hd.score_variants(model, VARIANTS, str(FASTA), window=64)

    assert str(from_files.rows) == str(expected.rows)
    assert len(from_files) == 18


def test_the_window_is_that_of_the_command(tmp_path, hyenadna):
    vcf = tmp_path / "one.vcf"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    vcf.write_text(f"##fileformat=VCFv4.2\n{columns}\nchr1\t9000\t.\tN\tC\t.\t.\t.\n")
    with hd.Genome(FASTA) as genome:
        ref = genome.fetch(hd.Interval("chr1", 8_999, 9_000))
    vcf.write_text(vcf.read_text().replace("\tN\tC", f"\t{ref}\t{'C' if ref != 'C' else 'A'}"))
    options = ("--fasta", FASTA, "-O", "t", "--device", "cpu", "--threads", "1")
    done = hyenadna("score-variants", vcf, *options)

    builtin = hd.load_model("builtin", device="cpu", threads=1)
    ((allele,),) = hd.score_variants(builtin, vcf, FASTA)

    row = dict(zip(*(line.split("\t") for line in done.out.splitlines()), strict=True))
    assert float(row["llr"]) == pytest.approx(allele.values["llr"], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"max_n_run": -1}, ValueError, "max_n_run"),
        ({"scores": "llr"}, TypeError, "scores must be a sequence"),
        ({"scores": ("llr", "lrr")}, ValueError, "scores must be .*'lrr'"),
        ({"scores": ()}, ValueError, "scores must name"),
        ({"window": 259}, ValueError, "window 259"),
        ({"window": -4}, ValueError, "window must be 2"),
        ({"window": 64.0}, ValueError, "window must be a whole number"),
        ({"window": True}, ValueError, "window must be a whole number"),
        ({"layout": "centered"}, ValueError, "layout must be centred or grid"),
        ({"strand": "x"}, ValueError, "strand must be"),
        ({"max_allele_length": 0}, ValueError, "max_allele_length"),
        ({"max_n_fraction": 1.5}, ValueError, "max_n_fraction"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"genome": 3}, TypeError, "genome must be"),
        ({"model": "builtin"}, TypeError, "model must be"),
        ({"variants": hd.Variant("chr1", 5, "A", ("C",))}, TypeError, "variants must be"),
        ({"variants": [("chr1", 5, "A", "C")]}, TypeError, r"variants\[0\] must be a Variant"),
        ({"variants": [hd.Variant("chr1", 5, "A", "ATG")]}, TypeError, r"variants\[0\].alts"),
        ({"variants": [hd.Variant("chr1", "5", "A", ("C",))]}, TypeError, r"variants\[0\].start"),
        ({"variants": [hd.Variant("chr1", -5, "A", ("C",))]}, ValueError, r"variants\[0\].start"),
        ({"variants": [hd.Variant("chr1", 5, "", ("C",))]}, ValueError, r"variants\[0\].ref"),
    ],
)
def test_a_wrong_argument_is_named(model, arguments, error, problem):
    usual = {"model": model, "variants": [], "genome": FASTA}

    with pytest.raises(error, match=problem):
        hd.score_variants(**{**usual, **arguments})


def test_a_file_that_is_not_there_is_an_error_about_it(model, tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        hd.score_variants(model, tmp_path / "x.vcf", FASTA)


@pytest.mark.parametrize("scores", [("site",), ("site", "llr")])
def test_snvs_are_those_of_the_command(hyenadna, tiny_model, model, scores):
    region = "chr1:4,001-4,020"
    full = ["--full"] if "llr" in scores else []
    options = ["--fasta", FASTA, "-m", tiny_model, "--window", "64", "--device", "cpu"]
    done = hyenadna("mutagenize", "--region", region, *options, *full, "--threads", "1")
    rows = list(csv.DictReader(done.out.splitlines(), delimiter="\t"))

    (piece,) = hd.mutagenize(model, region, FASTA, window=64, scores=scores)

    assert piece.bases == "".join(row["ref"] for row in rows[::3])
    for table, name in zip(piece.tables, scores, strict=True):
        of_snvs = table[~np.isnan(table)]
        np.testing.assert_allclose(of_snvs, [float(row[name]) for row in rows], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"region": 5}, TypeError, "region must be"),
        ({"region": "chr1:9-5"}, ValueError, "not a region"),
        ({"region": "chr1:40,000-"}, ValueError, "30,000 bases there"),
        ({"region": "chr1:1-40,000"}, ValueError, "30,000 bases there"),
        ({"region": "chr99:1-4"}, ValueError, "no such contig"),
        ({"scores": ("llr",)}, ValueError, "site, or site and llr"),
        ({"scores": "site"}, TypeError, "scores must be a sequence"),
        ({"layout": "x"}, ValueError, "layout"),
    ],
)
def test_a_wrong_argument_of_mutagenize_is_named(model, arguments, error, problem):
    usual = {"model": model, "region": "chr1:5-9", "genome": FASTA}

    with pytest.raises(error, match=problem):
        hd.mutagenize(**{**usual, **arguments})


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'embedd'"):
        _ = hd.embedd
