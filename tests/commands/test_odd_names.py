"""File names are bytes: those that are not UTF-8 work, or are refused in a line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hyenadna_cli.core.outputs import atomic, locks
from hyenadna_cli.errors import OutputError

TINY = Path(__file__).parents[2] / "test_data" / "tiny.fa"
ODD = "x\udcff"
"""As Python gives the byte 0xff of a name."""


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / f"{ODD}.fa"
    try:
        shutil.copy(TINY, path)
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes UTF-8 only")
    return path


@pytest.mark.parametrize("suffix", ["tsv", "h5ad"])
def test_embeddings_of_and_into_odd_names(hyenadna, tiny_model, fasta, bed_file, tmp_path, suffix):
    output = tmp_path / f"{ODD}.{suffix}"
    options = ["--bed", bed_file("chr1 4000 4100"), "-m", tiny_model, "-o", output]

    done = hyenadna("embed", "--fasta", fasta, *options)
    assert done.code == 0, done.err

    manifest = json.loads((tmp_path / f"{output.name}.manifest.json").read_text("utf-8"))
    assert str(fasta) in [entry["path"] for entry in manifest["inputs"]], "as it is on the disk"


def test_an_odd_name_of_a_vcf_output_and_of_a_genome_without_index(
    hyenadna, tiny_model, fasta, tmp_path
):
    vcf = TINY.with_name("variants.vcf")
    output = tmp_path / f"{ODD}.vcf.gz"

    done = hyenadna("score-variants", vcf, "--fasta", fasta, "-m", tiny_model, "-o", output)

    assert done.code == 0, done.err
    assert output.exists()


@pytest.mark.parametrize(
    "check",
    [
        lambda path: locks.check_run_dir(path, force=True, resume=False),
        lambda path: atomic.check_output_dir(path, overwrite=True),
    ],
)
def test_a_model_directory_must_have_a_name_in_utf8(check, tmp_path):
    check(tmp_path / "x")
    with pytest.raises(OutputError, match="the name of a model directory must be UTF-8"):
        check(tmp_path / ODD)
