"""`hyenadna score-variants` end to end: files in, files out, and an account of every allele."""

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

import cyvcf2
import numpy as np
import pysam
import pytest

from hyenadna_cli.core.model.checkpoints.catalogue import CLINVAR_AUROC

TEST_DATA = Path(__file__).parents[2] / "test_data"
README = TEST_DATA.parent / "README.md"
VARIANTS, FASTA = TEST_DATA / "variants.vcf", TEST_DATA / "tiny.fa"
PLAIN = ["--device", "cpu", "--threads", "1"]

needs_bcftools = pytest.mark.skipif(
    shutil.which("bcftools") is None or shutil.which("tabix") is None,
    reason="bcftools and tabix are not installed",
)


@pytest.fixture
def run(hyenadna, tiny_model):
    """`run(vcf, ...)`: score with the tiny model on the tiny genome."""

    def score(vcf, *more, fasta=FASTA):
        genome = [] if fasta is None else ["--fasta", fasta]
        return hyenadna("score-variants", vcf, *genome, "-m", tiny_model, *PLAIN, *more)

    return score


@pytest.fixture
def snv(vcf_file):
    """A VCF of one sound SNV, with further records before it."""
    base = pysam.FastaFile(str(FASTA)).fetch("chr1", 1_499, 1_500).upper()
    other = "C" if base != "C" else "G"

    def build(*records, **more):
        return vcf_file(*records, f"chr1 1500 sound {base} {other}", **more)

    return build


def piped(arguments, *, stdin):
    """The program in its own process, with these bytes as standard input."""
    return subprocess.run(
        [sys.executable, "-m", "hyenadna_cli", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def records_of(text):
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def info_of(text):
    """INFO of every record as a dict; flags are empty."""
    return [
        dict(entry.partition("=")[::2] for entry in columns[7].split(";"))
        for columns in records_of(text)
    ]


def tsv(text):
    header, *rows = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_every_record_leaves_in_order_and_otherwise_untouched(run):
    code, out, err = run(VARIANTS)

    assert code == 0
    before = records_of(VARIANTS.read_text())
    after = records_of(out)
    for old, new in zip(before, after, strict=True):
        entries = [e for e in new[7].split(";") if not e.startswith("HD_")]
        assert [*new[:7], ";".join(entries) or ".", *new[8:]] == old
    assert "18 records, 17 of 24 alleles scored" in err


def test_every_allele_has_a_status_and_those_scored_have_numbers(run):
    _, out, _ = run(VARIANTS)

    found = {columns[2]: info for columns, info in zip(records_of(out), info_of(out), strict=True)}

    assert {
        name: info["HD_STATUS"] for name, info in found.items() if info["HD_STATUS"] != "OK"
    } == {
        "v2": "OK,OK,OK",
        "v4": "OK,OK,OK",
        "v7": "NON_ACGT",
        "v8": "OK_EDGE",
        "v9": "SYMBOLIC,OK",
        "v10": "OK_EDGE",
        "v11": "REF_MISMATCH",
        "v12": "NON_ACGT",
        "v13": "STAR,OK",
        "v14": "BND",
        "v15": "NO_ALT",
        "v16": "OK_EDGE",
    }
    assert found["v9"]["HD_LLR"].startswith(".,")
    assert "HD_LLR" not in found["v14"]
    assert np.isfinite(float(found["v1"]["HD_SITE"]))


def test_header_and_help_say_how_well_the_default_model_judges(hyenadna, tiny_model):
    auroc = CLINVAR_AUROC["builtin"].partition(" ")[0]
    options = ("--fasta", FASTA, "--window", "64", *PLAIN)
    done = hyenadna("score-variants", VARIANTS, *options)
    other = hyenadna("score-variants", VARIANTS, *options, "-m", tiny_model)

    (line,) = [text for text in done.out.splitlines() if text.startswith("##hyenadna_model=")]
    assert f'clinvar_auroc="{auroc} for HD_LLR' in line
    assert "auroc" not in other.out
    said = " ".join(hyenadna("score-variants", "--help").out.split())
    assert f"AUROC {auroc} on ClinVar" in said
    assert f"AUROC {auroc} on ClinVar" in " ".join(README.read_text().split())


def test_the_header_types_the_tags_and_tells_where_they_come_from(run):
    _, out, _ = run(VARIANTS, "--scores", "llr,site,jsd,l2,cos", "--per-strand")

    header = [line for line in out.splitlines() if line.startswith("##")]
    for tag in ("LLR", "SITE", "JSD", "L2", "COS", "LLR_FWD", "LLR_REV"):
        assert any(line.startswith(f"##INFO=<ID=HD_{tag},Number=A,Type=Float,") for line in header)
    assert any(line.startswith("##INFO=<ID=HD_STATUS,Number=A,Type=String,") for line in header)
    assert any(line.startswith("##hyenadna_model=<ID=score_variants,") for line in header)
    assert any('window="258"' in line for line in header)
    assert header[: len(VARIANTS.read_text().split("#CHROM")[0].splitlines())] == (
        VARIANTS.read_text().split("#CHROM")[0].splitlines()
    )


@pytest.mark.slow
def test_scored_output_can_be_scored_again(run, tmp_path):
    run(VARIANTS, "-o", tmp_path / "once.vcf", "--no-version")

    _, out, _ = run(tmp_path / "once.vcf", "--no-version")

    assert records_of(out) == records_of((tmp_path / "once.vcf").read_text())
    assert out.count("##INFO=<ID=HD_LLR,") == 1


@pytest.mark.parametrize("name", ["out.vcf", "out.vcf.gz", "out.bcf"])
def test_the_suffix_decides_the_kind(run, tmp_path, name):
    code, _, _ = run(VARIANTS, "-o", tmp_path / name)

    assert code == 0
    with pysam.VariantFile(str(tmp_path / name)) as written:
        assert (written.format, written.compression) == {
            "out.vcf": ("VCF", "NONE"),
            "out.vcf.gz": ("VCF", "BGZF"),
            "out.bcf": ("BCF", "BGZF"),
        }[name]
        assert [record.id for record in written][:3] == ["v1", "v2", "v3"]
    manifest = json.loads((tmp_path / f"{name}.manifest.json").read_text())
    assert manifest["rows"]["OK"] == 14


def test_bcf_holds_the_same_values_with_their_types(run, tmp_path):
    run(VARIANTS, "-o", tmp_path / "out.vcf")
    run(VARIANTS, "-o", tmp_path / "out.bcf")

    text, binary = (
        [(v.CHROM, v.POS, dict(v.INFO)) for v in cyvcf2.VCF(str(tmp_path / name))]
        for name in ("out.vcf", "out.bcf")
    )

    assert str(binary) == str(text)
    with pysam.VariantFile(str(tmp_path / "out.bcf")) as bcf:
        for record in bcf:
            if "HD_LLR" in record.info:
                assert all(v is None or isinstance(v, float) for v in record.info["HD_LLR"])


@pytest.mark.slow
def test_bcf_in_and_out_through_pipes(run, tiny_model, tmp_path):
    run(VARIANTS, "-o", tmp_path / "in.bcf")
    options = ["-", "--fasta", FASTA, "-m", tiny_model, *PLAIN]

    done = piped(["score-variants", *options, "-O", "u"], stdin=(tmp_path / "in.bcf").read_bytes())

    assert done.returncode == 0, done.stderr
    (tmp_path / "out.bcf").write_bytes(done.stdout)
    with pysam.VariantFile(str(tmp_path / "out.bcf")) as bcf:
        assert len(list(bcf)) == 18


@pytest.mark.slow
def test_vcf_through_pipes_and_head(tiny_model):
    options = ["-", "--fasta", FASTA, "-m", tiny_model, *PLAIN]

    done = piped(["score-variants", *options], stdin=VARIANTS.read_bytes())

    assert done.returncode == 0, done.stderr
    assert len(records_of(done.stdout.decode())) == 18


@pytest.fixture
def many(vcf_file):
    """2,500 SNVs: seconds of work."""
    bases = pysam.FastaFile(str(FASTA)).fetch("chr1", 16_000, 18_500).upper()
    snvs = ((16_001 + n, base, "A" if base != "A" else "C") for n, base in enumerate(bases))
    records = (f"chr1 {pos} . {ref} {alt}" for pos, ref, alt in snvs)
    return vcf_file(*records, contigs={"chr1": 30_000}, name="many.vcf")


def started(tiny_model, *arguments):
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "hyenadna_cli",
            "score-variants",
            *map(str, arguments),
            "--fasta",
            FASTA,
            "-m",
            tiny_model,
            *PLAIN,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["v", "b"])
def test_a_reader_that_has_seen_enough_is_no_error(tiny_model, many, kind):
    """`hyenadna score-variants ... | head`"""
    with started(tiny_model, many, "-O", kind) as process:
        assert process.stdout.read(10)
        process.stdout.close()
        err = process.stderr.read().decode()

    assert process.returncode == 0
    assert "error" not in err
    assert "[E::" not in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.vcf", "out.bcf"])
def test_a_stopped_run_leaves_no_output(tiny_model, many, tmp_path, name):
    with started(tiny_model, many, "-o", tmp_path / name) as process:
        while process.poll() is None and not list(tmp_path.glob(f"{name}.tmp.*")):
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        err = process.stderr.read().decode()

    assert process.returncode == 143
    assert "no output was written" in err
    assert list(tmp_path.glob(f"{name}*")) == []


def test_an_index_lies_beside_the_output(run, tmp_path):
    code, _, _ = run(VARIANTS, "-o", tmp_path / "out.vcf.gz", "-W")

    assert code == 0
    with pysam.VariantFile(
        str(tmp_path / "out.vcf.gz"), index_filename=str(tmp_path / "out.vcf.gz.csi")
    ) as written:
        assert [record.id for record in written.fetch("chr1", 4_599, 4_600)] == ["v3"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == [
        "out.vcf.gz",
        "out.vcf.gz.csi",
        "out.vcf.gz.manifest.json",
    ]


def test_an_index_needs_sorted_records_and_a_file(run, snv, tmp_path):
    unsorted = snv("chr1 2000 . N C")

    code, _, err = run(unsorted, "-o", tmp_path / "out.vcf.gz", "-W")

    assert code == 3
    assert "bcftools sort" in err
    assert run(unsorted, "-W").code == 2
    assert run(unsorted, "-o", tmp_path / "out.vcf", "-W").code == 2


@needs_bcftools
def test_bcftools_and_tabix_accept_what_is_written(run, tmp_path):
    for name in ("out.vcf.gz", "out.bcf"):
        run(VARIANTS, "-o", tmp_path / name, "-W")

        def bcftools(*arguments):
            done = subprocess.run(
                ["bcftools", *arguments], cwd=tmp_path, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert "[W::" not in done.stderr, done.stderr
            return done.stdout

        assert len(bcftools("view", "-H", name).splitlines()) == 18
        split = bcftools("norm", "-m", "-any", name)
        of_v9 = [
            info for c, info in zip(records_of(split), info_of(split), strict=True) if c[2] == "v9"
        ]
        assert [info["HD_STATUS"] for info in of_v9] == ["SYMBOLIC", "OK"]
        assert [info.get("HD_LLR", ".") == "." for info in of_v9] == [True, False]
        queried = bcftools("query", "-f", "%ID %HD_LLR %HD_STATUS\n", "-i", "HD_LLR<0", name)
        assert queried.startswith("v")
        assert "v10" in bcftools("view", "-H", name, "chr1:29980-29999")
    tabix = subprocess.run(
        ["tabix", "out.vcf.gz", "chr2:2450-2450"], cwd=tmp_path, capture_output=True, text=True
    )
    assert [columns[2] for columns in records_of(tabix.stdout)] == ["v13"]


def test_tsv_has_a_row_an_allele(run, tmp_path):
    code, _, _ = run(VARIANTS, "-o", tmp_path / "out.tsv", "--per-strand")

    rows = tsv((tmp_path / "out.tsv").read_text())

    assert code == 0
    assert list(rows[0]) == [
        "chrom",
        "pos",
        "id",
        "ref",
        "alt",
        "status",
        "llr",
        "site",
        "llr_fwd",
        "llr_rev",
    ]
    assert len(rows) == 24
    assert [row["alt"] for row in rows if row["id"] == "v2"] == ["A", "C", "G"]
    first = rows[0]
    mean = (float(first["llr_fwd"]) + float(first["llr_rev"])) / 2
    assert float(first["llr"]) == pytest.approx(mean)
    assert [row["status"] for row in rows if row["alt"] == "."] == ["NO_ALT"]


@pytest.mark.slow
@pytest.mark.parametrize("layout", [["--window", "100"], ["--layout", "grid", "--window", "200"]])
def test_shards_put_together_are_the_whole_to_the_byte(run, vcf_file, tmp_path, layout):
    bases = pysam.FastaFile(str(FASTA)).fetch("chr1", 1_000, 2_600).upper()
    vcf = vcf_file(
        *(
            f"chr1 {1_001 + n} . {base} {'C' if base != 'C' else 'A'}"
            for n, base in enumerate(bases)
        ),
        contigs={"chr1": 30_000},
    )
    options = ["--no-version", "--scores", "llr,site,jsd", *layout]
    run(vcf, "-o", tmp_path / "whole.tsv", *options)

    parts = []
    for number in range(1, 8):
        part = tmp_path / f"{number}.tsv"
        code, _, _ = run(vcf, "-o", part, "--shard", f"{number}/7", *options)
        assert code == 0
        parts += part.read_text().splitlines()[1:]

    assert parts == (tmp_path / "whole.tsv").read_text().splitlines()[1:]


def test_upstream_and_downstream_shift_the_window(run, snv):
    def settings(*options):
        done = run(snv(), *options, "-v")
        assert done.code == 0, done.err
        (line,) = [line for line in done.out.splitlines() if line.startswith("##hyenadna_run")]
        return [entry for entry in line.split('",') if "stream=" in entry or "window=" in entry]

    assert settings("--window", "200", "--downstream", "50") == [
        'window="200',
        'upstream="150',
        'downstream="50',
    ]
    assert settings("--upstream", "30", "--downstream", "40")[0] == 'window="70'


@pytest.mark.parametrize(
    ("options", "code", "problem"),
    [
        (["--window", "259"], 4, "258"),
        (["--window", "1"], 2, "window"),
        (["--scores", "llr,nonsense"], 2, "nonsense"),
        (["--scores", "site", "--per-strand"], 2, "llr"),
        (["--layout", "grid", "--upstream", "5"], 2, "--layout centred"),
        (["--min-context", "5"], 2, "--layout grid"),
        (["--layout", "grid", "--window", "100", "--min-context", "50"], 2, "--min-context"),
        (["--window", "9", "--upstream", "5", "--downstream", "4"], 2, "two of"),
        (["-o", "out.xyz"], 2, ".vcf.gz"),
        (["--contig-map", "auto", "--rename-chrs", "x"], 2, "exclude"),
        (["--shard", "8/7"], 2, "--shard"),
    ],
)
def test_options_that_make_no_sense_are_refused(run, snv, options, code, problem):
    done = run(snv(), *options)

    assert done.code == code
    assert problem in done.err


def test_the_genome_comes_from_one_of_three_places(run, snv, monkeypatch):
    monkeypatch.delenv("HYENADNA_FASTA", raising=False)
    from_header = snv(header=(f"##reference=file://{FASTA}",), name="reference.vcf")
    lost = snv(header=("##reference=/nowhere/hg38.fa",), name="lost.vcf")

    nowhere = run(snv(), fasta=None)
    assert nowhere.code == 2
    for way in ("--fasta", "HYENADNA_FASTA", "##reference="):
        assert way in nowhere.err
    assert "/nowhere/hg38.fa" in run(lost, fasta=None).err
    assert run(from_header, fasta=None).code == 0
    monkeypatch.setenv("HYENADNA_FASTA", str(FASTA))
    assert run(snv(), fasta=None).code == 0


def test_a_wrong_ref_is_marked_refused_or_left_out(run, snv):
    vcf = snv("chr1 1400 wrong NNN A")

    marked, refused, left_out = (run(vcf, "--check-ref", way) for way in "wex")

    assert [columns[2] for columns in records_of(marked.out)] == ["wrong", "sound"]
    assert info_of(marked.out)[0] == {"HD_STATUS": "REF_MISMATCH"}
    assert refused.code == 3
    assert "variants.vcf:3: chr1:1400 NNN>A" in refused.err
    assert refused.out == ""
    assert [columns[2] for columns in records_of(left_out.out)] == ["sound"]
    assert "1 REF_MISMATCH (first: chr1:1400 NNN>A)" in left_out.err


def test_contigs_of_other_names_are_shown_with_the_two_remedies(run, vcf_file, text_file):
    vcf = vcf_file("1 1500 . N C", "MT 1000 . N C", "scaffold_4 350 . N C")

    some = run(vcf)
    none = run(vcf_file("1 1500 . N C", name="none.vcf"))
    mapped = run(vcf, "--contig-map", "auto")
    renamed = run(vcf, "--rename-chrs", text_file("1 chr1\nMT chrM\n", name="names.txt"))

    assert some.code == 0
    assert [info["HD_STATUS"] for info in info_of(some.out)] == [
        "NO_CONTIG",
        "NO_CONTIG",
        "REF_MISMATCH",
    ]
    assert none.code == 3
    for message in (some.err, none.err):
        assert "chr1, chr2" in message
        assert "--contig-map auto" in message
        assert "--rename-chrs FILE" in message
    for done in (mapped, renamed):
        assert {info["HD_STATUS"] for info in info_of(done.out)} == {"REF_MISMATCH"}


def test_odd_files_are_scored_all_the_same(run, snv, tmp_path):
    """Plain gzip, no contigs in the header, unsorted, duplicates, undeclared tags, no record."""
    expected = info_of(run(snv()).out)[-1]

    plain_gzip = run(snv(compression="gzip", name="x.vcf.gz"))
    unsorted = run(snv("chr2 5000 . N C", "chr1 9000 . N C . q10 FOO=1;BAR", name="u.vcf"))
    again = snv(name="again.vcf").read_text().splitlines()[-1].replace("\t", " ")
    duplicates = run(snv(again, again, name="d.vcf"))
    as_bcf = run(snv("chr1 9000 . N C . q10 FOO=1;BAR", name="b.vcf"), "-o", tmp_path / "out.bcf")

    assert info_of(plain_gzip.out) == [expected]
    assert "##contig=<ID=chr1,length=30000>" in plain_gzip.out
    assert info_of(unsorted.out)[-1] == expected
    assert info_of(duplicates.out) == [expected] * 3
    assert as_bcf.code == 0
    with pysam.VariantFile(str(tmp_path / "out.bcf")) as bcf:
        assert [record.info.get("FOO") for record in bcf] == ["1", None]


def test_an_empty_vcf_gives_an_empty_vcf(run, vcf_file, tmp_path):
    code, out, _ = run(vcf_file(contigs={"chr1": 30_000}))
    in_tsv = run(vcf_file(contigs={"chr1": 30_000}), "-o", tmp_path / "out.tsv")

    assert code == 0
    assert out.splitlines()[-1].startswith("#CHROM")
    assert records_of(out) == []
    assert in_tsv.code == 0
    assert (tmp_path / "out.tsv").read_text().splitlines() == [
        "\t".join(["chrom", "pos", "id", "ref", "alt", "status", "llr", "site"])
    ]


def test_thousands_of_samples_pass_through(run, snv):
    samples = tuple(f"S{n}" for n in range(5_000))
    genotypes = " ".join(f"0/1:{n}.10" for n in range(5_000))
    vcf = snv(f"chr1 1400 . N C . . . GT:AB {genotypes}", samples=samples, name="wide.vcf")
    # The sound record of the builder has no samples; here it is not wanted.
    vcf.write_text("\n".join(vcf.read_text().splitlines()[:-1]) + "\n")

    _, out, _ = run(vcf)

    assert records_of(out)[0][8:] == records_of(vcf.read_text())[0][8:]


def test_a_very_long_allele_has_a_status(run, snv):
    done = run(snv(f"chr1 1400 . N {'A' * 10_000}", "chr1 1400 . A " + "C" * 130))

    assert info_of(done.out)[0]["HD_STATUS"] == "REF_MISMATCH"
    base = pysam.FastaFile(str(FASTA)).fetch("chr1", 1_399, 1_400).upper()
    long = run(snv(f"chr1 1400 . {base} {'A' * 10_000}", f"chr1 1400 . {base} {'C' * 130}"))
    assert [info["HD_STATUS"] for info in info_of(long.out)] == ["TOO_LONG", "TOO_LONG", "OK"]


@pytest.mark.parametrize("compression", ["gzip", "bgzip"])
def test_a_cut_off_file_leaves_no_output(run, vcf_file, tmp_path, compression):
    vcf = vcf_file(
        *(f"chr1 {n} . N A" for n in range(1, 5_000)), name="x.vcf.gz", compression=compression
    )
    vcf.write_bytes(vcf.read_bytes()[:-50])

    done = run(vcf, "-o", tmp_path / "out.vcf")

    assert done.code == 3
    assert "truncated" in done.err
    assert not (tmp_path / "out.vcf").exists()


def test_strict_stats_and_dry_run_give_the_account(run, tmp_path):
    strict = run(VARIANTS, "-o", tmp_path / "o.vcf", "--strict", "--stats", tmp_path / "s.json")
    planned = run(VARIANTS, "--dry-run")

    stats = json.loads((tmp_path / "s.json").read_text())
    assert strict.code == 5
    assert (tmp_path / "o.vcf").exists()
    assert stats["records"] == 18
    assert stats["alleles"] == sum(stats["status"].values()) == 24
    assert (stats["ref_agree"], stats["ref_mismatch"]) == (17, 1)
    assert planned.code == 0
    plan = dict(line.split("\t") for line in planned.out.splitlines())
    assert plan["status_TO_SCORE"] == "17"
    assert plan["window"] == "258"
    assert int(plan["peak_memory_mb"]) > 0
    assert 1 <= int(plan["estimated_seconds"]) < 600


def test_outputs_are_not_replaced_unasked(run, tmp_path):
    (tmp_path / "out.vcf.gz.csi").write_text("mine")

    assert run(VARIANTS, "-o", tmp_path / "out.vcf.gz", "-W").code == 6
    assert run(VARIANTS, "-o", tmp_path / "out.vcf.gz", "-W", "--force").code == 0
    assert run(VARIANTS, "-o", tmp_path / "out.vcf.gz").code == 6
    again = run(VARIANTS, "-o", tmp_path / "out.vcf.gz", "--resume")
    assert again.code == 0
    assert "complete already" in again.err


def test_batch_size_changes_nothing_beyond_rounding(run, tmp_path):
    for size in ("1", "7", "auto"):
        options = ["--scores", "llr,site,jsd,l2,cos", "--batch-size", size]
        run(VARIANTS, "-o", tmp_path / f"{size}.tsv", *options)

    tables = [
        np.genfromtxt(tmp_path / f"{size}.tsv", skip_header=1, usecols=range(6, 11))
        for size in ("1", "7", "auto")
    ]

    np.testing.assert_allclose(tables[0], tables[2], rtol=0, atol=1e-4)
    np.testing.assert_allclose(tables[1], tables[2], rtol=0, atol=1e-4)


def test_threads_change_nothing_beyond_rounding(run, tmp_path):
    for n_threads in ("1", "2"):
        options = ["--scores", "llr,site,jsd,l2,cos", "--threads", n_threads]
        run(VARIANTS, "-o", tmp_path / f"{n_threads}.tsv", *options)

    one, two = (
        np.genfromtxt(tmp_path / f"{n}.tsv", skip_header=1, usecols=range(6, 11)) for n in (1, 2)
    )

    assert np.isfinite(one).any()
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-4)


def test_the_example_of_the_help_runs(hyenadna, tiny_model, monkeypatch):
    monkeypatch.chdir(TEST_DATA.parent)
    command = "score-variants test_data/variants.vcf --fasta test_data/tiny.fa"

    assert command in " ".join(hyenadna("score-variants", "--help").out.split())
    assert hyenadna(*command.split(), "-m", tiny_model, *PLAIN).code == 0


@pytest.mark.shared
@pytest.mark.parametrize(
    ("variants", "genome"),
    [
        ("clinvar_2016-09.in_LRG.GRCh37.vcf.gz", "hg19.partial.fa.gz"),
        ("clinvar_2016-09.in_LRG.GRCh38_snvs.vcf.gz", "hg38.partial.fa.gz"),
    ],
)
def test_clinvar_records_leave_in_order_and_agree_with_their_assembly(
    run, tmp_path, variants, genome
):
    data = TEST_DATA.parents[1] / "shared" / "data"
    if not data.is_dir():
        pytest.skip("no shared data folder beside the checkout")
    with gzip.open(data / "clinvar" / variants, "rt") as file:
        lines = file.read().splitlines()
    header = [line for line in lines if line.startswith("#")]
    some = [line for line in lines if not line.startswith("#")][::171]
    (tmp_path / "some.vcf").write_text("\n".join([*header, *some, ""]))

    done = run(
        tmp_path / "some.vcf",
        "-o",
        tmp_path / "out.vcf.gz",
        "-W",
        "--stats",
        tmp_path / "s.json",
        fasta=data / "genome" / genome,
    )

    assert done.code == 0, done.err
    stats = json.loads((tmp_path / "s.json").read_text())
    assert (stats["ref_agree"], stats["ref_mismatch"]) == (len(some), 0)
    with gzip.open(tmp_path / "out.vcf.gz", "rt") as scored:
        after = records_of(scored.read())
    assert [columns[:7] for columns in after] == [line.split("\t")[:7] for line in some]
    assert set(stats["status"]) <= {"OK", "OK_EDGE"}
