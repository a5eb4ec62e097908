"""FASTA out: names that do not repeat, lines of 60 bases."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.io.fasta_writing import check_fasta_name, open_fasta_output
from hyenadna_cli.core.io.streams import Input
from hyenadna_cli.errors import UsageError


def test_sequences_are_wrapped_and_names_made_unique(tmp_path):
    output = tmp_path / "out.fa"

    with open_fasta_output(str(output), overwrite=False) as write:
        names = [write("a", "ACGT" * 16), write("a", "N"), write("b", "")]

    assert names == ["a", "a-1", "b"]
    assert output.read_text() == f">a\n{'ACGT' * 15}\nACGT\n>a-1\nN\n>b\n"


def test_gz_is_bgzip(tmp_path):
    output = tmp_path / "out.fa.gz"

    with open_fasta_output(str(output), overwrite=False) as write:
        write("a", "ACGT")

    assert Input(output).compression == "bgzip"


def test_another_suffix_is_refused():
    check_fasta_name("-", writer="generate")
    check_fasta_name("x.fna.gz", writer="generate")
    with pytest.raises(UsageError, match=r"-o x\.txt: generate writes FASTA; use one of \.fa "):
        check_fasta_name("x.txt", writer="generate")
