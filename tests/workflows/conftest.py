"""What workflow tests share: the program on PATH, and data with enough records for seven shards."""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]


class Inputs(NamedTuple):
    """A genome, and what to do with it."""

    fasta: Path
    vcf: Path
    bed: Path
    model: Path


@pytest.fixture
def path_with_hyenadna(tmp_path, monkeypatch):
    """PATH begins with a folder in which `hyenadna` and `python` are those of this test."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "hyenadna"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" -m hyenadna_cli "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def inputs(fasta_file, bed_file, vcf_file, tiny_model):
    """2,000 records of each kind: eight blocks of 256."""
    letters = random.Random(0)
    bases = "".join(letters.choices("ACGT", k=60_000))
    fasta = fasta_file({"chr1": bases})
    starts = sorted(letters.randrange(100, 59_000) for _ in range(2_000))
    bed = bed_file(*(f"chr1 {s} {s + 80} r{i % 50}" for i, s in enumerate(starts)))
    vcf = vcf_file(
        *(f"chr1 {s + 1} . {bases[s]} {'C' if bases[s] == 'A' else 'A'}" for s in starts),
        contigs={"chr1": 60_000},
    )
    return Inputs(fasta, vcf, bed, tiny_model)


def needs(*programs):
    """A reason to skip if a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    return f"not installed here: {', '.join(missing)}" if missing else None
