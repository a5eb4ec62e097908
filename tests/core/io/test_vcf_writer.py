"""Writing VCF and BCF: typed tags, provenance, and nothing half-written."""

from __future__ import annotations

import random

import cyvcf2
import pytest

from hyenadna_cli.core.io.vcf import VcfFile, VcfHeader
from hyenadna_cli.core.io.vcf_writer import VcfWriter, info_entries, scored_header
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.errors import InputFileError, OutputError

TAGS = ["HD_LLR", "HD_STATUS"]
END = '##INFO=<ID=END,Number=1,Type=Integer,Description="end">'


def write(source, output, output_type, *, more=()):
    with VcfFile(source).open_vcf() as reader:
        header = scored_header(reader.header, Provenance(), TAGS, more)
        with VcfWriter(
            str(output), output_type=output_type, header=header, overwrite=False
        ) as writer:
            for record in reader.records():
                values = {"HD_LLR": [0.123456789] * len(record.alts)}
                statuses = ["OK"] * len(record.alts) or ["NO_ALT"]
                writer.write(record, info_entries(values, statuses))


def test_bcf_keeps_an_end_that_only_repeats_the_position(vcf_file, tmp_path):
    """Block ends of a gVCF must not be dropped or moved."""
    path = vcf_file(
        "chr1 7 . C <NON_REF> . PASS END=7",
        "chr1 8 . CTT <NON_REF> . PASS END=8",
        contigs={"chr1": 100},
        header=(END,),
    )

    write(path, tmp_path / "x.bcf", "b")

    assert [v.INFO["END"] for v in cyvcf2.VCF(str(tmp_path / "x.bcf"))] == [7, 8]


def test_values_are_typed_and_missing_ones_are_missing(vcf_file, tmp_path):
    write(
        vcf_file("chr1 7 . C G,T", "chr1 8 . C .", contigs={"chr1": 100}), tmp_path / "x.bcf", "b"
    )

    first, second = cyvcf2.VCF(str(tmp_path / "x.bcf"))

    assert first.INFO["HD_LLR"] == pytest.approx((0.123457, 0.123457))
    assert dict(second.INFO) == {"HD_STATUS": "NO_ALT"}
    assert info_entries({"HD_LLR": [float("nan"), 2.0]}, ["BND", "OK"]) == {
        "HD_LLR": ".,2",
        "HD_STATUS": "BND,OK",
    }


def test_bcf_of_what_no_header_declares_is_refused(vcf_file, tmp_path):
    path = vcf_file("chr1 7 . C G . . FOO=1", contigs={"chr1": 100})

    with pytest.raises(InputFileError, match="##INFO=<ID=FOO"):
        write(path, tmp_path / "x.bcf", "b")

    write(path, tmp_path / "x.vcf", "v")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("x")] == ["x.vcf"]


def test_a_contig_that_no_header_declares_is_refused_in_bcf(vcf_file, tmp_path):
    path = vcf_file("chr2 7 . C G", contigs={"chr1": 100})

    with pytest.raises(InputFileError, match="##contig=<ID=chr2>"):
        write(path, tmp_path / "x.bcf", "b")

    write(path, tmp_path / "y.bcf", "b", more=["##contig=<ID=chr2>"])
    assert [v.CHROM for v in cyvcf2.VCF(str(tmp_path / "y.bcf"))] == ["chr2"]


@pytest.mark.slow
@pytest.mark.parametrize("output_type", ["v", "z", "b", "u"])
def test_a_full_disk_is_an_output_error(vcf_file, small_disk, output_type):
    noise = random.Random(0)
    records = (f"chr1 {n} . C G . . X={noise.randbytes(60).hex()}" for n in range(1, 25_000))
    more = '##INFO=<ID=X,Number=1,Type=String,Description="noise">'
    path = vcf_file(*records, contigs={"chr1": 100_000}, header=(more,))

    with pytest.raises(OutputError, match="No space left"):
        write(path, small_disk / "x", output_type)

    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("output_type", ["b", "u"])
def test_a_record_larger_than_any_buffer_passes_through_bcf(vcf_file, tmp_path, output_type):
    noise = random.Random(0).randbytes(1_500_000).hex()
    more = '##INFO=<ID=X,Number=1,Type=String,Description="noise">'
    path = vcf_file(
        f"chr1 7 . C G . . X={noise}", "chr1 9 . C G", contigs={"chr1": 100}, header=(more,)
    )

    write(path, tmp_path / "x.bcf", output_type)

    first, second = cyvcf2.VCF(str(tmp_path / "x.bcf"))
    assert first.INFO["X"] == noise
    assert second.POS == 9


def test_old_declarations_of_our_tags_are_replaced():
    old = '##INFO=<ID=HD_LLR,Number=1,Type=String,Description="old">'
    header = VcfHeader(["##fileformat=VCFv4.2", old, "#CHROM"])

    lines = scored_header(header, Provenance(), TAGS).text().splitlines()

    assert old not in lines
    assert sum(line.startswith("##INFO=<ID=HD_LLR,Number=A,Type=Float") for line in lines) == 1
