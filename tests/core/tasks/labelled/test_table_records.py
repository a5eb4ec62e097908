"""Rows of a table as records, and the labels that a trained model is compared with."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.tasks.labelled.columns import Labelling
from hyenadna_cli.core.tasks.labelled.table_records import TableSource
from hyenadna_cli.errors import InputFileError


def targets(path, task, *names):
    """What a model of these labels is compared with, as nested lists."""
    with TableSource(str(path), known=Labelling(task=task, label_names=names)) as source:
        return np.asarray(source.targets).tolist()


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("sequence,y_a,y_b", "ACGT,1,0"),
        ("sequence,y_b,y_a", "ACGT,0,1"),
        ("y_b,sequence,a", "0,ACGT,1"),
        ("sequence,y_b,y_extra,y_a", "ACGT,0,1,1"),
        ("sequence,label,b,a", "ACGT,other,0,1"),
        ("sequence,a,y_b,y_a", "ACGT,0,0,1"),
    ],
    ids=["as-trained", "swapped", "bare", "more", "beside-a-label", "marked-wins"],
)
@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_label_columns_are_found_by_name(text_file, task, header, row):
    table = text_file(f"{header}\n{row}\n", name="t.csv")

    assert targets(table, task, "a", "b") == [[1, 0]]


def test_one_number_of_many_is_found_by_name(text_file):
    table = text_file("sequence,y_gc,y_len\nACGT,0.5,4.5\n", name="t.csv")

    assert targets(table, "regression", "len") == [4.5]


def test_every_file_that_is_read_is_an_input(text_file, fasta_file):
    genome = fasta_file({"chr1": "ACGTACGT"})
    table = text_file("chrom,start,end\none,0,4\n", name="t.csv")
    names = text_file("one chr1\n", name="names.txt")

    with TableSource(str(table), fasta=str(genome), rename_chrs=names) as source:
        assert source.inputs == [str(table), str(genome), str(names)]
    alone = text_file("sequence\nACGT\n", name="alone.csv")
    with TableSource(str(alone)) as source:
        assert source.inputs == [str(alone)]


def test_labels_in_one_column_need_no_name(text_file):
    table = text_file("sequence,tissues,n\nACGT,liver;brain,2\n", name="t.csv")
    renamed = text_file("sequence,tissues\nACGT,liver;brain\n", name="r.csv")

    assert targets(renamed, "multilabel", "brain", "heart", "liver") == [[1, 0, 1]]
    with pytest.raises(InputFileError, match="no column 'brain', which the model predicts"):
        targets(table, "multilabel", "brain", "heart", "liver")


@pytest.mark.parametrize(
    ("task", "names", "header", "problem"),
    [
        ("regression", ["len"], "sequence,y_gc,y_at", "no column 'len', which the model predicts"),
        ("multilabel", ["a", "b"], "sequence,y_a,y_c", "no column 'b', which the model predicts"),
        ("multilabel", ["1", "0"], "sequence,y_a,y_c", "no column '1', which the model predicts"),
        ("binary", ["0", "1"], "sequence,y_a,y_c", r"has 2 label columns \(a, c\)"),
    ],
)
def test_columns_that_are_not_the_models_are_refused(text_file, task, names, header, problem):
    table = text_file(f"{header}\nACGT,1,0\n", name="t.csv")

    with pytest.raises(InputFileError, match=problem):
        targets(table, task, *names)
