"""The suffix of an output decides its kind, in whatever case it is written."""

from __future__ import annotations

import pytest

RUNS = {
    ".H5AD": ("embed", "--fasta", "genome.fa"),
    ".TSV.Gz": ("embed", "--fasta", "genome.fa"),
    ".H5": ("embed", "--fasta", "genome.fa", "--pool", "token"),
    ".Tsv": ("perplexity", "--fasta", "genome.fa"),
    ".FA.gz": ("generate", "--prompt", "ACGT", "--length", 8),
    ".VCF.GZ": ("score-variants", "in.vcf", "--fasta", "genome.fa"),
    ".BCF": ("score-variants", "in.vcf", "--fasta", "genome.fa"),
    ".bedGraph": ("mutagenize", "--fasta", "genome.fa", "--region", "chr1:5-9"),
    ".bedGraph.GZ": ("mutagenize", "--fasta", "genome.fa", "--region", "chr1:5-9"),
}


@pytest.mark.parametrize("suffix", RUNS)
def test_a_suffix_means_the_same_in_capitals(
    hyenadna, tiny_model, fasta_file, vcf_file, tmp_path, monkeypatch, suffix
):
    fasta_file({"chr1": "ACGTTGCAACGTAGGCTA" * 3})
    vcf_file("chr1 5 . T G", name="in.vcf", contigs={"chr1": 54})
    monkeypatch.chdir(tmp_path)

    def run(output):
        finished = hyenadna(*RUNS[suffix], "-m", tiny_model, "--no-version", "-o", output)
        assert finished.code == 0, finished.err
        return (tmp_path / output).read_bytes()

    assert run(f"x{suffix}") == run(f"y{suffix.lower()}")


def test_a_picture_may_be_called_in_capitals(hyenadna, text_file, tmp_path):
    columns = "step,length,n_bases,loss,learning_rate,gradient_norm,seconds,valid_loss"
    table = text_file(f"{columns}\n1,8,16,1.5,0.1,1,0.1,1.5\n", name="metrics.csv")

    finished = hyenadna("plot", "training", table.parent, "-o", tmp_path / "x.PNG")

    assert finished.code == 0, finished.err
    assert (tmp_path / "x.PNG").read_bytes().startswith(b"\x89PNG")
