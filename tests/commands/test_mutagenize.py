"""`hyenadna mutagenize` end to end: regions in, a row per SNV or a value per base out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TEST_DATA = Path(__file__).parents[2] / "test_data"
FASTA = TEST_DATA / "tiny.fa"
PLAIN = ["--device", "cpu", "--threads", "1"]


@pytest.fixture
def run(hyenadna, tiny_model):
    """`run("--region", ...)`: with the tiny model on the tiny genome."""

    def mutagenize(*more):
        return hyenadna("mutagenize", "--fasta", FASTA, "-m", tiny_model, *PLAIN, *more)

    return mutagenize


def tsv(text):
    header, *rows = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_each_base_has_three_rows_and_n_has_none(run):
    code, out, err = run("--region", "chr1:13,990-14,010", "--max-n-frac", "1")

    rows = tsv(out)
    assert code == 0
    assert list(rows[0]) == ["chrom", "pos", "ref", "alt", "status", "site"]
    assert [row["pos"] for row in rows] == [str(n) for n in range(13_990, 14_001) for _ in range(3)]
    assert all(row["ref"] != row["alt"] for row in rows)
    assert "33 of 33 alleles scored" in err


@pytest.mark.parametrize("layout", ["grid", "centred"])
def test_the_numbers_are_those_of_score_variants(run, hyenadna, tiny_model, vcf_file, layout):
    options = ["--layout", layout, "--window", "200"]
    rows = tsv(run("--region", "chr1:5,001-5,010", "--full", *options).out)
    vcf = vcf_file(*(f"chr1 {row['pos']} . {row['ref']} {row['alt']}" for row in rows))

    scored = hyenadna(
        "score-variants", vcf, "--fasta", FASTA, "-m", tiny_model, "-O", "t", *PLAIN, *options
    )

    for row, expected in zip(rows, tsv(scored.out), strict=True):
        assert row["status"] == expected["status"] == "OK"
        for score in ("site", "llr"):
            assert float(row[score]) == pytest.approx(float(expected[score]), abs=1e-4)


def test_a_bedgraph_has_the_mean_of_each_base(run, tmp_path):
    region = ["--region", "chr2:101-104", "--region", "chrM:11-12"]
    rows = tsv(run(*region).out)

    code, _, _ = run(*region, "-o", tmp_path / "x.bedgraph")

    lines = [line.split("\t") for line in (tmp_path / "x.bedgraph").read_text().splitlines()]
    assert code == 0
    assert [line[:3] for line in lines] == [
        *(["chr2", str(n), str(n + 1)] for n in range(100, 104)),
        *(["chrM", str(n), str(n + 1)] for n in range(10, 12)),
    ]
    for number, line in enumerate(lines):
        of_base = [float(row["site"]) for row in rows[3 * number : 3 * number + 3]]
        assert float(line[3]) == pytest.approx(sum(of_base) / 3, rel=1e-5)


def test_a_bigwig_has_the_values_of_the_bedgraph_by_the_names_of_the_genome(
    run, bed_file, tmp_path
):
    pyBigWig = pytest.importorskip("pyBigWig")
    bed = bed_file("MT 10 12 x", "2 100 104 y", "1 13998 14003 ends-in-n")
    options = ["--bed", bed, "--contig-map", "auto"]
    for name in ("x.bedGraph", "x.BigWig"):
        done = run(*options, "-o", tmp_path / name)
        assert done.code == 0, done.err

    lines = [line.split("\t") for line in (tmp_path / "x.bedGraph").read_text().splitlines()]
    assert [line[0] for line in lines] == ["1"] * 2 + ["2"] * 4 + ["MT"] * 2
    with pyBigWig.open(str(tmp_path / "x.BigWig")) as file:
        found = [
            (contig, *of) for contig in ("chr1", "chr2", "chrM") for of in file.intervals(contig)
        ]
    for (_, start, end, value), (_, *place, number) in zip(lines, found, strict=True):
        assert (int(start), int(end)) == tuple(place)
        assert number == pytest.approx(float(value), rel=1e-5)
    assert run(*options, "-O", "bigwig").code == 2


def test_regions_may_come_from_a_bed_with_other_contig_names(run, bed_file, tmp_path):
    bed = bed_file("1 4000 4003 island", "MT 10 12 x")

    done = run("--bed", bed, "--contig-map", "auto", "-o", tmp_path / "x.tsv.gz", "--strict")

    assert done.code == 0
    manifest = json.loads((tmp_path / "x.tsv.gz.manifest.json").read_text())
    assert manifest["rows"] == {"OK": 9, "OK_EDGE": 6}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.tsv", "x.bedGraph"])
def test_shards_follow_each_other_to_the_byte(run, tmp_path, monkeypatch, name):
    monkeypatch.setattr("hyenadna_cli.core.variants.mutagenesis._PIECE", 40)
    regions = ["--region", "chr1:4,001-4,150", "--region", "chr2:101-131"]
    run(*regions, "-o", tmp_path / name)

    for number in range(1, 8):
        part = run(*regions, "--shard", f"{number}/7", "-o", tmp_path / f"{number}.{name}")
        assert part.code == 0

    parts = [(tmp_path / f"{number}.{name}").read_text().splitlines() for number in range(1, 8)]
    header = parts[0][:1] if name == "x.tsv" else []
    rows = [line for lines in parts for line in lines[len(header) :]]
    assert header + rows == (tmp_path / name).read_text().splitlines()


def test_ambiguity_codes_of_the_genome_are_counted(run, tmp_path):
    done = run("--region", "chr1:4,001-4,010", "--stats", tmp_path / "s.json")
    near = run("--region", "chr2:2,400-2,600", "--stats", tmp_path / "near.json")

    counted = json.loads((tmp_path / "near.json").read_text())["letters_read_as_n"]
    assert json.loads((tmp_path / "s.json").read_text())["letters_read_as_n"] == 0
    assert "IUPAC" not in done.err
    assert counted > 0
    assert f"{counted:,} IUPAC ambiguity codes were read as N" in near.err


def test_bfloat16_is_warned_of(run):
    done = run("--region", "chr1:4,001-4,010", "--dtype", "bf16")

    assert done.code == 0
    assert "hundredths of a nat" in done.err
    assert "hundredths" not in run("--region", "chr1:4,001-4,010").err


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        ([], 2, "--region"),
        (["--region", "chr1:9-5"], 2, "not backwards"),
        (["--region", "chr1:40,000-"], 2, "30,000 bp"),
        (["--region", "chr9:1-5"], 2, "--contig-map auto"),
        (["--region", "chr1:29,999-30,001"], 2, "30,000 bp"),
        (["--region", "chr1:1-5", "--window", "259"], 4, "258"),
        (["--region", "chr1:1-5", "-o", "x.png"], 2, ".bedgraph .bg .bw"),
    ],
)
def test_what_cannot_be_is_refused(run, options, code, problem):
    done = run(*options)

    assert done.code == code
    assert problem in done.err


def test_regions_may_be_whole_contigs_single_bases_and_names_with_colons(
    hyenadna, tiny_model, fasta_file
):
    genome = fasta_file(
        {"HLA-A*01:01": "ACGTACGTAACC" * 3, "7": "ACGTTGCATT", "7:2": "GGGTTA"},
    )

    def positions(*regions):
        options = [word for region in regions for word in ("--region", region)]
        done = hyenadna("mutagenize", "--fasta", genome, "-m", tiny_model, *PLAIN, *options)
        assert done.code == 0, done.err
        return {(row["chrom"], int(row["pos"])) for row in tsv(done.out)}

    assert positions("HLA-A*01:01") == {("HLA-A*01:01", n) for n in range(1, 37)}
    assert positions("{HLA-A*01:01}:5-6") == {("HLA-A*01:01", 5), ("HLA-A*01:01", 6)}
    assert positions("HLA-A*01:01:5-6") == positions("{HLA-A*01:01}:5-6")
    assert positions("7:3", "7:9-") == {("7", 3), ("7", 9), ("7", 10)}
    assert positions("{7:2}:1", "{7}:2") == {("7:2", 1), ("7", 2)}
    done = hyenadna("mutagenize", "--fasta", genome, "-m", tiny_model, "--region", "7:2")
    assert done.code == 2
    assert "say {7:2} or {7}:2" in done.err


def test_a_dry_run_prints_the_plan(run):
    done = run("--region", "chr1:1-5,000", "--dry-run")

    assert done.code == 0, done.err
    plan = dict(line.split("\t") for line in done.out.splitlines())
    assert (done.code, plan["bases"], plan["snvs_at_most"]) == (0, "5000", "15000")
    assert 1 <= int(plan["estimated_seconds"]) < 600


def test_the_example_of_the_help_runs(hyenadna, tiny_model, monkeypatch):
    monkeypatch.chdir(TEST_DATA.parent)
    command = "mutagenize --fasta test_data/tiny.fa --region chr1:4,001-4,100"

    assert command in " ".join(hyenadna("mutagenize", "--help").out.split())
    assert hyenadna(*command.split(), "-m", tiny_model, *PLAIN).code == 0
