"""The studies: every job is a command that the tool understands, and the scripts say what is so."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import math
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pysam
import pytest
import torch
from typer.main import get_command

from hyenadna_cli.cli import app
from hyenadna_cli.core.config.settings import ModelConfig
from hyenadna_cli.core.interpretation import contexts
from hyenadna_cli.core.model.hyenadna import HyenaDNA

REPOSITORY = Path(__file__).parents[2]
STUDIES = REPOSITORY / "workflows" / "studies"
VARIANTS = REPOSITORY / "test_data" / "variants.vcf"
CONFIG = {
    "context": ["fasta=g.fa", "bed=r.bed", "train=t.bed", "models=builtin,tiny-1k"],
    "species": ["genomes=a.fa,b.fa", "train_fasta=g.fa", "train=t.bed"],
    "warmup": ["manifest=species.tsv", "seeds=1,2"],
    "warmup_pretraining": ["fasta=g.fa", "bed=r.bed", "held_out=h.bed"],
    "scaling": ["fasta=g.fa", "bed=r.bed", "held_out=h.bed"],
    "suite": ["suite=nucleotide-transformer", "data=d", "options=-m builtin --epochs 2"],
    "variants": [f"vcf={VARIANTS}", "positive=P/LP", "negative=B,LB", "fasta=g.fa", "genes=g.gtf"],
    "in_context": ["data=d", "tokens=2,2k", "shots=0,2", "samples=0,16,64", "seeds=0,1"],
}

N_COMMANDS = {
    "context": 3,
    "species": 2,
    "warmup": 6,
    "warmup_pretraining": 6,
    "scaling": 16,
    "suite": 18,
    "variants": 2,
    "in_context": 16,
}


def script(name):
    """A script of the studies as a module."""
    spec = importlib.util.spec_from_file_location(name, STUDIES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


@pytest.fixture
def run(monkeypatch):
    """`run("points", "--value", "x", ...)`: a script with these arguments."""

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        script(name).main()

    return call


@pytest.mark.workflow
@pytest.mark.skipif(not shutil.which("snakemake"), reason="snakemake is not installed")
@pytest.mark.parametrize("study", CONFIG)
def test_every_job_is_a_command_with_options_that_exist(study, tmp_path):
    command = ["snakemake", "-s", str(STUDIES / f"{study}.smk"), "-n", "-p", "-c", "1", "--config"]
    done = subprocess.run(
        [*command, f"out={tmp_path / 'out'}", *CONFIG[study]],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
    )

    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    lines = [line.partition("hyenadna ")[2] for line in printed.splitlines() if "hyenadna " in line]
    asked = [shlex.split(line.partition(" > ")[0]) for line in lines if "--" in line]
    assert len(asked) == N_COMMANDS[study]
    for verb, *options in asked:
        parser = get_command(app).commands[verb]
        if verb in ("classify-species", "plot"):
            parser = parser.commands[options.pop(0)]
        with parser.make_context(verb, options):
            pass


@pytest.fixture
def snakemake(path_with_hyenadna, tmp_path):
    """`snakemake("variants", "vcf=in.vcf", ...)` runs a whole study; its folder of results."""
    if not shutil.which("snakemake"):
        pytest.skip("snakemake is not installed")

    def call(study, *config):
        out = tmp_path / "out"
        command = ["snakemake", "-s", str(STUDIES / f"{study}.smk"), "-c", "1", "--config"]
        done = subprocess.run(
            [*command, f"out={out}", *config], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return out

    return call


def labelled_vcf(path, genome, n=24):
    """Every second SNV is bad; AF says so, and an allele without a label is there too."""
    info = {"CLASS": "String", "AF": "Float", "PART": "String"}
    lines = ["##fileformat=VCFv4.2", f"##contig=<ID=chr1,length={len(genome)}>"]
    lines += [
        f'##INFO=<ID={key},Number=1,Type={kind},Description="x">' for key, kind in info.items()
    ]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    for number in range(n):
        start = 2_000 + 50 * number
        alt = "A" if genome[start] != "A" else "C"
        label = ("bad", "fine")[number % 2] if number else "unclear"
        af = f"{number % 2 + number / 1000:.3f}"
        entries = f"CLASS={label};AF={af};PART={'near' if number < n // 2 else 'far'}"
        lines.append(f"chr1\t{start + 1}\t.\t{genome[start]}\t{alt}\t.\t.\t{entries}")
    path.write_text("\n".join([*lines, ""]))
    return path


@pytest.mark.slow
@pytest.mark.workflow
def test_labels_of_ones_own_are_judged_by_window_and_class(snakemake, tmp_path, tiny_model):
    genome = REPOSITORY / "test_data" / "tiny.fa"
    with pysam.FastaFile(str(genome)) as fasta:
        vcf = labelled_vcf(tmp_path / "in.vcf", fasta.fetch("chr1").upper())
    asked = ["positive=bad", "negative=fine", "windows=64,128", "also=-AF", "region_info=PART"]

    out = snakemake("variants", f"vcf={vcf}", f"fasta={genome}", f"models={tiny_model}", *asked)

    found = rows(out / "variants.tsv")
    assert {(row["window"], row["score"]) for row in found} >= {
        ("64", "HD_LLR"),
        ("128", "HD_SITE"),
    }
    assert {row["region"] for row in found} == {"all", "near", "far"}
    (given,) = [row for row in found if row["score"] == "AF" and row["region"] == "all"]
    assert (given["n_positive"], given["n_negative"], given["model"]) == ("11", "12", "none")
    assert float(given["auroc"]) == float(given["auprc"]) == 1.0
    assert (out / "variants.png").stat().st_size > 1_000


@pytest.mark.slow
@pytest.mark.workflow
def test_both_sweeps_of_in_context_learning_end_in_tables_and_pictures(snakemake, tiny_model):
    data = REPOSITORY / "test_data" / "labelled.csv"
    sweeps = ["tokens=2", "shots=1", "samples=0,2", "options=--max-length 50"]
    sweeps.append("soft_options=--examples 8 --epochs 1")

    out = snakemake("in_context", f"data={data}", f"model={tiny_model}", *sweeps)

    soft, shots = (rows(out / f"{kind}.tsv") for kind in ("soft", "shots"))
    assert {row["split"] for row in soft if row["tokens"] == "2"} == {"valid", "test"}
    assert {(row["shots"], row["samples"]) for row in shots} == {("1", "0"), ("1", "2")}
    for row in [*soft, *shots]:
        assert 0 <= float(row["low"]) <= float(row["accuracy"]) <= float(row["high"]) <= 1
    assert all((out / f"{kind}.png").stat().st_size > 1_000 for kind in ("soft", "shots"))


def scored_vcf(path, scores, *, window):
    """Alleles with these HD_LLR; the first half are bad."""
    header = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=chr1,length=400>",
        '##INFO=<ID=CLASS,Number=1,Type=String,Description="x">',
        '##INFO=<ID=HD_LLR,Number=A,Type=Float,Description="x">',
        f'##hyenadna_run=<window="{window}",layout="grid">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    label = ["bad" if n < len(scores) / 2 else "fine" for n in range(len(scores))]
    lines = [
        f"chr1\t{10 * n + 1}\t.\tA\tC\t.\t.\tCLASS={label[n]};HD_LLR={score}"
        for n, score in enumerate(scores)
    ]
    path.write_text("\n".join([*header, *lines, ""]))
    return path


def test_windows_are_compared_on_the_alleles_that_all_of_them_score(
    fasta_file, bed_file, tmp_path, run, capsys
):
    """Two of the fine ones have no score at 512, and do not count at 64 either."""
    pytest.importorskip("matplotlib")
    genome = fasta_file({"chr1": "A" * 200 + "ACGT" * 50})
    short = scored_vcf(tmp_path / "a.vcf", [-9, -8, -2, 3, 1, -99, 4, 5], window=64)
    long = scored_vcf(tmp_path / "b.vcf", [1, 2, 3, 4, 5, ".", 6, "."], window=512)
    parts = bed_file("chr1 0 45 left", "chr1 20 25 both", "chr1 35 100 both", name="parts.bed")
    options = ("--positive", "bad", "--negative", "fine", "--fasta", genome, "--regions", parts)

    run("variants", f"m={short}", f"m={long}", *options, "-o", tmp_path / "all.tsv")

    assert "2 of 8 labelled alleles lack a score" in capsys.readouterr().err
    found = {
        (row["window"], row["region"], row["score"]): row for row in rows(tmp_path / "all.tsv")
    }
    near, far = (found[window, "all", "HD_LLR"] for window in ("64", "512"))
    # -9, -8, -2 and 3 against 1 and 4: one of eight pairs is wrong.
    assert (near["n_positive"], near["n_negative"]) == ("4", "2")
    assert (float(near["auroc"]), float(far["auroc"])) == (7 / 8, 1.0)
    assert float(found[".", "all", "gc"]["auroc"]) == 0.5
    assert ("64", "left", "HD_LLR") in found
    assert found["64", "both", "HD_LLR"]["n_positive"] == "1"
    assert (tmp_path / "all.png").stat().st_size > 1_000


def test_the_count_of_parameters_is_that_of_the_model():
    text = (STUDIES / "scaling.smk").read_text()
    names = {}
    exec(text[text.index("def parameters") : text.index("def steps")], names)

    for n_layer, d_model in ((2, 128), (1, 32), (4, 64)):
        config = ModelConfig(d_model=d_model, n_layer=n_layer, d_inner=4 * d_model, l_max=1026)
        with torch.device("meta"):
            expected = sum(parameter.numel() for parameter in HyenaDNA(config).parameters())
        assert names["parameters"](f"{n_layer}x{d_model}") == expected


def test_a_markov_model_says_what_counting_by_hand_does(fasta_file, bed_file, tmp_path, run):
    """Order 0 after 40 bases of which 30 are A or T: ln p of the targets by that share."""
    pattern = "ATTA" * 10
    genome = fasta_file({"chr1": "ATATATATCG" * 4 + pattern * 10})
    train, held_out = bed_file("chr1 0 40", name="t.bed"), bed_file("chr1 60 440", name="h.bed")
    options = ("--train", train, "--bed", held_out, "--contexts", "16", "--targets", "40")

    run("markov", genome, *options, "--order", "0", "--alpha", "1e-9", "-o", tmp_path / "gc")

    (row,) = rows(tmp_path / "gc" / "genome.tsv")
    assert tuple(row) == contexts.COLUMNS
    assert int(row["n_bases"]) == 40
    assert float(row["nats_per_base"]) == pytest.approx(-math.log(0.4))


def test_points_of_several_runs_are_one_table_with_a_picture(tmp_path, run):
    pytest.importorskip("matplotlib")
    for name, nats in (("a", 1.2), ("b", 1.1)):
        lines = ["\t".join(contexts.COLUMNS), f"64\t10\t64\t{nats}\t{nats - 0.1}\t{nats + 0.1}\t3"]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    runs = [f"model/{name}={tmp_path / name}.tsv" for name in "ab"]

    run("points", "--value", "nats_per_base", *runs, "-o", tmp_path / "all.tsv")

    found = [(r["series"], r["group"], r["nats_per_base"]) for r in rows(tmp_path / "all.tsv")]
    assert found == [("model", "a", "1.2"), ("model", "b", "1.1")]
    assert (tmp_path / "all.png").stat().st_size > 1_000


def test_sweeps_have_a_row_per_run_and_split_and_other_methods_beside(tmp_path, run):
    pytest.importorskip("matplotlib")
    metrics = {"values": {"accuracy": {"value": 0.75, "low": 0.5, "high": 0.9}}}
    files = []
    for n_samples, seed in ((64, 1), (2, 0)):
        settings = {"n_shots": 8, "n_samples": n_samples, "seed": seed, "words": ["A", "C"]}
        settings["n_tokens"] = 32
        path = tmp_path / f"{n_samples}.json"
        record = {"settings": settings, "metrics": {"valid": metrics, "test": metrics}}
        path.write_text(json.dumps(record))
        files.append(path)
    (tmp_path / "probe.json").write_text(json.dumps(metrics))

    run("in_context", "shots", *files, "-o", tmp_path / "shots.tsv")
    run("in_context", "soft", *files, f"probe={tmp_path}/probe.json", "-o", tmp_path / "soft.tsv")

    found = rows(tmp_path / "shots.tsv")
    assert [(r["shots"], r["samples"], r["seed"], r["split"]) for r in found] == [
        ("8", "2", "0", "valid"),
        ("8", "2", "0", "test"),
        ("8", "64", "1", "valid"),
        ("8", "64", "1", "test"),
    ]
    assert (found[0]["accuracy"], found[0]["low"], found[0]["high"]) == (
        "0.7500",
        "0.5000",
        "0.9000",
    )
    *prompted, probe = rows(tmp_path / "soft.tsv")
    assert {row["method"] for row in prompted} == {"soft prompt, words"}
    assert (probe["method"], probe["tokens"], probe["split"]) == ("probe", ".", "test")
    assert (tmp_path / "shots.png").stat().st_size > 1_000


def test_a_suite_is_one_table_beside_the_published_rows(tmp_path, run):
    pytest.importorskip("matplotlib")
    header = "metric\tmethod\tseeds\tn\tvalue\tlow\thigh\n"
    for name in ("cohn", "worm"):
        ours = "accuracy\tfinetune\t1\t90\t0.5000\t0.4000\t0.6000\n"
        published = "accuracy\tpublished HyenaDNA\t.\t.\t0.7420\t.\t.\n"
        (tmp_path / f"{name}.tsv").write_text(header + ours + published)

    run("suite_table", tmp_path / "cohn.tsv", tmp_path / "worm.tsv", "-o", tmp_path / "all.tsv")

    found = [(row["set"], row["method"], row["value"]) for row in rows(tmp_path / "all.tsv")]
    assert found[:2] == [("cohn", "finetune", "0.5000"), ("cohn", "published HyenaDNA", "0.7420")]
    assert len(found) == 4
    assert (tmp_path / "all.png").stat().st_size > 1_000


def test_the_fit_at_equal_compute_finds_the_best_size(tmp_path, run):
    """Losses on a parabola over the logarithm of the size whose lowest point is at 10,000."""
    pytest.importorskip("matplotlib")
    arguments = []
    for size in (1_000, 5_000, 20_000, 100_000):
        nats = 1.2 + 0.01 * math.log(size / 10_000) ** 2
        path = tmp_path / f"{size}.tsv"
        line = f"64\t10\t64\t{nats}\t{nats - 0.1}\t{nats + 0.1}\t3"
        path.write_text("\t".join(contexts.COLUMNS) + f"\n{line}\n")
        arguments.append(f"64/{size}={path}={size}")

    run("scaling_fit", *arguments, "-o", tmp_path / "fit.tsv")

    for row in rows(tmp_path / "fit.tsv"):
        assert float(row["fit"]) == pytest.approx(float(row["nats_per_base"]), abs=1e-6)
    fit = script("scaling_fit")
    runs = [fit.read(text) for text in arguments]
    assert fit.lowest(fit.parabola(runs), runs) == "lowest at 10,000 parameters"
    assert fit.parabola(runs[:2]) is None


def test_trainings_side_by_side(tmp_path, run):
    directory = tmp_path / "run"
    (directory / "evaluation").mkdir(parents=True)
    metrics = "step,length,n_bases,loss,valid_loss\n1,64,128,2,\n2,64,128,1,1.5\n3,64,64,1,1.25\n"
    (directory / "metrics.csv").write_text(metrics)
    header = "length\tn_windows\taccuracy\taccuracy_low\taccuracy_high"
    lines = f"{header}\n512\t9\t0.3\t0.2\t0.4\n1024\t8\t0.5\t0.25\t0.75\n"
    (directory / "evaluation" / "accuracy.tsv").write_text(lines)

    run("trainings", f"on={directory}", "-o", tmp_path / "table.tsv")

    (row,) = rows(tmp_path / "table.tsv")
    assert list(row.values()) == ["on", "3", "320", "1.25", "1024", "8", "0.5", "0.25", "0.75"]


def test_features_of_yeast_have_the_kind_that_their_name_says(tmp_path, capsys):
    exons = ["ex:YAL001C", "ex:YAL001C", "ex:tA(UGC)A", "ex:SNR18", "ex:SNR14", "ex:A/B", "in:X"]
    lines = [f"chrI\t{200 * n}\t{200 * n + 100}\t{name}\n" for n, name in enumerate(exons)]
    path = tmp_path / "segments.bed.gz"
    path.write_bytes(gzip.compress("".join(lines).encode()))

    script("yeast_features").main(str(path))

    found = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
    assert sorted((f[1], f[2], f[6]) for f in found) == [
        ("0", "300", "CDS"),
        ("1200", "1300", "intron"),
        ("400", "500", "tRNA"),
        ("600", "700", "snoRNA"),
    ]


def gtf_line(contig, first, last, strand, name, biotype, kind="gene"):
    attributes = f'gene_id "{name}"; gene_biotype "{biotype}";'
    return "\t".join((contig, "x", kind, str(first), str(last), ".", strand, ".", attributes))


def test_windows_of_genes_lie_in_them_and_overlapping_genes_are_one_locus(
    fasta_file, tmp_path, capsys
):
    """The FASTA holds chr7 from base 10,001 on; the gene before it is left out."""
    genome = fasta_file({"chr7:10001-40000": "ACGT" * 7_500})
    lines = [
        gtf_line("7", 9_990, 12_000, "+", "before", "protein_coding"),
        gtf_line("7", 10_001, 11_500, "+", "first", "protein_coding"),
        gtf_line("7", 11_500, 11_600, "-", "against", "antisense_RNA"),
        gtf_line("7", 11_601, 39_000, "+", "long", "protein_coding"),
        gtf_line("7", 39_001, 39_040, "+", "tiny", "miRNA"),
        gtf_line("7", 20_000, 21_000, "+", "long", "protein_coding", kind="exon"),
    ]
    gff3 = (
        "7\tx\tgene\t39901\t40000\t.\t-\t.\tID=gene:g;biotype=unprocessed_pseudogene;gene_id=last"
    )
    (tmp_path / "a.gtf").write_text("\n".join([*lines, ""]))
    (tmp_path / "b.gff3").write_text(f"##gff-version 3\n{gff3}\n")

    script("gene_windows").main(str(genome), str(tmp_path / "a.gtf"), str(tmp_path / "b.gff3"))

    printed = capsys.readouterr()
    header, *found = (line.split("\t") for line in printed.out.splitlines())
    assert header[0] == "#chrom"
    assert "1 genes are not in" in printed.err
    of = {name: [row for row in found if row[3] == name] for name in {row[3] for row in found}}
    assert [(row[1], row[2], row[5]) for row in of["first"]] == [("0", "1000", "+")]
    assert [(row[1], row[2], row[6]) for row in of["against"]] == [("1499", "1600", "lncRNA")]
    assert of["first"][0][7] == of["against"][0][7] != of["long"][0][7]
    assert (len(of["long"]), of["long"][0][1], of["long"][-1][2]) == (8, "1600", "29000")
    assert [(row[2], row[6]) for row in of["last"]] == [("30000", "pseudogene")]
    assert "tiny" not in of


def test_a_probe_of_groups_never_learns_from_a_group_it_predicts():
    """Vectors that only name the group are worth nothing; those that say the label, everything."""
    probe, random = script("grouped_probe"), np.random.default_rng(0)
    groups = np.repeat([f"g{n:02d}" for n in range(20)], 4)
    targets = np.repeat(random.permutation([0, 1] * 10), 4)
    name_of_group = np.repeat(np.eye(20), 4, axis=0)
    says_label = targets[:, None] + random.normal(0, 0.01, (80, 2))

    for train, test in probe.folds(targets, groups, seed=0):
        assert not set(groups[train]) & set(groups[test])
    assert (probe.scores(says_label, targets, groups).argmax(1) == targets).all()
    assert (probe.scores(name_of_group, targets, groups).argmax(1) == targets).mean() < 0.7


def test_probes_of_several_vectors_are_one_table(hyenadna, tiny_model, tmp_path, run):
    genome = REPOSITORY / "test_data" / "tiny.fa"
    lines = ["#chrom\tstart\tend\tname\tscore\tstrand\tgene_type\tlocus"]
    for n in range(12):
        kind = "rare" if n == 0 else ("a", "b")[n % 2]
        lines.append(f"chr1\t{1_000 + 100 * n}\t{1_060 + 100 * n}\tr{n}\t0\t+\t{kind}\tlocus{n}")
    (tmp_path / "r.bed").write_text("\n".join([*lines, ""]))
    embed = ("embed", "--fasta", genome, "--bed", tmp_path / "r.bed", "-m", tiny_model)
    assert hyenadna(*embed, "--threads", "1", "-o", tmp_path / "e.h5ad").code == 0

    options = ("--label", "gene_type", "--group", "locus", "-o", tmp_path / "all.tsv")
    run("grouped_probe", f"model={tmp_path / 'e.h5ad'}", *options)

    found = rows(tmp_path / "all.tsv")
    assert [row["vectors"] for row in found[::3]] == ["model", "most frequent label"]
    assert {(row["n"], row["n_groups"]) for row in found} == {("11", "11")}


def test_words_take_the_place_of_vectors(hyenadna, tiny_model, tmp_path):
    genome = Path(__file__).parents[2] / "test_data" / "tiny.fa"
    (tmp_path / "r.bed").write_text("chr1\t1000\t1050\tr\t0\t+\nchr1\t2050\t2090\ts\t0\t+\n")
    embed = ("embed", "--fasta", genome, "--bed", tmp_path / "r.bed", "-m", tiny_model)
    assert hyenadna(*embed, "--threads", "1", "-o", tmp_path / "e.h5ad").code == 0
    baselines = script("baseline_vectors")

    baselines.kmers(tmp_path / "e.h5ad", str(genome), tmp_path / "k.h5ad")

    with h5py.File(tmp_path / "k.h5ad") as file:
        assert file["X"].shape == (2, 4 + 16 + 64 + 256)
        assert np.allclose(file["X"][:, :4].sum(axis=1), 1.0)
        assert list(file["var/_index"].asstr()[:4]) == list("ACGT")
    anndata = pytest.importorskip("anndata")
    assert anndata.read_h5ad(tmp_path / "k.h5ad").shape == (2, 340)
