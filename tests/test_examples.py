"""The examples of `--help`: every one has options that exist, and those on test data run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from hyenadna_cli.cli import app

REPOSITORY = Path(__file__).parents[1]
REFERENCE = REPOSITORY / "docs" / "reference.md"
_INDENT = "    "

BEFORE = {
    "ism.tsv": "hyenadna mutagenize --fasta test_data/tiny.fa --region chr1:4,001-4,100 -o ism.tsv",
    "map.h5": "hyenadna mutagenize --fasta test_data/tiny.fa --region chr1:4,001-4,030 "
    "--dependencies map.h5",
    "builtin.tsv": "hyenadna perplexity --fasta test_data/tiny.fa --contexts 16,64 --targets 200 "
    "-o builtin.tsv",
    "small.tsv": "hyenadna perplexity --fasta test_data/tiny.fa --contexts 16,64 --targets 200 "
    "--strand - -o small.tsv",
    "genes.h5ad": "hyenadna embed --fasta test_data/tiny.fa --bed genes.bed -o genes.h5ad",
    "classifier": "hyenadna finetune --data test_data/labelled.csv --epochs 1 -o classifier",
    "run": "hyenadna pretrain --fasta test_data/tiny.fa --valid-contigs chr2 --d-model 16 "
    "--n-layer 1 --max-length 256 --batch-bases 1024 --max-steps 3 -o run",
}
"""What examples read that they do not make: how it comes to be."""

NOT_RUN = (
    "models download",
    "models convert",
    "models average",
    "models info small-32k",
    "merge",
    "classify-species train",
    "classify-species evaluate",
    "classify-species predict",
    "plot species",
    "prompt-tune",
    "benchmark",
    "doctor",
)
"""Examples that need files of one's own, or a minute each: pages run them, with --minutes."""


def examples():
    """Command lines of the reference; a line may go on in the next."""
    found, lines = [], REFERENCE.read_text().splitlines()
    for number, line in enumerate(lines):
        if not line.startswith(f"{_INDENT}hyenadna "):
            continue
        text = line.strip()
        for further in lines[number + 1 :]:
            if not further.startswith(_INDENT) or further.startswith(f"{_INDENT}hyenadna "):
                break
            text += f" {further.strip()}"
        found.append(text)
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_options_of_an_example_exist(example, tmp_path, monkeypatch):
    (tmp_path / "test_data").symlink_to(REPOSITORY / "test_data")
    monkeypatch.chdir(tmp_path)
    _, verb, *options = shlex.split(example)
    parser = get_command(app).commands[verb]
    while getattr(parser, "commands", None):
        parser = parser.commands[options.pop(0)]

    with parser.make_context(verb, options):
        pass


def test_there_are_examples_of_every_verb():
    verbs = {example.split()[1] for example in EXAMPLES}

    assert verbs == set(get_command(app).commands)
    assert all(len(re.findall("hyenadna ", example)) == 1 for example in EXAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "example",
    [text for text in EXAMPLES if not text.removeprefix("hyenadna ").startswith(NOT_RUN)],
)
def test_an_example_runs(example, tmp_path):
    if " plot " in example:
        pytest.importorskip("matplotlib")
    (tmp_path / "test_data").symlink_to(REPOSITORY / "test_data")
    regions = [f"chr1\t{1_000 * n}\t{1_000 * n + 80}\tg{n}\t0\t+\tkind{n % 2}" for n in range(1, 9)]
    header = "#chrom\tstart\tend\tname\tscore\tstrand\tgene_type"
    (tmp_path / "genes.bed").write_text("\n".join([header, *regions, ""]))
    if "--label-column" in example:
        example += " --dry-run"
    words = {word.rpartition("=")[2].split("/")[0] for word in shlex.split(example)}

    before = [line for name, line in BEFORE.items() if name in words]
    # Not what the example makes itself.
    before = [line for line in before if line.split()[-1] != example.split()[-1]]
    for command in [*before, example]:
        if command == example and command.startswith("hyenadna plot") and ".html" in command:
            pytest.importorskip("plotly")
        arguments = [*shlex.split(command)[1:]]
        done = subprocess.run(
            [sys.executable, "-m", "hyenadna_cli", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
