"""Tables that a picture shows, and what they are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyenadna_cli.commands.options.picture import named_tables
from hyenadna_cli.errors import UsageError


def test_a_table_without_a_name_has_that_of_its_file():
    named = named_tables(["small-32k=a/x.tsv", "runs/builtin.tsv.gz", "small-32k=b/x.tsv"])

    assert named == [
        ("small-32k", Path("a/x.tsv")),
        ("builtin", Path("runs/builtin.tsv.gz")),
        ("small-32k", Path("b/x.tsv")),
    ]


@pytest.mark.parametrize(
    "tables", [["a/x.tsv", "b/x.tsv"], ["x=a.tsv", "x.tsv"], ["=x.tsv"], [".tsv"]]
)
def test_a_name_that_says_too_little_is_refused(tables):
    with pytest.raises(UsageError, match="use NAME=TABLE, such as k-mers="):
        named_tables(tables)
