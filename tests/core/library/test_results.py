"""The tables of results are those that the commands write."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest

import hyenadna_cli as hd

pandas = pytest.importorskip("pandas")

TEST_DATA = Path(__file__).parents[3] / "test_data"
FASTA, BED = TEST_DATA / "tiny.fa", TEST_DATA / "regions.bed"
PROGRAM = ("--device", "cpu", "--threads", "1")


@pytest.fixture
def table_of(hyenadna):
    """`table_of("perplexity", ...)`: what the command writes, as a DataFrame."""

    def run(*arguments):
        done = hyenadna(*arguments, *PROGRAM)
        assert done.code == 0, done.err
        return pandas.read_csv(io.StringIO(done.out), sep="\t", keep_default_na=False)

    return run


def same(ours, theirs):
    """Whether two tables say the same; numbers to what TSV and batches leave of them."""
    assert list(ours.columns) == list(theirs.columns)
    for name in ours.columns:
        if ours[name].dtype.kind == "f":
            of_file = theirs[name].astype(float)
            np.testing.assert_allclose(ours[name], of_file, rtol=1e-5, atol=1e-5)
        else:
            assert ours[name].astype(str).tolist() == theirs[name].astype(str).tolist()


def test_vectors_of_regions(table_of, tiny_model, model):
    theirs = table_of("embed", "--fasta", FASTA, "--bed", BED, "-m", tiny_model)

    same(hd.embed(model, BED, FASTA).to_pandas(), theirs)


def test_a_fasta_file_and_an_open_genome_will_do(table_of, tiny_model, model, fasta_file):
    fasta = fasta_file({"a": "ACGTNACGT" * 5, "b": "GATTACA"})
    theirs = table_of("embed", "--fasta", fasta, "-m", tiny_model)

    same(hd.embed(model, str(fasta)).to_pandas(), theirs)
    with hd.Genome(fasta) as genome:
        ours = hd.embed(model, [hd.Interval("b", 0, 7, "-")], genome, strand="+").vectors
        reverse = hd.embed(model, [hd.Interval("b", 0, 7, "-")], genome).vectors
    np.testing.assert_allclose(ours, hd.embed(model, ["GATTACA"]).vectors, atol=1e-6)
    np.testing.assert_allclose(reverse, hd.embed(model, ["TGTAATC"]).vectors, atol=1e-6)


def test_further_columns_of_a_bed_are_kept(model, bed_file):
    bed = bed_file("#chrom start end name score strand kind", "chr1 0 40 a 0 + exon")

    embedded = hd.embed(model, bed, FASTA)

    assert embedded.to_pandas()["kind"].tolist() == ["exon"]
    anndata = pytest.importorskip("anndata")
    found = embedded.to_anndata()
    assert isinstance(found, anndata.AnnData)
    assert found.obs["kind"].tolist() == ["exon"]


def test_an_anndata_is_that_of_the_file(hyenadna, tiny_model, model, tmp_path):
    anndata = pytest.importorskip("anndata")
    out = tmp_path / "x.h5ad"
    options = ("--fasta", FASTA, "--bed", BED, "-m", tiny_model, "-o", out)
    assert hyenadna("embed", *options, *PROGRAM).code == 0

    ours, theirs = hd.embed(model, BED, FASTA).to_anndata(), anndata.read_h5ad(out)

    np.testing.assert_allclose(ours.X, theirs.X, rtol=1e-5, atol=1e-6)
    assert ours.obs_names.tolist() == theirs.obs_names.tolist()
    assert ours.var_names.tolist() == theirs.var_names.tolist()
    assert ours.obs.astype(str).equals(theirs.obs.astype(str))
    facts = ours.uns["hyenadna"]
    assert facts.items() >= {"X": "mean_layer-1", "format": "hyenadna-embeddings"}.items()


def test_what_an_anndata_writes_is_an_embedding_file(model, tmp_path):
    pytest.importorskip("anndata")
    from hyenadna_cli.core.io.embeddings_reading import read_embeddings

    embedded = hd.embed(model, ["chr1:1-40", "chr1:1-40"], FASTA)
    embedded.to_anndata().write_h5ad(tmp_path / "x.h5ad")

    found = read_embeddings(tmp_path / "x.h5ad")
    assert found.names == ["chr1:0-40", "chr1:0-40-1"]
    assert found.given_names == ["chr1:0-40", "chr1:0-40"]
    assert found.obs["chrom"].tolist() == ["chr1", "chr1"]
    np.testing.assert_array_equal(found.X, embedded.vectors)


def test_no_rows_are_an_empty_table(model):
    embedded = hd.embed(model, [])

    assert embedded.to_pandas().shape == (0, 7 + model.config.d_model)
    assert np.asarray(embedded).shape == (0, model.config.d_model)
    pytest.importorskip("anndata")
    assert embedded.to_anndata().shape == (0, model.config.d_model)


def test_scores_of_a_vcf(table_of, tiny_model, model):
    vcf = TEST_DATA / "variants.vcf"
    options = ("--fasta", FASTA, "-m", tiny_model, "--window", "64", "-O", "t")
    theirs = table_of("score-variants", vcf, *options)

    same(hd.score_variants(model, vcf, FASTA, window=64).to_pandas(), theirs)


def test_snvs(table_of, tiny_model, model):
    options = ("--region", "chr1:395-420", "--fasta", FASTA, "-m", tiny_model, "--window", "64")
    theirs = table_of("mutagenize", *options)

    same(hd.mutagenize(model, "chr1:395-420", FASTA, window=64).to_pandas(), theirs)


def test_perplexities(table_of, tiny_model, model):
    theirs = table_of("perplexity", "--fasta", FASTA, "--bed", BED, "-m", tiny_model)

    same(hd.perplexity(model, BED, FASTA).to_pandas(), theirs)


@pytest.fixture
def classifier(tiny_model, tmp_path):
    """A model with a head that nothing has trained."""
    from hyenadna_cli.core.config.settings import HeadConfig
    from hyenadna_cli.core.model.checkpoints import checkpoint
    from hyenadna_cli.core.model.classifier import SequenceClassifier, save_classifier

    directory = tmp_path / "classifier"
    directory.mkdir()
    backbone, _ = checkpoint.load(tiny_model)
    config = HeadConfig(task="multiclass", label_names=("bulk", "island"))
    save_classifier(SequenceClassifier(backbone, config, width=16), directory)
    return directory


def test_predictions(table_of, classifier):
    theirs = table_of("predict", "-m", classifier, "--fasta", FASTA, "--bed", BED)

    loaded = hd.load_classifier(classifier, device="cpu", threads=1)

    assert loaded.head.label_names == ("bulk", "island")
    same(hd.predict(loaded, BED, FASTA).to_pandas(), theirs)
    with pytest.raises(ValueError, match="no prompt"):
        hd.load_classifier(classifier, base="builtin")
    with pytest.raises(TypeError, match="classifier must be"):
        hd.predict(5, BED, FASTA)


def test_samples_are_those_of_the_command(hyenadna, tiny_model, model):
    options = ("--length", "30", "--sequences", "2", "--prompt", "TATA", "--seed", "3")
    done = hyenadna("generate", "-m", tiny_model, *options, *PROGRAM)
    theirs = [line for line in done.out.splitlines() if not line.startswith(">")]

    ours = hd.generate(model, "tata", length=30, n_sequences=2, seed=3)

    assert ours.sequences == theirs
    assert ours.to_pandas().prompt.tolist() == ["TATA", "TATA"]


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"prompts": ["A", 5]}, TypeError, r"prompts\[1\] must be a string"),
        ({"prompts": "AC*"}, ValueError, "is not an IUPAC"),
        ({"length": 0}, ValueError, "length must be 1 or more"),
        ({"length": 300}, ValueError, "300 bases; at most 258"),
        ({"n_sequences": 0}, ValueError, "n_sequences must be 1"),
        ({"temperature": "hot"}, ValueError, "temperature must be a finite number"),
        ({"top_p": 0}, ValueError, "top-p must be above 0"),
    ],
)
def test_a_wrong_argument_of_generate_is_named(model, arguments, error, problem):
    with pytest.raises(error, match=problem):
        hd.generate(**{"model": model, "length": 5, **arguments})


@pytest.mark.parametrize("name", ["pandas", "anndata"])
def test_what_is_missing_is_named(model, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    embedded = hd.embed(model, ["ACGT"])

    assert repr(embedded) == "<Embeddings of 1; .to_pandas() makes a table>"
    with pytest.raises(ImportError, match=f"needs {name}: pip install"):
        getattr(embedded, f"to_{name}")()


def test_progress_is_shown_where_it_is_asked_for(model, capsys):
    hd.embed(model, ["ACGT"])
    assert capsys.readouterr().err == ""

    hd.embed(model, ["ACGT"], progress=True)
    assert "embedding: 4 bases" in capsys.readouterr().err
