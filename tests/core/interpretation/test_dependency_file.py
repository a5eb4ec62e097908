"""The file of a dependency map: written in pieces, read whole, refused where it is none."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.interpretation import dependency_page, dependency_picture
from hyenadna_cli.core.interpretation.dependencies import DependencyRows
from hyenadna_cli.core.interpretation.dependency_file import DependencyMap, open_map, read_map
from hyenadna_cli.core.interpretation.dependency_picture import draw, reach, write_table
from hyenadna_cli.core.io.bed import Region
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.errors import InputFileError, OutputError

VALUES = np.arange(25, dtype=np.float32).reshape(5, 5)
VALUES[np.diag_indices(5)] = np.nan
REGION = Interval("chr1", 2, 7)


@pytest.fixture
def stored(fasta_file, tmp_path):
    path = tmp_path / "map.h5"
    with (
        Genome(fasta_file({"chr1": "AAacgTNAA"})) as genome,
        open_map(path, REGION, genome, made_by=Provenance(), overwrite=False) as write,
    ):
        write(DependencyRows(0, VALUES[:3]))
        write(DependencyRows(3, VALUES[3:]))
    return path


def test_a_map_is_read_as_it_was_written(stored):
    found = read_map(stored)

    assert (found.region, found.sequence) == (REGION, "ACGTN")
    np.testing.assert_array_equal(found.values, VALUES)


def test_a_map_that_is_not_finished_leaves_no_file(fasta_file, tmp_path):
    path = tmp_path / "map.h5"

    def stopped():
        with (
            Genome(fasta_file({"chr1": "ACGTACGT"})) as genome,
            open_map(path, REGION, genome, made_by=Provenance(), overwrite=False),
        ):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not path.exists()


def test_a_map_is_not_replaced_unasked(stored, fasta_file):
    def again():
        with (
            Genome(fasta_file({"chr1": "ACGTACGT"})) as genome,
            open_map(stored, REGION, genome, made_by=Provenance(), overwrite=False),
        ):
            pass

    with pytest.raises(OutputError, match="exists already"):
        again()


def test_the_table_has_the_strongest_pairs_first(stored, tmp_path):
    write_table(read_map(stored), tmp_path / "map.tsv", overwrite=False)

    lines = (tmp_path / "map.tsv").read_text().splitlines()
    assert len(lines) == 1 + 20
    assert lines[1].split("\t") == ["chr1", "7", "N", "6", "T", "23"]


@pytest.mark.slow
@pytest.mark.parametrize("n_bases", [5, 90, 1_300])
def test_a_picture_of_any_size_is_drawn(tmp_path, n_bases):
    pytest.importorskip("matplotlib")
    values = np.full((n_bases, n_bases), np.nan, np.float32)
    values[0, 1:] = 1.0
    shown = DependencyMap(Interval("chr1", 10, 10 + n_bases), "A" * n_bases, values, "builtin")

    draw(shown, tmp_path / "map.png", overwrite=False)

    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, which are not written."""
    pytest.importorskip("matplotlib")
    drawn = []
    keep = lambda figure, *_, **__: drawn.append(figure)  # noqa: E731
    monkeypatch.setattr(dependency_picture, "save_figure", keep)
    return drawn


def a_map(values, start=10):
    n_bases = len(values)
    region = Interval("chr1", start, start + n_bases)
    return DependencyMap(region, "ACGT" * (n_bases // 4), values, "builtin", 512)


@pytest.mark.parametrize(
    ("n_bases", "names"), [(20, ("11 A", "30 T")), (2_400, ("11-12", "2,409-2,410"))]
)
def test_a_page_has_the_bases_and_values_of_the_map(monkeypatch, tmp_path, n_bases, names):
    pytest.importorskip("plotly")
    pages = []
    monkeypatch.setattr(dependency_page, "save_page", lambda page, *_, **__: pages.append(page))
    values = np.full((n_bases, n_bases), np.nan, np.float32)
    values[0, -1] = 2.0
    feature = Region("1", Interval("chr1", 0, 20, "-"), "<b>", True, True, (), 1)

    dependency_page.write_page(
        a_map(values), tmp_path / "x.html", features=[feature], overwrite=False
    )

    (heat,) = pages[0].data
    assert (heat.x[0], heat.x[-1], heat.y[0]) == (*names, names[0])
    assert heat.z[0, -1] == heat.zmax == 2.0
    assert np.isfinite(heat.z).sum() == 1
    (bar,) = pages[0].layout.shapes
    assert (bar.x0, bar.x1) == ((-0.5, 9.5) if n_bases == 20 else (-0.5, 4.5))
    assert bar.label.text == "&lt;b&gt; &lt;"


@pytest.mark.parametrize("n_bases", [20, 400])
def test_a_picture_has_the_positions_of_the_region_and_what_made_it(figures, tmp_path, n_bases):
    shown = a_map(np.ones((n_bases, n_bases), np.float32))
    names = [("left", 0, 14), ("both", 12, 20), ("next", 16, 18)]
    features = [
        Region("1", Interval("chr1", start, end, "-"), name, True, True, (), 1)
        for name, start, end in names
    ]

    draw(shown, tmp_path / "x.png", features=features, overwrite=False)

    heat, strip = figures[0].axes[0], figures[0].axes[-1]
    assert heat.get_xlim() == (10.5, 10.5 + n_bases)
    assert heat.get_ylim() == heat.get_xlim()[::-1]
    last = f"{10 + n_bases}"
    assert figures[0].get_suptitle() == f"chr1:11-{last}, builtin, 512 bases of context"
    assert [text.get_text() for text in strip.texts] == ["left <", "next <", "both <"]
    # Cut where the picture begins; overlapping ones stand below each other.
    boxes = [patch.get_bbox() for patch in strip.patches]
    assert [(box.x0, box.x1) for box in boxes] == [(10.5, 14.5), (16.5, 18.5), (12.5, 20.5)]
    assert boxes[0].y0 == boxes[1].y0 != boxes[2].y0


def test_a_picture_without_values_says_so(figures, tmp_path):
    shown = a_map(np.full((20, 20), np.nan, np.float32))

    draw(shown, tmp_path / "x.png", overwrite=False)

    assert [text.get_text() for text in figures[0].axes[0].texts] == ["no values"]
    assert reach(shown) is None


def test_reach_is_where_the_shares_of_the_mean_dependency_lie():
    distance = np.abs(np.subtract.outer(range(40), range(40)))
    values = np.select([distance == 1, distance <= 4], [6.0, 2.0], 0.0).astype(np.float32)
    values[np.diag_indices(40)] = np.nan

    # 6 of 12 at 1 base; 6 + 2 + 2 + 2 at 4; beyond 20 nothing is looked at.
    assert reach(a_map(values)) == ([1, 4], 20)
    values[distance > 9] = np.nan
    assert reach(a_map(values)) == ([1, 4], 9)


def test_what_is_no_map_is_refused(stored, tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        read_map(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputFileError, match="is not an HDF5 file"):
        read_map(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputFileError, match="is not a dependency map"):
        read_map(tmp_path / "other.h5")
    with h5py.File(stored, "a") as file:
        del file["dependencies"]
        file["dependencies"] = np.zeros((5, 4))
    with pytest.raises(InputFileError, match="is damaged"):
        read_map(stored)
