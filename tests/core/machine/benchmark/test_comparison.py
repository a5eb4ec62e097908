"""What counts as slower than before."""

from __future__ import annotations

import csv

import pytest

from hyenadna_cli.core.machine.benchmark.comparison import KeptTable, fallen
from hyenadna_cli.core.machine.benchmark.report import COLUMNS
from hyenadna_cli.errors import InputFileError

CASE = {
    "implementation": "hyenadna",
    "kernels": "numba",
    "dtype": "fp32",
    "pass": "forward",
    "n_layer": 2,
    "d_model": 128,
    "length": 1024,
    "batch": 32,
    "status": "OK",
    "times_faster_than_plain": 4.0,
    "share_of_floor": 0.5,
}


def cells(**changes):
    values = {**CASE, **changes}
    return tuple(values.get(name) for name in COLUMNS)


@pytest.fixture
def table(tmp_path):
    """A table of the given rows, as the command writes it."""

    def write(*rows):
        path = tmp_path / "old.tsv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
        return KeptTable(path)

    return write


def test_both_figures_of_a_case_are_judged(table):
    found = table(cells()).changes([cells(times_faster_than_plain=3.0, share_of_floor=0.55)])

    assert [(change.figure, round(change.loss, 3)) for change in found] == [
        ("times_faster_than_plain", 0.25),
        ("share_of_floor", -0.1),
    ]
    assert found[0].describe() == (
        "2x128, 1,024 x 32, forward, fp32: times faster than plain 3, was 4 (-25%)"
    )


@pytest.mark.parametrize(
    ("faster", "share", "is_fallen"),
    [
        (2.0, 0.25, True),
        (2.0, 0.45, False),  # a machine whose plain passes are faster today
        (3.9, 0.25, False),  # one whose large products are
        (2.5, 0.31, False),  # exactly as much as is allowed, or less
        (None, 0.25, True),
    ],
)
def test_a_case_has_fallen_where_both_figures_have(table, faster, share, is_fallen):
    now = cells(times_faster_than_plain=faster, share_of_floor=share)

    found = fallen(table(cells()).changes([now]), 0.38)

    assert found == ([("fp32", "forward", "2", "128", "1024", "32")] if is_fallen else [])


def test_kernels_that_are_no_longer_chosen_do_not_hide_a_loss(table):
    """Where the fast path falls away, the case is still the same."""
    (first, _) = table(cells()).changes([cells(kernels="torch", times_faster_than_plain=1.0)])

    assert first.loss == 0.75


@pytest.mark.parametrize(
    "changes",
    [
        {"length": 2048},
        {"dtype": "bf16"},
        {"pass": "training"},
        {"implementation": "plain"},
        {"status": "SKIPPED"},
    ],
)
def test_only_the_same_case_is_compared(table, changes):
    with pytest.raises(InputFileError, match="has none of the cases"):
        table(cells()).changes([cells(**changes)])


def test_a_figure_that_is_missing_on_one_side_is_left_out(table):
    found = table(cells(share_of_floor=None)).changes([cells()])

    assert [change.figure for change in found] == ["times_faster_than_plain"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"chrom\tstart\n", "it has no column implementation"),
        (b"", "it has no column implementation"),
        (b"\xff\xfe\x00", "cannot be read"),
        (None, "no such file"),
    ],
)
def test_another_file_is_no_table(tmp_path, content, problem):
    path = tmp_path / "old.tsv"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputFileError, match=problem):
        KeptTable(path)
