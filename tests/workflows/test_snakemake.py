"""The Snakemake workflow for real: any number of shards, a job that is killed, the linter."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (Path(sys.executable).parent / "snakemake").exists() and not shutil.which("snakemake"),
        reason="snakemake is not installed: pip install snakemake",
    ),
]

WORKFLOW = Path(__file__).parents[2] / "workflows" / "snakemake" / "Snakefile"
RESULTS = ("scored/v.vcf.gz", "scored/v.vcf.gz.csi", "embedded/r.h5ad", "report/summary.tsv")


@pytest.fixture
def snakemake(path_with_hyenadna, inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    def start(folder, shards, *more, **settings):
        folder = tmp_path / folder
        folder.mkdir(exist_ok=True)
        config = {
            "fasta": str(inputs.fasta),
            "model": str(inputs.model),
            "variants": {"v": str(inputs.vcf)},
            "regions": {"r": str(inputs.bed)},
            "score_options": "--window 64 --device cpu",
            "embed_options": "--device cpu",
            "shards": shards,
            "reproducible": True,
            **settings,
        }
        (folder / "config.json").write_text(json.dumps(config))
        command = ["snakemake", "--snakefile", WORKFLOW, "--directory", folder, "--cores", "2"]
        return subprocess.Popen(
            [*map(str, command), "--configfile", str(folder / "config.json"), *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def finished(process):
    out, _ = process.communicate(timeout=1_800)
    assert process.returncode == 0, out
    return out


def results(folder):
    return {name: (folder / name).read_bytes() for name in RESULTS}


def test_one_and_seven_shards_give_equal_bytes(snakemake, tmp_path):
    finished(snakemake("one", 1))
    finished(snakemake("seven", 7))

    assert results(tmp_path / "one") == results(tmp_path / "seven")
    summary = (tmp_path / "one" / "report" / "summary.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0] for line in summary} == {"v.vcf.gz", "r.h5ad"}
    assert sum(int(line.split("\t")[2]) for line in summary) == 4_000


def test_a_killed_job_goes_on_where_it_was(snakemake, tmp_path):
    finished(snakemake("straight", 1))
    process = snakemake("killed", 1, "--rerun-incomplete")
    journal = tmp_path / "killed" / "shards" / "v" / "1-of-1.vcf.gz.journal"
    while not (journal.exists() and journal.stat().st_size > 20_000):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    for number in job_processes("score-variants"):
        os.kill(number, signal.SIGKILL)
    process.communicate(timeout=600)
    assert process.returncode == 1
    assert journal.exists()

    finished(snakemake("killed", 1, "--rerun-incomplete"))

    log = (tmp_path / "killed" / "logs" / "score_variants" / "v.1-of-1.log").read_text()
    assert "going on after" in log
    assert results(tmp_path / "killed") == results(tmp_path / "straight")


def job_processes(command):
    """Processes of this user that run `hyenadna COMMAND` in this test."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                owner = (folder / "cwd").resolve()
            except OSError:
                continue
            if b"hyenadna_cli" in words and command.encode() in words and owner.name == "killed":
                found.append(int(folder.name))
    return found


def test_alleles_predictions_and_tracks_are_those_of_one_command(
    snakemake, hyenadna, inputs, tmp_path
):
    classifier = classifier_on(inputs.model, tmp_path / "classifier")
    bed = tmp_path / "few.bed"
    bed.write_text("".join(inputs.bed.read_text().splitlines(keepends=True)[:20]))
    wanted = {"variants": {}, "regions": {}, "alleles": {}, "tracks": {"t": str(bed)}}
    wanted |= {"predictions": {"p": str(bed)}, "classifier": str(classifier)}
    finished(snakemake("more", 2, **wanted))

    files = ("--fasta", inputs.fasta, "--bed", bed, "--no-version", "--device", "cpu")
    predicted = hyenadna("predict", "-m", classifier, *files)
    track = tmp_path / "straight.bedGraph"
    assert hyenadna("perplexity", "-m", inputs.model, *files, "--track", track).code == 0

    folder = tmp_path / "more"
    table = (folder / "predicted" / "p.tsv.gz").read_bytes()
    assert gzip.decompress(table).decode() == predicted.out
    merged = (folder / "tracks" / "t.bedGraph.gz").read_bytes()
    assert gzip.decompress(merged) == track.read_bytes()


def classifier_on(model, directory):
    """A model directory with a head that nothing has trained."""
    from hyenadna_cli.core.config.settings import HeadConfig
    from hyenadna_cli.core.model.checkpoints import checkpoint
    from hyenadna_cli.core.model.classifier import SequenceClassifier, save_classifier

    directory.mkdir()
    backbone, _ = checkpoint.load(model)
    config = HeadConfig(task="multiclass", label_names=("a", "b"))
    width = backbone.config.d_model
    save_classifier(SequenceClassifier(backbone, config, width=width), directory)
    return directory


def test_the_linter_has_nothing_to_say(snakemake):
    assert "good condition" in finished(snakemake("lint", 2, "--lint"))


@pytest.mark.shared
def test_clinvar_on_two_chromosomes_in_one_and_seven_shards(snakemake, tmp_path):
    """Real variants and genome, and the built-in model; chr21 and chr22 to end in minutes."""
    data = Path(__file__).parents[3] / "shared" / "data"
    if not data.is_dir():
        pytest.skip(f"needs {data}")
    source = data / "clinvar" / "clinvar_2016-09.in_LRG.GRCh38_snvs.vcf.gz"
    vcf = tmp_path / "clinvar.vcf"
    with gzip.open(source, "rt") as lines:
        kept = [x for x in lines if x.startswith(("#", "chr21\t", "chr22\t"))]
    vcf.write_text("".join(kept))
    bed = tmp_path / "clinvar.bed"
    with bed.open("w") as file:
        for line in kept:
            if not line.startswith("#"):
                chrom, position = line.split("\t")[:2]
                print(chrom, int(position) - 101, int(position) + 100, sep="\t", file=file)
    real = {
        "fasta": str(data / "genome" / "hg38.partial.fa.gz"),
        "model": "builtin",
        "variants": {"v": str(vcf)},
        "regions": {"r": str(bed)},
        "score_options": "--window 256 --device cpu",
    }

    finished(snakemake("one", 1, **real))
    finished(snakemake("seven", 7, **real))

    assert results(tmp_path / "one") == results(tmp_path / "seven")
    assert gzip.decompress((tmp_path / "one/scored/v.vcf.gz").read_bytes()).count(b"HD_LLR=") > 800
