"""`hyenadna embed` end to end: files in, files and exit codes out."""

from __future__ import annotations

import gzip
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import anndata
import numpy as np
import pytest

from hyenadna_cli.commands import embed as command
from hyenadna_cli.core.dna.sequence import reverse_complement
from hyenadna_cli.core.io.embeddings_reading import read_embeddings, read_tokens

REPOSITORY = Path(command.__file__).parents[2]
HEADER = ["name", "chrom", "start", "end", "strand", "length", "status"]


@pytest.fixture
def random():
    return np.random.default_rng(0)


@pytest.fixture
def genome(fasta_file, random):
    contigs = {"chr1": 1_500, "chr2": 700}
    return fasta_file(
        {name: "".join(random.choice(list("ACGTacgtN"), n)) for name, n in contigs.items()}
    )


@pytest.fixture
def regions(bed_file):
    return bed_file(
        "chr2 10 60 b 0 -",
        "chr1 0 300 a 0 +",
        "chr1 100 200",
        "chr1 100 900 a 0 +",
        "chr2 0 700 whole 0 -",
    )


@pytest.fixture
def embed(hyenadna, tiny_model):
    """`embed("--fasta", path, ...)` with the tiny model on one thread."""

    def run(*arguments):
        return hyenadna("embed", "-m", tiny_model, "--device", "cpu", "--threads", "1", *arguments)

    return run


def table(text):
    header, *rows = [line.split("\t") for line in text.splitlines()]
    return header, rows


def names_in(directory):
    return sorted(path.name for path in Path(directory).iterdir())


# ---- what is written


def test_regions_become_tsv_on_stdout(embed, genome, regions):
    done = embed("--fasta", genome, "--bed", regions)

    header, rows = table(done.out)
    assert done.code == 0, done.err
    assert header == HEADER + [f"e{i}" for i in range(16)]
    assert [row[:7] for row in rows] == [
        ["b", "chr2", "10", "60", "-", "50", "OK"],
        ["a", "chr1", "0", "300", "+", "300", "OK"],
        ["chr1:100-200", "chr1", "100", "200", "+", "100", "OK"],
        ["a", "chr1", "100", "900", "+", "800", "OK"],
        ["whole", "chr2", "0", "700", "-", "700", "OK"],
    ]
    assert "5 records, 1,950 bases" in done.err


def test_further_columns_of_a_bed_are_kept(embed, genome, bed_file, tmp_path):
    bed = bed_file(
        "#chrom start end name score strand biotype", "chr2 10 60 b 0 - coding", "chr1 0 3 a 0 + ."
    )

    done = embed("--fasta", genome, "--bed", bed)
    embed("--fasta", genome, "--bed", bed, "-o", tmp_path / "out.h5ad")

    header, rows = table(done.out)
    assert header == [*HEADER, "biotype", *(f"e{i}" for i in range(16))]
    assert [row[7] for row in rows] == ["coding", "."]
    assert read_embeddings(tmp_path / "out.h5ad").obs["biotype"].tolist() == ["coding", "."]
    embed("--fasta", genome, "--bed", bed, "--pool", "token", "-o", tmp_path / "tokens.h5")
    regions = read_tokens(tmp_path / "tokens.h5").regions
    assert list(regions) == ["name", "chrom", "start", "end", "strand", "biotype"]
    assert regions["biotype"].tolist() == ["coding", "."]


@pytest.mark.parametrize("suffix", ["h5ad", "h5", "hdf5"])
def test_an_hdf5_output_opens_in_anndata_and_has_the_numbers_of_the_tsv(
    embed, genome, regions, tmp_path, suffix
):
    output = tmp_path / f"out.{suffix}"

    done = embed("--fasta", genome, "--bed", regions, "-o", output)

    _, rows = table(embed("--fasta", genome, "--bed", regions).out)
    found = read_embeddings(output)
    assert (done.code, done.out) == (0, "")
    assert found.given_names == [row[0] for row in rows]
    np.testing.assert_array_equal(found.X, np.array([row[7:] for row in rows], np.float32))
    assert found.obs["n_windows"].tolist() == [1, 2, 1, 4, 3]
    opened = anndata.read_h5ad(output)
    assert opened.shape == (5, 16)
    assert opened.obs.loc["b", "start"] == 10


def test_several_poolings_and_layers_have_the_first_in_the_plain_place(
    embed, genome, regions, tmp_path
):
    options = ("--fasta", genome, "--bed", regions, "--pool", "last,mean", "--layers", "0,-1")

    embed(*options, "-o", tmp_path / "out.h5ad")
    header, rows = table(embed(*options).out)

    found = read_embeddings(tmp_path / "out.h5ad")
    assert next(iter(found.vectors)) == "last_layer-1"
    assert set(found.vectors) == {
        f"{pooling}_layer{layer}" for pooling in ("last", "mean") for layer in (0, -1)
    }
    assert header[7:24] == [f"e{i}" for i in range(16)] + ["last_layer0_e0"]
    start = header.index("mean_layer-1_e0")
    numbers = np.array([row[start : start + 16] for row in rows], np.float32)
    np.testing.assert_array_equal(numbers, found.vectors["mean_layer-1"])


def test_the_file_says_what_made_it(embed, genome, regions, tmp_path, tiny_model):
    output = tmp_path / "out.h5ad"

    embed("--fasta", genome, "--bed", regions, "-o", output, "--exclude-n", "--window", "100")

    made_by = read_embeddings(output).made_by
    assert made_by["model"] == "tiny_model"
    assert (made_by["pooling"], made_by["layer"], made_by["strand"]) == ("mean", "-1", "bed")
    assert (made_by["window"], made_by["stride"], made_by["exclude"]) == (100, 100, "n")
    manifest = json.loads((tmp_path / "out.h5ad.manifest.json").read_text())
    assert manifest["rows"] == {"OK": 5}
    assert manifest["model"]["sha256"] == made_by["sha256"]
    assert [file["path"] for file in manifest["inputs"]] == [str(genome), str(regions)]


@pytest.mark.parametrize("name", ["out.tsv", "out.txt", "out.tsv.gz"])
def test_text_goes_to_a_file_by_its_suffix(embed, genome, regions, tmp_path, name):
    done = embed("--fasta", genome, "--bed", regions, "-o", tmp_path / name)

    data = (tmp_path / name).read_bytes()
    text = gzip.decompress(data).decode() if name.endswith("gz") else data.decode()
    assert (done.code, done.out) == (0, "")
    assert text == embed("--fasta", genome, "--bed", regions).out
    assert (tmp_path / f"{name}.manifest.json").exists()


def test_whole_records_are_embedded_without_a_bed(embed, genome):
    _, rows = table(embed("--fasta", genome).out)

    assert [row[:7] for row in rows] == [
        ["chr1", "chr1", "0", "1500", "+", "1500", "OK"],
        ["chr2", "chr2", "0", "700", "+", "700", "OK"],
    ]


def test_stdin_gives_the_same_as_the_file(embed, genome, monkeypatch):
    from_file = embed("--fasta", genome).out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(genome.read_bytes())))

    done = embed("--fasta", "-", "-o", "-")

    assert (done.code, done.out) == (0, from_file)


def test_a_bed_on_stdin_gives_the_same_as_the_file(embed, genome, regions, monkeypatch):
    from_file = embed("--fasta", genome, "--bed", regions).out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(regions.read_bytes())))

    assert embed("--fasta", genome, "--bed", "-").out == from_file


def test_tokens_have_one_row_a_base_in_the_order_of_the_plus_strand(
    embed, genome, regions, fasta_file, bed_file, tmp_path
):
    sequence = "".join(genome.read_text().split(">chr2\n")[1].split())
    other = fasta_file({"rc": reverse_complement(sequence[10:60])}, name="rc.fa")

    done = embed("--fasta", genome, "--bed", regions, "--pool", "token", "-o", tmp_path / "out.h5")
    embed("--fasta", other, "--pool", "token", "-o", tmp_path / "rc.h5")

    found = read_tokens(tmp_path / "out.h5")
    assert done.code == 0, done.err
    assert found.offsets.tolist() == [0, 50, 350, 450, 1_250, 1_950]
    assert found.regions["name"].tolist() == ["b", "a", "chr1:100-200", "a", "whole"]
    assert found.regions["strand"].tolist() == ["-", "+", "+", "+", "-"]
    minus = read_tokens(tmp_path / "rc.h5").of(0)[::-1]
    np.testing.assert_allclose(found.of(0), minus, rtol=1e-5, atol=1e-5)


def test_tokens_can_be_binned_and_stored_in_half_precision(embed, genome, regions, tmp_path):
    options = ("--fasta", genome, "--bed", regions, "--pool", "token")
    embed(*options, "-o", tmp_path / "full.h5")

    embed(*options, "-o", tmp_path / "half.h5", "--bin", "64", "--out-dtype", "fp16")

    full, half = read_tokens(tmp_path / "full.h5"), read_tokens(tmp_path / "half.h5")
    assert half.data.dtype == np.float16
    assert np.diff(half.offsets).tolist() == [1, 5, 2, 13, 11]
    expected = [full.of(1)[i : i + 64].mean(0) for i in range(0, 300, 64)]
    # float16 carries 11 significant bits.
    np.testing.assert_allclose(half.of(1), expected, rtol=1e-3, atol=1e-3)


def test_excluding_bases_changes_the_mean_only_where_there_are_some(embed, fasta_file):
    fasta = fasta_file({"plain": "ACGTTGCA", "soft": "ACGTtgca", "n": "ACGTNNNN"})
    everything = table(embed("--fasta", fasta).out)[1]

    changed = [
        [
            a != b
            for a, b in zip(everything, table(embed("--fasta", fasta, option).out)[1], strict=True)
        ]
        for option in ("--exclude-n", "--exclude-softmasked")
    ]

    assert changed == [[False, False, True], [False, True, False]]


def test_a_filter_shift_changes_the_numbers_and_is_recorded(embed, genome, tmp_path):
    official = embed("--fasta", genome).out

    done = embed("--fasta", genome, "--filter-shift", "0.0", "-o", tmp_path / "out.h5")

    assert done.code == 0
    assert read_embeddings(tmp_path / "out.h5").made_by["filter_shift"] == 0.0
    assert embed("--fasta", genome, "--filter-shift", "0.0").out != official
    assert embed("--fasta", genome, "--filter-shift", "0.05").out == official


def test_an_empty_bed_and_an_empty_fasta_give_valid_empty_outputs(
    embed, genome, text_file, tmp_path
):
    empty = text_file("# nothing\n", name="empty.bed")
    no_fasta = text_file("", name="empty.fa")

    done = embed("--fasta", genome, "--bed", empty, "-o", tmp_path / "out.h5ad")
    tokens = embed("--fasta", genome, "--bed", empty, "--pool", "token", "-o", tmp_path / "t.h5")
    text = embed("--fasta", no_fasta)

    assert (done.code, tokens.code, text.code) == (0, 0, 0)
    assert anndata.read_h5ad(tmp_path / "out.h5ad").shape == (0, 16)
    assert read_tokens(tmp_path / "t.h5").offsets.tolist() == [0]
    assert text.out.split("\n")[1:] == [""]


# ---- the laws


def test_the_strand_law_holds_from_file_to_file(embed, fasta_file, bed_file, random):
    sequence = "".join(random.choice(list("ACGTN"), 900))
    plus = fasta_file({"c": sequence}, name="plus.fa")
    minus = fasta_file({"c": reverse_complement(sequence)}, name="minus.fa")
    here, there = bed_file("c 100 700 x 0 -"), bed_file("c 200 800 x 0 +", name="there.bed")

    (read_here,), (read_there,) = (
        table(embed("--fasta", fasta, "--bed", bed, "--pool", "mean,last").out)[1]
        for fasta, bed in ((plus, here), (minus, there))
    )

    assert read_here[7:] == read_there[7:]


def many_records(fasta_file, random):
    """Enough for nine blocks."""
    return fasta_file(
        {
            f"r{i}": "".join(random.choice(list("ACGT"), random.integers(1, 40)))
            for i in range(2_200)
        },
        is_indexed=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 3, 7])
def test_shards_put_together_are_the_unsharded_rows_to_the_last_byte(
    embed, fasta_file, random, count
):
    fasta = many_records(fasta_file, random)
    options = ("--fasta", fasta, "--strand", "both")
    whole = embed(*options).out

    parts = [embed(*options, "--shard", f"{i}/{count}").out for i in range(1, count + 1)]

    header = whole.split("\n", 1)[0] + "\n"
    assert header + "".join(part.removeprefix(header) for part in parts) == whole
    assert all(part.count("\n") > 1 for part in parts)


@pytest.mark.parametrize("batch_size", [1, 13, 100])
def test_the_batch_size_changes_nothing(embed, genome, regions, batch_size):
    expected = table(embed("--fasta", genome, "--bed", regions).out)[1]

    found = table(embed("--fasta", genome, "--bed", regions, "--batch-size", batch_size).out)[1]

    for one, other in zip(found, expected, strict=True):
        assert one[:7] == other[:7]
        np.testing.assert_allclose(
            np.array(one[7:], float), np.array(other[7:], float), rtol=1e-5, atol=1e-5
        )


def test_two_reproducible_runs_write_the_same_bytes(embed, genome, regions, tmp_path):
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append(tmp_path / name / "out.h5ad")
        embed("--fasta", genome, "--bed", regions, "--no-version", "-o", files[-1])

    assert files[0].read_bytes() == files[1].read_bytes()
    manifests = [path.with_name("out.h5ad.manifest.json").read_bytes() for path in files]
    assert manifests[0] == manifests[1]


# ---- options about the run


def test_an_existing_output_is_kept_without_force(embed, genome, tmp_path):
    output = tmp_path / "out.tsv"
    output.write_text("old")

    done = embed("--fasta", genome, "-o", output)

    assert done.code == 6
    assert "--force" in done.err
    assert output.read_text() == "old"
    assert embed("--fasta", genome, "-o", output, "--force").code == 0
    assert output.read_text().startswith("name\t")


def test_resume_does_nothing_when_all_is_done_and_starts_when_nothing_is(embed, genome, tmp_path):
    output = tmp_path / "out.h5ad"
    options = ("--fasta", genome, "-o", output, "--resume")

    first = embed(*options)
    before = output.stat().st_mtime_ns
    second = embed(*options)

    assert (first.code, second.code) == (0, 0)
    assert "nothing to do" in second.err
    assert output.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("change", "named"),
    [(("--pool", "max"), "settings"), (("--shard", "1/2"), "shard")],
    ids=["settings", "shard"],
)
def test_resume_refuses_the_output_of_another_run(embed, genome, tmp_path, change, named):
    output = tmp_path / "out.h5ad"
    embed("--fasta", genome, "-o", output)

    done = embed("--fasta", genome, "-o", output, "--resume", *change)

    assert done.code == 6
    assert f"other {named}" in done.err
    assert embed("--fasta", genome, "-o", output, "--resume", "--force", *change).code == 0


def test_resume_refuses_an_output_that_its_manifest_does_not_describe(embed, genome, tmp_path):
    output = tmp_path / "out.tsv"
    embed("--fasta", genome, "-o", output)
    output.write_text("something else")

    assert embed("--fasta", genome, "-o", output, "--resume").code == 6


def test_strict_turns_a_record_without_result_into_exit_5(embed, text_file, tmp_path):
    fasta = text_file(">a\nACGT\n>none\n>b\nAC\n", name="x.fa")
    output = tmp_path / "out.tsv"

    done = embed("--fasta", fasta, "-o", output, "--strict", "--stats", tmp_path / "stats.json")

    assert done.code == 5
    assert "1 of 3 records without a full result: 1 EMPTY (first: none)" in done.err
    assert [row[6] for row in table(output.read_text())[1]] == ["OK", "EMPTY", "OK"]
    stats = json.loads((tmp_path / "stats.json").read_text())
    assert stats["status"] == {"OK": 2, "EMPTY": 1}
    assert (stats["records"], stats["bases"]) == (3, 6)
    assert {"seconds", "bases_per_second", "device", "settings"} <= stats.keys()
    assert embed("--fasta", fasta).code == 0


def test_replaced_letters_are_told(embed, text_file):
    done = embed("--fasta", text_file(">a\nACGURYU\n", name="x.fa"))

    assert "2 IUPAC ambiguity codes were read as N" in done.err
    assert "2 U were read as T" in done.err


def test_a_dry_run_prints_the_plan_and_writes_nothing(embed, genome, regions, tmp_path):
    done = embed(
        "--fasta",
        genome,
        "--bed",
        regions,
        "--strand",
        "both",
        "--dry-run",
        "-o",
        tmp_path / "out.h5ad",
    )

    plan = dict(line.split("\t") for line in done.out.splitlines())
    assert done.code == 0
    assert (plan["records"], plan["bases"], plan["windows"]) == ("5", "1950", "22")
    assert int(plan["batches"]) >= 1
    assert int(plan["peak_memory_mb"]) >= 1
    assert 1 <= int(plan["estimated_seconds"]) < 600
    assert not (tmp_path / "out.h5ad").exists()


def test_a_dry_run_of_a_stream_reads_it(embed, genome, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(genome.read_bytes())))

    out = embed("--fasta", "-", "--dry-run").out
    assert "bases\t2200" in out
    assert "estimated_seconds\t.\n" in out


def test_a_large_token_file_is_announced(embed, genome, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "_LARGE_BYTES", 100_000)

    done = embed("--fasta", genome, "--pool", "token", "-o", tmp_path / "out.h5")

    assert "2,200 rows" in done.err
    assert "--bin" in done.err


def test_quiet_says_nothing(embed, genome):
    assert embed("--fasta", genome, "-q").err == ""


# ---- bad input: one line, the right exit code, no output


def files_for_bad_input(tmp_path, genome, bed_file, text_file):
    truncated = text_file(">a\n" + "ACGT" * 999, name="cut.fa.gz", compression="gzip")
    truncated.write_bytes(truncated.read_bytes()[:-12])
    blocks = text_file(">a\n" + "ACGT" * 999 + "\n", name="cut.fa.bgz", compression="bgzip")
    blocks.write_bytes(blocks.read_bytes()[:-28])
    return {
        "missing FASTA": ("--fasta", tmp_path / "no.fa"),
        "missing BED": ("--fasta", genome, "--bed", tmp_path / "no.bed"),
        "contig": ("--fasta", genome, "--bed", bed_file("chr9 0 5", name="contig.bed")),
        "start not before end": ("--fasta", genome, "--bed", bed_file("chr1 5 5", name="s.bed")),
        "past the contig": ("--fasta", genome, "--bed", bed_file("chr2 0 701", name="p.bed")),
        "truncated gzip": ("--fasta", truncated),
        "truncated bgzip": ("--fasta", blocks),
        "letters": ("--fasta", text_file(">a\nACGT\n>b\nACZ\n", name="letters.fa")),
        "not FASTA": ("--fasta", text_file("hello\n", name="hello.fa")),
    }


BAD_INPUTS = (
    "missing FASTA",
    "missing BED",
    "contig",
    "start not before end",
    "past the contig",
    "truncated gzip",
    "truncated bgzip",
    "letters",
    "not FASTA",
)


@pytest.mark.parametrize("kind", BAD_INPUTS)
def test_bad_input_is_exit_3_with_one_line_and_no_output(
    embed, tmp_path, genome, bed_file, text_file, kind
):
    arguments = files_for_bad_input(tmp_path, genome, bed_file, text_file)[kind]
    output = tmp_path / "out"
    output.mkdir()

    done = embed(*arguments, "-o", output / "x.h5ad", "--stats", output / "stats.json")

    assert done.code == 3
    assert done.err.startswith("hyenadna: error: ")
    assert done.err.count("\n") == 1
    assert names_in(output) == []


def test_a_bad_letter_in_a_region_is_found_while_reading_and_leaves_nothing(
    embed, fasta_file, bed_file, tmp_path
):
    fasta = fasta_file({"c": "ACGTACGTAC*T"})
    output = tmp_path / "out"
    output.mkdir()

    done = embed("--fasta", fasta, "--bed", bed_file("c 0 4", "c 8 12"), "-o", output / "x.h5ad")

    assert done.code == 3
    assert "c, position 11" in done.err
    assert names_in(output) == []


def test_a_stream_that_breaks_off_leaves_no_file(embed, tmp_path, monkeypatch):
    data = gzip.compress(b">a\nACGTACGT\n" * 1_000)[:-20]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    output = tmp_path / "out"
    output.mkdir()

    done = embed("--fasta", "-", "-o", output / "x.tsv")

    assert (done.code, names_in(output)) == (3, [])


@pytest.mark.parametrize(
    "options",
    [("--window", "259"), ("--window", "1k"), ("--window", "257", "--specials", "cls-sep")],
    ids=" ".join,
)
def test_a_window_longer_than_the_model_is_exit_4(embed, genome, options):
    done = embed("--fasta", genome, *options)

    assert done.code == 4
    assert "258 tokens" in done.err


def test_a_model_that_is_not_there_is_exit_4(hyenadna, genome, tmp_path):
    assert hyenadna("embed", "--fasta", genome, "-m", tmp_path / "no").code == 4


@pytest.mark.parametrize(
    "options",
    [
        "-o x.png",
        "-o x.h5ad --pool token",
        "-o x.tsv --pool token",
        "--pool token",
        "--pool median",
        "--pool mean,token -o x.h5",
        "--pool token --layers 0,1 -o x.h5",
        "--layers 3",
        "--layers -2",
        "--layers x",
        "--bin 4",
        "--out-dtype fp16",
        "--pool last --exclude-n",
        "--stride 300",
        "--window 0",
        "--stride 0",
        "--window x",
        "--shard 4/3",
        "--shard 1",
        "--strand bed",
        "--strand x",
        "--batch-size 0",
        "--contig-map auto",
        "--device tpu",
        "--pool token -o x.h5 --bin 0",
    ],
)
def test_options_that_make_no_sense_are_exit_2(embed, genome, tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)

    done = embed("--fasta", genome, *shlex.split(options))

    assert done.code == 2, done.err
    assert not Path("x.h5").exists()


@pytest.mark.parametrize("stream", ["--fasta -", "--fasta GENOME --bed -"])
def test_a_shard_of_a_stream_is_exit_2(embed, genome, stream):
    arguments = stream.replace("GENOME", str(genome)).split()

    done = embed(*arguments, "--shard", "1/2")

    assert done.code == 2
    assert "stdin" in done.err


def test_a_full_disk_is_exit_6_and_leaves_nothing(embed, genome, small_disk):
    done = embed("--fasta", genome, "--pool", "token", "--layers", "0", "-o", small_disk / "x.h5")
    assert done.code == 0
    (small_disk / "filler").write_bytes(b"x" * 700_000)

    done = embed("--fasta", genome, "--pool", "token", "-o", small_disk / "y.h5")

    assert done.code == 6
    assert done.err.count("\n") == 1
    assert names_in(small_disk) == ["filler", "x.h5", "x.h5.manifest.json"]


def test_an_output_directory_that_does_not_exist_is_exit_6(embed, genome, tmp_path):
    assert embed("--fasta", genome, "-o", tmp_path / "no" / "x.tsv").code == 6


def test_running_out_of_memory_has_an_exit_code_of_its_own(embed, genome, monkeypatch, tmp_path):
    import torch

    from hyenadna_cli.core.model.hyenadna import HyenaDNA

    def refuse(*_):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(HyenaDNA, "hidden_states", refuse)
    options = ("--fasta", genome, "-o", tmp_path / "x.tsv")

    assert embed(*options).code == 75
    assert embed(*options, "--oom-exit-code", "137").code == 137
    assert not (tmp_path / "x.tsv").exists()


# ---- signals and pipes


def start(tiny_model, *arguments, **options):
    program = [sys.executable, "-m", "hyenadna_cli", "embed", "-m", str(tiny_model)]
    return subprocess.Popen(
        [*program, "--device", "cpu", "--threads", "1", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        **options,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_cleanly(tiny_model, tmp_path, number, code):
    records = b">r\nACGTACGT\n" * 300
    run = start(tiny_model, "--fasta", "-", "-o", tmp_path / "x.h5ad", stdin=subprocess.PIPE)
    run.stdin.write(records)
    run.stdin.flush()
    for _ in range(1_200):
        # The journal comes before the weights are loaded, the output's scratch file after.
        if any(".tmp." in name for name in names_in(tmp_path)):
            break
        time.sleep(0.05)
    time.sleep(0.3)

    run.send_signal(number)
    time.sleep(0.1)
    _, err = run.communicate(records)

    assert run.returncode == code, err
    assert err.count(b"\n") == 1
    assert b"no output was written" in err
    assert names_in(tmp_path) == []


def test_a_dry_run_on_too_small_a_machine_tells_what_a_run_needs(embed, genome, monkeypatch):
    from hyenadna_cli.core.model.fused_forward import FusedForward

    def full(*_arguments, **_more):
        raise MemoryError

    monkeypatch.setattr(FusedForward, "apply", full)

    done = embed("--fasta", genome, "--dry-run", "--batch-size", "1")

    entries = dict(line.split("\t") for line in done.out.splitlines())
    assert done.code == 0
    assert int(entries["peak_memory_mb"]) > 0
    assert entries["estimated_seconds"] == "."
    assert "not timed: " in done.err
