from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TEST_DATA = Path(__file__).parent.parent / "test_data"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["tiny.fa", "tiny.fa.fai", "regions.bed", "genes.gtf", "variants.vcf", "labelled.csv"]
)
def test_the_files_are_what_their_script_writes(tmp_path: Path, name: str) -> None:
    subprocess.run([sys.executable, TEST_DATA / "make_test_data.py", tmp_path], check=True)

    assert (TEST_DATA / name).read_bytes() == (tmp_path / name).read_bytes()


def test_the_files_stay_small() -> None:
    n_bytes = sum(path.stat().st_size for path in TEST_DATA.glob("*") if path.is_file())

    assert n_bytes < 300_000
