"""Records of a file or of regions: what is read, what is refused before any work."""

from __future__ import annotations

import io
import os
import threading

import pytest

from hyenadna_cli.core.io.records import Record, RecordSource, strand_label
from hyenadna_cli.errors import InputFileError, UsageError


def read_all(*arguments, **options):
    with RecordSource(*arguments, **options) as source:
        return list(source.read())


def test_a_fasta_gives_whole_records(fasta_file):
    fasta = str(fasta_file({"a some words": "ACGT", "b": "ggN"}))

    assert read_all(fasta) == [
        Record("a", "a", 0, 4, ".", "ACGT"),
        Record("b", "b", 0, 3, ".", "ggN"),
    ]


def test_a_bed_gives_regions_on_the_plus_strand_with_the_strand_beside(fasta_file, bed_file):
    fasta = str(fasta_file({"chr1": "AACCGGTTNN"}))
    bed = str(bed_file("chr1 1 4 x 0 -", "chr1 0 2", "chr1 6 10 . 0 +"))

    assert read_all(fasta, bed=bed) == [
        Record("x", "chr1", 1, 4, "-", "ACC"),
        Record("chr1:0-2", "chr1", 0, 2, ".", "AA"),
        Record("chr1:6-10", "chr1", 6, 10, "+", "TTNN"),
    ]


def test_lengths_are_known_before_anything_is_read(fasta_file, bed_file):
    fasta = str(fasta_file({"chr1": "ACGTACGT", "chr2": "ACG"}))

    with RecordSource(fasta) as whole, RecordSource(fasta, bed=str(bed_file("chr2 1 3"))) as part:
        assert whole.lengths.tolist() == [8, 3]
        assert whole.n_bases(range(1, 2)) == 3
        assert part.lengths.tolist() == [2]


def test_a_range_of_records_can_be_read_again_and_again(fasta_file, bed_file):
    fasta = str(fasta_file({"chr1": "ACGTACGT", "chr2": "ACG"}))
    bed = str(bed_file("chr1 0 1", "chr1 1 2", "chr1 2 3", "chr2 2 3"))

    with RecordSource(fasta, bed=bed) as source:
        assert [record.sequence for record in source.read(range(1, 3))] == ["C", "G"]
        assert [record.sequence for record in source.read(range(3, 4))] == ["G"]
        assert list(source.read(range(0))) == []


def test_the_strands_of_a_record():
    record = Record("x", "chr1", 0, 3, "-", "AAC")

    assert record.strands("bed") == ("-",)
    assert record.strands("+") == ("+",)
    assert record.strands("both") == ("+", "-")
    assert record.read("-", 0, 3) == "GTT"
    assert [record.read("-", 0, 1), record.read("+", 0, 1), record.read("+", 1, 3)] == [
        "G",
        "A",
        "AC",
    ]
    assert [strand_label(record, choice) for choice in ("bed", "+", "both")] == ["-", "+", "both"]
    assert Record("x", "chr1", 0, 3, ".", "AAC").strands("bed") == ("+",)


def test_stdin_is_read_once_and_its_lengths_are_not_known(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b">a\nACGU\n>b\nAR\n")))

    with RecordSource("-") as source:
        assert source.lengths is None
        assert source.n_bases() is None
        assert [record.sequence for record in source.read()] == ["ACGT", "AN"]
        assert (source.letters.n_ambiguous, source.letters.n_uracil) == (1, 1)


def test_a_pipe_is_a_stream_too(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = threading.Thread(target=lambda: pipe.write_text(">a\nACGT\n"))
    feeder.start()

    with RecordSource(str(pipe)) as source:
        assert source.measured_lengths().tolist() == [4]
    feeder.join()


def test_contig_names_can_be_mapped(fasta_file, bed_file, text_file):
    fasta, bed = str(fasta_file({"1": "ACGT"})), str(bed_file("chr1 0 2"))
    names = text_file("chr1 1\n", name="names.txt")

    assert read_all(fasta, bed=bed, contig_map="auto")[0].chrom == "chr1"
    assert read_all(fasta, bed=bed, rename_chrs=names)[0].sequence == "AC"
    with pytest.raises(InputFileError, match="--contig-map auto"):
        RecordSource(fasta, bed=bed)


@pytest.mark.parametrize(
    "line",
    ["chr1 2 2", "chr1 3 9", "chr9 0 1", "chr1 a b"],
    ids=["empty", "past", "contig", "text"],
)
def test_the_whole_bed_is_checked_on_opening(fasta_file, bed_file, line):
    fasta = str(fasta_file({"chr1": "ACGT"}))
    bed = str(bed_file("chr1 0 1", line))

    with pytest.raises(InputFileError, match=r"regions\.bed:2: "):
        RecordSource(fasta, bed=bed)


def test_the_index_is_checked_on_opening_for_the_contigs_of_the_bed(fasta_file, bed_file):
    fasta = fasta_file({"chr1": "ACGT", "chr2": "GGCC"})
    fasta.write_text(">chr2\nACGT\n>chr1\nGGCC\n")

    with pytest.raises(InputFileError, match="contig 'chr2' is not where it says; renew it"):
        RecordSource(str(fasta), bed=str(bed_file("chr2 0 2")))


def test_every_record_of_a_file_is_checked_on_opening(fasta_file):
    with pytest.raises(InputFileError, match="record b, position 3"):
        RecordSource(str(fasta_file({"a": "ACGT", "b": "AC*T"})))


@pytest.mark.parametrize(
    ("fasta", "options"),
    [
        ("g.fa", {"contig_map": "auto"}),
        ("g.fa", {"rename_chrs": "x"}),
        ("-", {"bed": "x"}),
    ],
)
def test_options_that_do_not_go_together_are_refused(fasta, options):
    with pytest.raises(UsageError):
        RecordSource(fasta, **options)


def test_one_way_of_naming_contigs_at_a_time(fasta_file):
    genome = str(fasta_file({"a": "ACGT"}))

    with pytest.raises(UsageError, match="exclude each other"):
        RecordSource(genome, bed="x", contig_map="auto", rename_chrs="x")


ROWS = ("chr1 0 2 a 0 + coding", "chr1 1 4", "chr1 2 5 c 0 - . 7")


def test_further_columns_of_a_bed_are_kept_and_named(fasta_file, bed_file):
    fasta = str(fasta_file({"chr1": "ACGTACGT"}))
    bed = str(bed_file("#chrom start end name score strand biotype", *ROWS))

    with RecordSource(fasta, bed=bed) as source:
        assert source.columns == ("biotype", "column8")
        assert [record.columns for record in source.read()] == [
            ("coding", ""),
            ("", ""),
            (".", "7"),
        ]
    with RecordSource(fasta) as source:
        assert source.columns == ()


def test_columns_of_a_bed_that_is_read_once_are_those_of_its_first_region(fasta_file, monkeypatch):
    fasta = str(fasta_file({"chr1": "ACGTACGT"}))

    def bed(*rows):
        text = "".join(row.replace(" ", "\t") + "\n" for row in rows)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return "-"

    with RecordSource(fasta, bed=bed("#c s e n s s .", *ROWS[:2])) as source:
        assert source.columns == ("column7",)
        assert [record.columns for record in source.read()] == [("coding",), ("",)]
    with RecordSource(fasta, bed=bed()) as source:
        assert (source.columns, list(source.read())) == ((), [])
    with (
        RecordSource(fasta, bed=bed(*ROWS)) as source,
        pytest.raises(InputFileError, match=r"-:3: has 1 column\(s\) more than the first region"),
    ):
        list(source.read())
