"""A manifest of species: what it says is what is opened, and whatever is wrong is one line."""

from __future__ import annotations

import numpy as np
import pytest

from hyenadna_cli.core.dna.coordinates import Interval
from hyenadna_cli.core.tasks.species.manifest import (
    COLUMNS,
    open_genomes,
    paper_manifest,
    read_manifest,
)
from hyenadna_cli.core.tasks.species.settings import SpeciesFiles
from hyenadna_cli.errors import InputFileError

HEADER = "\t".join(COLUMNS)
HUMAN = "human\thuman.fa\tchr1,chr2\tchr3\tchr4"
MOUSE = "mouse\tmouse.fa\tchr1\tchr2\tchr3"


@pytest.fixture
def manifest(text_file, fasta_file):
    """`manifest(*lines)`: a manifest beside human.fa and mouse.fa of four contigs each."""
    random = np.random.default_rng(0)
    for name in ("human.fa", "mouse.fa"):
        sequences = {
            f"chr{n}": "".join(random.choice(list("ACGT"), 50)) + "N" * 20 + "ACGT" * 5
            for n in range(1, 5)
        }
        fasta_file(sequences | {"chrN": "N" * 30}, name=name)

    def build(*lines, name="species.tsv"):
        return text_file("".join(f"{line}\n" for line in lines), name=name)

    return build


def open_all(path, **settings):
    with open_genomes(SpeciesFiles(manifest=path, **settings)) as genomes:
        return [genomes.runs(split) for split in ("train", "valid", "test")]


def test_a_manifest_names_species_fasta_and_contigs_by_split(manifest):
    path = manifest(HEADER, "# a comment", HUMAN, "", MOUSE)

    human, mouse = read_manifest(path)

    assert (human.name, human.fasta, human.line) == ("human", path.parent / "human.fa", 3)
    assert human.contigs == {"train": ("chr1", "chr2"), "valid": ("chr3",), "test": ("chr4",)}
    assert mouse.name == "mouse"


def test_chosen_species_come_in_the_order_of_the_choice(manifest):
    path = manifest(HEADER, HUMAN, MOUSE, "rat\trat.fa\t1\t2\t3")

    chosen = read_manifest(path, selected=("rat", "human"))

    assert [species.name for species in chosen] == ["rat", "human"]


def test_the_published_task_has_five_species_and_one_split_for_all(manifest):
    species = read_manifest(manifest(paper_manifest().rstrip("\n")))

    assert [one.name for one in species] == ["human", "lemur", "mouse", "pig", "hippo"]
    for one in species:
        assert one.contigs["valid"] == ("chr1", "chr3", "chr12", "chr13")
        assert one.contigs["test"] == ("chr5", "chr7", "chr9", "chr10", "chr11")
    assert [len(one.contigs["train"]) for one in species] == [15, 20, 11, 11, 9]


def test_stretches_end_where_a_long_run_of_n_begins(manifest):
    train, valid, _ = open_all(manifest(HEADER, HUMAN, MOUSE))

    assert [contig.contig for contig in train[0]] == ["chr1", "chr2"]
    assert valid[1][0].runs == (Interval("chr2", 0, 50), Interval("chr2", 70, 90))
    assert valid[1][0].n_bases == 70


def test_short_runs_of_n_cut_nothing(manifest):
    train, _, _ = open_all(manifest(HEADER, HUMAN, MOUSE), max_n_run=20)

    assert train[0][0].runs == (Interval("chr1", 0, 90),)


def test_contig_names_with_and_without_chr_can_mean_the_same(manifest):
    path = manifest(HEADER, HUMAN, "mouse\tmouse.fa\t1\t2\t3")

    train, _, _ = open_all(path, contig_map="auto")

    assert train[1][0].runs[0].contig == "chr1"
    with pytest.raises(InputFileError, match=r"contig '1' is not in the FASTA .*--contig-map auto"):
        open_all(path)


def test_contig_names_can_be_renamed(manifest, text_file):
    path = manifest(HEADER, HUMAN, "mouse\tmouse.fa\tone\ttwo\tthree")
    names = text_file("one chr1\ntwo\tchr2\nthree\tchr3\n", name="names.txt")

    train, _, _ = open_all(path, rename_chrs=names)

    assert (train[1][0].contig, train[1][0].runs[0].contig) == ("one", "chr1")


def test_every_file_that_is_read_is_an_input(manifest, text_file):
    path = manifest(HEADER, HUMAN, "mouse\tmouse.fa\tchr1\tchr2\tchr3")
    names = text_file("one chr1\n", name="names.txt")
    weights = text_file("human\tchr1\t1\n", name="weights.tsv")

    files = SpeciesFiles(manifest=path, rename_chrs=names, contig_weights=str(weights))
    with open_genomes(files) as genomes:
        read = genomes.inputs
    with open_genomes(SpeciesFiles(manifest=path, contig_weights="uniform")) as genomes:
        fewer = genomes.inputs

    assert read == [path, path.parent / "human.fa", path.parent / "mouse.fa", names, weights]
    assert fewer == read[:3]


def test_a_byte_order_mark_is_no_part_of_the_header(manifest):
    human, mouse = read_manifest(manifest("\ufeff" + HEADER, HUMAN, MOUSE))

    assert (human.name, mouse.name) == ("human", "mouse")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("mouse\tmouse.fa\tchr1\tchr2", ":3: has 4 columns; a manifest has 5"),
        ("human\tmouse.fa\tchr1\tchr2\tchr3", ":3: species 'human' is on line 2 too"),
        ("mouse\tmouse.fa\tchr1\t\tchr3", ":3: species 'mouse' has no valid_contigs"),
        ("mouse\tmouse.fa\tchr1\tchr2\tchr1", "'chr1' is in both train_contigs and test_contigs"),
        ("mouse\tmouse.fa\tchr1,chr1\tchr2\tchr3", "'chr1' is twice in train_contigs"),
        ("unclassified\tmouse.fa\tchr1\tchr2\tchr3", "is not a species with a FASTA"),
        ("mouse\t\tchr1\tchr2\tchr3", "is not a species with a FASTA"),
        ("mouse\tmouse.fa\tchr9\tchr2\tchr3", "train_contigs: contig 'chr9' is not in the FASTA"),
        ("mouse\tno.fa\tchr1\tchr2\tchr3", ":3: species 'mouse': .*no.fa"),
        ("mouse\tmouse.fa\tchrN\tchr2\tchr3", "its train_contigs hold no bases, only N"),
        ("mouse\thuman.fa\tchr4\tchr2\tchr3", "'chr4' of .*human.fa is listed for .*'human'"),
        ("mouse\tmo\0use.fa\tchr1\tchr2\tchr3", ":3: holds a NUL byte"),
        ("# nothing else", "needs two species or more"),
    ],
    ids=[
        "columns",
        "species_twice",
        "empty_split",
        "two_splits",
        "contig_twice",
        "reserved",
        "no_fasta",
        "missing_contig",
        "missing_genome",
        "only_n",
        "two_species",
        "nul",
        "one_species",
    ],
)
def test_what_is_wrong_with_a_manifest_is_one_line_naming_it(manifest, line, problem):
    with pytest.raises(InputFileError, match=problem) as caught:
        open_all(manifest(HEADER, HUMAN, line))

    assert "\n" not in str(caught.value)


def test_a_chosen_species_that_is_unknown_is_refused(manifest):
    path = manifest(HEADER, HUMAN, MOUSE)

    with pytest.raises(InputFileError, match="has no species 'yeti'; it has human, mouse"):
        read_manifest(path, selected=("human", "yeti"))
    with pytest.raises(InputFileError, match="chosen twice"):
        read_manifest(path, selected=("human", "human"))
