"""Man pages: one per command, with all that `--help` lists, and nothing that troff warns of."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from hyenadna_cli.cli import app

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of all pages."""
    folder = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, DOCS / "make_man.py", folder], check=True)
    return folder


def test_every_command_has_a_page(made):
    names = {path.name for path in made.iterdir()}

    assert {f"hyenadna-{verb}.1" for verb in get_command(app).commands} < names
    assert {"hyenadna.1", "hyenadna-models-list.1", "hyenadna-plot-filters.1"} < names


@pytest.mark.parametrize("command", [("embed",), ("score-variants",), ("models", "export")])
def test_a_page_has_every_option_and_example_of_the_help(made, hyenadna, command):
    said = hyenadna(*command, "--help").out

    page = (made / f"hyenadna-{'-'.join(command)}.1").read_text().replace("\\-", "-")

    options = re.findall(r"^  (?:-\w, )?(--[\w-]+)", said, re.MULTILINE)
    assert len(options) > 3
    assert [option for option in options if option not in page] == []
    assert re.search(r"^\.EX\n +hyenadna ", page, re.MULTILINE)


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_troff_reads_every_page_without_a_warning(made):
    pages = sorted(made.iterdir())

    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", *pages], capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
    assert "--resume" in re.sub(r"\x1b\[[\d;]*m|.\x08", "", done.stdout)


def test_what_troff_would_take_for_itself_is_escaped():
    spec = importlib.util.spec_from_file_location("make_man", DOCS / "make_man.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(DOCS))
    spec.loader.exec_module(module)

    assert module.escaped(".h5 or\n'x' a-b \\d") == "\\&.h5 or\n\\&'x' a\\-b \\ed"
