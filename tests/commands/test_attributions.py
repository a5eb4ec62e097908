"""`mutagenize --gradients` and `--attributions` end to end, and libraries that read the file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.io.fasta import Genome

FASTA = Path(__file__).parents[2] / "test_data" / "tiny.fa"
PLAIN = ["--device", "cpu", "--threads", "1", "--no-version", "--window", "120"]


@pytest.fixture
def run(hyenadna, tiny_model):
    def mutagenize(*more):
        return hyenadna("mutagenize", "--fasta", FASTA, "-m", tiny_model, *PLAIN, *more)

    return mutagenize


def arrays_of(path):
    with np.load(path) as file:
        return dict(file)


def rows_of(text):
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def test_gradients_are_a_column_beside_the_site_scores(run):
    region = ["--region", "chr1:4,001-4,040"]
    plain, done = run(*region), run(*region, "--gradients")

    assert done.code == 0, done.err
    rows = rows_of(done.out)
    assert list(rows[0]) == ["chrom", "pos", "ref", "alt", "status", "site", "gradient"]
    for row, of_plain in zip(rows, rows_of(plain.out), strict=True):
        assert float(row["site"]) == pytest.approx(float(of_plain["site"]), abs=1e-4)
    assert len({row["gradient"] for row in rows}) > 100


def test_a_track_and_a_picture_are_of_the_gradients(run, hyenadna, tmp_path):
    region = ["--region", "chr1:4,001-4,040", "--gradients"]
    rows = rows_of(run(*region).out)
    run(*region, "-o", tmp_path / "x.bedgraph")
    run(*region, "-o", tmp_path / "x.tsv")

    lines = (tmp_path / "x.bedgraph").read_text().splitlines()
    of_first = [float(row["gradient"]) for row in rows[:3]]
    assert float(lines[0].split("\t")[3]) == pytest.approx(sum(of_first) / 3, rel=1e-4)
    drawn = hyenadna("plot", "mutagenesis", tmp_path / "x.tsv", "-o", tmp_path / "map.svg")
    assert drawn.code == 0, drawn.err
    assert "gradient" in (tmp_path / "map.svg").read_text()


@pytest.mark.parametrize(
    ("options", "column"), [(["--gradients"], "gradient"), (["--full"], "llr"), ([], "site")]
)
def test_attributions_are_the_scores_of_the_table_around_their_mean(
    run, tmp_path, options, column, monkeypatch
):
    monkeypatch.setattr("hyenadna_cli.core.variants.mutagenesis._PIECE", 16)
    # N begins at 14,001, and lower case is a letter like any other.
    regions = ["--region", "chr1:13,971-14,010", "--region", "chr1:4,001-4,040", *options]
    rows = rows_of(run(*regions).out)
    done = run(*regions, "--attributions", tmp_path / "x.NPZ")

    assert done.code == 0, done.err
    arrays = arrays_of(tmp_path / "x.NPZ")
    one_hot, attributions = arrays["one_hot"], arrays["attributions"]
    assert one_hot.shape == attributions.shape == (2, 4, 40)
    assert one_hot.dtype == attributions.dtype == np.float32
    assert (str(arrays["score"]), arrays["start"].tolist()) == (column, [13_970, 4_000])
    assert arrays["end"].tolist() == [14_010, 4_040]
    assert one_hot.sum(axis=1).tolist() == [[1.0] * 30 + [0.0] * 10, [1.0] * 40]
    expected = np.zeros((2, 4, 40))
    for row in rows:
        pos = int(row["pos"])
        number, first = (0, 13_971) if pos > 10_000 else (1, 4_001)
        place = (number, "ACGT".index(row["alt"]), pos - first)
        expected[place] = 0 if row["status"] == "N_WINDOW" else float(row[column])
        assert one_hot[number, "ACGT".index(row["ref"]), pos - first] == 1
    expected -= expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(attributions, expected, rtol=1e-5, atol=1e-6)
    manifest = json.loads((tmp_path / "x.NPZ.manifest.json").read_text())
    assert manifest["settings"]["gradients"] is (column == "gradient")


def test_equal_runs_write_equal_bytes(run, tmp_path):
    for name in ("a.npz", "b.npz"):
        run("--region", "chr1:4,001-4,040", "--gradients", "--attributions", tmp_path / name)

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_no_region_is_an_empty_file(run, bed_file, tmp_path):
    done = run("--bed", bed_file(), "--attributions", tmp_path / "x.npz")

    assert done.code == 0, done.err
    assert arrays_of(tmp_path / "x.npz")["one_hot"].shape == (0, 4, 0)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--gradients", "--full"], "--full"),
        (["--gradients", "--layout", "centred"], "--layout"),
        (["--gradients", "--dependencies", "m.h5"], "--dependencies"),
        (["--attributions", "x.npz", "--dependencies", "m.h5"], "--dependencies"),
        (["--attributions", "x.npy"], "use .npz"),
        (["--attributions", "x.npz", "-o", "x.tsv"], "leave out -o"),
        (["--attributions", "x.npz", "--shard", "1/2"], "--shard"),
        (["--attributions", "x.npz", "--region", "chr1:1-7"], "one length"),
    ],
)
def test_what_does_not_go_together_is_refused(run, tmp_path, options, problem, monkeypatch):
    monkeypatch.chdir(tmp_path)

    done = run("--region", "chr1:4,001-4,040", *options)

    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert problem in done.err
    assert not list(tmp_path.iterdir())


@pytest.fixture
def of_libraries(run, bed_file, tmp_path):
    """Attributions of many regions, as a user of the libraries has them."""
    bed = bed_file(*(f"chr1 {start} {start + 60}" for start in range(1_000, 11_000, 100)))
    done = run("--bed", bed, "--gradients", "--attributions", tmp_path / "x.npz")
    assert done.code == 0, done.err
    return arrays_of(tmp_path / "x.npz")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_tangermeme_finds_seqlets_in_the_file(of_libraries):
    seqlet = pytest.importorskip("tangermeme.seqlet", exc_type=ImportError)
    utils = pytest.importorskip("tangermeme.utils", exc_type=ImportError)
    import torch

    one_hot, attributions = of_libraries["one_hot"], of_libraries["attributions"]

    found = seqlet.recursive_seqlets((one_hot * attributions).sum(axis=1), threshold=0.05)

    assert len(found) > 0
    letters = utils.characters(torch.from_numpy(one_hot[0]))
    with Genome(str(FASTA)) as genome:
        assert letters == genome.fetch(Interval("chr1", 1_000, 1_060)).upper()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_modisco_runs_on_the_file(of_libraries):
    pytest.importorskip("modiscolite", exc_type=ImportError)
    from modiscolite.tfmodisco import TFMoDISco

    one_hot, attributions = (
        of_libraries[name].transpose(0, 2, 1) for name in ("one_hot", "attributions")
    )
    patterns = TFMoDISco(
        one_hot,
        attributions,
        sliding_window_size=8,
        flank_size=3,
        min_metacluster_size=10,
        target_seqlet_fdr=0.5,
        max_seqlets_per_metacluster=200,
        n_leiden_runs=2,
        trim_to_window_size=12,
        initial_flank_to_add=2,
        final_min_cluster_size=5,
    )

    found = [pattern for of_sign in patterns if of_sign is not None for pattern in of_sign]
    assert found
    for pattern in found:
        np.testing.assert_allclose(pattern.sequence.sum(axis=1), 1, rtol=0, atol=1e-6)
