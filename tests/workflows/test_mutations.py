"""The script that damages inputs: its readers are right, and it finds what is wrong."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "workflows" / "faults"


@pytest.fixture
def faults(monkeypatch):
    """The folder of the script, whose modules import each other by name."""
    monkeypatch.syspath_prepend(FOLDER)


def finished(*options):
    command = [sys.executable, str(FOLDER / "mutations.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_damaged_files_of_every_kind_are_refused_or_read_rightly(tmp_path):
    done = finished("--inputs", "2", "--keep", str(tmp_path / "kept"))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "| VCF | 2 |" in done.stdout
    assert not (tmp_path / "kept").exists()


def test_every_change_changes_something_and_is_made_again_from_its_seed(faults):
    from mutating import mutated

    data = b"chr1\t5\t10\tname\nchr1\t7\t9\tother\n"
    for is_text in (True, False):
        made = [mutated(data, random.Random(seed), is_text=is_text) for seed in range(300)]
        again = [mutated(data, random.Random(seed), is_text=is_text) for seed in range(300)]
        assert made == again
        assert data not in made
        assert len(set(made)) > 200


def refuse(data):
    from hyenadna_cli.errors import InputFileError

    raise InputFileError("x", "is not this")


def fail_inside(data):
    from hyenadna_cli.core.dna.coordinates import Interval

    return Interval("chr1", "a", None)


def wait(data):
    while True:
        pass


def end_the_process(data):
    import os

    os._exit(3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("judge", "outcome"),
    [
        (lambda data: None, "accepted"),
        (refuse, "refused"),
        (lambda data: "other bases", "wrong"),
        (lambda data: int("x"), "wrong"),
        (fail_inside, "internal error"),
        (wait, "hang"),
        (end_the_process, "internal error"),
    ],
)
def test_what_becomes_of_an_input_is_counted(faults, monkeypatch, judge, outcome):
    import mutations
    from kind import Kind

    monkeypatch.setattr(mutations, "_SECONDS", 0.2)

    seen = list(mutations.outcomes(Kind("x", b"data", judge), range(1, 3), seed=1))

    assert [(number, what) for number, what, _ in seen] == [(1, outcome), (2, outcome)]


def test_a_failing_input_is_kept_with_what_was_said(faults, tmp_path):
    import mutations
    from kind import Kind

    kind = Kind("some kind", b"some data", lambda data: "other bases")

    tally = mutations.run(kind, range(3, 4), 7, tmp_path)

    assert tally.text() == "| some kind | 1 | 0 | 0 | 0 | 0 | 1 |"
    name = "some kind seed 7 number 3"
    assert (tmp_path / name).read_bytes() == mutations.data_of(kind, 3, 7)
    assert (tmp_path / "what.tsv").read_text() == f"{name}\twrong\tother bases\n"


def test_plain_readers_read_what_is_written(faults):
    import mutated_files
    import plain_readers as plain

    contigs = {"a": "acgtNNNNACGTTGCAR", "b": "A" * 77}
    expected = [(name, plain.bases(letters)) for name, letters in contigs.items()]

    assert plain.fasta(mutated_files.fasta_of(contigs)) == expected
    assert plain.twobit(mutated_files.twobit_of(contigs)) == expected
    genbank = (
        b"LOCUS x\nORIGIN      about\n            more\n        1 acgtacgtac gt\n       61 n\n//\n"
    )
    assert plain.genbank(genbank) == ["ACGTACGTACGTN"]
    assert plain.fastq(b"@a x\nAC\nG\n+\nII\n@\n@b\nT\n+b\n+\n") == [("a", "ACG"), ("b", "T")]
