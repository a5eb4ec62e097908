"""The tutorials show what their commands print."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted((REPOSITORY / "docs" / "tutorials").glob("*.md"))
NEEDS = {"filter-a-vcf": "bcftools"}
"""Programs that a page uses besides ours."""


@pytest.fixture(scope="module")
def tutorials():
    path = REPOSITORY / "docs" / "run_tutorials.py"
    spec = importlib.util.spec_from_file_location("run_tutorials", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_there_are_five():
    assert len(PAGES) == 5


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_tutorial_shows_what_is_printed(tutorials, path):
    pytest.importorskip("anndata")
    if (program := NEEDS.get(path.stem)) and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")

    done = list(tutorials.run(path))

    assert len(done) > 2
    for step, printed in done:
        assert tutorials.is_same(step.shown, printed), (step.command, printed)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("chr1 5 0.500", "chr1 5 0.501", True),
        ("chr1 5 0.5", "chr1 5 0.6", False),
        ("chr1 500", "chr2 500", False),
        ("1,000 bases in 3.4 s", "1,000 bases in 31 s", True),
        ("1,000 bases in 3.4 s", "2,000 bases in 3.4 s", False),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nb\nc\ne", False),
        ("a", "a\nb", False),
    ],
)
def test_numbers_may_differ_a_little_and_seconds_much(tutorials, shown, printed, same):
    assert tutorials.is_same(shown.splitlines(), printed.splitlines()) is same


def test_commands_and_their_output_are_told_apart(tutorials):
    page = "a\n```console\n$ one \\\n  two\nout\n$ three\n```\n\n```\n$ not run\n```\n"

    found = list(tutorials.steps(page))

    assert [(step.command, step.shown) for step in found] == [
        ("one \\\n  two", ["out"]),
        ("three", []),
    ]
    written = tutorials.rewritten(page, [(found[0], ["new", "lines"]), (found[1], ["x"])])
    assert written == page.replace("out\n", "new\nlines\n").replace("three\n", "three\nx\n")
