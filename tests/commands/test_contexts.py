"""`hyenadna perplexity --contexts` and `plot perplexity` end to end."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from hyenadna_cli.core.interpretation import contexts

FASTA = Path(__file__).parents[2] / "test_data" / "tiny.fa"
PLAIN = ["--device", "cpu", "--threads", "1", "--no-version"]


@pytest.fixture
def run(hyenadna, tiny_model):
    def perplexity(*more):
        options = ["--contexts", "16,64,200", "--targets", "400"]
        return hyenadna("perplexity", "--fasta", FASTA, "-m", tiny_model, *PLAIN, *options, *more)

    return perplexity


def table(text):
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_each_context_has_a_row_of_the_same_bases(run):
    done = run()

    assert done.code == 0, done.err
    rows = table(done.out)
    assert tuple(rows[0]) == contexts.COLUMNS
    assert [row["context"] for row in rows] == ["16", "64", "200"]
    assert {row["n_bases"] for row in rows} == {"400"}
    for row in rows:
        low, nats, high = (float(row[name]) for name in ("low", "nats_per_base", "high"))
        assert low < nats < high
        assert float(row["perplexity"]) == pytest.approx(math.exp(nats))
        assert int(row["context"]) <= float(row["mean_context"])


def test_the_strands_are_pooled(run):
    rows = [table(run("--strand", strand).out)[1] for strand in ("+", "-", "both")]

    assert int(rows[2]["n_bases"]) > 700  # a target may be an N
    assert len({row["nats_per_base"] for row in rows}) == 3


def test_shards_put_together_are_the_whole_table(run, hyenadna, tmp_path):
    assert run("-o", tmp_path / "whole.tsv").code == 0
    for number in (1, 2, 3):
        done = run("--shard", f"{number}/3", "-o", tmp_path / f"{number}.tsv")
        assert done.code == 0, done.err

    parts = [tmp_path / f"{number}.tsv" for number in (1, 2, 3)]
    assert hyenadna("merge", *parts, "-o", tmp_path / "all.tsv", "--no-version").code == 0

    assert (tmp_path / "all.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()


def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(run, tmp_path, monkeypatch):
    monkeypatch.setattr(contexts, "_CHUNK_BASES", 2_000)
    whole, stopped = tmp_path / "whole.tsv", tmp_path / "stopped.tsv"
    assert run("-o", whole).code == 0
    calls = []
    sums = contexts._sums

    def stopping(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return sums(*arguments)

    monkeypatch.setattr(contexts, "_sums", stopping)
    assert run("-o", stopped).code != 0
    assert not stopped.exists()
    done = run("-o", stopped, "--resume")

    assert done.code == 0, done.err
    assert "going on after 3 finished chunks" in done.err
    assert stopped.read_bytes() == whole.read_bytes()


def test_the_manifest_says_how_the_targets_were_drawn(run, tmp_path):
    run("-o", tmp_path / "x.tsv", "--seed", "3")

    settings = json.loads((tmp_path / "x.tsv.manifest.json").read_text())["settings"]
    assert settings["contexts"] == [16, 64, 200]
    assert (settings["targets"], settings["seed"], settings["strands"]) == (400, 3, ["+"])


def test_a_dry_run_tells_how_much_is_read(run):
    plan = dict(line.split("\t") for line in run("--dry-run").out.splitlines())

    assert (plan["contexts"], plan["targets"]) == ("3", "400")
    assert int(plan["bases"]) > 3 * 400


def test_no_regions_give_the_header_only(run, bed_file):
    done = run("--bed", bed_file())

    assert (done.code, done.out) == (0, "\t".join(contexts.COLUMNS) + "\n")


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--contexts", "64,64"], 2, "different lengths"),
        (["--contexts", "0"], 2, "1 base or more"),
        (["--contexts", "64,x"], 2, "is not a length"),
        (["--contexts", "258"], 4, "use 257 or less"),
        (["--targets", "0"], 2, "--targets"),
        (["--window", "100"], 2, "--window and --stride"),
        (["--strand", "bed"], 2, "--strand +, - or both"),
        (["--track", "x.bw"], 2, "exclude each other"),
        (["-o", "x.h5"], 2, "writes TSV"),
    ],
)
def test_what_does_not_go_together_is_refused(run, options, code, problem):
    done = run(*options)

    assert (done.code, done.out) == (code, "")
    assert problem in done.err


def test_regions_at_the_start_of_a_contig_have_no_context(run, bed_file):
    done = run("--bed", bed_file("chr1 0 100"))

    assert (done.code, done.err.count("\n")) == (3, 1)
    assert "no base of the regions has 200 bases" in done.err


def test_curves_are_drawn_with_their_points_beside_them(run, hyenadna, tmp_path):
    pytest.importorskip("matplotlib")
    run("-o", tmp_path / "one.tsv")
    run("-o", tmp_path / "two.tsv", "--targets", "200")
    tables = [f"a={tmp_path / 'one.tsv'}", f"b={tmp_path / 'two.tsv'}"]

    done = hyenadna("plot", "perplexity", *tables, "-o", tmp_path / "curve.png")

    assert done.code == 0, done.err
    assert "different numbers of bases" in done.err
    assert (tmp_path / "curve.png").stat().st_size > 1_000
    rows = table((tmp_path / "curve.tsv").read_text())
    assert [row["name"] for row in rows] == ["a"] * 3 + ["b"] * 3
    first = table((tmp_path / "one.tsv").read_text())[0]
    assert (rows[0]["context"], rows[0]["low"]) == (first["context"], first["low"])


@pytest.mark.parametrize("content", ["", "a\tb\n1\t2\n", "\t".join(contexts.COLUMNS) + "\n"])
def test_what_is_no_curve_is_refused(hyenadna, text_file, tmp_path, content):
    path = text_file(content, name="x.tsv")

    done = hyenadna("plot", "perplexity", f"a={path}", "-o", tmp_path / "curve.png")

    assert (done.code, done.err.count("\n")) == (3, 1)
    assert hyenadna("plot", "perplexity", path, path, "-o", tmp_path / "curve.png").code == 2
