"""`--gtf` and `--feature` end to end, in every command that reads regions."""

from __future__ import annotations

import io
import json
import random

import pytest

from hyenadna_cli.core.io.embeddings_reading import read_embeddings
from hyenadna_cli.core.outputs import shards

PLAIN = ("--device", "cpu", "--threads", "1", "--no-version", "-q")
COLUMNS = ["gene_id", "gene_name", "gene_type", "transcript_id"]


@pytest.fixture
def genome(fasta_file):
    return fasta_file({"chr1": "".join(random.Random(0).choices("ACGT", k=2_000))})


@pytest.fixture
def gtf(text_file):
    """Genes of 2 exons of 20 bases, on both strands; every second one without a name."""
    lines = []
    for number in range(9):
        start, strand = 100 + 200 * number, "+-"[number % 2]
        named = "" if number % 2 else f' gene_name "N;{number}";'
        gene = f'.\t{strand}\t.\tgene_id "G{number}"; gene_biotype "TEC";{named}'
        lines.append(f"1\tx\tgene\t{start + 1}\t{start + 90}\t{gene}")
        exons = [(start + 1, start + 20), (start + 71, start + 90)]
        lines += [
            f'1\tx\texon\t{first}\t{last}\t{gene} transcript_id "T{number}";'
            for first, last in (exons if strand == "+" else exons[::-1])
        ]
    return text_file("\n".join([*lines, ""]), name="genes.gtf.gz", compression="gzip")


@pytest.fixture
def run(hyenadna, tiny_model, genome, gtf):
    def start(verb, *more, feature="gene", genes=gtf):
        regions = ("--gtf", genes, "--feature", feature, "--contig-map", "auto")
        return hyenadna(verb, "--fasta", genome, *regions, "-m", tiny_model, *PLAIN, *more)

    return start


def rows(text):
    return [line.split("\t") for line in text.splitlines()]


def test_genes_are_embedded_as_the_same_regions_of_a_bed_are(
    run, hyenadna, tiny_model, genome, bed_file
):
    bed = bed_file("chr1 100 190 x 0 +", "chr1 300 390 y 0 -")

    done = run("embed")

    header, first, second, *_ = rows(done.out)
    of_bed = hyenadna("embed", "--fasta", genome, "--bed", bed, "-m", tiny_model, *PLAIN)
    assert done.code == 0, done.err
    assert header[:11] == ["name", "chrom", "start", "end", "strand", "length", "status", *COLUMNS]
    assert first[:11] == ["N;0", "1", "100", "190", "+", "90", "OK", "G0", "N;0", "TEC", ""]
    assert second[:11] == ["G1", "1", "300", "390", "-", "90", "OK", "G1", "", "TEC", ""]
    assert [row[7:] for row in rows(of_bed.out)[1:]] == [first[11:], second[11:]]


@pytest.mark.parametrize("suffix", ["h5ad", "tsv"])
def test_attributes_pass_through_shards_and_merge(run, hyenadna, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 3)
    whole, merged = tmp_path / f"whole.{suffix}", tmp_path / f"merged.{suffix}"
    parts = [tmp_path / f"{i}.{suffix}" for i in (1, 2)]

    run("embed", "-o", whole, feature="splice:-5:5")
    for number, part in enumerate(parts, start=1):
        done = run("embed", "-o", part, "--shard", f"{number}/2", feature="splice:-5:5")
        assert done.code == 0, done.err
    done = hyenadna("merge", *parts, "-o", merged, "-q")

    assert done.code == 0, done.err
    if suffix == "tsv":
        assert merged.read_bytes() == whole.read_bytes()
        return
    found, expected = read_embeddings(merged), read_embeddings(whole)
    assert len(expected.given_names) == 18
    assert expected.given_names[:2] == ["T0:donor", "T0:acceptor"]
    for column in COLUMNS:
        assert found.obs[column].tolist() == expected.obs[column].tolist()
    assert expected.obs["transcript_id"].tolist()[:3] == ["T0", "T0", "T1"]


def test_another_feature_is_another_run(run, gtf, tmp_path):
    output = tmp_path / "x.tsv"
    run("embed", "-o", output)
    manifest = json.loads((tmp_path / "x.tsv.manifest.json").read_text())

    again, other = (run("embed", "-o", output, "--resume", feature=f) for f in ("gene", "exon"))

    assert str(gtf) in json.dumps(manifest)
    assert again.code == 0
    assert other.code != 0
    assert "feature" in other.err


def test_stdin(run, gtf, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gtf.read_bytes())))

    assert run("embed", genes="-").out == run("embed").out


def test_perplexity_has_a_row_for_each_region(run):
    done = run("perplexity", feature="tss:0:5")
    assert (done.code, "has no transcript line" in done.err) == (3, True)

    done = run("perplexity", feature="promoter:-10:10")

    assert [row[:5] for row in rows(done.out)[1:3]] == [
        ["N;0", "1", "90", "110", "+"],
        ["G1", "1", "380", "400", "-"],
    ]


def test_a_track_and_mutations_cover_the_regions(run, tmp_path):
    track, snvs = tmp_path / "x.bedGraph", tmp_path / "x.tsv"

    done = run("perplexity", "--track", track, "--window", "128", feature="splice:-2:2")
    assert done.code == 0, done.err
    assert run("mutagenize", "-o", snvs, feature="splice:-2:2").code == 0

    sites = [100 + 200 * n + at for n in range(9) for at in (20, 70)]
    bases = [base for site in sites for base in range(site - 2, site + 2)]
    assert [int(row[1]) for row in rows(track.read_text())] == bases
    assert sorted({int(row[1]) - 1 for row in rows(snvs.read_text())[1:]}) == bases
    for output in (track, snvs):
        made_by = (output.parent / f"{output.name}.manifest.json").read_text()
        assert "genes.gtf.gz" in made_by
        assert "splice:-2:2" in made_by


@pytest.mark.parametrize(
    ("feature", "code", "problem"),
    [("intron", 2, "is none of gene"), ("cds", 3, "genes.gtf.gz: has no CDS line")],
)
@pytest.mark.parametrize("verb", ["embed", "perplexity", "mutagenize"])
def test_what_cannot_be_is_refused_and_nothing_written(run, tmp_path, verb, feature, code, problem):
    done = run(verb, "-o", tmp_path / "x.tsv", feature=feature)

    assert (done.code, done.out) == (code, "")
    assert problem in done.err
    assert not list(tmp_path.glob("x.tsv*"))


def test_a_table_has_its_own_regions(hyenadna, tmp_path):
    done = hyenadna("predict", "-m", tmp_path, "--data", "x.csv", "--gtf", "g", "--feature", "gene")

    assert (done.code, "--data excludes --bed and --gtf" in done.err) == (2, True)
