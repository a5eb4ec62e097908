"""A line of a table is a row: no quote hides rows, and tables of spreadsheets are read as meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyenadna_cli.core.io.labelled_cells import table_lines
from hyenadna_cli.errors import InputFileError
from tests.conftest import FileBuilder


def cells_of(path: Path) -> list[list[str]]:
    return [cells for _, cells in table_lines(path)]


def test_a_quote_that_begins_a_cell_of_a_tsv_hides_no_rows(text_file: FileBuilder) -> None:
    path = text_file('name\tlabel\n"p3\t0\np4\t1\n"p5\t1\n', name="q.tsv")

    assert cells_of(path)[1:] == [['"p3', "0"], ["p4", "1"], ['"p5', "1"]]


def test_quotes_around_a_cell_of_a_tsv_are_taken_off(text_file: FileBuilder) -> None:
    path = text_file('"name"\t"label"\n"5"" end"\t"exon:3,.:1"\n"\t""\n', name="r.tsv")

    assert cells_of(path) == [["name", "label"], ['5" end', "exon:3,.:1"], ['"', ""]]


@pytest.mark.parametrize(
    "text",
    [
        'name,label\n"p3,0\np4,1\n"p5,1\n',
        'name,label\n"p3,0\np4,1\np5,1\n',
        'label,name\n0,"p3\n1,p4\n1,p5"\n',
        'label,name\n0,"p3" x\n',
    ],
    ids=["to-another-quote", "to-the-end", "to-the-end-of-a-cell", "text-behind"],
)
def test_a_quote_that_a_line_of_a_csv_does_not_close_is_an_error(
    text_file: FileBuilder, text: str
) -> None:
    with pytest.raises(InputFileError, match=r"q\.csv:2: its quotes \(\"\) do not pair"):
        cells_of(text_file(text, name="q.csv"))


@pytest.mark.parametrize(
    ("text", "first_line"),
    [
        ('a,b\n"1,2",3\n', 1),
        ('a;b\n"1,2";3\n', 1),
        ("sep=;\na;b\n1,2;3\n", 2),
        ('\ufeffSEP=,\r\na,b\r\n"1,2",3\r\n', 2),
        ("sep=|\na|b\n1,2|3\n", 2),
        ("a\tb\n1,2\t3\n", 1),
        ("\n\na\tb\n1,2\t3\n", 3),
    ],
)
def test_what_separates_cells_is_read_off_the_first_line(
    text_file: FileBuilder, text: str, first_line: int
) -> None:
    path = text_file(text, name="x.csv")

    assert list(table_lines(path)) == [
        (first_line, ["a", "b"]),
        (first_line + 1, ["1,2", "3"]),
    ]


def test_lines_are_counted_with_blank_ones(text_file: FileBuilder) -> None:
    assert [line for line, _ in table_lines(text_file("\na,b\n,\n1,2", name="x.csv"))] == [2, 4]
    assert list(table_lines(text_file("", name="empty.csv"))) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named_as_what_it_is(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes("name\tlabel\na\t0\n".encode(encoding))

    with pytest.raises(InputFileError, match=r"x\.tsv: is UTF-16; convert it: iconv"):
        cells_of(path)


def test_lists_of_parquet_are_labels_between_semicolons(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    parquet.write_table(
        pyarrow.table(
            {"label": [["a", "b"], ["a"], [], None, ["a;b"]], "n": [[1], [], [], [], []]}
        ),
        path,
    )

    assert [cells[0] for cells in cells_of(path)[1:]] == ["a;b;", "a;", "-", "", "['a;b']"]
    assert cells_of(path)[1][1] == "[1]"
