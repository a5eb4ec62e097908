"""Tracks as other tools read them."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from hyenadna_cli.core.io.tracks import is_bigwig, open_track
from hyenadna_cli.errors import UsageError

LENGTHS = {"chr1": 20, "chr2": 10}
VALUES = np.array([-1.5, np.nan, -0.25, -0.125], np.float32)


def written(path):
    with open_track(str(path), LENGTHS, overwrite=False) as write:
        write("chr1", 3, VALUES)
        write("chr2", 0, VALUES[2:])
        write("chr2", 2, np.full(3, np.nan, np.float32))
    return path


def test_bedgraph_has_a_line_per_base_that_has_a_value(tmp_path):
    lines = ["chr1\t3\t4\t-1.5", "chr1\t5\t6\t-0.25", "chr1\t6\t7\t-0.125"]
    lines += ["chr2\t0\t1\t-0.25", "chr2\t1\t2\t-0.125"]

    assert written(tmp_path / "x.bedGraph").read_text().splitlines() == lines
    with gzip.open(written(tmp_path / "x.BEDGRAPH.GZ"), "rt") as text:
        assert text.read().splitlines() == lines


def test_bigwig_has_the_same_values_and_all_contigs(tmp_path):
    pyBigWig = pytest.importorskip("pyBigWig")

    with pyBigWig.open(str(written(tmp_path / "x.BW"))) as file:
        assert file.chroms() == LENGTHS
        np.testing.assert_array_equal(file.values("chr1", 3, 7), VALUES)
        assert np.isnan(file.values("chr1", 0, 3)).all()
        assert file.values("chr2", 0, 2) == [-0.25, -0.125]


@pytest.mark.parametrize("name", ["x.bedGraph", "x.bw"])
def test_a_run_that_fails_leaves_no_track(tmp_path, name):
    if name == "x.bw":
        pytest.importorskip("pyBigWig")

    def stopped():
        with open_track(str(tmp_path / name), LENGTHS, overwrite=False) as write:
            write("chr1", 3, VALUES)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not list(tmp_path.iterdir())


def test_the_suffix_decides_and_others_are_refused():
    assert is_bigwig("x.bigWig")
    assert not is_bigwig("x.bg.gz")
    with pytest.raises(UsageError, match=r"use \.bw"):
        is_bigwig("x.tsv")
