"""Commands in README, the pages and the scripts have options that exist.

All `hyenadna` lines are checked against the program, all `python` lines against the script, all
`snakemake` lines by a dry run. test_documented_pages.py runs them.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess

import pytest
from typer.main import get_command

from hyenadna_cli.cli import app
from tests.workflows.documented import COMMANDS, REPOSITORY, Command

_VERBS = get_command(app).commands
_LEFT_OUT = ("--fasta", "hg38.fa")


def of_program(command: Command) -> list[list[str]]:
    """The words after each `hyenadna` of a line, without placeholders such as `...`."""
    lexer = shlex.shlex(command.text, posix=True, punctuation_chars="|>")
    lexer.whitespace_split = True
    pieces: list[list[str]] = [[]]
    for word in lexer:
        if word in ("|", ">"):
            pieces.append([])
        elif word != "...":
            pieces[-1].append(word)
    found = []
    for words in pieces:
        for start in ("hyenadna", "hyenadna_cli"):
            if start in words:
                own = words[words.index(start) + 1 :]
                # What `...` stands for has been said in the line before.
                is_short = "pretrain ..." in command.text
                found.append([*own, *_LEFT_OUT] if is_short else own)
    return found


HYENADNA = [
    pytest.param(words, id=str(command))
    for command in COMMANDS
    if re.search(r"(^|\| |-m )hyenadna(_cli)? ", command.text)
    for words in of_program(command)
]


@pytest.mark.parametrize("words", HYENADNA)
def test_a_documented_command_has_options_that_exist(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verb, *options = words
    parser = _VERBS[verb]
    while getattr(parser, "commands", None):
        parser = parser.commands[options.pop(0)]

    with parser.make_context(verb, options):
        pass


def test_commands_are_found():
    pages = {command.page for command in COMMANDS}

    assert len(HYENADNA) > 90
    assert {"README.md", "docs/training.md", "docs/paper.md"} <= pages
    assert {"workflows/studies/variants.smk", "workflows/studies/points.py"} <= pages
    # Below a block in Python.
    assert Command("docs/interpretation.md", "hyenadna plot filters -m builtin -o filters.png") in (
        COMMANDS
    )


PYTHON = [command for command in COMMANDS if re.match(r"python [\w./-]+\.py\b", command.text)]


@pytest.mark.parametrize("command", PYTHON, ids=str)
def test_a_documented_script_is_there_and_has_its_options(command):
    _, name, *words = command.text.replace("[", "").replace("]", "").split(" > ")[0].split()
    folder = REPOSITORY if "/" in name else (REPOSITORY / command.page).parent
    text = (folder / name).read_text()

    missing = [word for word in words if re.match("--?[a-z]", word)]
    missing = [option for option in missing if f'"{option.partition("=")[0]}"' not in text]

    assert not missing


SNAKEMAKE = [
    command
    for command in COMMANDS
    # The pipeline's own tests run it.
    if command.text.startswith("snakemake -s ")
]


@pytest.mark.workflow
@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("snakemake"), reason="snakemake is not installed")
@pytest.mark.parametrize("command", SNAKEMAKE, ids=str)
def test_a_documented_workflow_plans_its_jobs(command, tmp_path):
    """Inputs are empty files; a plan names jobs."""
    text = re.sub(r" \[.*\]$", "", command.text)
    words = shlex.split(text)
    for word in words:
        name = word.partition("=")[2]
        if re.fullmatch(r"[\w-]+(\.\w+)+", name):
            (tmp_path / name).touch()
    if "-c" in words:
        words[words.index("-s") + 1] = str(REPOSITORY / words[words.index("-s") + 1])

    done = subprocess.run([*words, "-n"], capture_output=True, text=True, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Job stats" in done.stdout + done.stderr
