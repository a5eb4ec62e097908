"""Settings merge in one order, regions split as asked, run directories are not overwritten."""

from __future__ import annotations

import pytest

from hyenadna_cli.core import pretraining
from hyenadna_cli.core.coordinates import Interval
from hyenadna_cli.core.pretraining import DataFiles, open_regions, settings
from hyenadna_cli.errors import InputFileError, UsageError


def test_options_win_over_the_file_which_wins_over_the_preset(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[model]\nn_layer = 3\n[train]\nmax_steps = 7\nseed = 5\n")

    model, train = settings(
        model={"d_model": 32}, train={"seed": 9}, config_file=file, preset="paper"
    )

    assert (model.d_model, model.n_layer, model.d_inner) == (32, 3, 128)
    assert (train.max_steps, train.seed) == (7, 9)
    assert (model.filter_shift, train.decay, train.targets) == (0.0, "published", "all")


def test_the_final_learning_rate_follows_the_peak():
    _, train = settings(model={}, train={"learning_rate": 2e-3})

    assert train.min_learning_rate == pytest.approx(2e-4)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[train]\nsteps = 3\n", "unknown training settings: steps"),
        ("[model]\nwidth = 3\n", "unknown model settings: width"),
        ("[optimiser]\nlr = 3\n", "unknown tables: optimiser"),
        ("[train]\nlength_schedule = [[2048, 10]]\n", "length-schedule reaches 2,048"),
    ],
)
def test_a_setting_that_does_not_exist_or_fit_is_refused(tmp_path, text, problem):
    file = tmp_path / "run.toml"
    file.write_text(text)

    with pytest.raises(UsageError, match=problem):
        settings(model={}, train={}, config_file=file)


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[train\n")

    with pytest.raises(InputFileError, match="not TOML"):
        settings(model={}, train={}, config_file=file)


@pytest.fixture
def genome(fasta_file):
    n_run = "N" * 20
    return fasta_file(
        {"chr1": "ACGT" * 10 + n_run + "ACGT" * 5, "chr2": "AC" * 25, "chr3": "GT" * 10 + "N" * 5}
    )


def intervals(regions, split):
    return [span.interval for span in regions.spans[split]]


def test_contigs_are_split_and_runs_of_n_are_left_out(genome):
    data = DataFiles(fasta=(genome,), valid_contigs=("chr2",), test_contigs=("chr3",))

    with open_regions(data, sampling="random", cache=None) as regions:
        assert intervals(regions, "train") == [Interval("chr1", 0, 40), Interval("chr1", 60, 80)]
        assert intervals(regions, "valid") == [Interval("chr2", 0, 50)]
        assert regions.n_bases("test") == 20


def test_excluded_regions_are_never_trained_on(genome, bed_file):
    data = DataFiles(
        fasta=(genome,), valid_contigs=("chr2", "chr3"), exclude_bed=bed_file("chr1 10 65")
    )

    with open_regions(data, sampling="random", cache=None) as regions:
        assert intervals(regions, "train") == [Interval("chr1", 0, 10), Interval("chr1", 65, 80)]


def test_a_bed_names_the_split_of_each_region(genome, bed_file):
    bed = bed_file("chr1 0 50 train", "chr2 0 10 valid", "chr2 20 30 test")

    with open_regions(DataFiles(fasta=(genome,), bed=bed), sampling="random", cache=None) as found:
        assert intervals(found, "train") == [Interval("chr1", 0, 40)]
        assert intervals(found, "valid") == [Interval("chr2", 0, 10)]
        assert intervals(found, "test") == [Interval("chr2", 20, 30)]


def test_published_sampling_keeps_each_interval_whole(genome, bed_file):
    bed = bed_file("chr1 0 50 train")

    with open_regions(
        DataFiles(fasta=(genome,), bed=bed), sampling="intervals", cache=None
    ) as found:
        assert intervals(found, "train") == [Interval("chr1", 0, 50)]


def test_regions_written_down_are_read_back(genome, tmp_path):
    data = DataFiles(fasta=(genome,), valid_contigs=("chr2",))
    cache = tmp_path / "regions.bed"
    with open_regions(data, sampling="random", cache=None) as regions:
        pretraining.write_regions(regions, cache)
        found = {split: intervals(regions, split) for split in pretraining.SPLITS}

    with open_regions(data, sampling="random", cache=cache) as again:
        assert {split: intervals(again, split) for split in pretraining.SPLITS} == found


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"valid_contigs": ("chr9",)}, InputFileError, "chr9"),
        ({"valid_contigs": ("chr1",), "test_contigs": ("chr1",)}, UsageError, "in both"),
        ({"valid_contigs": ("chr1", "chr2", "chr3")}, InputFileError, "no bases are left"),
    ],
    ids=["missing", "both", "nothing-left"],
)
def test_splits_that_cannot_be_are_refused(genome, changes, error, problem):
    with (
        pytest.raises(error, match=problem),
        open_regions(DataFiles(fasta=(genome,), **changes), sampling="random", cache=None),
    ):
        pass


def test_a_bed_without_splits_is_refused(genome, bed_file):
    data = DataFiles(fasta=(genome,), bed=bed_file("chr1 0 50 peak7"))

    with (
        pytest.raises(InputFileError, match="'peak7', not train, valid or test"),
        open_regions(data, sampling="random", cache=None),
    ):
        pass
