"""The site: every page is in its contents, links lead to pages, and it builds without a warning."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"


@pytest.fixture(scope="module")
def site_pages():
    spec = importlib.util.spec_from_file_location("site_pages", DOCS / "site_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def contents():
    """The pages that the contents of the site name."""
    text = (REPOSITORY / "mkdocs.yml").read_text()
    return re.findall(r"^ +- .+: (\S+\.md)$", text.partition("\nnav:\n")[2], re.MULTILINE)


def test_the_contents_name_every_page_once(site_pages):
    named = contents()
    made = {"figures.md", *site_pages.ELSEWHERE.values()} - {"builtin-weights.md"}

    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}

    assert len(pages) > 20
    assert sorted(named) == sorted(pages | made)
    assert all((REPOSITORY / source).is_file() for source in site_pages.ELSEWHERE)


@pytest.mark.parametrize(
    ("source", "name", "link", "on_site"),
    [
        ("README.md", "index.md", "[a](docs/models.md#names)", "[a](models.md#names)"),
        ("README.md", "index.md", "![p](docs/figures/paper/contexts.png)", None),
        ("docs/models.md", "models.md", "[c](../CONTRIBUTING.md)", "[c](contributing.md)"),
        ("docs/models.md", "models.md", "[w](../workflows/reproduce)", "w"),
        ("docs/models.md", "models.md", "[x](https://arxiv.org)", "[x](https://arxiv.org)"),
        ("docs/models.md", "models.md", "[y](#names)", "[y](#names)"),
        ("CHANGELOG.md", "changelog.md", "[l](docs/library.md)", "[l](library.md)"),
    ],
)
def test_a_link_of_the_checkout_is_one_of_the_site(site_pages, source, name, link, on_site):
    expected = on_site or link.replace("docs/", "")

    assert site_pages.rewritten(link, REPOSITORY / source, name) == expected


def test_the_page_of_figures_shows_what_pages_show(site_pages):
    assert "(figures/paper/contexts.png)" in site_pages.figures()


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")

    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "<h1" in (tmp_path / "site" / "reference.html").read_text()
