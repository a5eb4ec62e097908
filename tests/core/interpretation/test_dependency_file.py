"""The file of a dependency map: written in pieces, read whole, refused where it is none."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.interpretation.dependencies import DependencyRows
from hyenadna_cli.core.interpretation.dependency_file import open_map, read_map
from hyenadna_cli.core.interpretation.dependency_picture import draw, write_table
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.outputs.provenance import Provenance
from hyenadna_cli.errors import InputFileError, OutputError

VALUES = np.arange(25, dtype=np.float32).reshape(5, 5)
VALUES[np.diag_indices(5)] = np.nan
REGION = Interval("chr1", 2, 7)


@pytest.fixture
def stored(fasta_file, tmp_path):
    path = tmp_path / "map.h5"
    with (
        Genome(fasta_file({"chr1": "AAacgTNAA"})) as genome,
        open_map(path, REGION, genome, made_by=Provenance(), overwrite=False) as write,
    ):
        write(DependencyRows(0, VALUES[:3]))
        write(DependencyRows(3, VALUES[3:]))
    return path


def test_a_map_is_read_as_it_was_written(stored):
    found = read_map(stored)

    assert (found.region, found.sequence) == (REGION, "ACGTN")
    np.testing.assert_array_equal(found.values, VALUES)


def test_a_map_that_is_not_finished_leaves_no_file(fasta_file, tmp_path):
    path = tmp_path / "map.h5"

    def stopped():
        with (
            Genome(fasta_file({"chr1": "ACGTACGT"})) as genome,
            open_map(path, REGION, genome, made_by=Provenance(), overwrite=False),
        ):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not path.exists()


def test_a_map_is_not_replaced_unasked(stored, fasta_file):
    def again():
        with (
            Genome(fasta_file({"chr1": "ACGTACGT"})) as genome,
            open_map(stored, REGION, genome, made_by=Provenance(), overwrite=False),
        ):
            pass

    with pytest.raises(OutputError, match="exists already"):
        again()


def test_the_table_has_the_strongest_pairs_first(stored, tmp_path):
    write_table(read_map(stored), tmp_path / "map.tsv", overwrite=False)

    lines = (tmp_path / "map.tsv").read_text().splitlines()
    assert len(lines) == 1 + 20
    assert lines[1].split("\t") == ["chr1", "7", "N", "6", "T", "23"]


@pytest.mark.slow
@pytest.mark.parametrize("n_bases", [5, 90, 1_300])
def test_a_picture_of_any_size_is_drawn(tmp_path, n_bases):
    pytest.importorskip("matplotlib")
    from hyenadna_cli.core.interpretation.dependency_file import DependencyMap

    values = np.full((n_bases, n_bases), np.nan, np.float32)
    values[0, 1:] = 1.0
    shown = DependencyMap(Interval("chr1", 10, 10 + n_bases), "A" * n_bases, values, "builtin")

    draw(shown, tmp_path / "map.png", overwrite=False)

    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_no_map_is_refused(stored, tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        read_map(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("no")
    with pytest.raises(InputFileError, match="is not an HDF5 file"):
        read_map(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputFileError, match="is no dependency map"):
        read_map(tmp_path / "other.h5")
    with h5py.File(stored, "a") as file:
        del file["dependencies"]
        file["dependencies"] = np.zeros((5, 4))
    with pytest.raises(InputFileError, match="is damaged"):
        read_map(stored)
