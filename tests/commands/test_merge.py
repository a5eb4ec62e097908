"""`hyenadna merge` end to end: shards in, one file and exit codes out."""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import pysam
import pytest

from hyenadna_cli.core.io.embeddings_reading import read_embeddings, read_tokens
from hyenadna_cli.core.outputs import journal, shards
from hyenadna_cli.errors import InputFileError

MODEL = ("--device", "cpu", "--threads", "1", "--no-version", "-q")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Shards are whole chunks; with chunks this small a few records make many."""
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 3)


@pytest.fixture
def genome(fasta_file):
    letters = random.Random(0)
    return fasta_file({"chr1": "".join(letters.choices("ACGTN", [5, 5, 5, 5, 1], k=3_000))})


@pytest.fixture
def bed(bed_file):
    names = ("a", "b", "a", "a-1", "c")
    lines = [
        f"chr1 {i * 90} {i * 90 + 20 + i} {names[i % 5]} 0 {'+-'[i % 2]} class{i % 3} {i}"
        for i in range(25)
    ]
    return bed_file("#chrom start end name score strand biotype level", *lines)


@pytest.fixture
def vcf(vcf_file, genome):
    with pysam.FastaFile(str(genome)) as fasta:
        bases = fasta.fetch("chr1")
    lines = []
    for position in range(5, 2_900, 120):
        ref = bases[position - 1]
        alt = "A,<DEL>" if position % 50 else "G"
        lines.append(f"chr1 {position} v{position} {ref} {alt} 12.3456789 q10 DP={position}")
    header = ('##INFO=<ID=DP,Number=1,Type=Integer,Description="d">',)
    return vcf_file(*lines, contigs={"chr1": 3_000}, header=header)


@pytest.fixture
def run(hyenadna, tiny_model, genome, bed, vcf):
    """`run("embed", output, ...)`: one of the commands on this test's data."""
    inputs = {
        "embed": ("embed", "--fasta", genome, "--bed", bed),
        "perplexity": ("perplexity", "--fasta", genome, "--bed", bed),
        "score-variants": ("score-variants", vcf, "--fasta", genome, "--window", "64"),
    }

    def start(command, output, *more):
        done = hyenadna(*inputs[command], "-m", tiny_model, *MODEL, "-o", output, *more)
        assert done.code == 0, done.err
        return output

    return start


@pytest.fixture
def sharded(run, tmp_path):
    """`sharded(n, "embed", ".h5ad")`: the paths of n shards, made once."""

    def make(count, command, suffix, *more):
        folder = tmp_path / f"shards{count}"
        folder.mkdir(exist_ok=True)
        return [
            run(command, folder / f"{i}{suffix}", "--shard", f"{i}/{count}", *more)
            for i in range(1, count + 1)
        ]

    return make


CASES = [
    ("embed", ".h5ad", ("--pool", "last,mean", "--layers", "0,-1")),
    ("embed", ".h5", ("--pool", "token")),
    ("embed", ".tsv", ()),
    ("embed", ".tsv.gz", ()),
    ("perplexity", ".tsv", ()),
    ("score-variants", ".vcf", ()),
    ("score-variants", ".vcf.gz", ()),
    ("score-variants", ".tsv", ()),
    ("score-variants", ".bcf", ()),
]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "suffix", "more"), CASES)
def test_any_number_of_shards_in_any_order_gives_the_bytes_of_one_run(
    hyenadna, run, sharded, tmp_path, command, suffix, more
):
    whole = run(command, tmp_path / f"whole{suffix}", *more)
    merged = {}
    for count in (1, 3, 12):
        parts = sharded(count, command, suffix, *more)
        random.Random(count).shuffle(parts)
        merged[count] = tmp_path / f"merged{count}{suffix}"

        done = hyenadna("merge", *parts, "-o", merged[count], "--no-version")

        assert (done.code, done.out) == (0, ""), done.err
    contents = {path.read_bytes() for path in merged.values()}
    assert len(contents) == 1
    if suffix == ".bcf":  # htslib cuts its compressed blocks at records
        assert pysam.BGZFile(str(whole)).read() == pysam.BGZFile(str(merged[3])).read()
        return
    assert contents == {whole.read_bytes()}
    manifests = [Path(f"{path}.manifest.json").read_text() for path in (whole, merged[12])]
    assert manifests[1] == manifests[0].replace(whole.name, merged[12].name)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".vcf.gz", ".bcf"])
def test_an_index_is_written_that_finds_the_records(hyenadna, sharded, tmp_path, suffix):
    merged = tmp_path / f"merged{suffix}"

    done = hyenadna("merge", *sharded(4, "score-variants", suffix), "-o", merged, "-W")

    assert done.code == 0, done.err
    with pysam.VariantFile(str(merged), index_filename=f"{merged}.csi") as file:
        found = [record.pos for record in file.fetch("chr1", 1_000, 1_300)]
        assert "hyenadna merge" in str(file.header) or "hyenadna_command" in str(file.header)
    assert found == [p for p in range(5, 2_900, 120) if 1_000 < p <= 1_300]


def test_text_goes_to_stdout(hyenadna, run, sharded, tmp_path):
    whole = run("score-variants", tmp_path / "whole.vcf")
    parts = sharded(3, "score-variants", ".vcf")

    done = hyenadna("merge", *parts, "--no-version", "-q")

    assert (done.code, done.out) == (0, whole.read_text())


def test_virtual_files_show_the_same_without_the_vectors_in_them(hyenadna, run, sharded, tmp_path):
    more = ("--pool", "mean,max")
    whole = run("embed", tmp_path / "whole.h5ad", *more)
    parts = sharded(3, "embed", ".h5ad", *more)

    done = hyenadna("merge", *parts, "-o", tmp_path / "v.h5ad", "--virtual", "--no-version")

    assert done.code == 0, done.err
    straight, linked = anndata.read_h5ad(whole), anndata.read_h5ad(tmp_path / "v.h5ad")
    np.testing.assert_array_equal(straight.X, linked.X)
    np.testing.assert_array_equal(straight.obsm["max_layer-1"], linked.obsm["max_layer-1"])
    assert straight.obs.equals(linked.obs)
    assert read_embeddings(whole).given_names == read_embeddings(tmp_path / "v.h5ad").given_names
    # Paths are relative: a folder can be moved as a whole.
    shutil.move(tmp_path / "shards3", tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere" / "v.h5ad"
    hyenadna("merge", *(tmp_path / "elsewhere").glob("*.h5ad"), "-o", moved, "--virtual")
    shutil.move(tmp_path / "elsewhere", tmp_path / "third")
    np.testing.assert_array_equal(
        read_embeddings(tmp_path / "third" / "v.h5ad").X, read_embeddings(whole).X
    )


def test_virtual_token_files_show_the_same(hyenadna, run, sharded, tmp_path):
    whole = run("embed", tmp_path / "whole.h5", "--pool", "token")
    parts = sharded(5, "embed", ".h5", "--pool", "token")

    done = hyenadna("merge", *parts, "-o", tmp_path / "v.h5", "--virtual")

    assert done.code == 0, done.err
    straight, linked = read_tokens(whole), read_tokens(tmp_path / "v.h5")
    np.testing.assert_array_equal(straight.data, linked.data)
    np.testing.assert_array_equal(straight.offsets, linked.offsets)


def refused(hyenadna, parts, tmp_path, *words, code=3, output="merged.tsv"):
    done = hyenadna("merge", *parts, "-o", tmp_path / output)
    assert done.code == code, done.err
    assert len(done.err.strip().splitlines()) == 1
    for word in words:
        assert word in done.err
    assert not (tmp_path / output).exists()


def test_a_missing_shard_and_one_given_twice_are_refused(hyenadna, sharded, tmp_path):
    parts = sharded(4, "perplexity", ".tsv")
    shutil.copy(parts[1], tmp_path / "twin.tsv")
    shutil.copy(f"{parts[1]}.manifest.json", tmp_path / "twin.tsv.manifest.json")

    refused(hyenadna, [parts[0], parts[3]], tmp_path, "2 of 4 shards", ": 2, 3", code=2)
    refused(hyenadna, [*parts, tmp_path / "twin.tsv"], tmp_path, "2/4")


def test_shards_of_another_run_are_refused(hyenadna, run, sharded, tmp_path):
    parts = sharded(2, "perplexity", ".tsv")
    other = run("perplexity", tmp_path / "o.tsv", "--shard", "2/2", "--strand", "both")
    third = run("perplexity", tmp_path / "t.tsv", "--shard", "2/3")

    refused(hyenadna, [parts[0], other], tmp_path, "settings")
    refused(hyenadna, [parts[0], third], tmp_path, "number of shards")


def test_shards_of_inputs_of_the_same_size_but_other_content_are_refused(
    hyenadna, run, sharded, bed, tmp_path
):
    parts = sharded(2, "perplexity", ".tsv")
    bed.write_text(bed.read_text().replace("\t90\t", "\t91\t"))
    other = run("perplexity", tmp_path / "o.tsv", "--shard", "2/2")

    refused(hyenadna, [parts[0], other], tmp_path, "other inputs: input 2 regions.bed of")


def test_shards_of_models_that_differ_in_their_config_only_are_refused(
    hyenadna, genome, bed, tiny_model, tmp_path
):
    model, parts = shutil.copytree(tiny_model, tmp_path / "m"), []
    for i in (1, 2):
        parts.append(tmp_path / f"{i}.tsv")
        files = ("--fasta", genome, "--bed", bed, "-m", model, "-o", parts[-1])
        assert hyenadna("embed", *files, *MODEL, "--shard", f"{i}/2").code == 0
        config = model / "config.json"
        config.write_text(f"{config.read_text()}\n")

    refused(hyenadna, parts, tmp_path, "other model: config_sha256")


def rewritten(path, change):
    manifest = Path(f"{path}.manifest.json")
    entries = json.loads(manifest.read_text())
    change(entries)
    manifest.write_text(json.dumps(entries))


def test_jobs_may_have_had_copies_of_a_large_input(hyenadna, sharded, tmp_path):
    parts = sharded(2, "perplexity", ".tsv")
    for number, part in enumerate(parts):

        def staged(entries, number=number):
            genome = entries["inputs"][0]
            genome["sampled_sha256"] = genome.pop("sha256")
            genome |= {"path": f"/node{number}/genome.fa", "modified": f"2026-01-0{number}"}

        rewritten(part, staged)

    done = hyenadna("merge", *parts, "-o", tmp_path / "merged.tsv")

    assert done.code == 0
    assert "make sure that they are copies" in done.err


def test_shards_of_the_version_before_are_merged_with_a_warning_and_not_with_others(
    hyenadna, sharded, tmp_path
):
    def as_before(entries):
        del entries["model"]["config_sha256"]
        for file in entries["inputs"]:
            del file["sha256"]

    parts = sharded(2, "perplexity", ".tsv")
    rewritten(parts[0], as_before)
    refused(hyenadna, parts, tmp_path, "was not made as")
    rewritten(parts[1], as_before)

    done = hyenadna("merge", *parts, "-o", tmp_path / "merged.tsv")

    assert done.code == 0
    assert "by name and size only" in done.err


def test_neither_a_shard_nor_its_manifest_is_overwritten(hyenadna, sharded, tmp_path):
    parts = sharded(2, "perplexity", ".tsv")
    output, manifest = tmp_path / "merged.tsv", Path(f"{parts[0]}.manifest.json")
    before = [path.read_bytes() for path in (*parts, manifest)]

    for words in (
        ("-o", parts[1], "--force"),
        ("-o", output, "--stats", parts[0]),
        ("-o", output, "--stats", manifest),
        ("-o", output, "--stats", output),
        ("-o", output, "--stats", f"{output}.manifest.json"),
    ):
        done = hyenadna("merge", *parts, *words)
        assert (done.code, len(done.err.splitlines())) == (2, 1), words
    Path(f"{output}.manifest.json").write_text("{}")
    assert hyenadna("merge", *parts, "-o", output).code == 6

    assert [path.read_bytes() for path in (*parts, manifest)] == before
    assert not output.exists()


@pytest.mark.parametrize("pool", ["mean,max", "token"])
def test_a_virtual_file_without_its_shards_is_refused_where_it_is_read(
    hyenadna, sharded, tmp_path, pool
):
    output, read = tmp_path / "v.h5", read_tokens if pool == "token" else read_embeddings
    parts = sharded(2, "embed", ".h5", "--pool", pool)
    assert hyenadna("merge", *parts, "-o", output, "--virtual").code == 0
    read(output)
    away = tmp_path / "away"

    shutil.move(parts[1], away)
    with pytest.raises(InputFileError, match=r"shards2/2\.h5, which is not there; put the shards"):
        read(output)
    shutil.copy(parts[0], parts[1])
    with pytest.raises(InputFileError, match="which holds other vectors now"):
        read(output)
    parts[1].write_text("x")
    with pytest.raises(InputFileError, match="which cannot be read"):
        read(output)
    shutil.move(away, parts[1])
    # HDF5 finds them from a link and from another working directory too.
    link = tmp_path / "folder" / "link.h5"
    link.parent.mkdir()
    link.symlink_to(output)
    read(link)


def test_what_is_no_whole_shard_is_refused(hyenadna, run, sharded, tmp_path):
    parts = sharded(2, "perplexity", ".tsv")
    whole = run("perplexity", tmp_path / "w.tsv")
    refused(hyenadna, [whole], tmp_path, "not a shard")
    refused(hyenadna, [tmp_path / "none.tsv"], tmp_path, "no such file")
    refused(hyenadna, parts, tmp_path, "use one of", code=2, output="merged.h5")
    with parts[1].open("ab") as file:
        file.write(b"x\n")
    refused(hyenadna, parts, tmp_path, "damaged")
    Path(f"{parts[0]}.manifest.json").unlink()
    refused(hyenadna, parts, tmp_path, "manifest")


def test_an_existing_output_is_kept_without_force(hyenadna, sharded, tmp_path):
    parts = sharded(2, "perplexity", ".tsv")
    output = tmp_path / "merged.tsv"
    output.write_text("mine")

    assert hyenadna("merge", *parts, "-o", output).code == 6
    assert output.read_text() == "mine"
    assert hyenadna("merge", *parts, "-o", output, "--force").code == 0


def test_empty_shards_merge_to_a_valid_empty_file(hyenadna, tiny_model, genome, vcf_file, tmp_path):
    empty = vcf_file(name="empty.vcf", contigs={"chr1": 3_000})
    parts = []
    for i in (1, 2):
        parts.append(tmp_path / f"{i}.vcf")
        options = ("--window", "64", "-m", tiny_model, *MODEL, "--shard", f"{i}/2")
        hyenadna("score-variants", empty, "--fasta", genome, *options, "-o", parts[-1])

    done = hyenadna("merge", *parts, "-o", tmp_path / "merged.vcf.gz", "-W")

    assert done.code == 0, done.err
    with pysam.VariantFile(str(tmp_path / "merged.vcf.gz")) as file:
        assert list(file) == []


@pytest.mark.slow
def test_a_thousand_shards_merge_and_a_signal_leaves_nothing(sharded, tmp_path):
    (one,) = sharded(1, "embed", ".h5ad")
    manifest = Path(f"{one}.manifest.json").read_text()
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(1, 1_001):
        os.link(one, folder / f"{i}.h5ad")
        text = manifest.replace('"shard": "1/1"', f'"shard": "{i}/1000"')
        (folder / f"{i}.h5ad.manifest.json").write_text(text)
    output = tmp_path / "out" / "merged.h5ad"
    output.parent.mkdir()
    parts = [str(path) for path in folder.glob("*.h5ad")]
    command = [sys.executable, "-m", "hyenadna_cli", "merge", *parts, "-o", str(output)]

    stopped = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not any(output.parent.iterdir()) and stopped.poll() is None:
        time.sleep(0.01)
    stopped.send_signal(signal.SIGTERM)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 143, err
    assert list(output.parent.iterdir()) == []

    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(read_embeddings(output).names) == 25 * 1_000


def test_a_signal_while_the_journal_is_made_leaves_nothing(
    sharded, hyenadna, tmp_path, monkeypatch
):
    parts = sharded(2, "perplexity", ".tsv")
    output = tmp_path / "out" / "all.tsv"
    output.parent.mkdir()

    def signalled(path):
        assert journal.journal_path(path).exists()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(journal, "remove_scratch", signalled)
    done = hyenadna("merge", *parts, "-o", output)

    assert done.code == 143, done.err
    assert list(output.parent.iterdir()) == []


def test_what_a_killed_merge_left_is_removed_and_two_at_once_are_refused(
    sharded, hyenadna, tmp_path
):
    shards = sharded(2, "perplexity", ".tsv")
    output = tmp_path / "out" / "all.tsv"
    output.parent.mkdir()
    (output.parent / "all.tsv.tmp.123.node").write_text("half")
    lock = output.parent / "all.tsv.journal"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = hyenadna("merge", *shards, "-o", output)
        assert done.code == 6
        assert "another run is writing this output" in done.err

    done = hyenadna("merge", *shards, "-o", output)

    assert done.code == 0, done.err
    names = sorted(path.name for path in output.parent.iterdir())
    assert names == ["all.tsv", "all.tsv.manifest.json"]
