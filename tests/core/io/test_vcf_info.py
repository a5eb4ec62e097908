"""INFO entries as columns: whose value it is, and what is missing."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.io.vcf import VcfFile
from hyenadna_cli.core.io.vcf_info import InfoColumns
from hyenadna_cli.errors import InputFileError

HEADER = (
    '##INFO=<ID=CLASS,Number=1,Type=String,Description="Label, Number=A in words">',
    '##INFO=<ID=AF,Number=A,Type=Float,Description="x">',
    '##INFO=<ID=AD,Number=R,Type=Integer,Description="x">',
    '##INFO=<ID=SIG,Number=.,Type=String,Description="x">',
    '##INFO=<ID=DB,Number=0,Type=Flag,Description="x">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">',
)


@pytest.fixture
def values(vcf_file):
    def read(record, *keys):
        path = vcf_file(record, header=HEADER)
        with VcfFile(path).open_vcf() as reader:
            columns = InfoColumns(path, reader.header, keys)
            return columns.of(next(reader.records()))

    return read


def test_an_allele_has_its_own_value_where_the_header_says_so(values):
    record = "chr1 5 . A G,T . . CLASS=a,b;AF=0.1,0.2;AD=7,8,9;SIG=x,y;DB"

    found = values(record, "CLASS", "AF", "AD", "SIG", "DB")

    assert found == [("a,b", "0.1", "8", "x,y", "1"), ("a,b", "0.2", "9", "x,y", "1")]


@pytest.mark.parametrize("info", [".", "AF=0.1", "AF=0.1;OTHER=AF"])
def test_what_is_not_there_is_a_dot(values, info):
    found = values(f"chr1 5 . A G,T . . {info}", "AF", "DB")

    assert found == [("0.1" if "AF=" in info else ".", "."), (".", ".")]


def test_a_record_without_alt_has_one_row(values):
    assert values("chr1 5 . A . . . CLASS=a", "CLASS") == [("a",)]


def test_keys_that_are_not_declared_are_refused(values):
    with pytest.raises(InputFileError, match=r"declares no INFO KLASS .* it has AD, AF, CLASS"):
        values("chr1 5 . A G", "KLASS")
    with pytest.raises(InputFileError, match="GT is a FORMAT field"):
        values("chr1 5 . A G", "GT")
