"""`hyenadna plot training`: a picture and its table."""

from __future__ import annotations

import csv

import pytest

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

METRICS = """step,length,n_bases,loss,learning_rate,gradient_norm,seconds,valid_loss
1,64,128,2.0,0.1,1.0,0.1,
2,64,128,1.0,0.1,1.0,0.1,1.75
3,128,128,0.5,0.1,1.0,0.1,
"""


@pytest.fixture
def run(tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    (directory / "metrics.csv").write_text(METRICS)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_picture_has_its_table_beside_it(hyenadna, run, tmp_path, suffix):
    code, _, err = hyenadna("plot", "training", run, "-o", tmp_path / f"curve{suffix}")

    assert code == 0, err
    assert (tmp_path / f"curve{suffix}").stat().st_size > 1_000
    with (tmp_path / "curve.tsv").open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert [(r["step"], r["bases_seen"], r["loss"], r["valid_loss"]) for r in rows] == [
        ("1", "128", "2", ""),
        ("2", "256", "1", "1.75"),
        ("3", "384", "0.5", ""),
    ]


def test_many_steps_become_bins_that_never_mix_lengths(tmp_path):
    from hyenadna_cli.core.training.curves import read_curve

    rows = "".join(f"{s},{64 if s <= 5 else 128},100,{s},0,0,0,\n" for s in range(1, 11))
    (tmp_path / "metrics.csv").write_text(METRICS.splitlines()[0] + "\n" + rows)

    curve = read_curve(tmp_path, n_points=3)

    assert [(p.step, p.bases_seen, p.length, p.loss) for p in curve] == [
        (4, 400, 64, 2.5),
        (5, 500, 64, 5.0),
        (9, 900, 128, 7.5),
        (10, 1000, 128, 10.0),
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "No such file"), ("a,b\n1,2\n", "not the metrics"), (METRICS[:70], "no steps yet")],
    ids=["missing", "other", "empty"],
)
def test_what_is_no_run_is_refused(hyenadna, tmp_path, content, problem):
    if content is not None:
        (tmp_path / "metrics.csv").write_text(content)

    code, _, err = hyenadna("plot", "training", tmp_path, "-o", tmp_path / "curve.png")

    assert code == 3
    assert problem in err
    assert not (tmp_path / "curve.png").exists()


def test_a_picture_of_another_kind_is_refused(hyenadna, run, tmp_path):
    code, _, err = hyenadna("plot", "training", run, "-o", tmp_path / "curve.gif")

    assert code == 2
    assert "use .png, .svg, .pdf" in err


@pytest.mark.slow
def test_the_filters_of_a_model_are_drawn_with_a_row_a_channel(hyenadna, tiny_model, tmp_path):
    done = hyenadna("plot", "filters", "-m", tiny_model, "-o", tmp_path / "f.svg")

    assert done.code == 0, done.err
    assert "bases (median)" in done.err
    assert "tiny_model, filters of 258 taps" in (tmp_path / "f.svg").read_text()
    assert (tmp_path / "f.tsv").read_text().count("\n") == 1 + 2 * 16
    again = hyenadna("plot", "filters", "-m", tiny_model, "-o", tmp_path / "f.svg")
    assert (again.code, len(again.err.splitlines())) == (6, 1)


ACCURACY = "length\tn_windows\taccuracy\taccuracy_low\taccuracy_high\n"


def test_species_classifiers_are_drawn_together_and_a_name_may_have_two_tables(
    hyenadna, text_file, tmp_path
):
    short = text_file(f"{ACCURACY}512\t10\t0.5\t0.4\t0.6\n", name="short.tsv")
    long = text_file(f"{ACCURACY}1024\t10\t0.75\t0.7\t0.8\n", name="long.tsv")

    code, _, err = hyenadna(
        "plot",
        "species",
        f"model={short}",
        f"model={long}",
        f"k-mers={short}",
        "-o",
        tmp_path / "by_length.png",
    )

    assert code == 0, err
    assert (tmp_path / "by_length.png").stat().st_size > 1_000
    with (tmp_path / "by_length.tsv").open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert [(row["name"], row["length"], row["accuracy"]) for row in rows] == [
        ("model", "512", "0.5"),
        ("model", "1024", "0.75"),
        ("k-mers", "512", "0.5"),
    ]


def test_what_is_no_table_of_accuracy_is_refused(hyenadna, run, tmp_path):
    picture, table = tmp_path / "by_length.png", run / "metrics.csv"

    assert hyenadna("plot", "species", table, table, "-o", picture).code == 2
    assert hyenadna("plot", "species", table, "-o", picture).code == 3
    assert hyenadna("plot", "species", f"x={run / 'metrics.csv'}", "-o", picture).code == 3
    assert hyenadna("plot", "species", "x=none.tsv", "-o", picture).code == 3


@pytest.mark.parametrize("content", ["", ACCURACY], ids=["empty", "header"])
def test_a_table_of_accuracy_without_rows_is_refused(hyenadna, text_file, tmp_path, content):
    path = text_file(content, name="accuracy.tsv")

    code, _, err = hyenadna("plot", "species", f"x={path}", "-o", tmp_path / "by_length.png")

    assert (code, err.count("\n")) == (3, 1)
    assert "accuracy.tsv: holds no rows" in err


def test_a_picture_of_species_never_replaces_their_table(hyenadna, text_file, tmp_path):
    path = text_file(f"{ACCURACY}512\t10\t0.5\t0.4\t0.6\n", name="accuracy.tsv")
    before, elsewhere = path.read_text(), tmp_path / "not_here" / ".." / "accuracy.png"

    for picture in (path.with_suffix(".png"), elsewhere):
        done = hyenadna("plot", "species", f"m={path}", "-o", picture, "--force")
        assert (done.code, "would replace" in done.err) == (2, True), done.err
    assert path.read_text() == before


@pytest.fixture
def ism(tmp_path):
    """Mutagenesis of 200 bases: too many to spell; the first 100 are not."""
    path = tmp_path / "ism.tsv"
    rows = [f"chr1\t{n}\tA\t{alt}\tOK\t{n % 7 / 10 - 0.4}" for n in range(1, 201) for alt in "CGT"]
    path.write_text("\n".join(["chrom\tpos\tref\talt\tstatus\tsite", *rows]) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
@pytest.mark.parametrize("region", [[], ["--region", "chr1:1-100"]], ids=["track", "letters"])
def test_a_map_has_its_table_beside_it(hyenadna, ism, tmp_path, suffix, region):
    code, _, err = hyenadna("plot", "mutagenesis", ism, *region, "-o", tmp_path / f"map{suffix}")

    assert code == 0, err
    assert (tmp_path / f"map{suffix}").stat().st_size > 1_000
    with (tmp_path / "map.tsv").open() as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert len(rows) == (100 if region else 200)
    assert (rows[1]["start"], rows[1]["end"], rows[1]["ref"]) == ("1", "2", "A")
    assert (rows[1]["A"], rows[1]["C"], rows[1]["mean"]) == ("nan", "-0.2", "-0.2")


def test_a_map_never_replaces_its_table(hyenadna, ism, tmp_path):
    before = ism.read_text()

    assert hyenadna("plot", "mutagenesis", ism, "-o", tmp_path / "ism.png", "--force").code == 2
    assert hyenadna("plot", "mutagenesis", ism, "-o", tmp_path / "map.gif").code == 2
    region = ["--region", "chr9:1-5", "-o", tmp_path / "map.png"]
    assert hyenadna("plot", "mutagenesis", ism, *region).code == 3
    assert ism.read_text() == before
