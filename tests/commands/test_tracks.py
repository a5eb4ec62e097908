"""`hyenadna perplexity --track` end to end."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

FASTA = Path(__file__).parents[2] / "test_data" / "tiny.fa"
PLAIN = ["--device", "cpu", "--threads", "1", "--no-version"]


@pytest.fixture
def run(hyenadna, tiny_model):
    def perplexity(*more):
        return hyenadna("perplexity", "--fasta", FASTA, "-m", tiny_model, *PLAIN, *more)

    return perplexity


@pytest.fixture
def bed(bed_file):
    return bed_file("chr2\t1000\t1200\nchr1\t4000\t4300\nchr1\t4250\t4400\n")


def lines(path):
    return [line.split("\t") for line in path.read_text().splitlines()]


def test_a_track_is_in_the_order_of_the_genome_and_without_overlaps(
    run, bed, tmp_path, monkeypatch
):
    monkeypatch.setattr("hyenadna_cli.core.interpretation.tracks._CHUNK_BASES", 130)
    done = run("--bed", bed, "--track", tmp_path / "x.bedGraph", "--window", "128")

    assert done.code == 0, done.err
    assert "2 records, 600 bases" in done.err
    places = [(contig, int(start)) for contig, start, _, _ in lines(tmp_path / "x.bedGraph")]
    assert places == [("chr1", n) for n in range(4_000, 4_400)] + [
        ("chr2", n) for n in range(1_000, 1_200)
    ]
    assert (tmp_path / "x.bedGraph.manifest.json").exists()


def test_the_sum_of_a_track_is_the_log_likelihood_of_the_window(
    run, fasta_file, hyenadna, tiny_model, tmp_path
):
    """A contig that fits into a window: the track and the table read the same."""
    sequence = "".join(np.random.default_rng(1).choice(list("ACGT"), 90))
    genome = fasta_file({"chrS": sequence})
    common = ("--fasta", genome, "-m", tiny_model, *PLAIN, "--strand", "+")
    hyenadna(
        "perplexity",
        *common,
        "--track",
        tmp_path / "x.bedGraph",
        "--window",
        "128",
        "--min-context",
        "28",
    )
    table = hyenadna("perplexity", *common, "--window", "128")

    total = sum(float(value) for _, _, _, value in lines(tmp_path / "x.bedGraph"))
    (row,) = csv.DictReader(table.out.splitlines(), delimiter="\t")
    assert total == pytest.approx(float(row["log_likelihood"]), abs=1e-3)


def test_shards_put_together_are_the_whole_track(run, hyenadna, tmp_path):
    options = ("--window", "256", "--strand", "+")
    run(*options, "--track", tmp_path / "whole.bedGraph")
    for number in (1, 2, 3):
        done = run(*options, "--shard", f"{number}/3", "--track", tmp_path / f"{number}.bedGraph")
        assert done.code == 0, done.err

    parts = [tmp_path / f"{number}.bedGraph" for number in (1, 2, 3)]
    merged = hyenadna("merge", *parts, "-o", tmp_path / "all.bedGraph", "--no-version")

    assert merged.code == 0, merged.err
    assert (tmp_path / "all.bedGraph").read_bytes() == (tmp_path / "whole.bedGraph").read_bytes()


def test_bigwig_holds_what_bedgraph_does(run, bed, tmp_path):
    pyBigWig = pytest.importorskip("pyBigWig")
    for name in ("x.bedGraph", "x.bw"):
        assert run("--bed", bed, "--window", "128", "--track", tmp_path / name).code == 0

    with pyBigWig.open(str(tmp_path / "x.bw")) as file:
        for contig, start, end, value in lines(tmp_path / "x.bedGraph"):
            (found,) = file.values(contig, int(start), int(end))
            assert found == pytest.approx(float(value), rel=1e-5)


def test_shards_of_bigwig_put_together_have_the_values_of_the_whole(run, hyenadna, tmp_path):
    pyBigWig = pytest.importorskip("pyBigWig")
    options = ("--window", "256", "--strand", "+")
    run(*options, "--track", tmp_path / "whole.bw")
    parts = [tmp_path / f"{number}.bw" for number in (1, 2, 3, 4)]
    for number, part in enumerate(parts, start=1):
        done = run(*options, "--shard", f"{number}/4", "--track", part)
        assert done.code == 0, done.err

    merged = hyenadna("merge", *parts, "-o", tmp_path / "all.bw", "--no-version")

    assert merged.code == 0, merged.err
    with (
        pyBigWig.open(str(tmp_path / "whole.bw")) as whole,
        pyBigWig.open(str(tmp_path / "all.bw")) as found,
    ):
        assert list(found.chroms().items()) == list(whole.chroms().items())
        for contig in whole.chroms():
            assert found.intervals(contig) == whole.intervals(contig)
    assert hyenadna("merge", *parts, "-o", "-").code == 2
    (tmp_path / "2.bw").write_bytes(b"no")
    damaged = hyenadna("merge", *parts, "-o", tmp_path / "again.bw")
    assert (damaged.code, len(damaged.err.splitlines())) == (3, 1)
    assert not (tmp_path / "again.bw").exists()


def test_a_dry_run_times_it(run, bed, tmp_path):
    done = run("--bed", bed, "--track", tmp_path / "x.bw", "--window", "128", "--dry-run")

    plan = dict(line.split("\t") for line in done.out.splitlines())
    assert (plan["regions"], plan["bases"]) == ("2", "600")
    assert not (tmp_path / "x.bw").exists()


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--track", "x.tsv"], 2, "use .bw"),
        (["--track", "x.bw", "-o", "y.tsv"], 2, "leave out -o"),
        (["--track", "x.bw", "--strand", "bed"], 2, "--strand +, - or both"),
        (["--track", "x.bw", "--min-context", "200", "--window", "128"], 2, "--min-context"),
        (["--track", "x.bw", "--window", "300"], 4, "reads at most 258"),
        (["--track", "x.bw", "--stride", "10"], 2, "--stride"),
    ],
)
def test_options_that_do_not_go_with_a_track_are_refused(run, options, code, problem):
    done = run(*options)

    assert done.code == code
    assert problem in done.err
