"""Galaxy tools: XML that is well formed, with every option, and commands that run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
GALAXYS_PART = {
    *("--output", "--output-type", "--write-index", "--force", "--resume", "--shard", "--strict"),
    *("--stats", "--max-time", "--tmp-dir", "--cache-dir", "--oom-exit-code", "--device"),
    *("--context-parallel", "--dry-run", "--verbose", "--quiet", "--help"),
    *("--offline", "--revision"),
}
"""Options about files and the machine, which the tools do not show."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("galaxy")
    script = REPOSITORY / "packaging" / "galaxy" / "make_tools.py"
    subprocess.run([sys.executable, script, folder], check=True)
    return folder


def read(made, command):
    return ET.parse(made / f"hyenadna_{command.replace('-', '_')}.xml").getroot()


@pytest.mark.parametrize("command", ["embed", "score-variants"])
def test_a_tool_has_every_option_of_the_help_but_those_that_are_galaxys_part(
    made, hyenadna, command
):
    help_text = hyenadna(command, "--help").out
    listed = help_text[help_text.index("\nInput:\n") :]
    options = set(re.findall(r"^  (?:-\w, )?(--[\w-]+)", listed, re.MULTILINE))

    template = read(made, command).findtext("command")

    truevalues = {param.get("truevalue") for param in read(made, command).iter("param")}
    given = set(re.findall(r"^(?:hyenadna \S+ )?(--[\w-]+)", template, re.MULTILINE))
    given |= set(re.findall(r" (--[\w-]+)", template)) | truevalues - {None}
    assert options - given == GALAXYS_PART & options
    assert given <= options


@pytest.mark.parametrize("command", ["embed", "score-variants"])
def test_a_template_names_what_the_tool_has_and_no_name_twice(made, command):
    root = read(made, command)
    inputs = root.find("inputs")
    top = [param.get("name") for param in inputs.findall("param")]
    section = inputs.find("section")
    more = [f"more.{param.get('name')}" for param in section.findall("param")]

    used = set(re.findall(r"\$([a-z][\w.]*\w)", root.findtext("command")))

    assert used == {*top, *more, "output"}
    names = [*top, *more, section.get("name"), "output"]
    assert len(names) == len(set(names))
    for param in inputs.iter("param"):
        values = [option.get("value") for option in param.findall("option")]
        assert (param.get("type") == "select") == bool(values)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["embed", "score-variants"])
def test_a_tool_runs_its_own_test_with_its_defaults(made, tmp_path, command):
    """As Galaxy would, but for Galaxy."""
    template_of = pytest.importorskip("Cheetah.Template", reason="pip install ct3").Template
    if shutil.which("samtools") is None:
        pytest.skip("samtools is not installed")
    root = read(made, command)
    given = {param.get("name"): param.get("value") for param in root.find("tests/test")}
    values, more = {"output": str(tmp_path / "answer")}, {}
    for param in root.find("inputs").iter("param"):
        name, kind = param.get("name"), param.get("type")
        chosen = [o.get("value") for o in param.findall("option") if o.get("selected")]
        default = chosen[0] if chosen else param.get("value", "")
        if kind == "data" and name in given:
            default = made / "test-data" / given[name]
        is_more = param in list(root.find("inputs/section"))
        (more if is_more else values)[name] = default
    script = str(
        template_of(root.findtext("command"), searchList=[values | {"more": more, "suffix": "tsv"}])
    )

    program = f'hyenadna() {{ "{sys.executable}" -m hyenadna_cli "$@"; }}\n'
    subprocess.run(["bash", "-ec", program + script.replace("\n", " ")], cwd=tmp_path, check=True)

    word = root.find("tests/test/output/assert_contents/has_text").get("text")
    assert word in (tmp_path / "answer").read_text()
