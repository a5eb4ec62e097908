from __future__ import annotations

import gzip
import io
import logging
import os
import random
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.dna.sequence import LetterCounts
from hyenadna_cli.core.io.fasta import (
    FastaRecord,
    Genome,
    SequenceFile,
    acgt_runs,
)
from hyenadna_cli.core.io.streams import Compression
from hyenadna_cli.errors import InputFileError

FileBuilder = Callable[..., Path]

INDEXABLE = ["none", "bgzip"]
KINDS = ["none", "gzip", "bgzip"]


def random_dna(length: int, *, seed: int = 0, letters: str = "ACGTacgtN") -> str:
    return "".join(random.Random(seed).choices(letters, k=length))


def records(path: Path | str, letters: LetterCounts | None = None) -> list[FastaRecord]:
    return list(SequenceFile(path).read(LetterCounts() if letters is None else letters))


def lengths(path: Path | str) -> list[int]:
    return SequenceFile(path).lengths()


# ---- Genome


@pytest.mark.parametrize("compression", INDEXABLE)
def test_a_genome_knows_its_contigs_in_file_order(
    fasta_file: FileBuilder, compression: Compression
) -> None:
    path = fasta_file({"chr2": "ACGT" * 50, "chr10 a comment": "AC"}, compression=compression)

    with Genome(path) as genome:
        assert list(genome.lengths.items()) == [("chr2", 200), ("chr10", 2)]
        assert genome.path == path


@pytest.mark.parametrize("compression", INDEXABLE)
def test_any_interval_is_a_slice_of_its_contig(
    fasta_file: FileBuilder, compression: Compression
) -> None:
    contigs = {"chr1": random_dna(200_001), "chr2": random_dna(61, seed=1)}
    path = fasta_file(contigs, compression=compression)
    rng = random.Random(2)

    with Genome(path) as genome:
        for contig, sequence in contigs.items():
            for _ in range(200):
                start, end = sorted(rng.choices(range(len(sequence) + 1), k=2))
                assert genome.fetch(Interval(contig, start, end)) == sequence[start:end]


def test_the_plus_strand_is_fetched_whatever_the_strand(fasta_file: FileBuilder) -> None:
    with Genome(fasta_file({"chr1": "AAcgTN"})) as genome:
        assert genome.fetch(Interval("chr1", 1, 5, "-")) == "AcgT"


def test_ambiguity_codes_and_uracil_are_replaced_and_counted_over_all_fetches(
    fasta_file: FileBuilder,
) -> None:
    with Genome(fasta_file({"chr1": "ACRYuGNn"})) as genome:
        assert genome.fetch(Interval("chr1", 0, 8)) == "ACNNtGNn"
        assert genome.fetch(Interval("chr1", 2, 3)) == "N"
        assert genome.letters == LetterCounts(n_ambiguous=3, n_uracil=1)


def test_a_letter_that_is_no_nucleotide_is_named_with_its_one_based_position(
    fasta_file: FileBuilder,
) -> None:
    path = fasta_file({"chr1": "A" * 1_233 + "*" + "A" * 100})

    with Genome(path) as genome, pytest.raises(InputFileError) as caught:
        genome.fetch(Interval("chr1", 1_200, 1_300))

    assert str(caught.value) == (
        f"{path}: chr1, position 1,234: '*' is not an IUPAC nucleotide code"
    )


@pytest.mark.parametrize(
    "interval", [Interval("chr1", 0, 5), Interval("chr1", 5, 5), Interval("chrX", 0, 1)], ids=str
)
def test_an_interval_outside_the_genome_is_a_value_error(
    fasta_file: FileBuilder, interval: Interval
) -> None:
    with Genome(fasta_file({"chr1": "ACGT"})) as genome, pytest.raises(ValueError, match="chr"):
        genome.fetch(interval)


def test_windows_line_ends_are_no_bases(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(b">chr1\r\nACGT\r\nAC\r\n>chr2\r\nGG\r\n")
    pysam.faidx(str(path))

    with Genome(path) as genome:
        assert genome.fetch(Interval("chr1", 2, 6)) == "GTAC"
        assert genome.lengths == {"chr1": 6, "chr2": 2}


@pytest.mark.parametrize("compression", INDEXABLE)
def test_a_missing_index_is_built_elsewhere_and_the_user_told(
    fasta_file: FileBuilder, caplog: pytest.LogCaptureFixture, compression: Compression
) -> None:
    path = fasta_file({"chr1": "ACGT" * 30}, compression=compression, is_indexed=False)

    with caplog.at_level(logging.WARNING), Genome(path) as genome:
        assert genome.fetch(Interval("chr1", 59, 62)) == "TAC"

    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert "to keep one: samtools faidx" in caplog.text


def test_a_bgzip_index_without_its_gzi_is_built_anew(fasta_file: FileBuilder) -> None:
    path = fasta_file({"chr1": "ACGT"}, compression="bgzip")
    path.with_name(f"{path.name}.gzi").unlink()

    with Genome(path) as genome:
        assert genome.fetch(Interval("chr1", 0, 4)) == "ACGT"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"chr1\t0\t10\n", "is not FASTA: it does not start with '>'"),
        (b"@read\nACGT\n+\nIIII\n", "is not FASTA"),
        (b"\x00\xff garbage", "is not FASTA"),
        (b"LOCUS       X1", "is GenBank; regions need FASTA"),
        (b"\x43\x27\x41\x1a\x00\x00", "is 2bit; regions need FASTA"),
    ],
    ids=["empty", "blank", "bed", "fastq", "garbage", "genbank", "2bit"],
)
def test_what_is_no_fasta_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], data: bytes, problem: str
) -> None:
    path = tmp_path / "genome.fa"
    path.write_bytes(data)

    with pytest.raises(InputFileError, match=re.escape(f"genome.fa: {problem}")) as caught:
        Genome(path)

    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_blank_lines_before_the_first_record_are_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_text("\n" * 5_000 + ">chr1\nACGT\n")
    pysam.faidx(str(path))

    with Genome(path) as genome:
        assert genome.fetch(Interval("chr1", 1, 3)) == "CG"
    assert records(path) == [FastaRecord("chr1", "ACGT")]


def test_a_missing_fasta_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"genome\.fa: no such file"):
        Genome(tmp_path / "genome.fa")


def test_a_genome_cannot_come_from_stdin() -> None:
    with pytest.raises(InputFileError, match="regions need an indexed FASTA file, not stdin"):
        Genome("-")


def test_plain_gzip_is_refused_with_the_cure(fasta_file: FileBuilder) -> None:
    path = fasta_file({"chr1": "ACGT"}, compression="gzip", is_indexed=False)

    with pytest.raises(InputFileError, match=r"is gzip.* gunzip -c .* \| bgzip > "):
        Genome(path)


@pytest.mark.parametrize("n_missing", [1, 28, 29, 5_000])
def test_a_truncated_bgzip_genome_is_refused_although_its_index_is_whole(
    fasta_file: FileBuilder, n_missing: int
) -> None:
    path = fasta_file({"chr1": random_dna(100_000)}, compression="bgzip")
    path.write_bytes(path.read_bytes()[:-n_missing])

    with pytest.raises(InputFileError, match="is truncated"):
        Genome(path)


def test_damage_inside_a_bgzip_genome_is_an_error_where_it_is_read(
    fasta_file: FileBuilder, capfd: pytest.CaptureFixture[str]
) -> None:
    path = fasta_file({"chr1": random_dna(500_000)}, compression="bgzip")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 50] = bytes(50)
    path.write_bytes(data)

    with Genome(path) as genome:
        assert len(genome.fetch(Interval("chr1", 0, 1_000))) == 1_000
        with pytest.raises(InputFileError, match="the file is damaged or its index is out of date"):
            genome.fetch(Interval("chr1", 200_000, 300_000))

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "new_text",
    [
        ">chr1\nACGTACGT\nACGT\n>chr2\nACG\n",
        ">chr1\nACGTACGT\nACGT\n>chr2\nACGTAC\n",
        ">chr1 with a comment\nACGTACGT\nACGT\n>chr2\nACGTA\n",
        ">chr1\nACGTACGT\nACGT\n>chr2\nACGTA\n>chr3\nACGT\n",
        ">chr1\nACGTACGT\nACGT\n",
    ],
    ids=["shorter", "longer", "comment", "more-contigs", "fewer-contigs"],
)
def test_an_index_older_than_the_content_is_refused(fasta_file: FileBuilder, new_text: str) -> None:
    path = fasta_file({"chr1": "ACGTACGTACGT", "chr2": "ACGTA"}, line_bases=8)
    path.write_text(new_text)

    with pytest.raises(InputFileError, match="its index does not cover it"):
        Genome(path)


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
@pytest.mark.parametrize("last", ["ACGT", "ACGTACGT", "ACGTACGTA"])
def test_a_current_index_is_accepted_however_the_file_ends(
    tmp_path: Path, end: str, last: str
) -> None:
    lines = [last[i : i + 8] for i in range(0, len(last), 8)]
    path = tmp_path / "genome.fa"
    path.write_text("\n".join([">chr1", "ACGTACGT", ">chr2", *lines]) + end)
    pysam.faidx(str(path))

    with Genome(path) as genome:
        assert genome.fetch(Interval("chr2", 0, len(last))) == last


@pytest.mark.parametrize(
    ("index", "problem"),
    [
        ("", " is an empty index"),
        ("chr1\tlong\n", "1: is not a row of a FASTA index"),
        ("chr1\t4\n", "1: is not a row"),
        ("chr1\t4\t6\t60\n", "1: is not a row"),
        ("chr1\t4\t6\t60\t61\t99\n", "1: is not a row"),
        ("chr1\t4\t6\t60\t-61\n", "1: is not a row"),
        ("chr1\t4\t6\t0\t0\n", "1: lines of 0 bases cannot take 0 bytes"),
        ("chr1\t4\t6\t60\t61\nchr2\t9\t6\t4\t0\n", "2: lines of 4 bases cannot take 0 bytes"),
        ("chr1\t4\t6\t3\t3\n", "1: lines of 3 bases cannot take 3 bytes"),
    ],
)
def test_a_broken_index_is_named_with_the_cure(
    fasta_file: FileBuilder, capfd: pytest.CaptureFixture[str], index: str, problem: str
) -> None:
    path = fasta_file({"chr1": "ACGT"})
    path.with_name(f"{path.name}.fai").write_text(index)

    expected = rf"genome\.fa\.fai:{problem}.*; renew it: samtools faidx {path}$"
    with pytest.raises(InputFileError, match=expected):
        Genome(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("gzi", [b"", b"\1", b"\1" + bytes(7), b"\1" + bytes(7) + b"\xff" * 16])
def test_a_broken_index_of_blocks_is_named_with_the_cure(
    fasta_file: FileBuilder, capfd: pytest.CaptureFixture[str], gzi: bytes
) -> None:
    path = fasta_file({"chr1": random_dna(100_000)}, compression="bgzip")
    path.with_name(f"{path.name}.gzi").write_bytes(gzi)

    with pytest.raises(InputFileError, match="its index cannot be read; renew it"):
        Genome(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (">a\nACGT\nAC\nACGT\n>b\nAC\n", 3),
        (">a\nACGT\n>b\nACGT\n\nACGT\n", 5),
        (">chr1\nACGT\nACGTACGT\nAC\n", 3),
        (">a\nACGT\nACGT\n>b x\nACGT\nACGTA\nACGT\n", 6),
    ],
)
def test_the_line_that_forbids_an_index_is_named(
    text_file: FileBuilder, text: str, line: int
) -> None:
    path = text_file(text, name="genome.fa")

    with pytest.raises(InputFileError, match=rf"genome\.fa:{line}: cannot be indexed: this line"):
        Genome(path)


def test_a_longer_last_line_forbids_an_index(text_file: FileBuilder) -> None:
    """pyfaidx makes one, by which base 11 of b would be a line end."""
    path = text_file(">a\nACGT\n>b\nACGTA\nACGTACG\n", name="genome.fa")

    with pytest.raises(InputFileError, match="lines of a record differ in length"):
        Genome(path)


def test_an_index_of_pyfaidx_is_read_where_the_last_line_has_no_end(tmp_path: Path) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(">chr1\nACGT")
    (tmp_path / "genome.fa.fai").write_text("chr1\t4\t6\t4\t4\n")

    with Genome(path) as genome:
        assert genome.fetch(Interval("chr1", 0, 4)) == "ACGT"


THREE = {"one": "ACGT" * 20_000, "two words": "GG" * 31, "three": "TTGCA" * 5_000}


@pytest.mark.parametrize("compression", INDEXABLE)
@pytest.mark.parametrize("line_bases", [60, 80_000])
def test_each_contig_is_where_its_index_says(
    fasta_file: FileBuilder, compression: Compression, line_bases: int
) -> None:
    long_header = {f"four {'x' * 300_000}": "ACG", "empty": "", "five": "GGC"}
    path = fasta_file(THREE | long_header, compression=compression, line_bases=line_bases)

    with Genome(path) as genome:
        for title, sequence in {**THREE, **long_header}.items():
            if sequence:
                contig = title.split()[0]
                assert genome.fetch(Interval(contig, 1, 3)) == sequence[1:3]


@pytest.mark.parametrize("compression", INDEXABLE)
@pytest.mark.parametrize(
    ("changed", "contig"),
    [
        ({"one": THREE["one"], "three": THREE["three"], "two words": THREE["two words"]}, "two"),
        ({**THREE, "two words": "GG" * 30 + "G"}, "three"),
        ({**THREE, "two words": "GG" * 31 + "G"}, "two"),
        ({"one with words": THREE["one"], "two": "GG" * 31, "three": THREE["three"]}, "one"),
        ({"ona": THREE["one"], "two words": "GG" * 31, "three": THREE["three"]}, "one"),
    ],
    ids=["order", "shorter", "longer", "words", "renamed"],
)
def test_an_index_that_points_elsewhere_is_refused_when_its_contig_is_read(
    fasta_file: FileBuilder,
    changed: dict[str, str],
    contig: str,
    compression: Compression,
) -> None:
    old = fasta_file(THREE, compression=compression, name="old.fa")
    path = fasta_file(changed, compression=compression, is_indexed=False)
    for suffix in [".fai", ".gzi"] if compression == "bgzip" else [".fai"]:
        path.with_name(f"{path.name}{suffix}").write_bytes(Path(f"{old}{suffix}").read_bytes())

    with pytest.raises(InputFileError, match="samtools faidx"), Genome(path) as genome:
        genome.fetch(Interval(contig, 0, 4))


def test_a_wrong_row_in_the_middle_of_an_index_is_refused(fasta_file: FileBuilder) -> None:
    path = fasta_file({"a": "ACGTACGT", "b": "GGCC", "c": "TTTT"})
    fai = path.with_name(f"{path.name}.fai")
    good = fai.read_text().splitlines()

    for wrong in ["b\t3\t15\t4\t5", "b\t5\t15\t5\t6", "b\t4\t14\t4\t5", "b\t4\t3\t8\t9"]:
        fai.write_text("\n".join([good[0], wrong, good[2], ""]))
        with Genome(path) as genome:
            assert genome.fetch(Interval("c", 0, 4)) == "TTTT"
            with pytest.raises(InputFileError, match="contig 'b' is not where it says; renew it"):
                genome.fetch(Interval("b", 0, 3))


@pytest.mark.parametrize("compression", INDEXABLE)
@pytest.mark.parametrize("row", ["a\t4\t{}\t4\t5", "a\t{}\t3\t4\t5", "a\t0\t3\t4\t5"])
def test_a_row_that_cannot_be_is_no_crash(
    fasta_file: FileBuilder, compression: Compression, row: str
) -> None:
    path = fasta_file({"a": "ACGT"}, compression=compression)
    path.with_name(f"{path.name}.fai").write_text(row.format(1 << 70) + "\n")

    with pytest.raises(InputFileError, match="renew it: samtools faidx"), Genome(path) as genome:
        genome.check("a")


@pytest.mark.parametrize("compression", INDEXABLE)
@pytest.mark.parametrize(("age", "n_lines"), [(0, 0), (1, 0), (60, 1)])
def test_an_index_older_than_its_fasta_is_said(
    fasta_file: FileBuilder,
    caplog: pytest.LogCaptureFixture,
    compression: Compression,
    age: int,
    n_lines: int,
) -> None:
    path = fasta_file({"chr1": "ACGT"}, compression=compression)
    indexes = [file for file in path.parent.iterdir() if file != path]
    for index in indexes:
        os.utime(index, (1e9 - age, 1e9 - age))
    os.utime(path, (1e9, 1e9))

    with Genome(path) as genome:
        assert genome.fetch(Interval("chr1", 0, 4)) == "ACGT"

    assert [record.message for record in caplog.records] == [
        f"{path}.fai is older than {path}; if the FASTA has changed since then, renew it: "
        f"samtools faidx {path}"
    ] * n_lines


def test_a_nul_byte_in_the_name_of_a_contig_is_refused(text_file: FileBuilder) -> None:
    path = text_file(">a\nAC\n>b\0c\nACGT\n", name="genome.fa")

    with (
        pytest.raises(InputFileError, match="the header of contig 'b' holds a NUL byte"),
        Genome(path) as genome,
    ):
        genome.fetch(Interval("b", 0, 1))


@pytest.mark.parametrize("compression", ["none", "bgzip"])
@pytest.mark.parametrize(
    "text",
    [">a\nACGT\n>a x\nGG\n>b\nGT\n", ">b\nAC\n>c\n>a\nG\n>b\n\n>a\nG\n>d\nT\n"],
    ids=["next_to_each_other", "apart"],
)
def test_names_that_repeat_are_named_wherever_they_stand(
    text_file: FileBuilder, compression: Compression, text: str
) -> None:
    path = text_file(text, name="genome.fa", compression=compression)

    with pytest.raises(InputFileError, match=r"more than one record named '[ab]'; regions"):
        Genome(path)
    pysam.faidx(str(path))
    if compression == "none":
        with pytest.raises(InputFileError, match=r"more than one record named '[ab]'; regions"):
            Genome(path)


def test_a_record_without_bases_is_no_second_one(text_file: FileBuilder) -> None:
    path = text_file(">a\nACGT\n>empty\n\n>b\nGT\n", name="genome.fa")

    with Genome(path) as genome:
        assert genome.fetch(Interval("b", 0, 2)) == "GT"


def test_names_that_repeat_are_named_where_an_index_is_built(text_file: FileBuilder) -> None:
    path = text_file(">a\nACGT\n>b\nGG\n>a x\nGT\n", name="genome.fa")

    with pytest.raises(InputFileError, match="has more than one record named 'a'; regions"):
        Genome(path)


@pytest.mark.parametrize("compression", INDEXABLE)
def test_a_byte_order_mark_is_left_out_of_a_copy(
    text_file: FileBuilder, caplog: pytest.LogCaptureFixture, compression: Compression
) -> None:
    path = text_file("\ufeff>a\nACGT\n>b\nGGCC\n", name="genome.fa", compression=compression)

    with Genome(path) as genome:
        assert genome.fetch(Interval("a", 0, 4)) == "ACGT"
        assert genome.fetch(Interval("b", 0, 4)) == "GGCC"
    assert "has a byte order mark: reading a temporary copy without it" in caplog.text
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# ---- acgt_runs


def runs_by_regex(sequence: str, max_gap: int) -> list[tuple[int, int]]:
    """The definition, read off the text: cut at long runs of N, trim N, drop what is empty."""
    runs = []
    start = 0
    for part in re.split(f"([Nn]{{{max_gap + 1},}})", sequence):
        trimmed = part.strip("Nn")
        if trimmed:
            first = start + part.index(trimmed)
            runs.append((first, first + len(trimmed)))
        start += len(part)
    return runs


@pytest.mark.parametrize("max_gap", [0, 1, 2, 10])
@given(sequence=st.text("ACgNNNnn", max_size=60).map(lambda text: f"{text}A"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_runs_are_what_is_left_between_long_runs_of_n(
    tmp_path: Path, max_gap: int, sequence: str
) -> None:
    path = tmp_path / "genome.fa"
    path.write_text(f">chr1\n{sequence}\n")
    (tmp_path / "genome.fa.fai").write_text(f"chr1\t{len(sequence)}\t6\t100\t101\n")

    with Genome(path) as genome:
        runs = acgt_runs(genome, "chr1", max_gap=max_gap)

    assert [(run.start, run.end) for run in runs] == runs_by_regex(sequence, max_gap)
    assert {run.contig for run in runs} == {"chr1"}


def test_a_contig_that_its_index_takes_for_empty_is_not_passed_over(text_file: FileBuilder) -> None:
    path = text_file(">a\nACGT\n>b\nACGT\n>c\nAC\n", name="genome.fa")
    text_file("a\t4\t3\t4\t5\nb\t0\t11\t4\t5\nc\t2\t19\t2\t3\n", name="genome.fa.fai")

    with Genome(path) as genome, pytest.raises(InputFileError, match="index is out of date"):
        acgt_runs(genome, "b", max_gap=0)


def test_a_long_contig_is_cut_at_its_n_and_nowhere_else(fasta_file: FileBuilder) -> None:
    """9 Mb, read in pieces of 4 Mb: one piece ends in bases, one in a run of N."""
    sequence = "ACGT" * 1_999_990 + "N" * 100 + "ACGT" * 250_000 + "N" * 7

    with Genome(fasta_file({"chr1": sequence})) as genome:
        runs = acgt_runs(genome, "chr1", max_gap=99)
        whole = acgt_runs(genome, "chr1", max_gap=100)

    assert [(run.start, run.end) for run in runs] == [(0, 7_999_960), (8_000_060, 9_000_060)]
    assert [(run.start, run.end) for run in whole] == [(0, 9_000_060)]


def test_an_iupac_code_is_an_n_to_runs_and_is_not_tallied(fasta_file: FileBuilder) -> None:
    with Genome(fasta_file({"chr1": "ACRRGT"})) as genome:
        runs = acgt_runs(genome, "chr1", max_gap=1)

        assert runs == [Interval("chr1", 0, 2), Interval("chr1", 4, 6)]
        assert genome.letters == LetterCounts()


def test_a_contig_of_n_has_no_runs(fasta_file: FileBuilder) -> None:
    with Genome(fasta_file({"chr1": "N" * 500})) as genome:
        assert acgt_runs(genome, "chr1", max_gap=10) == []


# ---- SequenceFile


@pytest.mark.parametrize("compression", KINDS)
def test_fasta_records_are_read_in_order_with_case(
    fasta_file: FileBuilder, compression: Compression
) -> None:
    path = fasta_file(
        {"one first": "ACGTacgtN" * 20, "two": "", "three": "A"},
        compression=compression,
        is_indexed=False,
    )

    assert records(path) == [
        FastaRecord("one", "ACGTacgtN" * 20),
        FastaRecord("two", ""),
        FastaRecord("three", "A"),
    ]
    assert lengths(path) == [180, 0, 1]


def test_names_may_repeat(text_file: FileBuilder) -> None:
    path = text_file(">a\nAC\n>a\nGT\n", name="genes.fa")

    assert records(path) == [FastaRecord("a", "AC"), FastaRecord("a", "GT")]


def test_blank_lines_spaces_and_windows_line_ends_are_no_bases(tmp_path: Path) -> None:
    path = tmp_path / "genes.fa"
    path.write_bytes(b"\r\n\n>a b\r\nAC GT\r\n\r\nAC\r\n\r\n>b\r\nA")

    assert records(path) == [FastaRecord("a", "ACGTAC"), FastaRecord("b", "A")]


@pytest.mark.parametrize("text", [">a\nACGT\n>b\nGG\n", "@a\nACGT\n+\nIIII\n@b\nGG\n+\nII\n"])
def test_a_byte_order_mark_before_the_first_record_is_no_harm(
    text_file: FileBuilder, text: str
) -> None:
    path = text_file(f"\ufeff{text}", name="genes.fa")

    assert records(path) == [FastaRecord("a", "ACGT"), FastaRecord("b", "GG")]


def test_a_blank_before_the_first_record_costs_no_record(text_file: FileBuilder) -> None:
    path = text_file(" >a\nACGT\n>b\nGGG\n", name="genes.fa")

    for read in (records, lengths, Genome):
        with pytest.raises(InputFileError, match=r"genes\.fa:1: a blank stands before the first"):
            read(path)


@pytest.mark.parametrize("compression", KINDS)
def test_fastq_records_are_read_without_their_qualities(
    text_file: FileBuilder, compression: Compression
) -> None:
    text = "@r1 x\nACGT\nAC\n+\n@III\n@I\n@r2\nnN\n+r2\n>>\n@r3\n\n+\n\n"
    path = text_file(text, name="reads.fq", compression=compression)

    assert [(record.name, record.sequence) for record in records(path)] == [
        ("r1", "ACGTAC"),
        ("r2", "nN"),
        ("r3", ""),
    ]
    assert lengths(path) == [6, 2, 0]


def genbank(**sequences: str) -> str:
    text = io.StringIO()
    SeqIO.write(
        [
            SeqRecord(
                Seq(sequence), id=f"{name}.2", name=name, annotations={"molecule_type": "DNA"}
            )
            for name, sequence in sequences.items()
        ],
        text,
        "genbank",
    )
    return text.getvalue()


@pytest.mark.parametrize("compression", KINDS)
def test_genbank_records_are_named_by_accession_and_version(
    text_file: FileBuilder, compression: Compression
) -> None:
    text = genbank(X1="ACGT" * 40, X2="ACGTRY")
    path = text_file(text, name="genes.gb", compression=compression)

    assert [(record.name, record.sequence) for record in records(path)] == [
        ("X1.2", "ACGT" * 40),
        ("X2.2", "ACGTNN"),
    ]
    assert lengths(path) == [160, 6]


def test_a_cut_genbank_file_is_an_error_never_a_short_read(text_file: FileBuilder) -> None:
    text = genbank(X1="ACGT" * 40)

    for n_kept in range(len("LOCUS"), text.index("//") + 1):
        with pytest.raises(InputFileError, match=r"is not valid GenBank|is truncated"):
            records(text_file(text[:n_kept], name="genes.gb"))


@pytest.mark.parametrize("start", [" LOCUS       ", "LOCUS "])
def test_an_odd_start_of_a_genbank_record_costs_no_record(
    text_file: FileBuilder, start: str
) -> None:
    first, second, third, _ = genbank(X1="ACGT", X2="GGCC", X3="TTTT").split("//\n")
    odd = second.replace("LOCUS       ", start)

    with pytest.raises(InputFileError, match=r"is not valid GenBank: '.* is where a record should"):
        records(text_file("//\n".join([first, odd, third, ""]), name="genes.gb"))
    whole = "//\n\n".join([first, second, third, ""])
    assert len(records(text_file(whole, name="genes.gb"))) == 3


def test_a_genbank_record_without_sequence_is_named(text_file: FileBuilder) -> None:
    text = genbank(X1="ACGT")
    end = text.index("ORIGIN")

    with pytest.raises(InputFileError, match=r"record X1\.2 has no sequence"):
        records(text_file(f"{text[:end]}CONTIG      join(U1.1:1..4)\n//\n", name="genes.gb"))


def twobit(sequences: dict[str, str]) -> bytes:
    """A 2bit file: header, index, and for each record N blocks, mask blocks, packed bases."""
    offset = 16 + sum(5 + len(name) for name in sequences)
    index = body = b""
    for name, sequence in sequences.items():
        index += (
            struct.pack("<B", len(name)) + name.encode() + struct.pack("<I", offset + len(body))
        )
        body += struct.pack("<I", len(sequence))
        for pattern in ("[Nn]+", "[a-z]+"):
            spans = [match.span() for match in re.finditer(pattern, sequence)]
            numbers = [len(spans), *(s for s, _ in spans), *(e - s for s, e in spans)]
            body += struct.pack(f"<{len(numbers)}I", *numbers)
        codes = ["TCAG".find(base) % 4 for base in sequence.upper()] + [0] * (-len(sequence) % 4)
        fours = zip(*[iter(codes)] * 4, strict=True)
        body += bytes(4) + bytes(a << 6 | b << 4 | c << 2 | d for a, b, c, d in fours)
    return struct.pack("<4I", 0x1A412743, 0, len(sequences), 0) + index + body


TWOBIT = {"chr1": "ACGTNNNNacgtACGnnnTTTGCA" * 40, "chr2": "TTGCA"}


def test_2bit_records_are_read_with_their_n_and_their_case(tmp_path: Path) -> None:
    path = tmp_path / "genome.2bit"
    path.write_bytes(twobit(TWOBIT))

    assert records(path) == [FastaRecord(name, sequence) for name, sequence in TWOBIT.items()]
    assert lengths(path) == [960, 5]


def test_a_cut_2bit_file_is_an_error_never_a_short_read(tmp_path: Path) -> None:
    path = tmp_path / "genome.2bit"
    data = twobit(TWOBIT)

    for n_kept in range(4, len(data)):
        path.write_bytes(data[:n_kept])
        with pytest.raises(InputFileError, match=r"genome\.2bit: "):
            records(path)


def changed_number(data: bytes, at: int, number: int) -> bytes:
    return data[:at] + struct.pack("<I", number) + data[at + 4 :]


def test_2bit_records_of_one_name_are_both_read_and_one_without_bases(tmp_path: Path) -> None:
    path = tmp_path / "genome.2bit"
    path.write_bytes(twobit({"a": "ACGT", "b": "", "c": "TTnn"}).replace(b"\x01c", b"\x01a"))

    assert pairs(path) == [("a", "ACGT"), ("b", ""), ("a", "TTnn")]


def test_2bit_of_the_other_byte_order_is_read(tmp_path: Path) -> None:
    path = tmp_path / "genome.2bit"
    numbers = struct.pack(">4I", 0x1A412743, 0, 1, 0) + b"\x01a" + struct.pack(">I", 22)
    path.write_bytes(numbers + struct.pack(">6I", 5, 1, 1, 2, 0, 0) + b"\x1b\x80")

    assert pairs(path) == [("a", "TNNGA")]


@pytest.mark.parametrize(
    ("at", "number", "problem"),
    [
        (4, 1, "version 1 is not supported"),
        (12, 7, "a reserved field is not 0"),
        (8, 0xFFFFFFFF, "the file ends early"),
        (18, 0xFFFFFFF0, "record a: the file ends early"),
        (22, 0x7FFFFFFF, "record a: the file ends early"),
        (26, 0x7FFFFFFF, "record a: the file ends early"),
        (34, 7, "record a: its blocks overlap, or reach past its 8 bases"),
        (38, 0xFFFFFFFF, "record a: its blocks overlap, or reach past its 8 bases"),
        (46, 0xFFFFFFFF, "record a: the file ends early"),
    ],
)
def test_numbers_of_2bit_that_cannot_be_are_named(
    tmp_path: Path, at: int, number: int, problem: str
) -> None:
    path = tmp_path / "genome.2bit"
    data = twobit({"a": "NACNNTTA"})
    path.write_bytes(changed_number(data, at, number))

    with pytest.raises(InputFileError, match=f"is damaged or truncated 2bit .*{problem}"):
        records(path)


def pairs(path: Path) -> list[tuple[str, str]]:
    return [(record.name, record.sequence) for record in records(path)]


def test_2bit_is_not_read_through_gzip(tmp_path: Path) -> None:
    path = tmp_path / "genome.2bit.gz"
    path.write_bytes(gzip.compress(twobit(TWOBIT)))

    with pytest.raises(
        InputFileError, match="is 2bit, which is read from an uncompressed file only"
    ):
        records(path)


@pytest.mark.parametrize("compression", KINDS)
@pytest.mark.parametrize("text", [">a\nAC\n>b\nGT\n", "@a\nAC\n+\nII\n@b\nGT\n+\nII\n"])
def test_records_come_from_stdin_too(
    text_file: FileBuilder, monkeypatch: pytest.MonkeyPatch, compression: Compression, text: str
) -> None:
    data = text_file(text, name="input", compression=compression).read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    assert records("-") == [FastaRecord("a", "AC"), FastaRecord("b", "GT")]


def test_lengths_are_not_counted_on_stdin() -> None:
    with pytest.raises(ValueError, match="- can be read only once"):
        lengths("-")


@pytest.mark.parametrize("compression", KINDS)
def test_an_empty_file_has_no_records(text_file: FileBuilder, compression: Compression) -> None:
    path = text_file("", name="empty.fa", compression=compression)

    assert records(path) == []
    assert lengths(path) == []


@pytest.mark.parametrize("read", [records, lengths])
@pytest.mark.parametrize("compression", ["gzip", "bgzip"])
def test_a_truncated_compressed_file_is_an_error_never_a_short_read(
    fasta_file: FileBuilder, compression: Compression, read: Callable[[Path], object]
) -> None:
    path = fasta_file(
        {f"gene{i}": random_dna(1_000, seed=i) for i in range(300)},
        compression=compression,
        is_indexed=False,
    )
    data = path.read_bytes()

    for n_kept in [2, 17, 1_000, len(data) // 2, len(data) - 28, len(data) - 1]:
        path.write_bytes(data[:n_kept])
        with pytest.raises(InputFileError, match="is truncated"):
            read(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ACGT\n>a\nACGT\n", "is not FASTA, FASTQ, GenBank or 2bit"),
        ("chr1\t0\t10\n", "is not FASTA, FASTQ, GenBank or 2bit"),
        (">\nACGT\n", "record number 1 has no name"),
        (">a\nAC\n>  \nACGT\n", "record number 2 has no name"),
        (">a\nACGT\n>b\nAC-T\n", "record b, position 3: '-' is not an IUPAC nucleotide code"),
        (">a\nACGT\n;comment\n", "record a, position 5: ';' is not an IUPAC nucleotide code"),
        (">p\nMKVLAA*\n", "record p, position 4: 'L' is not an IUPAC nucleotide code"),
        ("@a\nACGT\n+\nIII\n", "is not valid FASTQ: Lengths of sequence and quality"),
        ("@a\nACGT\n", "is not valid FASTQ: End of file without quality"),
        ("@a\nACGT\n+\nIIII\n\nb\n", "is not valid FASTQ"),
        (
            "@a\nA.GT\n+\nIIII\n",
            "record a, position 2: '.' is not an IUPAC nucleotide code (N of old",
        ),
        (">a\nAC\n>b\0c\nACGT\n", "the header of record number 2 holds a NUL byte"),
        ("@a x\0\nACGT\n+\nIIII\n", "the header of record number 1 holds a NUL byte"),
        ("@a\nACXT\n+\nIIII\n", "record a, position 3: 'X' is not an IUPAC nucleotide code"),
    ],
)
def test_a_bad_record_is_named_in_one_line(text_file: FileBuilder, text: str, problem: str) -> None:
    path = text_file(text, name="genes.fa")

    with pytest.raises(InputFileError, match=re.escape(f"{path}: {problem}")) as caught:
        records(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputFileError, match=re.escape(problem)):
        lengths(path)


@pytest.mark.parametrize("start", [b"", b">a\n", b"@a\n", b"LOCUS "])
def test_binary_noise_is_an_error(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "genes.fa"
    path.write_bytes(start + random.Random(0).randbytes(1_000))

    with pytest.raises(InputFileError):
        records(path)


def test_replaced_letters_are_tallied_over_all_records(text_file: FileBuilder) -> None:
    letters = LetterCounts()
    path = text_file(">a\nACRU\n>b\nuuY\n", name="genes.fa")

    assert [record.sequence for record in records(path, letters)] == ["ACNT", "ttN"]
    assert letters == LetterCounts(n_ambiguous=2, n_uracil=3)


def test_one_record_is_in_memory_at_a_time(fasta_file: FileBuilder) -> None:
    path = fasta_file(
        {f"gene{i}": "ACGT" * 25_000 for i in range(60)}, compression="bgzip", is_indexed=False
    )

    tracemalloc.start()
    measured = lengths(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert measured == [100_000] * 60
    assert peak < 3_000_000
