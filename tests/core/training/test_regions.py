"""Regions split as asked, without runs of N and what is excluded."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.config.choices import SPLITS
from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.training.regions import open_regions, write_regions
from hyenadna_cli.core.training.settings import DataFiles
from hyenadna_cli.errors import InputFileError, UsageError


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

    with open_regions(data, sampling="random") as regions:
        assert intervals(regions, "train") == [Interval("chr1", 0, 40), Interval("chr1", 60, 80)]
        assert intervals(regions, "valid") == [Interval("chr2", 0, 50)]
        assert regions.n_bases("test") == 20


def test_excluded_regions_are_never_trained_on(genome, bed_file):
    data = DataFiles(
        fasta=(genome,), valid_contigs=("chr2", "chr3"), exclude_bed=bed_file("chr1 10 65")
    )

    with open_regions(data, sampling="random") as regions:
        assert intervals(regions, "train") == [Interval("chr1", 0, 10), Interval("chr1", 65, 80)]


def test_a_bed_names_the_split_of_each_region(genome, bed_file):
    bed = bed_file("chr1 0 50 train", "chr2 0 10 valid", "chr2 20 30 test")

    with open_regions(DataFiles(fasta=(genome,), bed=bed), sampling="random") as found:
        assert intervals(found, "train") == [Interval("chr1", 0, 40)]
        assert intervals(found, "valid") == [Interval("chr2", 0, 10)]
        assert intervals(found, "test") == [Interval("chr2", 20, 30)]


def test_published_sampling_keeps_each_interval_whole(genome, bed_file):
    bed = bed_file("chr1 0 50 train")

    with open_regions(DataFiles(fasta=(genome,), bed=bed), sampling="intervals") as found:
        assert intervals(found, "train") == [Interval("chr1", 0, 50)]


def test_regions_are_written_as_bed_and_known_by_a_digest(genome, tmp_path):
    data = DataFiles(fasta=(genome,), valid_contigs=("chr2",))
    with open_regions(data, sampling="random") as regions:
        write_regions(regions, tmp_path / "regions.bed")
        digest = regions.digest()
        lines = (tmp_path / "regions.bed").read_text().splitlines()
        spans = {split: intervals(regions, split) for split in SPLITS}

    assert [line.split("\t")[:4] for line in lines] == [
        [span.contig, str(span.start), str(span.end), split]
        for split in SPLITS
        for span in spans[split]
    ]
    with open_regions(DataFiles(fasta=(genome,)), sampling="random") as others:
        assert others.digest() != digest


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
        open_regions(DataFiles(fasta=(genome,), **changes), sampling="random"),
    ):
        pass


def test_a_bed_without_splits_is_refused(genome, bed_file):
    data = DataFiles(fasta=(genome,), bed=bed_file("chr1 0 50 peak7"))

    with (
        pytest.raises(InputFileError, match="'peak7', not train, valid or test"),
        open_regions(data, sampling="random"),
    ):
        pass
