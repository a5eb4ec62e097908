"""Classes of a column of /obs: `finetune --probe --label-column`, and `plot embeddings`."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from hyenadna_cli.core.io.embeddings_h5 import EmbeddingRow, PooledWriter
from hyenadna_cli.core.outputs.provenance import Provenance

SIZES = {"tRNA": 60, "CDS": 50, "snoRNA": 40, "rRNA": 3, "": 5}


@pytest.fixture
def genes(tmp_path):
    """Vectors of 158 regions in five groups; the last has no label, two of the first no vector."""
    random = np.random.default_rng(3)
    path = tmp_path / "genes.h5ad"
    with PooledWriter(
        path,
        keys=("mean_layer-1",),
        d_model=8,
        made_by=Provenance(version="1"),
        overwrite=False,
        columns=("gene_type",),
    ) as writer:
        number = 0
        for group, (label, size) in enumerate(SIZES.items()):
            centre = 3.0 * np.eye(8)[group]
            for of_group in range(size):
                vector = (centre + random.normal(size=8)).astype(np.float32)
                if label == "tRNA" and of_group < 2:
                    vector[:] = np.nan
                writer.append(
                    EmbeddingRow(
                        name=f"<{label}>{of_group}",
                        chrom=f"chr{number % 4 + 1}",
                        start=1_000 * number,
                        end=1_000 * number + 500,
                        strand="+",
                        length=500,
                        n_frac=0.0,
                        n_windows=1,
                        status="OK" if np.isfinite(vector).all() else "EMPTY",
                        vectors={"mean_layer-1": vector},
                        columns=(label,),
                    )
                )
                number += 1
    return path


@pytest.fixture
def probe(hyenadna, genes, tmp_path):
    def run(*more):
        column = ("--label-column", "gene_type", "--min-class", "20")
        return hyenadna(
            "finetune", "--probe", "--embeddings", genes, *column, "-o", tmp_path / "run", *more
        )

    return run


def test_a_column_is_learned_and_judged_by_weighted_f1(probe, tmp_path):
    done = probe()

    assert done.code == 0, done.err
    assert "5 of 158 rows have no label" in done.err
    assert "2 of 158 rows have a label and no vector" in done.err
    assert "as fewer than 20 rows have them: rRNA 3" in done.err
    assert re.search(r"probe on \d+ test rows: mcc .*, f1_weighted 0\.\d+ \(", done.err)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["labels"] == ["CDS", "snoRNA", "tRNA"]
    assert metrics["values"]["f1_weighted"]["value"] > 0.9
    rows = json.loads((tmp_path / "run" / "training.json").read_text())["rows"]
    assert sum(rows.values()) == 148
    assert rows["test"] == pytest.approx(0.2 * 148, abs=2)


def test_a_test_set_can_be_whole_contigs(probe, tmp_path):
    done = probe("--test-contigs", "chr2", "--valid-contigs", "chr3,chr4")

    assert done.code == 0, done.err
    with (tmp_path / "run" / "predictions.tsv").open() as handle:
        tested = {row["name"] for row in csv.DictReader(handle, delimiter="\t")}
    assert len(tested) == 37
    none = probe("--test-contigs", "chr9", "-o", tmp_path / "other")
    assert (none.code, "none of the rows are there" in none.err) == (2, True)


def test_a_finished_run_is_not_taken_for_one_of_other_classes(probe, tmp_path):
    assert probe().code == 0

    assert probe("--resume", "--min-class", "3").code == 0

    labels = json.loads((tmp_path / "run" / "metrics.json").read_text())["labels"]
    assert labels == ["CDS", "rRNA", "snoRNA", "tRNA"]


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--label-column", "biotype"], 3, "no column 'biotype'; there are chrom, start"),
        (["--min-class", "1000"], 3, "fewer than two labels have 1,000 rows"),
        (["--data", "x.tsv"], 2, "either one table of labels as --data, or --label-column"),
        (["--compare", "cnn"], 2, "--compare means nothing with --embeddings and --label-column"),
    ],
)
def test_what_cannot_be_learned_is_refused(probe, options, code, problem):
    done = probe(*options)

    assert (done.code, done.err.count("hyenadna: error")) == (code, 1)
    assert problem in done.err


def test_a_column_without_vectors_is_refused(hyenadna, tmp_path):
    done = hyenadna("finetune", "--label-column", "x", "--data", "y", "-o", tmp_path / "run")

    assert (done.code, "--label-column is a column of --embeddings" in done.err) == (2, True)


@pytest.fixture
def plot(hyenadna, genes, tmp_path):
    def run(name, *more):
        return hyenadna("plot", "embeddings", genes, "-o", tmp_path / name, *more)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pca", "tsne", "umap"])
def test_a_map_has_its_coordinates_beside_it(plot, tmp_path, method):
    pytest.importorskip("matplotlib")
    if method == "umap":
        pytest.importorskip("umap")

    done = plot("map.png", "--color", "gene_type", "--method", method)

    assert done.code == 0, done.err
    assert "2 of 158 rows have no vector" in done.err
    assert (tmp_path / "map.png").stat().st_size > 5_000
    with (tmp_path / "map.tsv").open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert len(rows) == 156
    assert (rows[0]["name"], rows[0]["chrom"], rows[0]["start"]) == ("<tRNA>2", "chr3", "2000")
    xy = {
        label: np.array([[float(r["x"]), float(r["y"])] for r in rows if r["gene_type"] == label])
        for label in ("tRNA", "CDS", "snoRNA")
    }
    spread = np.mean([points.std(axis=0).mean() for points in xy.values()])
    apart = np.linalg.norm(np.median(xy["tRNA"], axis=0) - np.median(xy["CDS"], axis=0))
    assert apart > spread, "groups that are apart in 8 dimensions are apart here"


def chromium():
    """A browser without a window; skips where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if (found := shutil.which(name)) is not None:
            return found
    pytest.skip("no Chromium on this machine")


@pytest.mark.slow
def test_a_page_works_offline_and_a_point_tells_what_it_is(plot, tmp_path):
    pytest.importorskip("plotly")
    assert plot("map.html", "--color", "gene_type").code == 0
    page = (tmp_path / "map.html").read_text()
    assert not re.search(r"<(script|link)[^>]+(src|href)=", page)
    hover = 'Plotly.Fx.hover("map", [{curveNumber: 1, pointNumber: 0}]);'
    late = f"<script>window.setTimeout(() => {{ {hover} }}, 200);</script></body>"
    (tmp_path / "hovered.html").write_text(page.replace("</body>", late))

    shown = subprocess.run(
        [
            chromium(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            (tmp_path / "hovered.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout

    hovered = shown[shown.index('class="hoverlayer') :]
    assert "&lt;CDS&gt;0" in hovered
    assert "chr1:60,001-60,500 +" in hovered
    assert "gene_type: CDS" in hovered
    assert "tRNA (58)" in shown


@pytest.mark.parametrize(
    ("name", "options", "code", "problem"),
    [
        ("map.gif", [], 2, "use .png, .svg, .pdf, .html"),
        ("map.png", ["--color", "biotype"], 3, "no column 'biotype'"),
        ("map.png", ["--method", "mds"], 2, "mds"),
    ],
)
def test_what_cannot_be_drawn_is_refused(plot, tmp_path, name, options, code, problem):
    done = plot(name, *options)

    assert done.code == code
    assert problem in done.err
    assert not (tmp_path / name).exists()
