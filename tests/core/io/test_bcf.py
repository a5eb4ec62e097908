"""BCF through htslib: nothing is added, dropped or lost between lines and bytes."""

from __future__ import annotations

import pytest

from hyenadna_cli.core.io.bcf import BcfEncoder, RefusedHeaderError, RefusedLineError, printed
from hyenadna_cli.errors import InputFileError

HEADER = """##fileformat=VCFv4.2
##FILTER=<ID=PASS,Description="All filters passed">
##contig=<ID=chr1,length=1000000000>
##INFO=<ID=END,Number=1,Type=Integer,Description="end">
##INFO=<ID=X,Number=1,Type=String,Description="x">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
"""


def record(pos, *, chrom="chr1", alt="<DEL>", info="."):
    return f"{chrom}\t{pos}\t.\tA\t{alt}\t.\t.\t{info}\n"


def test_lines_come_back_in_any_batches(tmp_path):
    """END included: where it is missing, where it repeats POS, and of symbolic alleles."""
    lines = [
        record(5),
        record(6, info="END=6"),
        record(7, info="END=900"),
        record(0, alt="C"),
        record(999_999_999, alt="C", info="X=caf\u00e9"),
    ]
    encoder = BcfEncoder(HEADER)
    whole = encoder.encode(lines)
    (tmp_path / "x.bcf").write_bytes(encoder.header + whole)

    assert whole == b"".join(encoder.encode([line]) for line in lines)
    assert "".join(printed("x.bcf", str(tmp_path / "x.bcf"))) == HEADER + "".join(lines)
    assert encoder.encode([]) == b""


@pytest.mark.parametrize(
    "line",
    [
        record(5, chrom="chr9"),
        record(5, info="Y=1"),
        record(3_000_000_000),
        "chr1\t5\n",
    ],
)
def test_a_line_that_cannot_be_encoded_is_numbered(line):
    encoder = BcfEncoder(HEADER)

    with pytest.raises(RefusedLineError) as refused:
        encoder.encode([record(5), record(6), line, record(7)])

    assert refused.value.number == 2


@pytest.mark.parametrize(
    "line",
    [
        "##contig=<ID=chr2,length=unknown>",
        '##INFO=<ID=Y,Number=1,Type=String,Description="y>',
        '##FORMAT=<Number=1,Type=String,Description="no ID">',
    ],
)
def test_a_header_line_that_would_be_lost_is_named(line):
    with pytest.raises(RefusedHeaderError) as refused:
        BcfEncoder(HEADER.replace("#CHROM", f"{line}\n#CHROM"))

    assert refused.value.line == line


@pytest.mark.parametrize(
    "line",
    [
        "##contig=<length=5,ID=chr2>",
        '##INFO=<ID=Y, Number=1, Type=String, Description="spaces">',
        '##INFO=<ID=X,Number=1,Type=Integer,Description="again">',
        "##META=<ID=Assay,Type=String,Number=.,Values=[WholeGenome, Exome]>",
        "##PEDIGREE=<Derived=a,Original=b>",
        "##source=a tool, v1",
    ],
)
def test_header_lines_of_other_forms_are_taken(line):
    assert BcfEncoder(HEADER.replace("#CHROM", f"{line}\n#CHROM")).left_out == []


@pytest.mark.parametrize("n_bytes", [1, 20])
def test_a_cut_off_record_is_an_error(tmp_path, n_bytes):
    encoder = BcfEncoder(HEADER)
    data = encoder.header + encoder.encode([record(5), record(6)])
    (tmp_path / "x.bcf").write_bytes(data[:-n_bytes])

    with pytest.raises(InputFileError, match="truncated"):
        list(printed("x.bcf", str(tmp_path / "x.bcf")))
