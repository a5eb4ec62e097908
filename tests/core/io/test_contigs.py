from __future__ import annotations

from pathlib import Path

import pytest

from hyenadna_cli.core.io.contigs import ContigNames
from hyenadna_cli.errors import InputFileError, UsageError

UCSC = {"chr1": 100, "chrX": 50, "chrM": 16}
ENSEMBL = {"1": 100, "X": 50, "MT": 16}


def test_names_are_matched_exactly_by_default() -> None:
    contigs = ContigNames(UCSC)

    assert contigs.resolve("chr1") == "chr1"
    assert contigs.resolve("1") is None
    assert contigs.resolve("Chr1") is None


@pytest.mark.parametrize(
    ("lengths", "name", "contig"),
    [
        (UCSC, "1", "chr1"),
        (UCSC, "chr1", "chr1"),
        (UCSC, "MT", "chrM"),
        (UCSC, "M", "chrM"),
        (UCSC, "chrMT", "chrM"),
        (ENSEMBL, "chr1", "1"),
        (ENSEMBL, "chrM", "MT"),
        (ENSEMBL, "X", "X"),
        (ENSEMBL, "chr2", None),
    ],
)
def test_auto_reads_chr_prefixes_and_both_mitochondria(
    lengths: dict[str, int], name: str, contig: str | None
) -> None:
    assert ContigNames.auto(lengths).resolve(name) == contig


def test_auto_keeps_two_contigs_apart_that_differ_only_in_style() -> None:
    contigs = ContigNames.auto({"chrM": 16_571, "chrMT": 16_569})

    assert contigs.resolve("chrM") == "chrM"
    assert contigs.resolve("chrMT") == "chrMT"
    assert contigs.resolve("MT") is None


def test_a_file_renames_and_other_names_stay_exact(tmp_path: Path) -> None:
    renames = tmp_path / "renames.txt"
    renames.write_text("# RefSeq to UCSC\nNC_000001.11\tchr1\n\nNC_000002.12  chr2\n")

    contigs = ContigNames.from_file(renames, UCSC)

    assert contigs.resolve("NC_000001.11") == "chr1"
    assert contigs.resolve("NC_000002.12") is None
    assert contigs.resolve("chrX") == "chrX"


def test_a_rename_may_swap_names(tmp_path: Path) -> None:
    renames = tmp_path / "renames.txt"
    renames.write_text("a b\nb a\n")

    contigs = ContigNames.from_file(renames, {"a": 1, "b": 2})

    assert (contigs.resolve("a"), contigs.resolve("b")) == ("b", "a")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("chr1", "needs 2 columns, old and new name; has 1"),
        ("1 chr1 chr2", "needs 2 columns, old and new name; has 3"),
        ("2 chrX", "'2' is renamed to both 'chr1' and 'chrX'"),
    ],
)
def test_a_bad_rename_file_is_named_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    renames = tmp_path / "renames.txt"
    renames.write_text(f"2 chr1\n{line}\n")

    with pytest.raises(InputFileError) as caught:
        ContigNames.from_file(renames, UCSC)

    assert str(caught.value) == f"{renames}:2: {problem}"


def test_a_missing_name_is_explained_with_both_sides_and_the_way_out() -> None:
    explained = ContigNames(dict.fromkeys(["1", "2", "3", "4", "5", "6", "7"], 10)).explain_missing(
        "chr1"
    )

    assert explained == (
        "contig 'chr1' is not in the FASTA (it has 1, 2, 3, 4, 5 and 2 more); "
        "if only the names differ: --contig-map auto (chr1 <-> 1, chrM <-> MT) "
        "or --rename-chrs FILE"
    )


def test_a_name_renamed_to_a_missing_contig_shows_both_names() -> None:
    explained = ContigNames(UCSC, {"NC_2": "chr2"}).explain_missing("NC_2")

    assert explained.startswith("contig 'NC_2', renamed 'chr2', is not in the FASTA (it has chr1, ")


def test_one_constructor_for_both_options(tmp_path):
    renames = tmp_path / "names.txt"
    renames.write_text("one chr1\n")

    assert ContigNames.choose({"chr1": 9}).resolve("1") is None
    assert ContigNames.choose({"chr1": 9}, "auto").resolve("1") == "chr1"
    assert ContigNames.choose({"chr1": 9}, "exact", renames).resolve("one") == "chr1"
    with pytest.raises(UsageError, match="exclude each other"):
        ContigNames.choose({"chr1": 9}, "auto", renames)


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    renames = tmp_path / "renames.txt"
    renames.write_text("\ufeff1 chr1\n", encoding="utf-8")

    assert ContigNames.from_file(renames, UCSC).resolve("1") == "chr1"
