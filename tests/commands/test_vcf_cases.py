"""Files that were once scored wrong, as they were found, in the data folder beside the checkout.

The same faults have tests of their own, on inputs made there, in `test_vcf_door` and in
`tests/core/variants`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SHARED = CHECKOUT.parent / "shared"
VCF = SHARED / "cases" / "vcf"
TINY = CHECKOUT / "test_data" / "tiny.fa"
CHR_M = SHARED / "data" / "mito" / "homo_sapiens.chrM.hg38.fa"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not VCF.is_dir(), reason="no shared data folder beside the checkout"),
]


@pytest.fixture
def run(hyenadna, tiny_model):
    def score(name, *options, fasta=TINY):
        options = ("--device", "cpu", "--threads", "1", *options)
        return hyenadna("score-variants", VCF / name, "--fasta", fasta, "-m", tiny_model, *options)

    return score


def statuses(text):
    return re.findall(r"HD_STATUS=([^;\t\r\n]+)", text)


@pytest.mark.parametrize(
    ("name", "fasta", "expected"),
    [
        ("MT_16569_on_chrM_16571.vcf", CHR_M, ["NO_CONTIG", "OK"]),
        ("chrM_9bp_deletion.vcf", CHR_M, ["OK"]),
        ("crlf_sites.vcf", TINY, ["OK", "OK"]),
        ("dup_samples.vcf", TINY, ["OK", "OK"]),
        ("header_lengths_differ.vcf", TINY, ["OK", "OK"]),
        ("indels_next_to_N_run.vcf", TINY, ["OK", "OK", "OK"]),
        (
            "iupac_in_reference.vcf",
            VCF / "odd.fa",
            ["NON_ACGT", "NON_ACGT", "REF_MISMATCH", *["NON_ACGT"] * 4, "OK"],
        ),
        ("nel.bcf", TINY, ["OK", "OK"]),
        ("re_small.vcf", TINY, ["OK", "SYMBOLIC,OK"]),
        ("re_small.vcf", VCF / "tiny_changed.fa", ["REF_MISMATCH", "SYMBOLIC,OK"]),
        ("unsorted_interleaved.vcf", TINY, ["OK"] * 4),
        ("v44_phased.bcf", TINY, ["OK", "OK"]),
        ("wrong_types.vcf", TINY, ["OK", "OK"]),
    ],
)
def test_every_allele_has_the_status_that_it_should(run, name, fasta, expected):
    done = run(name, "--contig-map", "auto", fasta=fasta)

    assert done.code == 0, done.err
    assert statuses(done.out) == expected


@pytest.mark.parametrize(
    ("name", "options", "problem"),
    [
        ("MT_16569_on_chrM_16571.vcf", ["--strict"], "the header says that MT has 2,569 bp"),
        ("cr_inside_info.vcf", [], ":15: a carriage return stands inside the line"),
        ("dup_samples.vcf", ["-O", "b"], ":14: two samples are called 'S1'"),
        ("header_lengths_differ.vcf", ["--strict"], "the header says that chr1 has 249,250,621"),
        ("spaces.vcf", [], ":14: is not VCF: the columns are separated by spaces"),
        ("unsorted_interleaved.vcf", ["-O", "z", "-W"], ":9: chr1:1500 A>C is out of order"),
        ("wrong_types.vcf", ["-O", "b"], ":15: INFO 'AF=abc': BCF cannot hold it as the Float"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_3(run, tmp_path, name, options, problem):
    fasta = CHR_M if name.startswith("MT") else TINY
    done = run(name, "--contig-map", "auto", *options, "-o", tmp_path / "out.vcf.gz", fasta=fasta)

    assert done.code == 3
    (line,) = [line for line in done.err.splitlines() if "error:" in line]
    assert problem in line
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("window", ["4k", "16k", "32768"])
def test_a_deletion_counts_equally_many_bases_whatever_the_window(hyenadna, window):
    """Version 0.1.0 gave +9.68 in the longest of these windows, which is twice the contig."""
    files = (VCF / "chrM_9bp_deletion.vcf", "--fasta", CHR_M)
    done = hyenadna("score-variants", *files, "--window", window, "--device", "cpu")

    assert -1.5 < float(re.search(r"HD_LLR=([^;]+)", done.out)[1]) < 0.5


def test_phased_genotypes_and_line_ends_leave_as_they_came(run):
    assert "\tGT\t0|1\t0/1\t1\n" in run("v44_phased.bcf").out
    crlf = run("crlf_sites.vcf").out
    assert crlf.count("\r\n") == crlf.count("\n") == len(crlf.splitlines())


def test_an_old_score_does_not_stay_under_a_new_status(run, tmp_path):
    first = run("re_small.vcf", "--scores", "llr,jsd", "-o", tmp_path / "first.vcf")
    assert first.code == 0, first.err

    again = run(tmp_path / "first.vcf", fasta=VCF / "tiny_changed.fa")

    (line,) = [line for line in again.out.splitlines() if line.startswith("chr1\t1500\t")]
    assert line.endswith("\tAF=0.25;HD_STATUS=REF_MISMATCH")
    assert "HD_JSD" not in again.out.partition("#CHROM")[2]
