"""`hyenadna background`, and the percentiles that score-variants takes from it."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter

import h5py
import numpy as np
import pysam
import pytest
from scipy import stats

from hyenadna_cli.core.dna.trinucleotides import CHANGES, trinucleotide_change
from hyenadna_cli.core.io.background_h5 import read_background
from hyenadna_cli.core.outputs import shards

N_BASES = 60_000


@pytest.fixture
def genome(fasta_file):
    """Two contigs and a gap."""
    random = np.random.default_rng(7)
    bases = "".join(random.choice(list("ACGT"), N_BASES))
    return fasta_file({"chr1": bases[:40_000], "chr2": f"{bases[40_000:]}{'N' * 50}ACGTACGTA"})


@pytest.fixture
def draw(hyenadna, tiny_model, genome, tmp_path):
    """`draw("--seed", "1", name="b.h5")`: a background of the tiny genome."""

    def run(*more, name="background.h5", code=0, model=tiny_model):
        done = hyenadna(
            *("background", "--fasta", genome, "-m", model, "--device", "cpu", "--threads", "1"),
            *("--window", "32", "--no-version", "-o", tmp_path / name, *more),
        )
        assert done.code == code, done.err
        return tmp_path / name if code == 0 else done

    return run


@pytest.fixture
def rank(hyenadna, tiny_model, genome):
    def run(vcf, background, *more, fasta=genome, model=tiny_model):
        return hyenadna(
            *("score-variants", vcf, "--fasta", fasta, "-m", model, "--device", "cpu"),
            *("--threads", "1", "--background", background, *more),
        )

    return run


def snvs_of(path):
    columns = read_background(path).columns
    return list(zip(*(columns[c] for c in ("chrom", "pos", "ref", "alt")), strict=True))


def as_vcf(vcf_file, path, name="fresh.vcf"):
    records = [f"{chrom} {pos} . {ref} {alt}" for chrom, pos, ref, alt in snvs_of(path)]
    return vcf_file(*records, name=name, contigs={"chr1": 40_000, "chr2": 20_059})


def percentiles(out):
    return [
        float(found[1]) if (found := re.search(r"HD_PCT=([^;\s]+)", line)) else None
        for line in out.splitlines()
        if not line.startswith("#")
    ]


def test_as_many_of_each_change_are_drawn_in_order_and_by_the_seed_alone(draw, genome):
    path = draw("--per-change", "3")

    found = read_background(path)
    assert Counter(found.columns["change"]) == dict.fromkeys(CHANGES, 3)
    snvs = snvs_of(path)
    assert len(set(snvs)) == 288
    assert snvs == sorted(snvs)
    with pysam.FastaFile(str(genome)) as fasta:
        for (chrom, pos, ref, alt), change in zip(snvs, found.columns["change"], strict=True):
            three = fasta.fetch(chrom, pos - 2, pos + 1)
            assert three[1] == ref
            assert trinucleotide_change(ref, alt, three[0], three[2]) == change
    assert set(found.columns["status"]) <= {"OK", "OK_EDGE"}
    assert found.scores.keys() == {"llr", "site"}
    assert np.isfinite(found.scores["llr"]).all()
    assert snvs_of(draw("--per-change", "3", "--batch-size", "3", name="again.h5")) == snvs
    assert snvs_of(draw("--per-change", "3", "--seed", "1", name="other.h5")) != snvs


def test_regions_limit_where_snvs_are_drawn(draw, bed_file):
    bed = bed_file("chr1 100 900", "chr1 800 1200", "chr2 5 6")

    snvs = snvs_of(draw("--per-change", "1", "--bed", bed))

    assert {chrom for chrom, *_ in snvs} <= {"chr1", "chr2"}
    assert all(100 < pos <= 1_200 or (chrom, pos) == ("chr2", 6) for chrom, pos, *_ in snvs)


def test_changes_that_a_genome_lacks_are_told(draw, hyenadna, tiny_model, fasta_file, tmp_path):
    poor = fasta_file({"chr1": "AT" * 200}, name="poor.fa")
    command = ("background", "--fasta", poor, "-m", tiny_model, "--window", "32", "--threads", "1")

    code, _, err = hyenadna(*command, "--per-change", "1", "-o", tmp_path / "poor.h5")

    assert code == 0
    assert "have fewer than 1 SNVs here, such as" in err
    assert set(read_background(tmp_path / "poor.h5").columns["change"]) <= {
        f"ATA>{alt}" for alt in "ACG"
    }


@pytest.mark.slow
def test_percentiles_of_a_fresh_sample_are_uniform_within_each_change(draw, rank, vcf_file):
    background = draw("--per-change", "150", "--scores", "site")
    fresh = draw("--per-change", "30", "--seed", "1", "--scores", "site", name="fresh.h5")

    code, out, err = rank(
        as_vcf(vcf_file, fresh), background, "--window", "32", "--scores", "site", "-q"
    )

    assert code == 0, err
    found = np.array(percentiles(out), dtype=np.float64)
    assert len(found) == 2_880
    changes = read_background(fresh).columns["change"]
    # The background is a sample too: the two-sample form of the test.
    n_effective = 30 * 150 / 180
    p_values = [
        stats.kstwobign.sf(
            stats.kstest(found[changes == change] / 100, "uniform").statistic * np.sqrt(n_effective)
        )
        for change in CHANGES
    ]
    assert min(p_values) * len(CHANGES) > 0.01
    assert stats.kstest(found / 100, "uniform").pvalue > 1e-3
    # Ranks are within changes: those of the raw scores are far from uniform.
    scores = read_background(fresh).scores["site"]
    of_all = np.searchsorted(np.sort(read_background(background).scores["site"]), scores)
    means = [of_all[changes == change].mean() / len(CHANGES) / 150 for change in CHANGES]
    assert np.ptp(means) > 0.3


@pytest.mark.slow
def test_any_number_of_shards_merges_to_the_same_file(draw, hyenadna, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 16)
    whole = draw("--per-change", "2", name="whole.h5")
    parts = [
        draw("--per-change", "2", "--shard", f"{i}/7", name=f"part{i}.h5") for i in range(1, 8)
    ]

    done = hyenadna("merge", *parts, "-o", tmp_path / "merged.h5", "--no-version")

    assert done.code == 0, done.err
    assert (tmp_path / "merged.h5").read_bytes() == whole.read_bytes()


@pytest.mark.slow
def test_any_number_of_shards_of_ranked_variants_merges_to_the_same_file(
    draw, rank, hyenadna, vcf_file, tmp_path, monkeypatch
):
    background = draw("--per-change", "20")
    fresh = as_vcf(vcf_file, draw("--per-change", "2", "--seed", "1", name="fresh.h5"))
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 16)
    options = ("--window", "32", "--no-version", "-o")

    assert rank(fresh, background, *options, tmp_path / "whole.vcf.gz").code == 0
    parts = [tmp_path / f"part{i}.vcf.gz" for i in range(1, 8)]
    for i, part in enumerate(parts, start=1):
        assert rank(fresh, background, *options, part, "--shard", f"{i}/7").code == 0
    done = hyenadna("merge", *parts, "-o", tmp_path / "merged.vcf.gz", "--no-version")

    assert done.code == 0, done.err
    merged = (tmp_path / "merged.vcf.gz").read_bytes()
    assert merged == (tmp_path / "whole.vcf.gz").read_bytes()
    assert gzip.decompress(merged).count(b"HD_PCT=") == 192


@pytest.mark.slow
def test_other_alleles_than_snvs_have_no_percentile_and_the_reason_is_told(
    draw, rank, vcf_file, genome, tmp_path
):
    with pysam.FastaFile(str(genome)) as fasta:
        bases = fasta.fetch("chr1")
    snv = next(alt for alt in "ACGT" if alt != bases[499])
    vcf = vcf_file(
        f"chr1 400 . {bases[399]} {bases[399]}AC",
        f"chr1 500 . {bases[499]} {snv},{bases[499]}A",
        f"chr1 600 . {bases[599:601]} {snv}{snv}",
        f"chr1 1 . {bases[0]} {next(b for b in 'ACGT' if b != bases[0])}",
    )

    stats_file = tmp_path / "stats.json"

    code, out, err = rank(vcf, draw("--per-change", "20"), "--window", "32", "--stats", stats_file)

    assert code == 0
    (declared,) = (line for line in out.splitlines() if line.startswith("##INFO=<ID=HD_PCT,"))
    assert declared.startswith("##INFO=<ID=HD_PCT,Number=A,Type=Float")
    assert "SNVs only" in declared
    found = re.findall(r"HD_PCT=(\S+?),\.", out)
    assert len(found) == 1
    assert 0 <= float(found[0]) <= 100
    assert out.count("HD_PCT=") == 1
    assert "4 scored alleles have no HD_PCT: 3 not an SNV, 1 beside N or the end of a contig" in err
    assert json.loads(stats_file.read_text())["without_percentile"] == {
        "not an SNV": 3,
        "beside N or the end of a contig": 1,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--window", "64"), "is of other settings: window was 32, not 64"),
        (("--window", "32", "--layout", "grid"), "is of other settings: layout was centred"),
        (("--window", "32", "--upstream", "20"), "is of other settings: upstream was 16, not 20"),
        (("--window", "32", "--strand", "+"), "is of other settings: strands was +,-, not +"),
        (("--window", "32", "--vocab", "full"), "is of other settings: vocab was acgt, not full"),
        (("--window", "32", "-m", "builtin"), "is of another model: it was made with tiny_model"),
        (("--window", "32", "--fasta", "other"), "is of another genome than"),
        (("--window", "32", "--scores", "jsd"), "--background has llr, site: add it to --scores"),
    ],
)
def test_a_background_of_something_else_is_refused(draw, rank, vcf_file, fasta_file, words, said):
    background = draw("--per-change", "1")
    other = fasta_file({"chr1": "ACGT" * 100}, name="other.fa")
    vcf = vcf_file("chr1 100 . A C")

    done = rank(vcf, background, *(other if word == "other" else word for word in words))

    assert (done.code, done.out) == (2 if "--scores" in said else 3, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1


def test_what_is_no_background_is_refused(rank, vcf_file, text_file, tmp_path):
    vcf, text = vcf_file("chr1 100 . A C"), text_file("no", name="text.h5")
    with h5py.File(tmp_path / "else.h5", "w") as file:
        file.attrs["format"] = "hyenadna-embeddings"

    for path, said in [
        (tmp_path / "missing.h5", "no such file"),
        (text, "is not an HDF5 file, or a damaged one"),
        (tmp_path / "else.h5", "is not a background of `hyenadna background`"),
    ]:
        done = rank(vcf, path, "--window", "32")
        assert (done.code, said in done.err) == (3, True), done.err


def test_scores_that_are_none_are_refused(draw):
    assert "'' is none of llr, site" in draw("--per-change", "1", "--scores", "", code=2).err
    assert "'lr' is none of llr, site" in draw("--per-change", "1", "--scores", "lr", code=2).err


def test_an_output_that_is_not_hdf5_is_refused(draw):
    done = draw("--per-change", "1", name="background.tsv", code=2)

    assert "a background is HDF5; name a file .h5" in done.err
