"""Pooled embeddings as TSV and HDF5: which one, and the columns of the text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hyenadna_cli.core.io.embeddings_gather import gather_embeddings
from hyenadna_cli.core.io.embeddings_h5 import EmbeddingRow
from hyenadna_cli.core.io.embeddings_output import check_embeddings_name, open_pooled
from hyenadna_cli.core.io.embeddings_reading import read_embeddings
from hyenadna_cli.core.outputs import provenance
from hyenadna_cli.errors import InputFileError, UsageError

KEYS = ("mean_layer-1", "max_layer-1")
ROW = EmbeddingRow(
    name="r",
    chrom="chr1",
    start=4,
    end=8,
    strand="+",
    length=4,
    n_frac=0.0,
    n_windows=1,
    status="OK",
    vectors={key: np.array([i, 0.5], np.float32) for i, key in enumerate(KEYS)},
)


@pytest.fixture
def made_by():
    return provenance.collect(
        command=["hyenadna"], settings={}, inputs=[], model=None, device="CPU", reproducible=True
    )


def write(output, made_by):
    with open_pooled(str(output), keys=KEYS, d_model=2, made_by=made_by, overwrite=False) as append:
        append(ROW)


def test_the_first_vector_has_the_plain_columns_of_a_table(tmp_path, made_by):
    write(tmp_path / "e.tsv", made_by)

    assert (tmp_path / "e.tsv").read_text().splitlines() == [
        "name\tchrom\tstart\tend\tstrand\tlength\tstatus\te0\te1\tmax_layer-1_e0\tmax_layer-1_e1",
        "r\tchr1\t4\t8\t+\t4\tOK\t0\t0.5\t1\t0.5",
    ]


def test_hdf5_is_what_its_suffix_asks_for(tmp_path, made_by):
    write(tmp_path / "e.h5ad", made_by)

    assert read_embeddings(tmp_path / "e.h5ad").vectors[KEYS[1]].tolist() == [[1.0, 0.5]]


TITLES = ("biotype", "length", "a/b", "biotype", "e1")
CELLS = ("coding", "7", "", "x", "y")


def write_further(output, made_by):
    row = replace(ROW, columns=CELLS)
    with open_pooled(
        str(output), keys=KEYS, d_model=2, made_by=made_by, overwrite=False, columns=TITLES
    ) as append:
        append(row)
        append(row)


def test_further_columns_stand_before_the_numbers_of_a_table(tmp_path, made_by):
    write_further(tmp_path / "e.tsv", made_by)

    header, row, _ = (tmp_path / "e.tsv").read_text().splitlines()
    assert header.split("\t")[6:14] == [
        *("status", "biotype", "length-1", "a_b", "biotype-1", "e1-1", "e0", "e1")
    ]
    assert row.split("\t")[6:14] == ["OK", *CELLS, "0", "0.5"]


def test_further_columns_go_to_obs(tmp_path, made_by):
    write_further(tmp_path / "e.h5ad", made_by)

    obs = read_embeddings(tmp_path / "e.h5ad").obs
    assert list(obs)[-6:] == ["status", "biotype", "length-1", "a_b", "biotype-1", "e1"]
    assert [obs[name].tolist() for name in list(obs)[-5:]] == [[cell] * 2 for cell in CELLS]
    assert obs["length"].tolist() == [4, 4]

    anndata = pytest.importorskip("anndata")
    frame = anndata.read_h5ad(tmp_path / "e.h5ad").obs
    assert frame["biotype"].tolist() == ["coding", "coding"]


def test_further_columns_are_gathered_from_shards(tmp_path, made_by):
    for name in ("one.h5", "two.h5"):
        write_further(tmp_path / name, made_by)
    write(tmp_path / "other.h5", made_by)

    def gather(*names, is_virtual=False):
        sources = [tmp_path / name for name in names]
        output = tmp_path / "all.h5"
        list(gather_embeddings(sources, output, made_by, overwrite=True, is_virtual=is_virtual))
        return read_embeddings(output).obs

    for is_virtual in (False, True):
        obs = gather("one.h5", "two.h5", is_virtual=is_virtual)
        assert list(obs)[-5:] == ["biotype", "length-1", "a_b", "biotype-1", "e1"]
        assert obs["biotype-1"].tolist() == ["x"] * 4
    with pytest.raises(InputFileError, match=r"other\.h5: has other columns than .*one\.h5"):
        gather("one.h5", "other.h5")


@pytest.mark.parametrize("output", ["e.h5", "e.hdf5", "e.h5ad", "e.tsv", "e.txt.bgz", "-"])
def test_a_suffix_decides_the_kind(output):
    check_embeddings_name(output, is_token=False)


@pytest.mark.parametrize("output", ["e.h5ad", "e.tsv", "-"])
def test_rows_of_bases_have_a_file_of_their_own_layout(output):
    check_embeddings_name("e.h5", is_token=True)
    with pytest.raises(UsageError, match=r"name a file \.h5 or \.hdf5"):
        check_embeddings_name(output, is_token=True)


def test_a_suffix_that_says_nothing_is_refused():
    with pytest.raises(UsageError, match=r"use one of \.h5 \.hdf5 \.h5ad \.tsv \.txt"):
        check_embeddings_name("e.npz", is_token=False)
