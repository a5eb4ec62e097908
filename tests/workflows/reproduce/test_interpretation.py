"""The planted truth of docs/interpretation.md, smaller: what is made, and what is found."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[3] / "workflows" / "reproduce" / "interpretation"


@pytest.fixture(scope="module")
def planted():
    spec = importlib.util.spec_from_file_location("planted", FOLDER / "planted.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_coupled_is_what_was_planted(planted):
    drawn = np.random.default_rng(0)
    made = [planted.record(drawn, has_motifs=bool(n % 2)) for n in range(400)]
    bases = np.array([list(sequence) for sequence in made])

    in_hairpin, _ = planted.coupled(of="hairpin")
    in_motifs, counts = planted.coupled(of="motifs")

    assert (in_hairpin.sum(), in_motifs.sum()) == (2 * 8, 2 * 64)
    for one, other in np.argwhere(in_hairpin):
        assert all(
            planted.PAIRS[a] == b for a, b in zip(bases[:, one], bases[:, other], strict=True)
        )
    for sequence in made[1::2]:
        assert (sequence[36:44], sequence[76:84]) == ("TGACGTCA", "CCACGTGG")
    assert not (in_motifs & ~counts).any()


@pytest.mark.slow
def test_a_model_that_learned_motifs_shows_where_they_are(planted, tmp_path, monkeypatch):
    """Few steps are enough for the motifs; the hairpin takes the script's 3,000."""
    monkeypatch.setattr(planted, "N_ASKED", 3)
    planted.make(tmp_path, n_records=4_000, seed=0)
    planted.train(tmp_path, n_steps=350, seed=0)

    found = planted.ask(tmp_path)

    assert found["auroc_motifs"] > 0.95
    assert found["top_is_motif_gradient"] > 0.9
    assert found["top_is_motif_llr"] > 0.9
