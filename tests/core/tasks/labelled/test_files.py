"""Every shape of labelled data is read to the same rows; what does not fit names file and row."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from hyenadna_cli.core.dna.sequence import LetterCounts
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.tasks.labelled.files import Reading, read_labelled
from hyenadna_cli.core.tasks.labelled.rows import LabelledData
from hyenadna_cli.errors import InputFileError, UsageError
from tests.conftest import FileBuilder


def read(*data: Path | str, **options: object) -> LabelledData:
    """Read with `valid` and `test` as lists of paths, everything else as settings of `Reading`."""
    splits = {
        name: [str(path) for path in options.pop(name, ())]  # type: ignore[attr-defined]
        for name in ("valid", "test")
    }
    reading = Reading(**options)  # type: ignore[arg-type]
    return read_labelled(
        [str(path) for path in data], **splits, reading=reading, letters=LetterCounts()
    )


def test_a_table_of_sequences_and_classes(text_file: FileBuilder) -> None:
    path = text_file("sequence,label\nacgt,pos\nGGTT,neg\n", name="x.csv.gz", compression="gzip")

    data = read(path)

    assert (data.task, data.label_names) == ("binary", ("neg", "pos"))
    rows = data.splits["train"]
    assert [(row.sequence, row.target) for row in rows] == [("ACGT", 1), ("GGTT", 0)]
    assert data.describe() == "binary, 2 classes (neg, pos): train 2 x 4 bp"
    assert data.sources[0].size == path.stat().st_size


def test_coordinates_are_fetched_on_their_strand(
    text_file: FileBuilder, fasta_file: FileBuilder
) -> None:
    path = text_file(
        "chrom\tstart\tend\tstrand\tlabel\nc\t0\t3\t-\ta\nc\t1\t4\t+\tb\n", name="x.tsv"
    )

    with Genome(fasta_file({"c": "AAcgT"})) as genome:
        rows = read(path, genome=genome).splits["train"]

        assert [row.sequence for row in rows] == ["GTT", "ACG"]
        assert rows.lengths.tolist() == [3, 3]


def test_numbers_sort_by_value_and_decimals_of_classes_are_the_classes(
    text_file: FileBuilder,
) -> None:
    path = text_file(
        "sequence,label\n" + "".join(f"ACGT,{n}\n" for n in (10, 9, "2.0")), name="x.csv"
    )

    assert read(path).label_names == ("2", "9", "10")


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("sequence,label\nACGT,0.5\nACGT,1\n", "regression"),
        ("sequence,label\nACGT,a;b\nACGT,-\n", "multilabel"),
        ("sequence,y_a,y_b\nACGT,1,0\nACGT,0,True\n", "multilabel"),
        ("sequence,light,heat\nACGT,1,0\nACGT,0,2.5\n", "regression"),
        ("sequence,label\nACGT,exon:3,.:1\n", "error"),
        ('sequence,label\nACGT,"exon:3,.:1"\nAC,intron:2\n', "token"),
        ("sequence,label\nACGTACGTACGT,EEEEIIIIIII.\n", "token"),
    ],
)
def test_the_task_is_read_off_the_labels(text_file: FileBuilder, text: str, task: str) -> None:
    path = text_file(text, name="x.csv")

    if task == "error":
        with pytest.raises(InputFileError, match=r"x\.csv:2: has 3 cells"):
            read(path)
    else:
        assert read(path).task == task


def test_token_labels_are_one_class_a_base(text_file: FileBuilder) -> None:
    path = text_file('sequence,label\nACGTA,"exon:3,.:1,intron:1"\n', name="x.csv")

    (row,) = read(path).splits["train"]

    assert isinstance(row.target, np.ndarray)
    assert row.target.tolist() == [0, 0, 0, -1, 1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "x.csv: is empty"),
        ("sequence,label\n", "x.csv: holds no rows"),
        ("bases,label\nACGT,1\n", "x.csv:1: has the columns bases, label; needs"),
        ("sequence,label\nACGT,1\nACGT,\n", "x.csv:3: the label is missing"),
        ("sequence,label\nACGT,1\nACGT,NaN\n", "x.csv:3: the label is missing"),
        ("sequence,label\nACGT,1\nACGT,1\n", "every training row has the label '1'"),
        ("sequence,label\nACGT,1\nAC-T,0\n", "x.csv:3: '-' is not an IUPAC"),
        ("sequence,label\nACGT,1\n,0\n", "x.csv:3: the sequence is empty"),
        ("sequence,y_a,y_b\nACGT,1,0\nACGT,nan,0\n", "x.csv:3: the target 'nan' is missing"),
        ("sequence,label,split\nACGT,1,train\nACGT,2,test\n", "x.csv:2"),
        ("chrom,start,end,label\nc,1,2,0\n", "--fasta"),
        ("sequence\nACGT\n", "x.csv:1: has no label column"),
    ],
)
def test_what_does_not_fit_names_the_file_and_the_row(
    text_file: FileBuilder, text: str, problem: str
) -> None:
    path = text_file(text, name="x.csv")

    if problem == "x.csv:2":
        problem = "every training row"
    with pytest.raises(InputFileError, match="(?s)" + problem.replace(".", r"\.")) as caught:
        read(path)

    assert caught.value.exit_code == 3


def test_a_label_that_training_has_not_is_an_error(text_file: FileBuilder) -> None:
    train = text_file("sequence,label\nACGT,a\nACGT,b\n", name="train.csv")
    test = text_file("sequence,label\nACGT,a\nACGT,c\n", name="test.csv")

    with pytest.raises(InputFileError, match=r"test\.csv:3: the label 'c' is not one of training"):
        read(train, test=[test])


def test_splits_are_found_in_a_directory_of_tables(tmp_path: Path, text_file: FileBuilder) -> None:
    for split in ("train", "dev", "test"):
        text_file("sequence,label\nACGT,a\nACGT,b\n", name=f"{split}.csv.gz", compression="gzip")

    assert set(read(tmp_path).splits) == {"train", "valid", "test"}


def test_splits_are_found_by_a_common_beginning(tmp_path: Path, text_file: FileBuilder) -> None:
    for split in ("train", "test"):
        text_file("sequence,label\nACGT,a\nACGT,b\n", name=f"set.{split}.csv")

    assert set(read(tmp_path / "set").splits) == {"train", "test"}


def test_folders_of_classes_hold_a_sequence_a_file(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for name, sequence in (("negative", "AAAA"), ("positive", "CCCC")):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                (folder / f"{number}.txt").write_text(sequence)

    data = read(tmp_path)

    assert data.label_names == ("negative", "positive")
    assert [row.sequence for row in data.splits["test"]] == ["AAAA", "AAAA", "CCCC", "CCCC"]


def test_a_table_of_coordinates_for_each_class(tmp_path: Path, fasta_file: FileBuilder) -> None:
    genome_path = fasta_file({"c": "AACCGGTT"})
    for name, start in (("negative", 0), ("positive", 4)):
        path = tmp_path / "set" / "train" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"id,region,start,end,strand\n0,c,{start},{start + 2},+\n")

    with Genome(genome_path) as genome:
        data = read(tmp_path / "set", genome=genome)
        found = [(row.sequence, row.target) for row in data.splits["train"]]

    assert found == [("AA", 0), ("GG", 1)]


def test_a_fasta_for_each_class(fasta_file: FileBuilder) -> None:
    yes = fasta_file({"chr1:11-14": "ACGT"}, name="yes.fa")
    no = fasta_file({"CHR2_5_9": "AAAA"}, name="no.txt")

    rows = read(f"yes={yes}", f"no={no}").splits["train"]

    assert [(row.sequence, row.target) for row in rows] == [("ACGT", 1), ("AAAA", 0)]
    assert [str(row.interval) for row in rows] == ["chr1:11-14", "chr2:6-9"]


def test_fasta_headers_end_in_the_label(fasta_file: FileBuilder) -> None:
    path = fasta_file({"chr1:1-4|1": "ACGT", "peak enhancer": "GGGG", "x|0": "TTTT"})

    data = read(path)

    assert data.label_names == ("0", "1", "enhancer")
    assert [row.name for row in data.splits["train"]] == ["chr1:1-4", "peak", "x"]


def test_a_fasta_header_without_label_is_an_error(fasta_file: FileBuilder) -> None:
    with pytest.raises(InputFileError, match=r"record 2 \('seq7'\): the header does not end in"):
        read(fasta_file({"a|1": "ACGT", "seq7": "ACGT"}))


def test_a_header_behind_a_blank_loses_no_record(tmp_path: Path) -> None:
    path = tmp_path / "x.fa"
    path.write_text("\n >a|1\nACGT\n>b|0\nGGG\n>c|1\nGGG\n")

    with pytest.raises(InputFileError, match=r"x\.fa:2: a blank stands before the first record"):
        read(path)

    path.write_text("\n\n>a|1\nACGT\n>b|0\nGGG\n")
    assert [row.name for row in read(path).splits["train"]] == ["a", "b"]


def test_a_bed_has_its_labels_in_the_name_or_a_later_column(
    bed_file: FileBuilder, fasta_file: FileBuilder
) -> None:
    bed = bed_file("c 0 2 a 0 + x", "c 2 4 b 0 - y")

    with Genome(fasta_file({"c": "AACCGG"})) as genome:
        by_name = read(bed, genome=genome)
        by_column = read(bed, genome=genome, label_columns=("7",))

        assert by_name.label_names == ("a", "b")
        assert by_column.label_names == ("x", "y")
        assert by_name.splits["train"][1].sequence == "GG"


def test_splits_by_contig(text_file: FileBuilder) -> None:
    lines = [f"ACGT,chr{n},0,4,{n % 2}\n" for n in (1, 2, 3, 4)]
    path = text_file("sequence,chrom,start,end,label\n" + "".join(lines), name="x.csv")

    data = read(path, valid_contigs=frozenset({"chr3"}), test_contigs=frozenset({"chr4"}))

    assert {split: len(rows) for split, rows in data.splits.items()} == {
        "train": 2,
        "valid": 1,
        "test": 1,
    }


def split_table(text_file: FileBuilder, *rows: tuple[str, str]) -> Path:
    """A table of (contig, split) with two classes in turn."""
    lines = [f"ACGT,{contig},0,4,{n % 2},{split}\n" for n, (contig, split) in enumerate(rows)]
    return text_file("sequence,chrom,start,end,label,split\n" + "".join(lines), name="s.csv")


def test_contigs_take_rows_from_training_and_leave_the_test_set_alone(
    text_file: FileBuilder,
) -> None:
    rows = [("c1", "train"), ("c2", "train"), ("c3", "train"), ("c9", "test"), ("c9", "test")]

    data = read(split_table(text_file, *rows), valid_contigs=frozenset({"c3"}))

    assert {split: len(part) for split, part in data.splits.items()} == {
        "train": 2,
        "valid": 1,
        "test": 2,
    }


def test_a_row_of_the_test_set_never_becomes_one_of_another_split(text_file: FileBuilder) -> None:
    path = split_table(text_file, ("c1", "train"), ("c2", "train"), ("c3", "test"))

    with pytest.raises(InputFileError, match="is marked test, but its contig is one of --valid-"):
        read(path, valid_contigs=frozenset({"c3"}))


def test_contigs_validate_beside_a_test_file(text_file: FileBuilder) -> None:
    path = text_file(
        "sequence,chrom,start,end,label\nA,c,0,1,0\nC,c,1,2,1\nG,d,1,2,1\n", name="x.csv"
    )
    test = text_file("sequence,chrom,start,end,label\nA,d,5,6,0\n", name="t.csv")

    data = read(path, test=[test], valid_contigs=frozenset({"d"}))

    assert {split: len(part) for split, part in data.splits.items()} == {
        "train": 2,
        "valid": 1,
        "test": 1,
    }


@pytest.mark.parametrize("line", ["c 2 4", "c 2 4 ."])
def test_a_region_without_a_name_has_no_label(
    bed_file: FileBuilder, fasta_file: FileBuilder, line: str
) -> None:
    with (
        Genome(fasta_file({"c": "AACCGG"})) as genome,
        pytest.raises(InputFileError, match="bed:2: the label is missing"),
    ):
        read(bed_file("c 0 2 a", line, "c 4 6 b"), genome=genome)


def test_a_label_string_that_is_a_letter_short_is_named(text_file: FileBuilder) -> None:
    rows = [f"{'ACGT' * 4},{'x' * 8}{'o' * (7 if n == 2 else 8)}\n" for n in range(5)]

    with pytest.raises(InputFileError, match="has labels for 15 bases; its sequence has 16"):
        read(text_file("sequence,label\n" + "".join(rows), name="x.csv"))


def test_names_are_not_taken_for_classes(text_file: FileBuilder) -> None:
    rows = "".join(f"ACGT,peak_{n}\n" for n in range(12))

    with pytest.raises(InputFileError, match="every row has a label of its own \\(peak_0,"):
        read(text_file("sequence,label\n" + rows, name="x.csv"))


def test_a_contig_without_rows_leaves_its_split_empty(text_file: FileBuilder) -> None:
    path = text_file("sequence,chrom,start,end,label\nA,c,0,1,0\nC,c,1,2,1\n", name="x.csv")

    with pytest.raises(InputFileError, match="no row lies on chr9: the test split is empty"):
        read(path, test_contigs=frozenset({"chr9"}))


def test_two_files_for_one_split_are_an_error(tmp_path: Path, text_file: FileBuilder) -> None:
    for split in ("train", "test"):
        text_file("sequence,label\nACGT,a\nACGT,b\n", name=f"{split}.csv")

    with pytest.raises(UsageError, match="bring a test split"):
        read(tmp_path, test=[tmp_path / "test.csv"])


def test_chromatin_tables_count_contigs_from_zero(
    text_file: FileBuilder, fasta_file: FileBuilder
) -> None:
    path = text_file("Chr_No,Start,End,y_a,y_b\n0,0,2,True,False\n22,1,3,0,1\n", name="x.csv")

    with Genome(fasta_file({"chr1": "ACGT", "chrX": "ACGT"})) as genome:
        data = read(path, genome=genome)
        rows = data.splits["train"]

        assert (data.task, data.label_names) == ("multilabel", ("a", "b"))
        assert [row.sequence for row in rows] == ["AC", "CG"]
        assert rows.targets.dtype == np.uint8  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["nothing.csv", "nothing.h5", "a=nothing.fa", "nowhere/x.csv"])
def test_no_file_is_an_error(tmp_path: Path, name: str) -> None:
    label, _, file = name.rpartition("=")

    with pytest.raises(InputFileError, match="no such file"):
        read(f"{label}={tmp_path / file}" if label else tmp_path / file)


def test_a_stream_is_refused() -> None:
    with pytest.raises(UsageError, match="read more than once; give a file"):
        read("-")


def test_indexes_and_notes_beside_the_data_are_no_classes(
    tmp_path: Path, fasta_file: FileBuilder
) -> None:
    for name in ("yes", "no"):
        fasta_file({"a": "ACGT"}, name=f"{name}.fa")
    (tmp_path / "README.md").write_text("two classes")

    assert read(tmp_path).label_names == ("no", "yes")


def test_parquet_reads_as_the_same_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "train-00000-of-00001.parquet"
    parquet.write_table(pyarrow.table({"seq": ["acgt", "GGTT"], "label": [1, 0]}), path)

    rows = read(path).splits["train"]

    assert [(row.sequence, row.target) for row in rows] == [("ACGT", 1), ("GGTT", 0)]


def test_a_sequence_a_file_is_listed_by_folder(tmp_path: Path) -> None:
    for name in ("negative", "positive"):
        folder = tmp_path / "train" / name
        folder.mkdir(parents=True)
        for number in range(30):
            (folder / f"{number}.txt").write_text("ACGT")

    sources = read(tmp_path).sources

    assert [Path(source.path).name for source in sources] == ["negative", "positive"]
    assert sources[0].size == 120
    assert sources[0].sha256 == sources[1].sha256


@pytest.mark.parametrize("text", ["a\tb", "a\x0bb", "a\x00b"])
def test_a_label_that_would_break_a_table_is_refused_where_it_stands(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "x.fa"
    path.write_text(f">p0|1\nACGT\n>p1|{text}\nACGT\n")

    with pytest.raises(InputFileError, match=r"x\.fa:2: the label 'a.+b' has a tab or a line"):
        read(path)


def test_a_label_in_quotes_with_a_tab_is_refused(text_file: FileBuilder) -> None:
    path = text_file('sequence,label\nACGT,a\nACGT,"b\tc"\n', name="x.csv")

    with pytest.raises(InputFileError, match=r"x\.csv:3: the label 'b\\tc' has a tab"):
        read(path)


def test_a_class_with_a_tab_is_refused(fasta_file: FileBuilder) -> None:
    yes, no = fasta_file({"a": "ACGT"}, name="y.fa"), fasta_file({"a": "ACGT"}, name="n.fa")

    with pytest.raises(InputFileError, match=r"y\.fa:1: the label 'a\\tb' has a tab"):
        read(f"a\tb={yes}", f"no={no}")


def test_a_target_with_a_tab_in_its_name_is_refused(text_file: FileBuilder) -> None:
    path = text_file('sep=,\nsequence,"y_a\tb"\nACGT,0.5\nACGT,1.5\n', name="x.csv")

    with pytest.raises(InputFileError, match=r"x\.csv: the label column 'a\\tb' has a tab"):
        read(path)


def test_tabs_in_names_are_read_as_blanks(text_file: FileBuilder, tmp_path: Path) -> None:
    table = text_file('name,sequence,label\n"p\t1",ACGT,a\nq,ACGT,b\n', name="x.csv")
    (tmp_path / "x.fa").write_text(">p0\tmade up note\nACGT\n")
    (tmp_path / "y.fa").write_text(">p1\nACGT\n")

    by_class = read(f"x={tmp_path / 'x.fa'}", f"y={tmp_path / 'y.fa'}")

    assert read(table).splits["train"].names == ["p 1", "q"]
    assert by_class.splits["train"].names == ["p0 made up note", "p1"]


def test_a_contig_with_a_tab_is_refused(text_file: FileBuilder) -> None:
    path = text_file('sequence,chrom,start,end,label\nA,"c\td",0,1,a\nC,c,0,1,b\n', name="x.csv")

    with pytest.raises(InputFileError, match=r"x\.csv:2: the contig 'c\\td' has a tab"):
        read(path)


def test_quotes_in_a_tsv_lose_no_rows(text_file: FileBuilder) -> None:
    rows = [f"{chr(34) * (n in (3, 9))}p{n}\tACGT\t{n % 2}\n" for n in range(12)]

    data = read(text_file("name\tsequence\tlabel\n" + "".join(rows), name="q.tsv"))

    assert data.split_sizes == {"train": 12}
    assert data.splits["train"].names[9] == '"p9'


def table_of(text_file: FileBuilder, *labels: object, sequence: str = "ACGT" * 10) -> Path:
    """A table of one sequence and these labels in turn, each in quotes."""
    rows = [f'{sequence},"{label}"\n' for label in labels]
    return text_file("sequence,label\n" + "".join(rows), name="x.csv")


def test_class_names_with_numbers_behind_a_colon_are_no_runs(text_file: FileBuilder) -> None:
    data = read(table_of(text_file, *["GO:0003677", "cluster:1"] * 6))

    assert (data.task, data.label_names) == ("binary", ("GO:0003677", "cluster:1"))


def test_runs_in_most_rows_are_a_token_task_and_a_short_row_is_named(
    text_file: FileBuilder,
) -> None:
    with pytest.raises(InputFileError, match=r"x\.csv:4: has labels for 39 bases; .* has 40"):
        read(table_of(text_file, "a:40", "a:10,b:30", "a:10,b:29", "b:40"))


def test_runs_that_add_up_nowhere_are_not_taken_for_classes(text_file: FileBuilder) -> None:
    path = table_of(text_file, "a:10,b:29", "a:1,b:39", "a:10,b:29")

    with pytest.raises(InputFileError, match=r"'a:10,b:29' are runs .*--task token .* a;b"):
        read(path)
    with pytest.raises(InputFileError, match=r"x\.csv:2: has labels for 39 bases"):
        read(path, task="token")


def test_a_run_of_more_bases_than_memory_holds_is_an_error(text_file: FileBuilder) -> None:
    with pytest.raises(InputFileError, match="has labels for 999,999,999,999 bases"):
        read(table_of(text_file, "a:40", "b:40", "b:999999999999"))


@pytest.mark.parametrize("column", ["Unnamed: 0", "index", "__index_level_0__"])
def test_row_numbers_of_pandas_are_no_label(
    text_file: FileBuilder, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    text = f"{column},sequence,is_promoter\n" + "".join(f"{n},ACGT,{n % 2}\n" for n in range(60))
    path = text_file(text, name="x.csv")

    data = read(path)

    assert (data.task, data.label_names) == ("binary", ("0", "1"))
    assert f"x.csv: left out {column}, which looks like row numbers" in caplog.text
    assert read(path, label_columns=(column,)).task == "regression"


def test_a_table_of_row_numbers_alone_has_no_labels(text_file: FileBuilder) -> None:
    with pytest.raises(InputFileError, match="has no label column"):
        read(text_file("index,sequence\n0,ACGT\n1,ACGT\n", name="x.csv"))


def test_many_whole_numbers_are_amounts_with_a_word(
    text_file: FileBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    path = table_of(text_file, *range(60), *range(60))

    assert read(path).task == "regression"
    assert "60 different whole numbers, taken for amounts (regression)" in caplog.text
    assert "--task multiclass" in caplog.text
    caplog.clear()
    assert len(read(path, task="multiclass").label_names) == 60
    read(path, task="regression")
    assert caplog.text == ""


def test_fractions_are_amounts_without_a_word(
    text_file: FileBuilder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    assert read(table_of(text_file, *[n / 4 for n in range(60)])).task == "regression"
    assert caplog.text == ""


def test_decimal_commas_are_refused_unless_they_are_said_to_be_classes(
    text_file: FileBuilder,
) -> None:
    path = table_of(text_file, *["0,5", "1,5", "2"] * 4)

    with pytest.raises(
        InputFileError, match=r"x\.csv: labels such as '0,5' are numbers with a com"
    ):
        read(path)
    with pytest.raises(InputFileError, match=r"x\.csv:2: the target '0,5' is not a number; write "):
        read(path, task="regression")
    assert read(path, task="multiclass").label_names == ("0,5", "1,5", "2")


def test_lists_are_several_labels(text_file: FileBuilder) -> None:
    path = table_of(text_file, "['a', 'b']", "[]", "['b']")

    data = read(path)

    assert (data.task, data.label_names) == ("multilabel", ("a", "b"))
    assert np.array(data.splits["train"].targets).tolist() == [[1, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize(
    "label", ["[0, 1, 0]", "[0 1 0]", "['a' 'b']", "['a;b']", "['a', 1]", "{'a': 1}", "('a', 'b')"]
)
def test_other_lists_are_refused(text_file: FileBuilder, label: str) -> None:
    with pytest.raises(InputFileError, match=r"x\.csv:3: the label .* is a list; write several la"):
        read(table_of(text_file, "['a']", label))


def test_names_in_brackets_are_names(text_file: FileBuilder) -> None:
    path = table_of(text_file, "[unknown]", "[Candida] auris", "(GATA)n")

    assert read(path).label_names == ("(GATA)n", "[Candida] auris", "[unknown]")


def test_what_is_wrong_with_training_labels_names_a_file_of_training(
    text_file: FileBuilder,
) -> None:
    train = text_file("sequence,label\nACGT,1\nACGT,1\n", name="z.csv")
    test = text_file("sequence,label\nACGT,1\nACGT,0\n", name="a.csv")

    with pytest.raises(InputFileError, match=r"z\.csv: every training row has the label"):
        read(train, test=[test])
    with pytest.raises(InputFileError, match=r"z\.csv: no row lies on c9: the valid split is em"):
        read(
            text_file("sequence,chrom,start,end,label\nA,c,0,1,0\nC,c,0,1,1\n", name="z.csv"),
            test=[text_file("sequence,chrom,start,end,label\nA,c,0,1,0\n", name="a.csv")],
            valid_contigs=frozenset({"c9"}),
        )


def test_rows_without_any_label_are_refused(text_file: FileBuilder) -> None:
    with pytest.raises(InputFileError, match="every training row has the label '-'"):
        read(table_of(text_file, "-", "-"), task="multilabel")
