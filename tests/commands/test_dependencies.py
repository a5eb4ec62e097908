"""`hyenadna mutagenize --dependencies` and `plot dependencies` end to end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hyenadna_cli.core.interpretation.dependency_file import read_map

FASTA = Path(__file__).parents[2] / "test_data" / "tiny.fa"
PLAIN = ["--device", "cpu", "--threads", "1", "--no-version"]


@pytest.fixture
def run(hyenadna, tiny_model):
    def mutagenize(*more):
        return hyenadna("mutagenize", "--fasta", FASTA, "-m", tiny_model, *PLAIN, *more)

    return mutagenize


def test_a_map_says_what_made_it_and_can_be_drawn(run, hyenadna, tmp_path, monkeypatch):
    monkeypatch.setattr("hyenadna_cli.core.interpretation.dependencies._QUERIES", 16)
    output = tmp_path / "map.h5"
    done = run("--region", "chr1:4,001-4,040", "--dependencies", output, "--window", "64")

    assert done.code == 0, done.err
    assert "1 records, 40 bases" in done.err
    found = read_map(output)
    assert (str(found.region), len(found.sequence)) == ("chr1:4,001-4,040", 40)
    assert np.isfinite(found.values).sum() == 40 * 39
    manifest = json.loads((tmp_path / "map.h5.manifest.json").read_text())
    assert manifest["settings"]["context"] == 32
    drawn = hyenadna("plot", "dependencies", output, "-o", tmp_path / "map.svg")
    assert drawn.code == 0, drawn.err
    assert (tmp_path / "map.tsv").read_text().count("\n") == 1 + 1_000
    assert "half of what substitutions move lies within" in drawn.err


@pytest.mark.slow
def test_a_page_is_one_file_without_links(run, hyenadna, bed_file, tmp_path):
    pytest.importorskip("plotly")
    output = tmp_path / "map.h5"
    run("--region", "chr1:4,001-4,020", "--dependencies", output, "--window", "64")
    bed = bed_file("chr1 4004 4010 box", "chr7 1 2 elsewhere")

    drawn = hyenadna("plot", "dependencies", output, "--bed", bed, "-o", tmp_path / "page.html")

    assert drawn.code == 0, drawn.err
    page = (tmp_path / "page.html").read_text()
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
    assert "chr1:4,001-4,020, tiny_model, 32 bases of context" in page
    assert '"text":"box"' in page
    assert "elsewhere" not in page


def test_one_strand_and_near_pairs_are_parts_of_the_whole(run, tmp_path):
    options = ["--region", "chr1:4,001-4,040", "--window", "64"]
    run(*options, "--dependencies", tmp_path / "whole.h5")
    run(*options, "--dependencies", tmp_path / "plus.h5", "--strand", "+")
    run(*options, "--dependencies", tmp_path / "near.h5", "--max-distance", "5")

    whole, plus, near = (read_map(tmp_path / f"{n}.h5").values for n in ("whole", "plus", "near"))
    above = np.triu(np.ones((40, 40), dtype=bool), 1)
    np.testing.assert_array_equal(plus[above], whole[above])
    assert np.isnan(plus[~above]).all()
    known = np.isfinite(near)
    assert known.sum() == 2 * sum(40 - distance for distance in range(1, 6))
    np.testing.assert_allclose(near[known], whole[known], rtol=1e-3, atol=1e-4)


def test_runs_with_other_batches_write_the_same_map(run, tmp_path):
    options = ["--region", "chr1:4,001-4,040", "--window", "64"]
    for size in ("1", "7"):
        run(*options, "--dependencies", tmp_path / f"{size}.h5", "--batch-size", size)

    one, seven = (read_map(tmp_path / f"{size}.h5").values for size in ("1", "7"))
    np.testing.assert_allclose(one, seven, rtol=1e-3, atol=1e-4)


def test_a_long_region_leaves_less_of_the_default_context(run, tmp_path):
    """Half of 258 is 129; beside 200 bases the model reads 58 more."""
    region = ["--region", "chr1:4,001-4,200", "--dependencies", tmp_path / "m.h5"]

    assert run(*region, "--window", "258").code == 2
    assert run(*region).code == 0
    assert read_map(tmp_path / "m.h5").context == 58
    assert run("--region", "chr1:4,001-4,300", "--dependencies", tmp_path / "n.h5").code == 2


def test_a_dry_run_times_it_and_writes_nothing(run, tmp_path):
    done = run("--region", "chr1:4,001-4,040", "--dependencies", tmp_path / "m.h5", "--dry-run")

    plan = dict(line.split("\t") for line in done.out.splitlines())
    assert (plan["bases"], plan["alt_passes"]) == ("40", "240")
    assert int(plan["estimated_seconds"]) >= 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--dependencies", "m.tsv"], "use .h5 or .hdf5"),
        (["--dependencies", "m.h5", "-o", "x.tsv"], "leave out -o"),
        (["--dependencies", "m.h5", "--shard", "1/2"], "--shard"),
        (["--dependencies", "m.h5", "--full"], "--full"),
        (["--dependencies", "m.h5", "--vocab", "full"], "--vocab"),
        (["--dependencies", "m.h5", "--max-distance", "0"], "--max-distance is at least 1"),
        (["--dependencies", "m.h5", "--region", "chr2:5"], "one region, not 2"),
    ],
)
def test_options_that_do_not_go_with_a_map_are_refused(run, options, problem):
    done = run("--region", "chr1:4,001-4,040", *options)

    assert done.code == 2
    assert problem in done.err


def test_a_region_that_is_all_n_has_no_map(run, tmp_path):
    done = run("--region", "chr1:14,101-14,140", "--dependencies", tmp_path / "m.h5")

    assert done.code == 2
    assert "chr1:14,101-14,140 is all N" in done.err
    assert not list(tmp_path.iterdir())
