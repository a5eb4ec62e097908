from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from hyenadna_cli.core.dna.coordinates import Interval, Strand
from hyenadna_cli.core.io.bed import Region, read_regions
from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.core.io.streams import Compression, Input
from hyenadna_cli.errors import InputFileError

FileBuilder = Callable[..., Path]

CONTIGS = ContigNames({"chr1": 1_000, "chr2": 50})


def regions(path: Path | str, contigs: ContigNames = CONTIGS) -> list[Region]:
    return list(read_regions(Input(path), contigs=contigs))


def test_three_columns_are_a_region_on_the_plus_strand_named_by_its_place(
    bed_file: FileBuilder,
) -> None:
    (region,) = regions(bed_file("chr1 0 1000"))

    assert region == Region(
        chrom="chr1",
        interval=Interval("chr1", 0, 1_000, "+"),
        name="chr1:0-1000",
        has_name=False,
        has_strand=False,
        columns=(),
        line=1,
    )


def test_all_columns_are_read(bed_file: FileBuilder) -> None:
    (region,) = regions(bed_file("chr1 10 20 BRCA1 0.5 - train x"))

    assert region == Region(
        chrom="chr1",
        interval=Interval("chr1", 10, 20, "-"),
        name="BRCA1",
        has_name=True,
        has_strand=True,
        columns=("train", "x"),
        line=1,
    )


def test_regions_keep_the_order_of_the_file(bed_file: FileBuilder) -> None:
    path = bed_file("chr2 5 9 b", "chr1 7 8 a", "chr2 5 9 b")

    assert [region.name for region in regions(path)] == ["b", "a", "b"]


@pytest.mark.parametrize(
    ("line", "strand", "has_strand"),
    [
        ("chr1 1 2 a 0 +", "+", True),
        ("chr1 1 2 a 0 -", "-", True),
        ("chr1 1 2 a 0 .", "+", False),
        ("chr1 1 2 a 0", "+", False),
    ],
)
def test_a_region_without_strand_is_read_on_the_plus_strand(
    bed_file: FileBuilder, line: str, strand: Strand, has_strand: bool
) -> None:
    (region,) = regions(bed_file(line))

    assert (region.interval.strand, region.has_strand) == (strand, has_strand)


def test_a_dot_or_nothing_is_no_name(bed_file: FileBuilder) -> None:
    path = bed_file("chr1 1 2 . 0 +", "chr1 3 4  0 +")

    assert [region.name for region in regions(path)] == ["chr1:1-2", "chr1:3-4"]


def test_spaces_separate_the_columns_of_a_line_without_tabs(text_file: FileBuilder) -> None:
    path = text_file("chr1  5   9 a 0 -\n chr2 1 2\n", name="regions.bed")

    assert [str(region.interval) for region in regions(path)] == ["chr1:6-9", "chr2:2-2"]


def test_a_name_may_hold_spaces_between_tabs(text_file: FileBuilder) -> None:
    (region,) = regions(text_file("chr1\t5\t9\tmy gene \t0\t-\n", name="regions.bed"))

    assert region.name == "my gene"
    assert region.interval.strand == "-"


def test_headers_comments_and_blank_lines_are_skipped(text_file: FileBuilder) -> None:
    text = (
        "browser position chr1:1-10\n"
        'track name="x" description="y"\n'
        "#chrom\tstart\tend\n"
        "\n"
        " \t \n"
        "chr1\t1\t2\n"
        "track\n"
        " # comment\n"
        "chr1\t3\t4"
    )

    assert [r.interval.start for r in regions(text_file(text, name="regions.bed"))] == [1, 3]


def test_a_contig_whose_name_begins_like_a_header_is_no_header(bed_file: FileBuilder) -> None:
    (region,) = regions(bed_file("track1 1 2"), ContigNames({"track1": 9}))

    assert region.chrom == "track1"


def test_the_interval_has_the_name_of_the_fasta_and_chrom_that_of_the_bed(
    bed_file: FileBuilder,
) -> None:
    (region,) = regions(bed_file("MT 1 2"), ContigNames.auto({"chrM": 16_569}))

    assert (region.chrom, region.interval.contig, region.name) == ("MT", "chrM", "MT:1-2")


@pytest.mark.parametrize("compression", ["none", "gzip", "bgzip"])
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_any_compression_is_read_from_file_or_stdin(
    bed_file: FileBuilder, monkeypatch: pytest.MonkeyPatch, compression: Compression, source: str
) -> None:
    path = bed_file("chr1 1 2", "chr2 3 4", compression=compression)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))

    found = regions(path if source == "file" else "-")

    assert [region.chrom for region in found] == ["chr1", "chr2"]


def test_windows_line_ends_leave_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "regions.bed"
    path.write_bytes(b"chr1\t1\t2\ta\t0\t-\tx\r\nchr1\t3\t4\r\n")

    assert [(r.name, r.columns) for r in regions(path)] == [("a", ("x",)), ("chr1:3-4", ())]


@pytest.mark.parametrize("compression", ["none", "gzip", "bgzip"])
def test_an_empty_bed_has_no_regions(bed_file: FileBuilder, compression: Compression) -> None:
    assert regions(bed_file(compression=compression)) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("chr1 5", "has 2 column(s); a BED line needs chrom, start and end"),
        ("chr1 5 5", "start 5 is not before end 5 (0-based, half-open)"),
        ("chr1 900 20", "start 900 is not before end 20 (0-based, half-open)"),
        ("chr1 0 1001", "end 1,001 is past chr1, which has 1,000 bp"),
        ("chr1 -5 10", "start -5 is negative; BED counts from 0"),
        ("chr1 1e2 200", "start '1e2' is not a whole number"),
        ("chr1 1 2.0", "end '2.0' is not a whole number"),
        ("chr1 1_0 20", "start '1_0' is not a whole number"),
        ("chr1 1 ²", "end '²' is not a whole number"),
        ("chr1 1 ", "end '' is not a whole number"),
        ("chr1 1 2 a 0 *", "strand '*' is none of + - . (column 6)"),
        ("chr9 1 2", "contig 'chr9' is not in the FASTA (it has chr1, chr2); if only "),
        ("1 1 2", "contig '1' is not in the FASTA"),
    ],
)
def test_a_bad_line_is_named_with_its_number(
    bed_file: FileBuilder, line: str, problem: str
) -> None:
    path = bed_file("# header", "chr1 1 2", line)

    with pytest.raises(InputFileError) as caught:
        regions(path)

    assert str(caught.value).startswith(f"{path}:3: {problem}")
    assert "\n" not in str(caught.value)


def test_lines_before_a_bad_one_are_streamed_first(bed_file: FileBuilder) -> None:
    stream = read_regions(Input(bed_file("chr1 1 2", "chr1 2 1")), contigs=CONTIGS)

    assert next(stream).interval == Interval("chr1", 1, 2)
    with pytest.raises(InputFileError):
        next(stream)


@pytest.mark.parametrize("compression", ["gzip", "bgzip"])
def test_a_truncated_bed_is_an_error(bed_file: FileBuilder, compression: Compression) -> None:
    path = bed_file(*(f"chr1 {i} {i + 1}" for i in range(900)), compression=compression)
    path.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(InputFileError, match="is truncated"):
        regions(path)


def test_a_bed_of_binary_noise_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "regions.bed"
    path.write_bytes(b"chr1\t\xff\xfe\t\x00\n")

    with pytest.raises(InputFileError, match="is not a text file"):
        regions(path)


def test_a_byte_order_mark_is_no_part_of_the_first_contig(text_file: FileBuilder) -> None:
    path = text_file("\ufeffchr1\t10\t50\n", name="regions.bed")

    assert [region.chrom for region in regions(path)] == ["chr1"]


@pytest.mark.parametrize(
    "line", ["chr1 1 2 a\0b", "ch\0r1 1 2", "chr1 1 2 a 0 + x\0", "#chrom start \0"]
)
def test_a_nul_byte_is_refused_with_its_line(bed_file: FileBuilder, line: str) -> None:
    """HDF5 cannot hold it, and would say so after all the work."""
    with pytest.raises(InputFileError, match=r"regions\.bed:2: holds a NUL byte"):
        regions(bed_file("chr1 1 2", line))


@pytest.mark.parametrize(
    ("header", "titles"),
    [
        ("#chrom start end name score strand biotype level", ("biotype", "level")),
        ("#chrom start end name score strand", ()),
        ("#chrom start end name score strand biotype level x", ()),
        ("track name=x", ()),
    ],
    ids=["header", "too-few", "too-many", "track"],
)
def test_the_header_line_names_the_columns(
    bed_file: FileBuilder, header: str, titles: tuple[str, ...]
) -> None:
    path = bed_file(
        header, "# made by hand", "chr1 1 2 a 0 + coding 1", "#chrom 1 2 3 4 5 no no", "chr1 3 4"
    )

    assert [region.titles for region in regions(path)] == [titles, titles]
    assert [region.columns for region in regions(path)] == [("coding", "1"), ()]


def test_a_header_of_words_names_columns_between_spaces(text_file: FileBuilder) -> None:
    text = "#chrom  start end name score strand biotype\nchr1 1 2 a 0 + coding\n"

    (region,) = regions(text_file(text, name="regions.bed"))

    assert (region.titles, region.columns) == (("biotype",), ("coding",))
