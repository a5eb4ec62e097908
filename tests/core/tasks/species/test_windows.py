"""Windows of species: a function of (seed, step, row), by weight, as long as asked."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.tasks.species.manifest import open_genomes
from hyenadna_cli.core.tasks.species.settings import SpeciesFiles
from hyenadna_cli.core.tasks.species.windows import (
    SamplingWeights,
    TrainingWindows,
    check_lengths,
    fixed_windows,
    parse_species_weights,
    read_contig_weights,
)
from hyenadna_cli.errors import InputFileError, UsageError

LETTERS = {("a", "c1"): "A", ("a", "c2"): "C", ("b", "c1"): "G", ("b", "c2"): "T"}


@pytest.fixture
def genomes(text_file, fasta_file):
    """Species a and b; each training contig is one letter, so that a window tells its source."""
    for species, lengths in (("a", (300, 100)), ("b", (100, 100))):
        contigs = {
            f"c{n}": LETTERS[species, f"c{n}"] * (length // 2)
            + "N" * 30
            + LETTERS[species, f"c{n}"] * (length // 2)
            for n, length in enumerate(lengths, start=1)
        }
        fasta_file(contigs | {"v": "ACGT" * 25, "t": "AACC" * 25}, name=f"{species}.fa")
    lines = [f"{species}\t{species}.fa\tc1,c2\tv\tt\n" for species in "ab"]
    path = text_file("".join(lines), name="species.tsv")
    with open_genomes(SpeciesFiles(manifest=path)) as opened:
        yield opened


def shares(genomes, *, n=2_000, length=20, **weights):
    """Of each source, how many of n windows came from it."""
    source = TrainingWindows(
        genomes, seed=1, weights=SamplingWeights(**weights), use_both_strands=False
    )
    letters = [source.draw(step=step, row=0, length=length).sequence() for step in range(n)]
    return {
        key: sum(set(text) == {letter} for text in letters) / n for key, letter in LETTERS.items()
    }


def test_a_window_is_a_function_of_seed_step_and_row(genomes):
    def draw(seed, step, row):
        window = TrainingWindows(genomes, seed=seed).draw(step=step, row=row, length=20)
        return window.label, str(window.genome_window.interval), window.strand

    drawn = [draw(1, step, row) for step in range(4) for row in range(4)]

    assert drawn == [draw(1, step, row) for step in range(4) for row in range(4)]
    assert len(set(drawn)) > 10
    assert drawn != [draw(2, step, row) for step in range(4) for row in range(4)]


def test_species_are_drawn_alike_and_contigs_by_their_bases(genomes):
    found = shares(genomes)

    assert sum(found.values()) == pytest.approx(1)  # no window holds two letters, or N
    np.testing.assert_allclose(list(found.values()), [0.375, 0.125, 0.25, 0.25], atol=0.04)


def test_weights_can_be_by_bases_uniform_or_given(genomes):
    by_bases = shares(genomes, species="bases", contigs="uniform")
    np.testing.assert_allclose(list(by_bases.values()), [1 / 3, 1 / 3, 1 / 6, 1 / 6], atol=0.04)

    given = shares(genomes, species={"a": 3.0}, contigs={("a", "c1"): 0.0})
    np.testing.assert_allclose(list(given.values()), [0, 0.75, 0.125, 0.125], atol=0.04)


def test_windows_come_from_stretches_that_hold_them(genomes):
    """Only c1 of species a has stretches of 150 bases; b's stretches of 50 are given whole."""
    source = TrainingWindows(genomes, seed=0, use_both_strands=False)

    windows = [source.draw(step=step, row=0, length=150) for step in range(60)]

    texts = {window.label: set() for window in windows}
    for window in windows:
        texts[window.label].add(window.sequence())
    assert texts == {0: {"A" * 150}, 1: {"G" * 50, "T" * 50}}


def test_both_strands_are_read(genomes):
    source = TrainingWindows(genomes, seed=0)

    strands = [source.draw(step=step, row=0, length=20).strand for step in range(200)]

    assert 70 < strands.count("-") < 130


def test_fixed_windows_lie_side_by_side_and_thin_out_evenly(genomes):
    def starts(length, max_windows):
        windows = fixed_windows(genomes, "test", length=length, max_windows=max_windows)
        return [(w.label, w.genome_window.interval.start) for w in windows]

    assert starts(30, 10) == [(label, start) for label in (0, 1) for start in (0, 30, 60)]
    assert starts(10, 5) == [(label, start) for label in (0, 1) for start in (0, 20, 40, 60, 80)]
    assert starts(101, 5) == []


def test_fixed_windows_skip_stretches_that_are_too_short(genomes):
    windows = list(fixed_windows(genomes, "train", length=60, max_windows=99))

    assert {window.label for window in windows} == {0}
    starts = [window.genome_window.interval.start for window in windows]
    assert starts == [0, 60, 180, 240]


def test_weights_are_read_and_checked(genomes, text_file):
    assert parse_species_weights("bases", ("a", "b")) == "bases"
    assert parse_species_weights("a=2,b=0.5", ("a", "b")) == {"a": 2.0, "b": 0.5}
    for text, problem in (
        ("c=1", "'c' is neither"),
        ("a=x", "'x' is not a weight"),
        ("a=-1", "-1"),
    ):
        with pytest.raises(UsageError, match=problem):
            parse_species_weights(text, ("a", "b"))

    path = text_file("# species contig weight\na\tc1\t2\nb c2 0\n", name="weights.tsv")
    assert read_contig_weights(path, genomes) == {("a", "c1"): 2.0, ("b", "c2"): 0.0}
    for line, problem in (("a v 1", ":1: needs a species"), ("a c1 x", ":1: the weight: 'x'")):
        with pytest.raises(InputFileError, match=problem):
            read_contig_weights(text_file(line, name="bad.tsv"), genomes)


def test_a_species_name_with_blanks_can_have_weights(genomes, text_file):
    lines = [f"{name}\t{name[-1]}.fa\tc1,c2\tv\tt\n" for name in ("Aus a", "Bus b")]
    manifest = text_file("".join(lines), name="blanks.tsv")
    weights = text_file("Aus a\tc1\t2\n\nBus b\tc2 \t0\n", name="weights.tsv")

    with open_genomes(SpeciesFiles(manifest=manifest)) as opened:
        assert read_contig_weights(weights, opened) == {("Aus a", "c1"): 2.0, ("Bus b", "c2"): 0.0}


def test_lengths_that_no_contig_holds_are_refused(genomes):
    check_lengths(genomes, "train", (2, 150))
    with pytest.raises(InputFileError, match=r"hold 151 bases .* the longest stretch has 150"):
        check_lengths(genomes, "train", (2, 151))


def test_the_only_contig_of_a_length_needs_a_weight(genomes):
    """Species a has stretches of 150 bases in c1 only."""
    windows = TrainingWindows(
        genomes, seed=0, weights=SamplingWeights(contigs={("a", "c1"): 0.0, ("a", "c2"): 1.0})
    )

    windows.prepare(20)
    with pytest.raises(UsageError, match="the contigs of a for windows of 150 bases are 0"):
        windows.prepare(150)


def test_weights_that_are_all_zero_are_refused(genomes):
    with pytest.raises(UsageError, match="all weights of the species are 0"):
        shares(genomes, n=1, species={"a": 0.0, "b": 0.0})
