"""The check of phrases that readers stumble over finds them, and finds none here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def check_prose():
    spec = importlib.util.spec_from_file_location(
        "check_prose", REPOSITORY / "docs" / "check_prose.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text",
    [
        "One row a record.",
        "It writes one token a\nbase.",
        "had 16,384 bases a step",
        "chr9:1-5 is no region",
        "read with so many before them",
        "the two cannot be told apart",
        "filters are made once a length",
        "33 microseconds a base",
        "shards that are twice there",
        "Of everything random.",
    ],
)
def test_a_stumble_is_found(check_prose, text):
    (found,) = check_prose.findings(f"First line.\n{text}")

    assert found[0] == 2


@pytest.mark.parametrize(
    "text",
    [
        "One row per record.",
        "there is no such file",
        "where there is no longer one",
        "`one row a record` is what it said",
        "rows at once, a record of each",
    ],
)
def test_plain_english_is_left_alone(check_prose, text):
    assert not list(check_prose.findings(text))


def test_no_page_module_or_help_text_has_one():
    done = subprocess.run(
        [sys.executable, REPOSITORY / "docs" / "check_prose.py"],
        check=False,
        capture_output=True,
        text=True,
    )

    if "not a git repository" in done.stderr:
        pytest.skip("not a git checkout")
    assert done.returncode == 0, done.stdout
