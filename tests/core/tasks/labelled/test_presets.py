"""Presets: the published facts, found by name; data found locally; no network unless asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyenadna_cli.core.dna.sequence import LetterCounts
from hyenadna_cli.core.tasks.labelled import presets
from hyenadna_cli.core.tasks.labelled.files import Reading, read_labelled
from hyenadna_cli.errors import InputFileError, UsageError


def test_every_published_set_is_there():
    suites = [name.split("/")[0] for name in presets.names()]

    assert {suite: suites.count(suite) for suite in set(suites)} == {
        "genomic-benchmarks": 9,
        "nucleotide-transformer": 18,
        "chromatin": 1,
    }


def test_reported_rows_are_fractions_under_the_metric_they_are_in():
    preset = presets.find("genomic-benchmarks/human_nontata_promoters")

    assert preset.metric == "accuracy"
    assert preset.published["accuracy"]["HyenaDNA"] == pytest.approx(0.966)
    assert presets.find("chromatin").published["auroc_median_TF"]["DeepSEA (40M, 1k)"] == 0.958
    for name in presets.names():
        for row in presets.find(name).published.values():
            assert all(0 < value < 1 for value in row.values())


def test_a_name_that_is_none_brings_the_nearest():
    with pytest.raises(UsageError, match="genomic-benchmarks/human_enhancers_cohn"):
        presets.find("genomic-benchmarks/human_enhancer_cohn")


@pytest.mark.parametrize(
    "files",
    [
        ("human_enhancers_cohn/train/negative/0.txt", "human_enhancers_cohn/train/positive/0.txt"),
        ("human_enhancers_cohn.train.csv", "human_enhancers_cohn.test.csv"),
        ("train.csv", "test.csv"),
        ("set_train.fna", "set_test.fna"),
    ],
)
def test_local_data_are_found_in_the_layouts_they_come_in(tmp_path: Path, files: tuple[str, ...]):
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = {".txt": "ACGT", ".fna": ">a|0\nACGT\n>b|1\nGGGG\n"}
        path.write_text(text.get(path.suffix, "sequence,label\nACGT,0\nGGGG,1\n"))

    found = presets.local_data(presets.find("genomic-benchmarks/human_enhancers_cohn"), tmp_path)

    data = read_labelled([found], reading=Reading(), letters=LetterCounts())
    assert data.task == "binary"
    assert len(data.splits["train"]) == 2


def test_data_that_are_not_there_name_their_source(tmp_path: Path):
    with pytest.raises(InputFileError, match=r"holds neither H3 nor .* come from https://hugg"):
        presets.local_data(presets.find("nucleotide-transformer/H3"), tmp_path)


def test_other_sets_of_a_folder_are_not_taken_for_one_that_is_missing(tmp_path: Path):
    for split in ("train", "test"):
        (tmp_path / f"human_ocr_ensembl.{split}.csv").write_text("sequence,label\nA,0\nC,1\n")

    with pytest.raises(InputFileError, match="holds neither human_enhancers_cohn nor"):
        presets.local_data(presets.find("genomic-benchmarks/human_enhancers_cohn"), tmp_path)


def test_offline_nothing_is_fetched(tmp_path: Path):
    preset = presets.find("nucleotide-transformer/H3")

    with pytest.raises(InputFileError, match="not in the cache and the network is off"):
        presets.download(preset, cache_dir=tmp_path, offline=True)


def test_a_set_on_no_hub_says_where_it_is(tmp_path: Path):
    with pytest.raises(InputFileError, match="deepsea"):
        presets.download(presets.find("chromatin"), cache_dir=tmp_path, offline=True)


def test_a_part_of_the_published_set_is_not_taken_for_it():
    preset = presets.find("genomic-benchmarks/human_nontata_promoters")

    assert preset.note_on_size(36_131) is None
    assert "1,752 sequences here, 36,131 in the published set" in str(preset.note_on_size(1_752))
