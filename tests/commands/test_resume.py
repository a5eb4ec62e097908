"""Runs that are interrupted and resumed, of every record-wise command."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sys

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
    "alleles.h5ad": ("embed --vcf", "--scores", "llr", "--allele", "diff-at-variant"),
    "random.h5": ("background", "--per-change", "1"),
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
        "embed --vcf": (vcf, "--fasta", genome, *window),
        "background": ("--fasta", genome, *window),
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
    bed.write_text(bed.read_text().replace("chr1\t0\t", "chr1\t1\t", 1))
    done = run("perplexity.tsv.gz", tmp_path / "x.tsv", "--resume")
    assert done.code == 2
    assert bed.name in done.err
    done = run("perplexity.tsv.gz", tmp_path / "x.tsv", "--resume", "--force")
    assert done.code == 0
    assert "going on" not in done.err
    assert run("perplexity.tsv.gz", tmp_path / "new.tsv").code == 0
    assert (tmp_path / "x.tsv").read_bytes() == (tmp_path / "new.tsv").read_bytes()


def one_base_changed(fasta):
    """The same size, and the same time of the last change."""
    times = fasta.stat().st_atime_ns, fasta.stat().st_mtime_ns
    header, bases = fasta.read_text().split("\n", 1)
    fasta.write_text(f"{header}\n{bases[:330]}{'C' if bases[330] == 'A' else 'A'}{bases[331:]}")
    os.utime(fasta, ns=times)


@pytest.mark.parametrize("case", ["embed.tsv", "snvs.tsv"])
def test_with_force_a_journal_of_the_same_run_goes_on_and_one_of_another_starts_over(
    run, passes, inputs, tmp_path, case
):
    genome = inputs["embed"][1]
    output, resumed = tmp_path / f"a.{case}", ("--resume", "--force")
    passes.last = 3
    assert run(case, output).code == 130
    passes.last = None
    genome.write_bytes(genome.read_bytes())

    done = run(case, output, *resumed)

    assert done.code == 0
    assert "going on after" in done.err
    before = output.read_bytes()
    passes.last, passes.n = 3, 0
    assert run(case, output, "--force").code == 130
    passes.last = None
    one_base_changed(genome)
    done = run(case, output, "--resume")
    assert done.code == 2
    assert "input 1 genome.fa of" in done.err
    done = run(case, output, *resumed)
    assert done.code == 0
    assert "going on" not in done.err
    assert run(case, tmp_path / f"b.{case}").code == 0
    assert output.read_bytes() == (tmp_path / f"b.{case}").read_bytes() != before


def test_a_finished_output_is_of_the_same_run_only_if_the_inputs_have_the_same_content(
    run, passes, inputs, tmp_path
):
    genome, output = inputs["score-variants"][2], tmp_path / "x.vcf.gz"
    assert run("scored.vcf.gz", output).code == 0
    before, passes.n = output.read_bytes(), 0
    genome.write_bytes(genome.read_bytes())
    done = run("scored.vcf.gz", output, "--resume", "--force")
    assert (done.code, passes.n) == (0, 0)
    assert "complete already" in done.err

    one_base_changed(genome)
    done = run("scored.vcf.gz", output, "--resume")
    assert done.code == 6
    assert "genome.fa of" in done.err
    assert output.read_bytes() == before
    assert run("scored.vcf.gz", output, "--resume", "--force").code == 0

    assert run("scored.vcf.gz", tmp_path / "y.vcf.gz").code == 0
    assert output.read_bytes() == (tmp_path / "y.vcf.gz").read_bytes() != before


def test_a_model_that_differs_in_its_config_only_is_another_one(
    hyenadna, inputs, tiny_model, tmp_path
):
    model, output = shutil.copytree(tiny_model, tmp_path / "tiny_model"), tmp_path / "x.tsv"
    command = ("embed", *inputs["embed"], "-m", model, "--device", "cpu", "-o", output)
    assert hyenadna(*command).code == 0
    config = model / "config.json"
    config.write_text(f"{config.read_text()}\n")

    done = hyenadna(*command, "--resume")

    assert done.code == 6
    assert "other model: config_sha256" in done.err


def test_the_rename_table_is_an_input(run, inputs, passes, tmp_path):
    table, output = tmp_path / "names.txt", tmp_path / "x.tsv"
    for command, case in (("score-variants", "scored.tsv"), ("embed", "embed.tsv")):
        table.write_text("1 chr1\n")
        passes.last, passes.n = 2, 0
        assert run(case, output, "--rename-chrs", table).code == 130, command
        passes.last = None
        table.write_text("2 chr1\n")

        done = run(case, output, "--rename-chrs", table, "--resume")

        assert done.code == 2
        assert "input 3 names.txt" in done.err
        output.with_name("x.tsv.journal").unlink()


def test_what_came_by_a_stream_is_never_taken_for_the_same(
    hyenadna, tiny_model, tmp_path, monkeypatch
):
    output = tmp_path / "x.tsv"

    def perplexity(text, *more):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        model = ("-m", tiny_model, "--device", "cpu")
        return hyenadna("perplexity", "--fasta", "-", *model, "-o", output, "--resume", *more)

    assert perplexity(b">a\nACGT\n").code == 0
    done = perplexity(b">b\nACGT\n")
    assert done.code == 6
    assert "stream" in done.err
    assert perplexity(b">b\nACGT\n", "--force").code == 0

    assert output.read_text().splitlines()[1].startswith("b\t")


def test_manifests_and_journals_of_the_version_before_are_refused_in_one_line(
    run, passes, tmp_path
):
    output = tmp_path / "x.tsv"
    manifest, journal = (tmp_path / f"x.tsv.{name}" for name in ("manifest.json", "journal"))
    assert run("embed.tsv", output).code == 0
    entries = json.loads(manifest.read_text())
    del entries["model"]["config_sha256"]
    for entry in entries["inputs"]:
        del entry["sha256"]
    manifest.write_text(json.dumps(entries))

    done = run("embed.tsv", output, "--resume")
    assert (done.code, len(done.err.splitlines())) == (6, 1)
    assert "earlier version" in done.err
    assert run("embed.tsv", output, "--resume", "--force").code == 0
    output.unlink()
    journal.write_bytes(b'hyenadna-journal 1\n{"model": null, "inputs": {}}\n' + bytes(100))
    done = run("embed.tsv", output, "--resume")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "another version" in done.err
    assert run("embed.tsv", output, "--resume", "--force").code == 0
    assert not journal.exists()


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


def test_a_run_overwrites_neither_what_it_reads_nor_what_it_writes(run, inputs, tmp_path):
    output, manifest = tmp_path / "x.tsv", tmp_path / "x.tsv.manifest.json"
    genome, bed = inputs["embed"][1], inputs["embed"][3]
    linked = tmp_path / "linked.json"
    linked.hardlink_to(bed)
    before = {path: path.read_bytes() for path in (genome, bed)}

    for stats in (output, manifest, tmp_path / "x.tsv.journal", genome, bed, linked):
        done = run("embed.tsv", output, "--stats", stats, "--force")
        assert (done.code, output.exists()) == (2, False), stats
        assert "--stats" in done.err
    bed_tsv = tmp_path / "regions.tsv"
    bed_tsv.symlink_to(bed)
    done = run("embed.tsv", bed_tsv, "--force")
    assert done.code == 2
    assert "would overwrite an input" in done.err

    assert {path: path.read_bytes() for path in (genome, bed)} == before


def test_a_manifest_of_somebody_else_is_replaced_with_force_only(run, tmp_path):
    output, mine = tmp_path / "x.tsv", tmp_path / "x.tsv.manifest.json"
    mine.write_text('{"name": "my app"}')

    done = run("embed.tsv", output)

    assert (done.code, output.exists()) == (6, False)
    assert "manifest.json" in done.err
    assert mine.read_text() == '{"name": "my app"}'
    assert run("embed.tsv", output, "--force").code == 0


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
