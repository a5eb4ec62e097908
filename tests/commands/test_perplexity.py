"""`hyenadna perplexity` end to end."""

from __future__ import annotations

import io
import json
import math

import numpy as np
import pytest

COLUMNS = (
    "name",
    "chrom",
    "start",
    "end",
    "strand",
    "n_bases",
    "log_likelihood",
    "nats_per_base",
    "bits_per_base",
    "perplexity",
)


@pytest.fixture
def genome(fasta_file):
    random = np.random.default_rng(0)
    return fasta_file({"chr1": "".join(random.choice(list("ACGTacgt"), 1_000)), "chr2": "NNNNNN"})


@pytest.fixture
def regions(bed_file):
    return bed_file("chr1 10 210 a 0 -", "chr1 0 1000", "chr2 0 6 gap 0 +", "chr1 10 210 a 0 +")


@pytest.fixture
def perplexity(hyenadna, tiny_model):
    def run(*arguments):
        options = ("-m", tiny_model, "--device", "cpu", "--threads", "1")
        return hyenadna("perplexity", *options, *arguments)

    return run


def table(text):
    header, *rows = [line.split("\t") for line in text.splitlines()]
    assert tuple(header) == COLUMNS
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def test_each_region_has_a_row_in_order_and_nothing_else_is_on_stdout(perplexity, genome, regions):
    done = perplexity("--fasta", genome, "--bed", regions)

    rows = table(done.out)
    assert done.code == 0, done.err
    assert [row["name"] for row in rows] == ["a", "chr1:0-1000", "gap", "a"]
    assert [row["strand"] for row in rows] == ["-", "+", "+", "+"]
    assert [row["n_bases"] for row in rows] == ["199", "996", "0", "199"]
    for row in rows:
        nats = (
            -float(row["log_likelihood"]) / float(row["n_bases"])
            if row["name"] != "gap"
            else math.nan
        )
        assert float(row["nats_per_base"]) == pytest.approx(nats, nan_ok=True)
        assert float(row["bits_per_base"]) == pytest.approx(nats / math.log(2), nan_ok=True)
        assert float(row["perplexity"]) == pytest.approx(math.exp(nats), nan_ok=True)


def test_the_total_is_told_on_stderr_and_in_the_statistics(perplexity, genome, regions, tmp_path):
    done = perplexity("--fasta", genome, "--bed", regions, "--stats", tmp_path / "stats.json")

    rows = [row for row in table(done.out) if row["n_bases"] != "0"]
    nats = -sum(float(row["log_likelihood"]) for row in rows) / sum(
        int(row["n_bases"]) for row in rows
    )
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert stats["nats_per_base"] == pytest.approx(nats)
    assert f"{nats:.6g} nats per base" in done.err
    assert stats["status"] == {"OK": 3, "NO_BASES": 1}


def test_both_strands_are_averaged(perplexity, genome, regions):
    minus, _, _, plus = table(perplexity("--fasta", genome, "--bed", regions).out)

    both = table(perplexity("--fasta", genome, "--bed", regions, "--strand", "both").out)[0]

    mean = (float(plus["log_likelihood"]) + float(minus["log_likelihood"])) / 2
    assert float(both["log_likelihood"]) == pytest.approx(mean)
    assert both["strand"] == "both"


def test_the_full_vocabulary_never_gives_more_probability_to_the_bases(perplexity, genome):
    acgt, full = (
        table(perplexity("--fasta", genome, "--vocab", vocabulary).out)[0]
        for vocabulary in ("acgt", "full")
    )

    assert float(full["log_likelihood"]) < float(acgt["log_likelihood"])


def test_overlapping_windows_score_all_bases_but_the_first(perplexity, genome):
    row = table(perplexity("--fasta", genome, "--window", "100", "--stride", "50").out)[0]

    assert row["n_bases"] == "999"


def test_stdin_and_shards_give_the_same_rows(perplexity, genome, monkeypatch):
    whole = perplexity("--fasta", genome).out
    shard = perplexity("--fasta", genome, "--shard", "1/1").out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(genome.read_bytes())))

    assert perplexity("--fasta", "-").out == whole == shard


def test_a_file_gets_a_manifest_and_resume_finds_it(perplexity, genome, tmp_path):
    options = ("--fasta", genome, "-o", tmp_path / "out.tsv", "--resume")

    first, second = perplexity(*options), perplexity(*options)

    assert (first.code, second.code) == (0, 0)
    assert "nothing to do" in second.err
    manifest = json.loads((tmp_path / "out.tsv.manifest.json").read_text())
    assert manifest["rows"] == {"OK": 1, "NO_BASES": 1}
    assert manifest["settings"]["vocab"] == "acgt"


def test_a_dry_run_prints_the_plan(perplexity, genome):
    assert "windows\t5\n" in perplexity("--fasta", genome, "--dry-run").out


def test_no_records_give_the_header_only(perplexity, text_file):
    done = perplexity("--fasta", text_file("", name="empty.fa"))

    assert (done.code, table(done.out)) == (0, [])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("-o", "x.h5"), 2),
        (("--strand", "bed"), 2),
        (("--vocab", "all"), 2),
        (("--window", "1k"), 4),
        (("--bed", "no.bed"), 3),
        (("--strict",), 5),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_the_exit_code_tells_what_was_wrong(perplexity, genome, options, code):
    assert perplexity("--fasta", genome, *options).code == code
