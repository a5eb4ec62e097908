"""Reading VCF and BCF: every way they come, and everything that can be wrong with them."""

from __future__ import annotations

import io
import subprocess
import sys

import pysam
import pytest

from hyenadna_cli.core.io.vcf import VcfFile, VcfHeader
from hyenadna_cli.core.io.vcf_scan import scan
from hyenadna_cli.errors import InputFileError


def read(path):
    with VcfFile(path).open_vcf() as reader:
        return reader.header, list(reader.records())


def as_bcf(path):
    """The same as BCF, made by htslib."""
    bcf = path.with_suffix(".bcf")
    with (
        pysam.VariantFile(str(path)) as source,
        pysam.VariantFile(str(bcf), "wb", header=source.header) as target,
    ):
        for record in source:
            target.write(record)
    return bcf


@pytest.mark.parametrize("compression", ["none", "gzip", "bgzip"])
def test_plain_gzip_and_bgzip_files_read_the_same(vcf_file, compression):
    path = vcf_file("chr1 5 rs1 A G,CT", "chr1 9 . CT C", compression=compression)

    _, records = read(path)

    assert [(r.chrom, r.start, r.name, r.ref, r.alts) for r in records] == [
        ("chr1", 4, "rs1", "A", ("G", "CT")),
        ("chr1", 8, ".", "CT", ("C",)),
    ]
    assert [r.line for r in records] == [3, 4]


def test_bcf_reads_as_the_vcf_it_was_made_from(vcf_file):
    path = vcf_file(
        "chr1 5 rs1 A G 30 PASS DP=7 GT 0/1",
        contigs={"chr1": 100},
        header=(
            '##INFO=<ID=DP,Number=1,Type=Integer,Description="depth">',
            '##FORMAT=<ID=GT,Number=1,Type=String,Description="genotype">',
        ),
        samples=("S1",),
    )

    _, records = read(as_bcf(path))

    assert records[0].columns == read(path)[1][0].columns


@pytest.mark.parametrize("kind", ["vcf", "gzip", "bcf"])
def test_stdin_is_read_whatever_it_is(vcf_file, monkeypatch, kind):
    path = vcf_file(
        "chr1 5 rs1 A G", contigs={"chr1": 100}, compression="gzip" if kind == "gzip" else "none"
    )
    data = (as_bcf(path) if kind == "bcf" else path).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    _, records = read("-")

    assert [(r.chrom, r.start, r.ref, r.alts) for r in records] == [("chr1", 4, "A", ("G",))]


def test_a_record_keeps_every_column_as_it_is_written(vcf_file):
    samples = tuple(f"S{n}" for n in range(5_000))
    genotypes = " ".join(["0|1:0.1234567891"] * 5_000)
    path = vcf_file(f"chr1 5 rs1 A G 30.00 q10;weird AF=0.10;X GT:AB {genotypes}", samples=samples)

    header, (record,) = read(path)

    line = path.read_text().splitlines()[-1]
    assert header.n_samples == 5_000
    assert record.with_info({}) == line + "\n"
    assert (
        record.with_info({"HD_LLR": "1"}) == line.replace("AF=0.10;X", "AF=0.10;X;HD_LLR=1") + "\n"
    )


def test_info_entries_replace_those_of_the_same_name(vcf_file):
    _, records = read(vcf_file("chr1 5 . A G . . HD_LLR=9;AF=1", "chr1 6 . A G"))

    lines = [record.with_info({"HD_LLR": "1", "HD_STATUS": "OK"}) for record in records]

    assert [line.split("\t")[7] for line in lines] == [
        "AF=1;HD_LLR=1;HD_STATUS=OK\n",
        "HD_LLR=1;HD_STATUS=OK\n",
    ]


def test_a_record_without_alt_has_none(vcf_file):
    _, records = read(vcf_file("chr1 5 . A .", "chr1 6 . A *,<DEL>"))

    assert [record.alts for record in records] == [(), ("*", "<DEL>")]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("chr1\t5\t.\tA\tG", "8 columns"),
        ("chr1\tfive\t.\tA\tG\t.\t.\t.", "POS 'five'"),
        ("chr1\t-5\t.\tA\tG\t.\t.\t.", "POS '-5'"),
        ("chr1\t5\t.\t\tG\t.\t.\t.", "may not be empty"),
    ],
)
def test_a_broken_record_is_named_by_its_line(vcf_file, line, problem):
    path = vcf_file("chr1 4 . A G")
    path.write_text(path.read_text() + line + "\n")

    with pytest.raises(InputFileError, match=rf"variants.vcf:4: .*{problem}"):
        scan(VcfFile(path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        (">chr1\nACGT\n", "is not VCF"),
        ("##fileformat=VCFv4.2\n", "#CHROM"),
        ("##fileformat=VCFv4.2\nchr1\t5\n", "no #CHROM line"),
        ("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n", "##fileformat"),
    ],
)
def test_what_is_no_vcf_is_refused(text_file, text, problem):
    path = text_file(text, name="x.vcf")

    with pytest.raises(InputFileError, match=problem):
        scan(VcfFile(path))


@pytest.mark.parametrize("compression", ["gzip", "bgzip"])
def test_a_cut_off_file_is_an_error_and_not_a_short_file(vcf_file, compression):
    path = vcf_file(
        *(f"chr1 {n} . A G" for n in range(1, 5_000)), name="x.vcf.gz", compression=compression
    )
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(InputFileError, match="truncated"):
        scan(VcfFile(path))


def test_a_cut_off_bcf_is_an_error(vcf_file):
    bcf = as_bcf(vcf_file(*(f"chr1 {n} . A G" for n in range(1, 500)), contigs={"chr1": 9_000}))
    bcf.write_bytes(bcf.read_bytes()[:-40])

    with pytest.raises(InputFileError, match="truncated"):
        scan(VcfFile(bcf))


def test_a_cut_off_bcf_on_stdin_is_an_error(vcf_file):
    bcf = as_bcf(vcf_file(*(f"chr1 {n} . A G" for n in range(1, 5_000)), contigs={"chr1": 9_000}))
    code = (
        "from hyenadna_cli.core.io.vcf import VcfFile; "
        "from hyenadna_cli.core.io.vcf_scan import scan; scan(VcfFile('-'))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], input=bcf.read_bytes()[:-40], capture_output=True
    )

    assert done.returncode == 1
    assert b"truncated" in done.stderr.splitlines()[-1]


def test_a_scan_counts_and_sees_what_the_header_does_not_declare(vcf_file):
    path = vcf_file(
        "chr1 5 . A G . q10 DP=3;DB GT 0/1",
        "chr2 5 . A G,T . PASS DP=3 GT:AD 0/1",
        contigs={"chr1": 100},
        samples=("S1",),
    )

    found = scan(VcfFile(path), for_bcf=True)

    assert (found.n_records, found.out_of_order) == (2, None)
    assert scan(VcfFile(path)).undeclared == []
    assert found.contigs == {"chr1": 1, "chr2": 1}
    assert [line.partition(",")[0] for line in found.undeclared] == [
        "##FILTER=<ID=q10",
        "##INFO=<ID=DP",
        "##INFO=<ID=DB",
        "##FORMAT=<ID=GT",
        "##FORMAT=<ID=AD",
    ]


@pytest.mark.parametrize(
    ("records", "is_sorted"),
    [
        (["chr1 5 . A G", "chr1 5 . A T", "chr2 1 . A G"], True),
        (["chr1 5 . A G", "chr1 4 . A T"], False),
        (["chr1 5 . A G", "chr2 1 . A G", "chr1 6 . A G"], False),
    ],
)
def test_a_scan_tells_whether_an_index_is_possible(vcf_file, records, is_sorted):
    assert (scan(VcfFile(vcf_file(*records))).out_of_order is None) is is_sorted


def test_the_header_knows_its_reference():
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    first = "##fileformat=VCFv4.2"

    assert (
        VcfHeader([first, "##reference=file:///data/hg38.fa", columns]).reference == "/data/hg38.fa"
    )
    assert VcfHeader([first, columns]).reference is None
