"""Maps of mutagenesis: what is drawn is what the table has, base by base or in bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.variants import mutagenesis_map
from hyenadna_cli.core.variants.mutagenesis_map import draw, read_map
from hyenadna_cli.errors import InputFileError

BASES = "ACGTTGCA"


@pytest.fixture
def table(text_file):
    """Eight bases of chr1 from 100 on; a change of base n to column c scores -(n + c / 10)."""
    rows = [
        ("chr1", str(101 + n), ref, alt, "OK", f"{-(n + column / 10)}", f"{n}")
        for n, ref in enumerate(BASES)
        for column, alt in enumerate("ACGT")
        if alt != ref
    ]
    rows.append(("chr2", "5", "A", "C", "OK", "9", "9"))
    header = ("chrom", "pos", "ref", "alt", "status", "site", "llr")
    return str(
        text_file("\n".join("\t".join(row) for row in [header, *rows]) + "\n", name="ism.tsv")
    )


def test_a_map_has_a_row_a_base(table):
    found = read_map(table, score="site")

    assert (found.region, found.bases, found.width) == (Interval("chr1", 100, 108), BASES, 1)
    np.testing.assert_allclose(found.values[0], [np.nan, -0.1, -0.2, -0.3])
    np.testing.assert_allclose(found.means[0], -0.2)
    assert read_map(table).score == "llr"


def test_a_region_is_drawn_as_asked_with_gaps_where_nothing_is_known(table):
    found = read_map(table, region="chr1:107-111", score="site")

    assert found.bases == "CANNN"
    assert np.isnan(found.means).tolist() == [False, False, True, True, True]


def test_long_regions_are_means_of_bins(table, monkeypatch):
    monkeypatch.setattr(mutagenesis_map, "_MAX_COLUMNS", 3)

    found = read_map(table, score="site")

    assert (found.starts.tolist(), found.width, found.bases) == ([100, 103, 106], 3, "")
    # Of bases 0 to 2, A, C and G: two have a change to A, three to T.
    np.testing.assert_allclose(found.values[0][[0, 3]], [-1.5, -1.3])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("chrom\tpos\n", "not a table of mutagenize"),
        ("chrom\tpos\tref\talt\tsite\n", "no scores"),
        ("chrom\tpos\tref\talt\tsite\nchr1\tx\tA\tC\t1\n", r":2: .*'x'"),
        ("chrom\tpos\tref\talt\tsite\nchr1\t5\tA\tQ\t1\n", ":2: alt 'Q' is none of A, C"),
        ("chrom\tpos\tref\talt\tsite\nchr1\t5\tA\t\t1\n", ":2: alt '' is none of A, C"),
    ],
)
def test_what_is_no_such_table_is_refused(text_file, text, problem):
    with pytest.raises(InputFileError, match=problem):
        read_map(str(text_file(text, name="ism.tsv")))


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, which are not written."""
    pytest.importorskip("matplotlib")
    drawn = []
    monkeypatch.setattr(
        mutagenesis_map, "save_figure", lambda figure, *_, **__: drawn.append(figure)
    )
    return drawn


@pytest.mark.parametrize("n_letters", [150, 2])
def test_a_picture_has_one_sign_and_the_positions_of_the_table(
    table, figures, monkeypatch, n_letters
):
    monkeypatch.setattr(mutagenesis_map, "_MAX_LETTERS", n_letters)

    draw(read_map(table, score="site"), Path("x.png"), overwrite=False)

    track, heat = figures[0].axes[:2]
    assert heat.get_xlim() == (100.5, 108.5)
    assert figures[0].get_suptitle() == "chr1:101-108"
    assert track.get_ylabel().startswith("minus the mean")
    # Every change of base 7 (position 108) costs 7 nats and more.
    tops = [p.get_path().get_extents() for p in track.patches] or [
        path.get_extents() for collection in track.collections for path in collection.get_paths()
    ]
    assert max(box.y1 for box in tops) == pytest.approx(7.2, abs=0.2)
    assert min(box.y0 for box in tops) == pytest.approx(0, abs=1e-6)


def test_a_picture_of_nothing_says_so(text_file, figures):
    text = "chrom\tpos\tref\talt\tsite\nchr1\t5\ta\tC\tnan\nchr1\t6\tG\tC\tnan\n"

    draw(read_map(str(text_file(text, name="ism.tsv"))), Path("x.png"), overwrite=False)

    assert [text.get_text() for text in figures[0].axes[0].texts] == ["no scores"]


def test_lower_case_letters_are_bases_too(text_file):
    text = "chrom\tpos\tref\talt\tsite\nchr1\t5\ta\tc\t-1\n"

    assert read_map(str(text_file(text, name="ism.tsv"))).bases == "A"


def test_a_region_may_be_a_contig_with_colons_or_open(text_file):
    lines = ["chrom\tpos\tref\talt\tsite"]
    lines += [f"HLA-A*01:01\t{pos}\tA\tC\t-1" for pos in (3, 5)]
    path = str(text_file("\n".join([*lines, ""]), name="ism.tsv"))

    for text in ("HLA-A*01:01", "{HLA-A*01:01}"):
        assert read_map(path, region=text).region == Interval("HLA-A*01:01", 2, 5)
    assert read_map(path, region="{HLA-A*01:01}:4-").region == Interval("HLA-A*01:01", 4, 5)
