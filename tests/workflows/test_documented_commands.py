"""Commands in README, the pages and the scripts: options exist, and what can be small is run.

Every block of commands is read as a shell reads it. All `hyenadna` lines are checked against the
program, all `python` lines against the script, all `snakemake` lines by a dry run. Those of RUN are
run, in their order, where files of the names that they use lie: small ones, and with the sizes of
SMALLER in place of a genome's.
"""

from __future__ import annotations

import gzip
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pysam
import pytest
from typer.main import get_command

from hyenadna_cli.cli import app

REPOSITORY = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
_ASSIGNED = re.compile(r"^(?:export )?(\w+)=(\"[^\"]*\"|[^\s;]+)$")
_VERBS = get_command(app).commands
_LEFT_OUT = ("--fasta", "hg38.fa")


class Command(NamedTuple):
    """A line of a document."""

    page: str
    text: str
    """With variables replaced."""

    def __str__(self) -> str:
        return f"{self.page}: {self.text[:80]}"


def lines_of(block: str) -> list[str]:
    """The commands of a block: continued lines joined, variables replaced, prompts left out."""
    known: dict[str, str] = {}
    found = []
    for line in re.sub(r" *\\\n\s*", " ", block).splitlines():
        text = re.sub(r"\s+#.*$", "", line.strip()).removeprefix("$ ")
        for name, value in known.items():
            text = re.sub(rf"\${name}\b", lambda _, value=value: value, text)
        parts = [part.strip() for part in text.split(";")]
        if text and all(_ASSIGNED.match(part) for part in parts):
            known |= {m[1]: m[2].strip('"') for part in parts if (m := _ASSIGNED.match(part))}
        elif text:
            found.append(text)
    return found


def in_pages() -> list[Command]:
    """Of all blocks without a language, but for the reference, whose examples have a test."""
    pages = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
    pages += sorted((REPOSITORY / "workflows").rglob("*.md"))
    return [
        Command(str(page.relative_to(REPOSITORY)), line)
        for page in pages
        if page.name != "reference.md"
        for block in _BLOCK.findall(page.read_text())
        for line in lines_of(block)
    ]


def in_scripts() -> list[Command]:
    """Of the text that a workflow or script begins with."""
    scripts = (REPOSITORY / "workflows").rglob("*")
    found = []
    for path in sorted(path for path in scripts if path.suffix in (".py", ".smk", "")):
        if path.is_dir() or (not path.suffix and path.name != "Snakefile"):
            continue
        text = path.read_text()
        docstring = text.split('"""')[1] if text.lstrip("#!r").startswith('"""') else ""
        indented = re.findall(r"^ {4}(.*)$", docstring, re.MULTILINE)
        found += [
            Command(str(path.relative_to(REPOSITORY)), line)
            for line in lines_of("\n".join(indented))
            if line.startswith(("snakemake ", "python ", "hyenadna "))
        ]
    return found


COMMANDS = [*in_pages(), *in_scripts()]


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


SMALLER = (
    (r"chr17:43,\d+,\d+-43,\d+,\d+", "chr1:4,001-4,030"),
    (r"--contexts \S+", "--contexts 16,64 --targets 100"),
    (r"--window (32k|1k|1024)\b", "--window 256"),
    (r"--tokens 512", "--tokens 2 --epochs 1"),
    (r"--shots 8 --samples 64", "--shots 1 --samples 2"),
    (r"--per-change 200", "--per-change 2"),
    (r"--length 1000 --sequences 100", "--length 20 --sequences 2"),
    (r"--length (200|5k)", "--length 20"),
)
"""Sizes that take hours, and places that need a whole genome."""

RUN = {
    "README.md": "embed|score-variants|perplexity",
    "docs/generation.md": "generate",
    "docs/in-context-learning.md": "prompt-tune|predict",
    "docs/interpretation.md": "perplexity --fasta hg38.fa --bed held|plot|mutagenize|models",
    "docs/learned-variant-scores.md": "embed --vcf test_data|background|score-variants .*random.h5",
    "docs/models.md": "models (list|verify)",
    "docs/regions.md": "embed|perplexity",
    "docs/variant-scoring.md": "score-variants in|mutagenize|plot",
}
"""What of a page is run. The rest needs a network, a cluster, hours, or data of one's own."""


def _gtf(contig: str) -> str:
    """Eight genes of two kinds, of one coding exon each."""
    lines = []
    for n in range(8):
        first, last = 1_000 * (n + 1) + 1, 1_000 * (n + 1) + 90
        attributes = f'gene_id "g{n}"; gene_type "kind{n % 2}"; transcript_id "t{n}";'
        for kind in ("gene", "transcript", "exon", "CDS"):
            lines.append(f"{contig}\tx\t{kind}\t{first}\t{last}\t.\t+\t.\t{attributes}")
    return "\n".join([*lines, ""])


@pytest.fixture
def folder(path_with_hyenadna, tmp_path):
    """Where files lie that have the names of the examples, and are small."""
    data = REPOSITORY / "test_data"
    (tmp_path / "test_data").symlink_to(data)
    for name in ("hg38.fa", "genome.fa"):
        for suffix in ("", ".fai"):
            (tmp_path / f"{name}{suffix}").symlink_to(data / f"tiny.fa{suffix}")
    for name in ("new.fa", "starts.fa"):
        (tmp_path / name).write_text(">one\nTATAAAGGCATTACGA\n>two\nGGCGCGATTACACGCG\n")
    regions = "".join(f"chr1\t{n}000\t{n}090\tr{n}\t0\t+\n" for n in range(1, 7))
    for name in ("peaks.bed", "held_out.bed", "brca1.bed"):
        (tmp_path / name).write_text(regions)
    (tmp_path / "peaks.bed.gz").write_bytes(gzip.compress(regions.encode()))
    for name, contig in (("gencode.v47", "chr1"), ("Homo_sapiens.GRCh38.113", "1")):
        (tmp_path / f"{name}.gtf.gz").write_bytes(gzip.compress(_gtf(contig).encode()))
    for name in ("in.vcf.gz", "new.vcf.gz"):
        pysam.tabix_compress(str(data / "variants.vcf"), str(tmp_path / name))
    header, *rows = (data / "labelled.csv").read_text().splitlines()
    (tmp_path / "promoters").mkdir()
    for split in ("train", "test"):
        own = [row for row in rows if f",{split}," in row]
        (tmp_path / "promoters" / f"{split}.csv").write_text("\n".join([header, *own, ""]))
    return tmp_path


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run_one_after_the_other(page, folder):
    pytest.importorskip("matplotlib")
    wanted = re.compile(rf"hyenadna ({RUN[page]})")
    commands = [c.text for c in COMMANDS if c.page == page and wanted.match(c.text)]
    assert commands

    for text in commands:
        smaller = text
        for pattern, replacement in SMALLER:
            smaller = re.sub(pattern, replacement, smaller)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", smaller], capture_output=True, text=True, cwd=folder
        )
        assert done.returncode == 0, f"{smaller}\n{done.stderr}"
