"""Every command that reads records: an input without any is no error, and so is its output.

What learns has nothing to learn then, and says so as of any other unusable input.
"""

from __future__ import annotations

import gzip
import io
import json

import anndata
import pysam
import pytest

from hyenadna_cli.core.io.embeddings_reading import read_tokens

COMMON = ("--device", "cpu", "--threads", "1", "--no-version")
SEQUENCES = {
    "plain": ("empty.fa", b""),
    "blank lines": ("empty.fa", b"\n\n"),
    "gzip": ("empty.fa.gz", gzip.compress(b"")),
    "bgzip": (
        "empty.fa.gz",
        bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"),
    ),
    "FASTQ": ("empty.fq", b""),
    "GenBank": ("empty.gb", b""),
    "stdin": ("-", b""),
}
REGIONS = {
    "plain": ("empty.bed", b""),
    "gzip": ("empty.bed.gz", gzip.compress(b"")),
    "comments": ("empty.bed", b"#chrom\tstart\nbrowser position chr1\ntrack name=x\n"),
    "stdin": ("-", b""),
}
VARIANTS = ["vcf", "vcf.gz", "bcf", "stdin"]


@pytest.fixture
def given(tmp_path, monkeypatch):
    """`given(name, content)`: an input, "-" for stdin."""

    def make(name, content):
        if name == "-":
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
            return name
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return make


@pytest.fixture
def models(tiny_model, tmp_path):
    """A model for each command: plain, or with a head of classes."""
    from hyenadna_cli.core.config.settings import HeadConfig
    from hyenadna_cli.core.model.checkpoints import checkpoint
    from hyenadna_cli.core.model.classifier import SequenceClassifier, save_classifier

    directory = tmp_path / "classes"
    directory.mkdir()
    model, _ = checkpoint.load(tiny_model)
    config = HeadConfig(task="multiclass", label_names=("a", "b"))
    save_classifier(SequenceClassifier(model, config, width=16), directory)
    return {"predict": directory, "classify-species predict": directory, None: tiny_model}


@pytest.fixture
def run(hyenadna, models):
    """`run("embed", ...)`: must exit 0 without a warning about skipped records."""

    def start(command, *arguments):
        model = models.get(command, models[None])
        words = ["embed", "--pool", "token"] if command == "embed token" else command.split()
        done = hyenadna(*words, "-m", model, *COMMON, *map(str, arguments), "--strict")
        assert done.code == 0, done.err
        return done

    return start


def assert_has_no_rows(path):
    """It is of the kind that its name says, and holds nothing."""
    name = path.name
    if name.endswith(".h5ad"):
        assert anndata.read_h5ad(path).shape == (0, 16)
    elif name.endswith(".h5"):
        tokens = read_tokens(path)
        assert (tokens.data.shape, tokens.offsets.tolist()) == ((0, 16), [0])
    elif name.endswith((".vcf", ".vcf.gz", ".bcf")):
        with pysam.VariantFile(str(path)) as variants:
            assert "HD_STATUS" in variants.header.info
            assert list(variants) == []
    elif name.endswith((".bedgraph", ".fa")):
        assert path.read_bytes() == b""
    else:
        text = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
        assert text.count(b"\n") == 1
        assert b"\t" in text
    manifest = json.loads(path.with_name(f"{name}.manifest.json").read_text())
    assert manifest["rows"] == {}


RECORDWISE = [
    ("embed", "x.tsv"),
    ("embed", "x.h5ad"),
    ("embed token", "x.h5"),
    ("perplexity", "x.tsv.gz"),
    ("predict", "x.tsv"),
    ("classify-species predict", "x.tsv"),
]


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEQUENCES)
@pytest.mark.parametrize(("command", "output"), RECORDWISE)
def test_no_sequences(run, given, tmp_path, command, output, kind):

    run(command, "--fasta", given(*SEQUENCES[kind]), "-o", tmp_path / output)

    assert_has_no_rows(tmp_path / output)


@pytest.mark.parametrize("kind", REGIONS)
@pytest.mark.parametrize(("command", "output"), RECORDWISE)
def test_no_regions(run, given, fasta_file, tmp_path, command, output, kind):
    genome = ("--fasta", fasta_file({"chr1": "ACGT" * 30}))

    run(command, *genome, "--bed", given(*REGIONS[kind]), "-o", tmp_path / output)

    assert_has_no_rows(tmp_path / output)


@pytest.mark.parametrize("kind", REGIONS)
@pytest.mark.parametrize("output", ["x.tsv", "x.bedgraph"])
def test_no_regions_to_mutate(run, given, fasta_file, tmp_path, output, kind):
    genome = ("--fasta", fasta_file({"chr1": "ACGT" * 30}))

    run("mutagenize", *genome, "--bed", given(*REGIONS[kind]), "-o", tmp_path / output)

    assert_has_no_rows(tmp_path / output)


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("output", ["x.vcf", "x.vcf.gz", "x.bcf", "x.tsv"])
def test_no_variants(run, vcf_file, fasta_file, given, tmp_path, output, kind):
    header = vcf_file(contigs={"chr1": 120}, name="header.vcf")
    source = header
    if kind == "stdin":
        source = given("-", header.read_bytes())
    elif kind != "vcf":
        source = tmp_path / f"empty.{kind}"
        mode = "wb" if kind == "bcf" else "wz"
        with pysam.VariantFile(str(header)) as read:
            pysam.VariantFile(str(source), mode, header=read.header).close()
    index = ("-W",) if output in ("x.vcf.gz", "x.bcf") else ()

    run(
        "score-variants",
        source,
        "--fasta",
        fasta_file({"chr1": "ACGT" * 30}),
        "--window",
        64,
        "-o",
        tmp_path / output,
        *index,
    )

    assert_has_no_rows(tmp_path / output)
    assert (tmp_path / f"{output}.csi").exists() == bool(index)


def test_no_rows_of_a_table(run, text_file, tmp_path):
    table = text_file("sequence\tlabel\n", name="table.tsv")

    run("predict", "--data", table, "-o", tmp_path / "x.tsv")

    assert_has_no_rows(tmp_path / "x.tsv")


@pytest.mark.slow
@pytest.mark.parametrize("kind", SEQUENCES)
def test_no_prompts(hyenadna, models, given, tmp_path, kind):
    prompts = given(*SEQUENCES[kind])

    done = hyenadna(
        "generate",
        "--length",
        8,
        "--fasta",
        prompts,
        "-m",
        models[None],
        *COMMON,
        "-o",
        tmp_path / "x.fa",
    )

    assert done.code == 0, done.err
    assert_has_no_rows(tmp_path / "x.fa")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "output"),
    [
        *RECORDWISE,
        ("score-variants", "x.vcf.gz"),
        ("score-variants", "x.bcf"),
        ("mutagenize", "x.bedgraph"),
        ("mutagenize", "x.tsv"),
    ],
)
def test_shards_without_records_merge(
    run, hyenadna, fasta_file, bed_file, vcf_file, tmp_path, command, output
):
    genome = ("--fasta", fasta_file({"chr1": "ACGT" * 30}))
    inputs = (*genome, "--bed", bed_file())
    if command == "score-variants":
        inputs = (vcf_file(contigs={"chr1": 120}), *genome, "--window", 64)
    shards = []
    for i in (1, 2, 3):
        shards.append(tmp_path / output.replace("x", f"shard{i}"))
        run(command, *inputs, "--shard", f"{i}/3", "-o", shards[-1])

    done = hyenadna("merge", *shards, "-o", tmp_path / output, "--no-version")

    assert done.code == 0, done.err
    assert_has_no_rows(tmp_path / output)


def test_a_pipe_gets_the_header_only(hyenadna, models, given):
    done = hyenadna("perplexity", "--fasta", given("-", b""), "-m", models[None], *COMMON)

    assert (done.code, done.out.count("\n")) == (0, 1), done.err


@pytest.mark.parametrize(
    "command",
    ["pretrain", "finetune", "prompt-tune", "classify-species train"],
)
def test_there_is_nothing_to_learn_from_nothing(hyenadna, tiny_model, text_file, tmp_path, command):
    table = text_file("sequence\tlabel\tsplit\n", name="labels.tsv")
    manifest = text_file(
        "species\tfasta\ttrain_contigs\tvalid_contigs\ttest_contigs\n", name="species.tsv"
    )
    data = {
        "pretrain": ("--fasta", text_file("", name="empty.fa")),
        "classify-species train": ("--manifest", manifest, "-m", tiny_model, "--length", 64),
    }.get(command, ("--data", table, "-m", tiny_model))

    done = hyenadna(*command.split(), *data, "--device", "cpu", "-o", tmp_path / "run")

    assert done.code == 3, done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
