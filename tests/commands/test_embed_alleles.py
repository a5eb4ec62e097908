"""`hyenadna embed --vcf`: what `embed` says of the two windows of every allele, for less."""

from __future__ import annotations

import anndata
import numpy as np
import pytest

from hyenadna_cli.core.inference import batching
from hyenadna_cli.core.io.embeddings_reading import read_embeddings, read_tokens
from hyenadna_cli.core.io.fasta import Genome
from hyenadna_cli.core.outputs import shards
from hyenadna_cli.core.variants.alleles import Centred, Grid, Variant
from tests.core.variants.by_the_book import windows_of

N_BASES = 1_400
POOLS = ("--pool", "mean,max,last,first,center", "--layers", "0,1,-1")
LAYOUTS = {
    "centred": (Centred(upstream=100, downstream=100), ()),
    "late": (Centred(upstream=150, downstream=50), ("--upstream", "150")),
    "grid": (Grid(window=200, min_context=25), ("--layout", "grid")),
}


@pytest.fixture
def genome(fasta_file):
    """chr1 with a homopolymer, two single N and a gap."""
    random = np.random.default_rng(3)
    bases = "".join(random.choice(list("ACGT"), N_BASES))
    bases = bases[:600] + "A" * 20 + "NN" + bases[622:1_180] + "N" * 15 + bases[1_195:]
    return fasta_file({"chr1": bases})


@pytest.fixture
def bases(genome):
    return genome.read_text().partition("\n")[2].replace("\n", "")


@pytest.fixture
def vcf(vcf_file, bases):
    """SNVs, MNV, insertions, deletions, several alleles, in repeats, near N, at contig ends."""

    def record(start, n_ref, *alts):
        ref = bases[start : start + n_ref]
        other = ref.translate(str.maketrans("ACGTN", "CGTAA"))
        written = [ref[0] + alt[1:] + ref[1:] if alt[0] == "+" else alt for alt in alts]
        written = [{"-": ref[0], "~": other}.get(alt, alt) for alt in written]
        return f"chr1 {start + 1} v{start} {ref} {','.join(written)} . . CLASS=P;AF={start}"

    return vcf_file(
        record(0, 1, "~"),
        record(1, 4, "-"),
        record(12, 1, "+CC"),
        record(605, 2, "-"),
        record(605, 1, "+A"),
        record(618, 1, "~"),
        record(700, 1, "~", "<DEL>"),
        record(701, 3, "~"),
        record(750, 1, "+G", "+ACGTA"),
        record(760, 6, "-"),
        record(770, 2, "~", "-", "+TT"),
        record(800, 1, "."),
        record(1_170, 1, "+ACGTACGTACGT", "~"),
        record(1_172, 6, "-"),
        record(1_196, 4, "-"),
        record(N_BASES - 6, 5, "-"),
        record(N_BASES - 3, 1, "+ACGTACG"),
        record(N_BASES - 1, 1, "~"),
        contigs={"chr1": N_BASES},
        header=(
            '##INFO=<ID=CLASS,Number=1,Type=String,Description="Label">',
            '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">',
            '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        ),
    )


@pytest.fixture
def embed(hyenadna, tiny_model, genome):
    def run(*arguments, output=None):
        compute = ("-m", tiny_model, "--device", "cpu", "--threads", "1")
        to = () if output is None else ("-o", output)
        return hyenadna("embed", *compute, *arguments, *to)

    return run


@pytest.fixture
def alleles(embed, genome, vcf, tmp_path):
    """`alleles("--strand", "+", ...)`: the file that comes out."""

    def run(*more, name="alleles.h5ad"):
        found = embed(
            "--vcf", vcf, "--fasta", genome, "--window", "200", *more, output=tmp_path / name
        )
        assert found.code == 0, found.err
        return read_embeddings(tmp_path / name)

    return run


@pytest.fixture
def windows(embed, genome, fasta_file, tmp_path):
    """`windows(rows, layout, strand, reader, ...)`: `embed` of the windows of both alleles, as
    FASTA; the rows that have windows, and what is said of REF and of ALT."""

    def run(rows, layout, strand, *more, read=read_embeddings):
        records, kept = {}, []
        with Genome(genome) as opened:
            for number, status in enumerate(rows.obs["status"]):
                if status not in ("OK", "OK_EDGE"):
                    continue
                ref, alt = rows.obs["ref"][number], rows.obs["alt"][number]
                variant = Variant("chr1", int(rows.obs["start"][number]), ref, (alt,))
                found = windows_of(opened, variant, alt, strand, layout)
                if found is not None:
                    records[f"{number}_ref"], records[f"{number}_alt"] = found
                    kept.append(number)
        path = fasta_file(records, name="windows.fa", line_bases=10_000)
        output = tmp_path / f"windows_{strand}.h5"
        result = embed("--fasta", path, "--force", *more, output=output)
        assert result.code == 0, result.err
        return kept, read(output), list(records.values())

    return run


@pytest.mark.slow
@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("of", ["diff", "alt", "ref"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_vectors_are_those_of_the_two_windows(alleles, windows, layout, of, strand):
    placed, options = LAYOUTS[layout]

    rows = alleles("--allele", of, "--strand", strand, *POOLS, *options)
    kept, pooled, _ = windows(rows, placed, strand, *POOLS)

    assert len(kept) >= 19
    assert rows.vectors.keys() == pooled.vectors.keys()
    for key, vectors in rows.vectors.items():
        of_ref, of_alt = pooled.vectors[key][::2], pooled.vectors[key][1::2]
        expected = {"diff": of_alt - of_ref, "alt": of_alt, "ref": of_ref}[of]
        np.testing.assert_allclose(vectors[kept], expected, rtol=0, atol=1e-5)
    if of == "diff":
        assert np.abs(rows.X[kept]).max() > 0.05


@pytest.mark.slow
def test_both_strands_are_the_mean_of_the_two_and_the_default(alleles, windows):
    placed, _ = LAYOUTS["centred"]
    rows = alleles()

    means = np.full((2, *rows.X.shape), np.nan)
    for row, strand in enumerate("+-"):
        kept, pooled, _ = windows(rows, placed, strand)
        means[row, kept] = pooled.X[1::2] - pooled.X[::2]

    n_strands = (~np.isnan(means)).all(axis=2).sum(axis=0)
    is_known = n_strands > 0
    expected = np.nansum(means, axis=0)[is_known] / n_strands[is_known, None]
    assert set(n_strands) == {0, 2}
    np.testing.assert_allclose(rows.X[is_known], expected, rtol=0, atol=1e-5)
    assert np.isnan(rows.X[~is_known]).all()
    assert set(rows.obs["strand"]) == {"both"}


@pytest.mark.slow
@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_difference_at_the_variant_leaves_out_what_is_the_same(alleles, windows, strand):
    rows = alleles("--allele", "diff-at-variant", "--strand", strand, "--pool", "mean,max,first")
    placed, _ = LAYOUTS["centred"]
    kept, tokens, texts = windows(rows, placed, strand, "--pool", "token", read=read_tokens)

    for place, number in enumerate(kept):
        ref_text, alt_text = texts[2 * place], texts[2 * place + 1]
        ref, alt = tokens.of(2 * place), tokens.of(2 * place + 1)
        pairs = list(zip(ref_text, alt_text, strict=False))
        first = next((i for i, (one, other) in enumerate(pairs) if one != other), None)
        expected = {key: np.zeros(16) for key in rows.vectors}
        if first is not None:
            expected["mean_layer-1"] = alt[first:].mean(0) - ref[first:].mean(0)
            expected["max_layer-1"] = alt[first:].max(0) - ref[first:].max(0)
            expected["first_layer-1"] = alt[first] - ref[first]
        for key, vectors in rows.vectors.items():
            np.testing.assert_allclose(vectors[number], expected[key], rtol=0, atol=1e-5)


def test_every_allele_has_a_row_with_its_status_place_and_labels(alleles, bases, tmp_path):
    rows = alleles("--scores", "llr,l2", "--info", "CLASS,AF")

    places = list(zip(rows.obs["pos"].tolist(), rows.obs["alt"], strict=True))
    assert len(places) == 23
    assert places[6:9] == [(701, rows.obs["alt"][6]), (701, "<DEL>"), (702, rows.obs["alt"][8])]
    assert dict(zip(rows.obs["alt"], rows.obs["status"], strict=True))["<DEL>"] == "SYMBOLIC"
    assert dict(zip(rows.obs["alt"], rows.obs["status"], strict=True))["."] == "NO_ALT"
    unscored = ~np.isin(rows.obs["status"], ["OK", "OK_EDGE"])
    assert np.isnan(rows.X[unscored]).all()
    assert np.isfinite(rows.X[~unscored]).all()
    assert np.isfinite(rows.obs["llr"][~unscored]).all()
    assert rows.obs["start"].tolist() == [pos - 1 for pos, _ in places]
    assert set(rows.obs["CLASS"]) == {"P"}
    # Number=A: of two alleles, one value, which is the first's.
    assert rows.obs["AF"][6:9].tolist() == ["700", ".", "701"]
    assert rows.obs["before"][6] == bases[650:700]
    assert rows.obs["after"][6] == bases[701:751]
    assert rows.obs["before"][0] == ""
    assert set(rows.obs["length"][~unscored].tolist()) >= {200}
    opened = anndata.read_h5ad(tmp_path / "alleles.h5ad")
    assert opened.obs["pos"].dtype == np.int64


def test_l2_is_the_length_of_the_difference_of_means(alleles):
    rows = alleles("--scores", "l2", "--strand", "+")

    # N counts in a mean of `embed`, and in no score.
    clean = [n for n, pos in enumerate(rows.obs["pos"]) if pos in (1, 2, 13, 1_395, 1_398)]
    lengths = np.linalg.norm(rows.X[clean].astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, rows.obs["l2"][clean], rtol=1e-4)


def test_the_same_rows_come_from_any_shard_and_batch(
    embed, hyenadna, vcf, genome, alleles, tmp_path, monkeypatch
):
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 3)
    options = ("--scores", "llr,site", "--info", "CLASS", "--no-version")
    whole = alleles(*options, name="whole.h5ad")
    by_one = alleles(*options, "--batch-size", "1", name="by_one.h5ad")
    for part in range(1, 6):
        alleles(*options, "--shard", f"{part}/5", name=f"part{part}.h5ad")
    parts = [tmp_path / f"part{part}.h5ad" for part in range(1, 6)]

    assert hyenadna("merge", *parts, "-o", tmp_path / "all.h5ad", "--no-version").code == 0

    assert (tmp_path / "all.h5ad").read_bytes() == (tmp_path / "whole.h5ad").read_bytes()
    np.testing.assert_allclose(by_one.X, whole.X, rtol=0, atol=1e-6)


def test_a_stopped_run_is_resumed_and_ends_in_the_same_bytes(
    embed, vcf, genome, alleles, tmp_path, monkeypatch
):
    monkeypatch.setattr(shards, "CHUNK_RECORDS", 3)
    alleles("--no-version", name="whole.h5ad")
    attempt, n_passes = batching._attempt, 0

    def interrupted(*arguments):
        nonlocal n_passes
        n_passes += 1
        if n_passes == 8:
            raise KeyboardInterrupt
        return attempt(*arguments)

    monkeypatch.setattr(batching, "_attempt", interrupted)
    options = ("--vcf", vcf, "--fasta", genome, "--window", "200", "--no-version")
    assert embed(*options, output=tmp_path / "stopped.h5ad").code == 130
    monkeypatch.setattr(batching, "_attempt", attempt)
    code, _, err = embed(*options, "--resume", output=tmp_path / "stopped.h5ad")

    assert (code, "finished chunk" in err) == (0, True)
    assert (tmp_path / "stopped.h5ad").read_bytes() == (tmp_path / "whole.h5ad").read_bytes()


def test_a_table_has_the_same_rows(embed, vcf, genome, alleles):
    rows = alleles("--info", "CLASS")

    code, out, err = embed("--vcf", vcf, "--fasta", genome, "--window", "200", "--info", "CLASS")

    assert code == 0
    header, *lines = [line.split("\t") for line in out.splitlines()]
    columns = dict(zip(header, zip(*lines, strict=True), strict=True))
    assert list(columns["status"]) == rows.obs["status"].tolist()
    assert list(columns["CLASS"]) == ["P"] * 23
    np.testing.assert_allclose(np.array(columns["e0"], float), rows.X[:, 0], rtol=1e-6)
    assert "18 records, 21 of 23 alleles scored" in err


def test_a_vcf_without_records_gives_an_empty_file(embed, genome, vcf_file, tmp_path):
    empty = vcf_file(name="empty.vcf", contigs={"chr1": N_BASES})

    code, _, _ = embed(
        "--vcf", empty, "--fasta", genome, "--window", "200", output=tmp_path / "empty.h5ad"
    )

    assert code == 0
    assert read_embeddings(tmp_path / "empty.h5ad").X.shape == (0, 16)


def test_a_dry_run_writes_nothing_and_says_how_much_there_is(embed, vcf, genome, tmp_path):
    code, out, _ = embed(
        "--vcf", vcf, "--fasta", genome, "--window", "200", "--dry-run", output=tmp_path / "no.h5ad"
    )

    assert code == 0
    plan = dict(line.split("\t") for line in out.splitlines())
    assert (plan["records"], plan["alleles"], plan["window"]) == ("18", "23", "200")
    assert not (tmp_path / "no.h5ad").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--strand", "bed"), 2, "--strand bed: alleles have no strand"),
        (("--pool", "token"), 2, "--pool token and --vcf exclude each other"),
        (("--stride", "10"), 2, "--stride and --vcf exclude each other"),
        (("--exclude-softmasked",), 2, "--exclude-softmasked and --vcf exclude each other"),
        (("--scores", "llr,lr"), 2, "'lr' is none of"),
        (("--window", "300"), 4, "at most 258"),
        (("--layers", "3"), 2, "--layers 3"),
        (("--info", "KLASS"), 3, "declares no INFO KLASS (--info); it has AF, CLASS"),
        (("--info", "GT"), 3, "GT is a FORMAT field, one value for each sample"),
        (("--check-ref", "e"), 3, "variants.vcf:25: chr1:701"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    embed, vcf, genome, tmp_path, words, code, said, bases
):
    wrong = "C" if bases[700] != "C" else "G"
    lines = vcf.read_text().splitlines(keepends=True)
    last = f"chr1\t701\t.\t{wrong}\tA\t.\t.\tCLASS=B\n"
    vcf.write_text("".join([*lines, last]))
    window = () if "--window" in words else ("--window", "200")

    found = embed("--vcf", vcf, "--fasta", genome, *window, *words, output=tmp_path / "no.h5ad")

    assert (found.code, len(found.err.splitlines())) == (code, 1), found.err
    assert said in found.err
    assert not (tmp_path / "no.h5ad").exists()


def test_options_about_alleles_need_alleles(embed, genome):
    code, _, err = embed("--fasta", genome, "--allele", "alt")

    assert code == 2
    assert "--allele is about the alleles of --vcf" in err
