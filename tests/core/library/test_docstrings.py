"""The examples in docstrings and on the page about the library do what they say."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import hyenadna_cli as hd

pytest.importorskip("pandas")

REPOSITORY = Path(__file__).parents[3]
WITH_FILES_OF_ONES_OWN = {"load_classifier", "predict", "Variant"}
CALLS = sorted(set(hd.__all__) - {"__version__"} - WITH_FILES_OF_ONES_OWN)


@pytest.mark.parametrize("name", CALLS)
def test_an_example_does_what_it_says(name, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    call = getattr(hd, name)
    module = importlib.import_module(call.__module__)
    tests = doctest.DocTestFinder(exclude_empty=True).find(call, name, module=module)
    runner = doctest.DocTestRunner()
    report: list[str] = []

    for test in tests:
        runner.run(test, out=report.append)

    assert runner.tries > 0, "no example"
    assert runner.failures == 0, "".join(report)


def test_the_page_does_what_it_says(monkeypatch):
    pytest.importorskip("anndata")
    monkeypatch.chdir(REPOSITORY)
    page = REPOSITORY / "docs" / "library.md"

    failed, tried = doctest.testfile(str(page), module_relative=False)

    assert tried > 10
    assert failed == 0
