"""Runs that are interrupted and resumed, of every record-wise command."""

from __future__ import annotations

import json
import random

import pysam
import pytest

from hyenadna_cli.core.inference import batching
from hyenadna_cli.core.model.hyenadna import HyenaDNA
from hyenadna_cli.core.outputs import shards
from hyenadna_cli.core.variants import mutagenesis

CASES = {
    "embed.h5ad": ("embed", "--pool", "mean,last", "--strand", "both"),
    "embed.tsv": ("embed",),
    "tokens.h5": ("embed", "--pool", "token", "--strand", "both"),
    "bins.h5": ("embed", "--pool", "token", "--bin", "7", "--out-dtype", "fp16"),
    "perplexity.tsv.gz": ("perplexity", "--strand", "both"),
    "scored.vcf.gz": ("score-variants", "-W"),
    "scored.bcf": ("score-variants",),
    "scored.tsv": ("score-variants", "--scores", "site"),
    "classes.tsv": ("predict", "--strand", "both", "--batch-size", "2"),
    "bases.tsv.gz": ("predict", "--strand", "both", "--batch-size", "2"),
    "species.tsv": ("classify-species", "predict", "--strand", "both", "--batch-size", "2"),
    "snvs.tsv": ("mutagenize",),
    "snvs.bedgraph": ("mutagenize", "--full", "--layout", "centred"),
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 4)
    monkeypatch.setattr(mutagenesis, "_PIECE", 20)


@pytest.fixture
def inputs(fasta_file, bed_file, vcf_file):
    letters = random.Random(0)
    genome = fasta_file({"chr1": "".join(letters.choices("ACGTN", [9, 9, 9, 9, 1], k=2_000))})
    with pysam.FastaFile(str(genome)) as fasta:
        bases = fasta.fetch("chr1")
    lines = [f"chr1 {i * 60} {i * 60 + 30 + i} r{i % 5} 0 {'+-'[i % 2]}" for i in range(22)]
    records = [f"chr1 {p} . {bases[p - 1]} G,<DEL>" for p in range(7, 1_900, 83)]
    vcf = vcf_file(*records, contigs={"chr1": 2_000})
    window = ("--window", "64")
    regions = ("--fasta", genome, "--bed", bed_file(*lines))
    return {
        "embed": regions,
        "perplexity": regions,
        "predict": regions,
        "classify-species predict": regions,
        "score-variants": (vcf, "--fasta", genome, *window),
        "mutagenize": ("--fasta", genome, "--region", "chr1:301-420", *window),
    }


class Passes:
    """Counts the batches computed; ends the run before batch number `last`."""

    def __init__(self, monkeypatch):
        self.n, self.last = 0, None
        original = batching._attempt

        def counted(*arguments):
            if self.n == self.last:
                raise KeyboardInterrupt
            self.n += 1
            return original(*arguments)

        monkeypatch.setattr(batching, "_attempt", counted)


@pytest.fixture
def passes(monkeypatch):
    return Passes(monkeypatch)


@pytest.fixture
def classifiers(tiny_model, tmp_path):
    from hyenadna_cli.core.config.settings import HeadConfig
    from hyenadna_cli.core.model.checkpoints import checkpoint
    from hyenadna_cli.core.model.classifier import SequenceClassifier, save_classifier

    model, _ = checkpoint.load(tiny_model)
    directories = {}
    for task in ("multiclass", "token"):
        config = HeadConfig(task=task, label_names=("a", "b", "c"))
        directories[task] = tmp_path / task
        directories[task].mkdir()
        save_classifier(SequenceClassifier(model, config, width=16), directories[task])
    return directories


@pytest.fixture
def run(hyenadna, tiny_model, classifiers, inputs):
    def start(case, output, *more):
        command, *options = CASES[case]
        chosen = tiny_model
        if "predict" in CASES[case]:
            chosen = classifiers["token" if case.startswith("bases") else "multiclass"]
        if command == "classify-species":
            command, *options = (f"{command} {options[0]}", *options[1:])
        model = ("-m", chosen, "--device", "cpu", "--threads", "1", "--no-version")
        return hyenadna(*command.split(), *inputs[command], *options, *model, "-o", output, *more)

    return start


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_resumed_run_skips_finished_chunks_and_ends_in_the_same_bytes(
    run, passes, tmp_path, case
):
    whole = tmp_path / "whole" / case
    output = tmp_path / "output" / case
    whole.parent.mkdir()
    output.parent.mkdir()
    assert run(case, whole).code == 0
    n_passes, passes.n = passes.n, 0
    assert n_passes >= 6

    n_done = []
    for passes.last in (n_passes // 3, n_passes // 2):
        passes.n = 0
        done = run(case, output, "--resume")
        assert (done.code, output.exists()) == (130, False), done.err
        assert [path.name for path in output.parent.iterdir()] == [f"{case}.journal"]
        n_done.append(passes.n)
    passes.n, passes.last = 0, None
    done = run(case, output, "--resume")

    assert done.code == 0, done.err
    assert "going on after" in done.err
    assert passes.n < n_passes - n_done[0] // 2
    names = sorted(path.name for path in whole.parent.iterdir())
    assert sorted(path.name for path in output.parent.iterdir()) == names
    for name in names:
        assert (output.parent / name).read_bytes() == (whole.parent / name).read_bytes(), name


def test_other_settings_and_changed_inputs_are_refused(run, passes, inputs, tmp_path):
    passes.last = 3
    assert run("perplexity.tsv.gz", tmp_path / "x.tsv").code == 130
    passes.last = None

    done = run("perplexity.tsv.gz", tmp_path / "x.tsv", "--resume", "--window", "50")
    assert done.code == 2
    assert "258, not 50" in done.err
    bed = inputs["perplexity"][-1]
    bed.write_text(bed.read_text())
    done = run("perplexity.tsv.gz", tmp_path / "x.tsv", "--resume")
    assert done.code == 2
    assert bed.name in done.err
    assert run("perplexity.tsv.gz", tmp_path / "x.tsv", "--resume", "--force").code == 0


@pytest.mark.parametrize("resume", [(), ("--resume",), ("--resume", "--force")])
def test_a_file_that_only_has_the_name_of_a_journal_is_kept(run, tmp_path, resume):
    output, mine, other = (tmp_path / name for name in ("x.tsv", "x.tsv.journal", "other"))
    for make in (lambda: mine.write_text("day 1: rain"), lambda: mine.symlink_to(other)):
        other.write_text("day 2: sun")
        make()

        done = run("embed.tsv", output, *resume)

        assert done.code == 6
        assert "not a journal" in done.err
        assert mine.read_text() in ("day 1: rain", "day 2: sun")
        assert not output.exists()
        mine.unlink()


def test_a_complete_output_does_not_take_a_foreign_journal_with_it(run, tmp_path):
    output, mine = tmp_path / "x.tsv", tmp_path / "x.tsv.journal"
    assert run("embed.tsv", output).code == 0
    mine.write_text("day 1: rain")

    assert run("embed.tsv", output, "--resume").code == 0

    assert mine.read_text() == "day 1: rain"


def test_a_run_killed_between_its_output_and_its_manifest_is_finished_by_resume(
    run, monkeypatch, tmp_path
):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("hyenadna_cli.core.outputs.provenance.write_manifest", killed)
        assert run("embed.h5ad", tmp_path / "x.h5ad").code == 130
    assert (tmp_path / "x.h5ad").exists()

    done = run("embed.h5ad", tmp_path / "x.h5ad", "--resume")

    assert done.code == 0, done.err
    assert not (tmp_path / "x.h5ad.journal").exists()
    manifest = json.loads((tmp_path / "x.h5ad.manifest.json").read_text())
    assert manifest["rows"] == {"OK": 22}


def test_max_time_stops_with_exit_143_and_resume_goes_on(run, monkeypatch, tmp_path):
    done = run("scored.vcf.gz", tmp_path / "x.vcf.gz", "--max-time", "00:00:00")

    assert done.code == 143
    assert "out of time" in done.err
    assert not (tmp_path / "x.vcf.gz").exists()
    assert run("scored.vcf.gz", tmp_path / "x.vcf.gz", "--resume").code == 0


def test_strict_leaves_no_journal_of_a_complete_output(run, tmp_path):
    done = run("scored.vcf.gz", tmp_path / "x.vcf.gz", "--strict")

    assert done.code == 5
    assert (tmp_path / "x.vcf.gz").exists()
    assert not (tmp_path / "x.vcf.gz.journal").exists()


def test_the_unfinished_output_lies_where_tmp_dir_says(run, tmp_path, monkeypatch):
    scratch, output = tmp_path / "scratch", tmp_path / "out" / "x.h5ad"
    scratch.mkdir()
    output.parent.mkdir()
    seen = []

    def look(*_):
        seen.extend(path.name for path in scratch.iterdir())
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(HyenaDNA, "hidden_states", look)
        assert run("embed.h5ad", output, "--tmp-dir", scratch).code == 130
    assert len(seen) == 1
    assert list(scratch.iterdir()) == list(output.parent.iterdir()) == []
    assert run("embed.h5ad", output, "--tmp-dir", scratch).code == 0
    assert list(scratch.iterdir()) == []
    assert run("embed.tsv", tmp_path / "out" / "x.tsv", "--tmp-dir", tmp_path / "none").code == 2
